//! What a failure of nvJPEG's comes to: the file is the processor's, or the device decodes no more.

use anyhow::{Context, Result, bail, ensure};

use super::library::{Fault, Status};
use crate::ops::cuda::Machine;

/// Files in a row with which nvJPEG fails before it is not tried any more: a batch of them is decoded three times over.
const MOST_IN_A_ROW: usize = 16;

/// Whether it was decoded.
///
/// # Errors
/// Where the device is lost or nvJPEG cannot use it.
pub fn is_taken(decoded: Result<(), Status>, machine: &dyn Machine) -> Result<bool> {
    let Err(status) = decoded else { return Ok(true) };
    let fails = || format!("nvJPEG fails: {}", status.name());
    match status.fault() {
        Fault::File => {}
        Fault::Device => bail!(fails()),
        // An error of the context's stays with it, and shows here again, whoever reported it first.
        Fault::Either => machine.synchronize().with_context(fails)?,
    }
    Ok(false)
}

/// Files with which nvJPEG failed, the device being well.
#[derive(Default)]
pub struct Failures {
    /// Since it last decoded one.
    in_a_row: usize,
    is_told: bool,
}

impl Failures {
    /// Counts a file that was decoded alone. The first failure is said.
    ///
    /// # Errors
    /// If too many fail in a row.
    pub fn count(&mut self, decoded: Result<(), Status>) -> Result<()> {
        match decoded {
            Ok(()) => self.end_row(),
            Err(status) if status.fault() == Fault::Either => {
                self.in_a_row += 1;
                let name = status.name();
                ensure!(self.in_a_row < MOST_IN_A_ROW, "nvJPEG fails with {MOST_IN_A_ROW} files in a row: {name}");
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!("nvJPEG fails with a file ({name}): the processor decodes it, and any like it");
                }
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// One was decoded.
    pub fn end_row(&mut self) {
        self.in_a_row = 0;
    }
}
