//! The weights that a run keeps for its user: the last ones, the best ones, and the best few by epoch.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::TensorFile;
use super::disk::{self, Disk, LocalDisk};

/// An epoch whose weights are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 0.
    pub epoch: u64,
    pub metric: f64,
    /// The file's name in the run's folder.
    pub file: String,
}

/// What [`History::record`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// No epoch was better so far.
    pub is_best: bool,
    /// The epoch's own file, where it is among the best few.
    pub kept: Option<PathBuf>,
    /// The files that had to go for it.
    pub removed: Vec<PathBuf>,
}

/// `last.safetensors`, `model_best.safetensors` and `checkpoint-<epoch>.safetensors` of a run's folder, by the rules of
/// timm's `CheckpointSaver`: an epoch is kept while there is room, and after that where it is better than the worst
/// that is kept.
#[derive(Clone, Debug)]
pub struct History {
    folder: PathBuf,
    most: usize,
    higher_is_better: bool,
    /// The best first; of equals, the earlier.
    best: Vec<Best>,
}

impl History {
    pub const LAST: &str = "last.safetensors";
    pub const BEST: &str = "model_best.safetensors";

    /// Keeps the best `most` epochs (`--checkpoint-hist`), of those in `best`, which a resumed run has from its
    /// [`RunProgress`](super::super::RunProgress), and those to come. The very best is always kept.
    pub fn new(folder: &Path, most: usize, higher_is_better: bool, best: Vec<Best>) -> Self {
        Self { folder: folder.to_owned(), most: most.max(1), higher_is_better, best }
    }

    /// What is kept, the best first.
    pub fn best(&self) -> &[Best] {
        &self.best
    }

    /// Saves the weights of an epoch as the last ones and, by its metric, as one of the best. The tensors are written
    /// once; the other names are links.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::save`]. No file is removed before its better is in place.
    pub fn record(&mut self, epoch: u64, metric: f64, weights: &TensorFile) -> Result<Recorded> {
        self.record_on(&LocalDisk, epoch, metric, weights)
    }

    fn record_on<D: Disk>(&mut self, disk: &D, epoch: u64, metric: f64, weights: &TensorFile) -> Result<Recorded> {
        let last = self.folder.join(Self::LAST);
        weights.save_on(disk, &last, || Ok(()))?;
        let mut recorded = Recorded::default();
        // An epoch that is run again after a resume is judged anew.
        self.best.retain(|entry| entry.epoch != epoch);
        let place = self.best.partition_point(|entry| !self.is_better(metric, entry.metric));
        if place == 0 {
            disk::share(disk, &last, &self.folder.join(Self::BEST))?;
            recorded.is_best = true;
        }
        if place < self.most {
            let file = format!("checkpoint-{epoch}.safetensors");
            let path = self.folder.join(&file);
            disk::share(disk, &last, &path)?;
            recorded.kept = Some(path);
            self.best.insert(place, Best { epoch, metric, file });
        }
        while self.best.len() > self.most
            && let Some(worst) = self.best.pop()
        {
            let path = self.folder.join(worst.file);
            // A file that somebody else has removed is as gone as it should be.
            let _ = disk.remove(&path);
            recorded.removed.push(path);
        }
        Ok(recorded)
    }

    /// NaN is worse than every number.
    fn is_better(&self, metric: f64, other: f64) -> bool {
        let better = if self.higher_is_better { metric > other } else { metric < other };
        better || (other.is_nan() && !metric.is_nan())
    }
}
