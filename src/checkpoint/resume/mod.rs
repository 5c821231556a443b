//! The state of a run in one file, from which it goes on as if it had never stopped; kept in two generations, so that
//! no accident of writing takes both.

mod exact;
mod progress;
mod state;
mod timm;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub use self::progress::{RunProgress, Scaler, Unfinished};
pub use self::state::{ResumeState, Resumed};
pub use self::timm::TimmState;
use super::save::disk::{self, Disk, LocalDisk};

/// The two generations of a run's state in its folder.
#[derive(Debug)]
pub struct ResumeFiles {
    folder: PathBuf,
    /// Whether the newer generation may take the place of the older: it was written or read whole by this run.
    last_is_good: bool,
}

impl ResumeFiles {
    pub const LAST: &str = "last.resume.safetensors";
    pub const PREVIOUS: &str = "previous.resume.safetensors";

    /// Looks after the state in `folder`, and removes what runs that were killed while they saved have left there.
    /// One run at a time may do so (see `report::RunFolder`).
    pub fn new(folder: &Path) -> Self {
        for stale in disk::sweep(&LocalDisk, folder) {
            tracing::info!("removed {}, which a killed run had left unfinished", stale.display());
        }
        Self { folder: folder.to_owned(), last_is_good: false }
    }

    /// Whether there is a generation, good or not.
    pub fn exist(&self) -> bool {
        self.paths().iter().any(|path| path.exists())
    }

    /// The newest state that is whole (`--resume auto`); `None` where the folder has none. Where it is not the newest
    /// that was saved, [`Resumed::warning`] says why.
    ///
    /// # Errors
    ///
    /// Where there are generations but none that is whole; the message says what is wrong with each.
    pub fn newest(&mut self) -> Result<Option<Resumed>> {
        let [last, previous] = self.paths();
        let reason = match Resumed::open(&last) {
            Ok(resumed) => {
                self.last_is_good = true;
                return Ok(Some(resumed));
            }
            Err(_) if !self.exist() => return Ok(None),
            Err(reason) => reason,
        };
        match Resumed::open(&previous) {
            Ok(resumed) => {
                let from = previous.display();
                Ok(Some(resumed.with_warning(format!("{reason:#}; going on from the state before it, {from}"))))
            }
            Err(second) => bail!(
                "no state in {} can be resumed:\n  {reason:#}\n  {second:#}\nStart from weights instead: give one of \
                 the folder's other checkpoints as --initial-checkpoint.",
                self.folder.display()
            ),
        }
    }

    /// Saves the newest state; the one before stays as the older generation.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::save`](super::TensorFile::save); at least one generation that was whole before still is.
    pub fn save(&mut self, state: &ResumeState) -> Result<()> {
        self.save_on(&LocalDisk, state)
    }

    fn save_on<D: Disk>(&mut self, disk: &D, state: &ResumeState) -> Result<()> {
        let [last, previous] = self.paths();
        let file = state.file()?;
        let last_is_good = self.last_is_good;
        // Until the save has succeeded nobody knows whether the newer generation has moved.
        self.last_is_good = false;
        file.save_on(disk, &last, || if last_is_good { disk.rename(&last, &previous) } else { Ok(()) })?;
        self.last_is_good = true;
        Ok(())
    }

    fn paths(&self) -> [PathBuf; 2] {
        [self.folder.join(Self::LAST), self.folder.join(Self::PREVIOUS)]
    }
}

#[cfg(test)]
mod tests;
