//! What became of updates, fetched while later ones are computed. Not yet run on a GPU.

use anyhow::{Result, anyhow};

use super::{StateNumbers, words};
use crate::ops::cuda::optimizer::STATE;
use crate::ops::cuda::{Device, Download, Region};

/// Updates that may be under way unheard of: enough for the host to stay ahead of the device.
const UNDER_WAY: usize = 2;

/// The optimiser's numbers after each update, on their way.
pub struct Outcomes {
    download: Download,
    under_way: usize,
}

impl Outcomes {
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self { download: Download::new(device, STATE * size_of::<f32>())?, under_way: 0 })
    }

    /// An update has been put into the stream.
    pub fn send(&mut self, device: &Device, state: &Region) -> Result<()> {
        self.download.send(device, state)?;
        self.under_way += 1;
        Ok(())
    }

    /// All outcomes, or those of all updates but the last.
    pub fn take(&mut self, all: bool) -> Result<Vec<StateNumbers>> {
        let mut taken = Vec::new();
        while self.under_way > if all { 0 } else { UNDER_WAY } {
            let Some(bytes) = self.download.take()? else { break };
            self.under_way -= 1;
            taken.push(numbers(&bytes)?);
        }
        Ok(taken)
    }
}

/// The numbers in so many bytes.
pub fn numbers(bytes: &[u8]) -> Result<StateNumbers> {
    let numbers = <[f32; STATE]>::try_from(words(bytes));
    Ok(StateNumbers(numbers.map_err(|_| anyhow!("{} bytes of state, not {}", bytes.len(), STATE * size_of::<f32>()))?))
}
