//! The two splits of a run, and the passes over them.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::augment::OfEpoch;
use crate::augment::evaluation::Evaluation;
use crate::augment::training::Training;
use crate::config::TrainSettings;
use crate::data::loader::{Loader, Options};
use crate::data::sampler::Sampler;
use crate::data::source::Source;

/// What a run learns from and is judged by.
pub struct Data {
    pub train: Arc<Source>,
    pub val: Arc<Source>,
    transform: Training,
    evaluation: Evaluation,
    sampler: Sampler,
    batch_size: usize,
    validation_batch_size: usize,
    workers: usize,
    seed: u64,
    /// Squares of each training image.
    copies: usize,
}

impl Data {
    /// Opens both splits; what the user should know of them is in the second result.
    pub fn open(settings: &TrainSettings) -> Result<(Self, Vec<String>)> {
        let own = &settings.data;
        let class_map = own.class_map.as_deref();
        let train = own.train.open(class_map)?;
        let mut val = own.val.open(class_map)?;
        val.number_as(&train)?;
        let images = train.len();
        let both = [&train, &val];
        let skipped = both.into_iter().flat_map(Source::skipped);
        let skipped = skipped.map(|skipped| format!("warning: left out {skipped}"));
        let remarks = both.into_iter().flat_map(Source::remarks).cloned().chain(skipped).collect();
        ensure!(
            own.batch_size <= images,
            "--batch-size {} is more than the {images} training images: give at most {images}",
            own.batch_size
        );
        let opened = Self {
            transform: Training::new(
                &settings.augmentation.transform,
                settings.evaluation.input_size,
                settings.evaluation.mean,
            )?,
            evaluation: Evaluation::new(&settings.evaluation)?,
            sampler: Sampler::new(images, settings.seed, own.aug_repeats)?,
            train: Arc::new(train),
            val: Arc::new(val),
            batch_size: own.batch_size,
            validation_batch_size: own.validation_batch_size,
            workers: own.workers,
            seed: settings.seed,
            copies: own.aug_splits,
        };
        Ok((opened, remarks))
    }

    /// Classes that the training images tell apart.
    pub fn classes(&self) -> usize {
        self.train.classes().len()
    }

    /// Whole batches of an epoch.
    pub fn batches(&self) -> u64 {
        (self.sampler.len() / self.batch_size) as u64
    }

    /// An epoch's batches from number `first` on.
    pub fn epoch(&self, epoch: u64, first: u64) -> Result<Loader> {
        let order = self.sampler.order(epoch);
        let start = first as usize * self.batch_size;
        let options = Options { order, start, drop_last: true, ..Options::new(self.batch_size, self.workers) };
        let transform = OfEpoch { transform: self.transform.clone(), seed: self.seed, epoch, copies: self.copies };
        Loader::new(self.train.clone(), transform, options)
    }

    /// Images of a batch of validation, save those that cannot be read; the last one may have fewer.
    pub fn validation_batch(&self) -> usize {
        self.validation_batch_size.min(self.val.len().max(1))
    }

    /// All validation images.
    pub fn validation(&self) -> Result<Loader> {
        Loader::new(self.val.clone(), self.evaluation, Options::new(self.validation_batch(), self.workers))
    }
}
