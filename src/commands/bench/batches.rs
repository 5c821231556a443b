//! Which batch a mode runs with: the one that was asked for, or the largest that fits.

use anyhow::{Result, bail};

use super::child::End;
use super::process::Task;
use super::row::Row;
use super::search::{Trial, largest};
use super::{Bench, free_memory};
use crate::cli::UsageError;
use crate::config::{BatchSize, BenchSettings, Mode, Subject, default_batch_size};
use crate::report;

/// Evaluation goes through a batch in parts, and its memory grows by the images' bytes alone. So many are as quick as any
/// number, and as many as timm's tables use.
const MOST_INFER: usize = 1024;
/// Beyond what anybody trains with on one machine.
const MOST_TRAIN: usize = 1 << 16;

/// The share of the largest batch at which speeds are measured: the protocol of arXiv 2003.13630's comparison with other
/// networks.
const PROTOCOL: (usize, usize) = (9, 10);

/// A trial is one step, and the later ones of a run take up to 1.7 % more: so much of the limit is kept for them.
const KEPT: u64 = 50;
/// What is free is not all planned for: other processes live too.
const LEFT_TO_OTHERS: u64 = 20;

/// Refuses a limit beyond what there is: memory that is not there cannot be tried out.
///
/// # Errors
/// A usage error that says how much is free.
pub fn check_limit(settings: &BenchSettings) -> Result<()> {
    // A GPU's is known to the processes of the rows.
    let limit = settings.memory_limit.filter(|_| settings.runtime.cuda.is_none());
    match (limit, free_memory::available()) {
        (Some(limit), Some(free)) if limit > free => {
            let message = format!("--memory-limit of {}: only {} are free here; give less", size(limit), size(free));
            Err(UsageError(message).into())
        }
        _ => Ok(()),
    }
}

/// ` within 16.00 GiB`, where there is a limit.
pub fn within(limit: Option<u64>) -> String {
    limit.map(|limit| format!(" within {}", size(limit))).unwrap_or_default()
}

pub fn images(batch: usize) -> String {
    report::count(batch, "image")
}

/// In GiB, or in MiB where that is less than one.
pub fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.0} MiB") } else { format!("{:.2} GiB", mib / 1024.0) }
}

impl Bench<'_> {
    /// Bytes that a process may take: what was said, or what is free. `None` where the system does not tell, or where it is
    /// a GPU's and nobody said anything.
    pub fn limit(&self) -> Option<u64> {
        if self.settings.runtime.cuda.is_some() {
            return self.settings.memory_limit;
        }
        let free = || free_memory::available().map(|free| free - free / LEFT_TO_OTHERS);
        self.settings.memory_limit.or_else(free)
    }

    /// The batch for a mode. `None` where there is none, which the row then says.
    pub fn find_batch(&self, row: &mut Row, subject: &Subject, mode: Mode) -> Result<Option<usize>> {
        let (asked, most) = match mode {
            Mode::Train => (self.settings.train_batch_size, MOST_TRAIN),
            Mode::Infer => (self.settings.batch_size, MOST_INFER),
            // Loading has no largest batch.
            Mode::Load | Mode::EndToEnd => (self.settings.batch_size, 0),
        };
        let cuda = self.settings.runtime.cuda.is_some();
        let searches = asked == BatchSize::Max || (mode == Mode::Train && self.settings.memory_limit.is_some());
        if searches && most > 0 {
            match cuda {
                true => self.search_device(row, subject, mode)?,
                false => self.search(row, subject, mode, most)?,
            }
            if self.is_interrupted() || row.has_failed(mode) {
                return Ok(None);
            }
        }
        Ok(Some(match (asked, row.max_batches.get(&mode)) {
            (BatchSize::Images(images), _) => images,
            // Where the search ended before the memory did, nothing needs to be spared.
            (BatchSize::Max, Some(&largest)) if largest == most && !cuda => largest,
            (BatchSize::Max, Some(largest)) => (largest * PROTOCOL.0 / PROTOCOL.1).max(1),
            (BatchSize::Max, None) => default_batch_size(&self.settings.runtime),
        }))
    }

    /// Looks for the largest batch that fits and notes it in the row.
    fn search(&self, row: &mut Row, subject: &Subject, mode: Mode, most: usize) -> Result<()> {
        let Some(limit) = self.limit() else {
            bail!("--batch-size max: this system does not tell how much memory is free")
        };
        let usable = limit - limit / KEPT;
        let name = row.model;
        let mut failed = None;
        let found = largest(usable, most, |batch| {
            let task = Task { mode, batch: BatchSize::Images(batch), warmup: 0, iters: 1, images: None };
            match self.process(subject, task, Some(limit))? {
                End::OutOfMemory => {
                    self.say(&format!("{name}: {}: {} more than fits", mode.name(), images(batch)));
                    Ok(Trial::TooLarge)
                }
                End::Measured(outcome) if outcome.error.is_none() && !self.is_interrupted() => {
                    let Some(bytes) = outcome.peak_memory_bytes else {
                        bail!("this system does not tell how much memory it took")
                    };
                    self.say(&format!("{name}: {}: {} took {}", mode.name(), images(batch), size(bytes)));
                    Ok(Trial::Took(bytes))
                }
                End::Measured(outcome) => bail!(failed.insert(outcome.error.unwrap_or_default()).clone()),
                End::Failed(reason) => bail!(failed.insert(reason).clone()),
            }
        });
        match (found, failed) {
            _ if self.is_interrupted() => {}
            (_, Some(reason)) => self.fail(row, mode, reason),
            (Ok(Some(largest)), None) => {
                row.max_batches.insert(mode, largest);
            }
            (Ok(None), None) => self.fail(row, mode, format!("out of memory at batch 1{}", within(Some(limit)))),
            (Err(error), None) => return Err(error),
        }
        Ok(())
    }
}
