//! The largest batch on a GPU: what should fit by computation, and of that what has run.

use anyhow::Result;

use super::batches::{images, size, within};
use super::child::End;
use super::process::Task;
use super::row::Row;
use super::search::largest_that_runs;
use super::{Bench, Mode};
use crate::config::{BatchSize, Subject};

impl Bench<'_> {
    /// Looks for the largest batch that the GPU has room for and notes it in the row, or why there is none.
    pub fn search_device(&self, row: &mut Row, subject: &Subject, mode: Mode) -> Result<()> {
        let task = |batch| Task { mode, batch, warmup: 0, iters: 1, images: None };
        let limit = self.settings.memory_limit;
        let name = row.model;
        let computed = match self.process(subject, task(BatchSize::Max), limit)? {
            End::Measured(outcome) => outcome.error.map_or(Ok(outcome.largest_batch.unwrap_or(0)), Err),
            End::OutOfMemory => Ok(0),
            End::Failed(reason) => Err(reason),
        };
        let computed = match computed {
            _ if self.is_interrupted() => return Ok(()),
            // That not even one image fits is tried too.
            Ok(computed) => computed.max(1),
            Err(reason) => {
                self.fail(row, mode, reason);
                return Ok(());
            }
        };
        self.say(&format!("{name}: {}: {} should fit", mode.name(), images(computed)));
        let mut failed = None;
        let found = largest_that_runs(computed, |batch| {
            Ok(match self.process(subject, task(BatchSize::Images(batch)), limit)? {
                End::OutOfMemory => {
                    self.say(&format!("{name}: {}: {} more than fits", mode.name(), images(batch)));
                    false
                }
                End::Measured(outcome) if outcome.error.is_none() => {
                    let took = outcome.peak_memory_bytes.map(size).unwrap_or_else(|| "?".into());
                    self.say(&format!("{name}: {}: {} took {took}", mode.name(), images(batch)));
                    true
                }
                // Not the memory's doing: a smaller batch would not mend it.
                End::Measured(outcome) => {
                    failed = outcome.error;
                    true
                }
                End::Failed(reason) => {
                    failed = Some(reason);
                    true
                }
            })
        })?;
        match (found, failed) {
            _ if self.is_interrupted() => {}
            (_, Some(reason)) => self.fail(row, mode, reason),
            (Some(largest), None) => {
                row.max_batches.insert(mode, largest);
            }
            (None, None) => self.fail(row, mode, format!("out of memory at batch 1{}", within(limit))),
        }
        Ok(())
    }
}
