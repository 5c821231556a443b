//! Which images a pass delivers, in which order, and from where on.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

/// The order of a pass over the data.
#[derive(Clone, Debug, Default)]
pub enum Order {
    /// The data set's own.
    #[default]
    Own,
    /// These images, by their numbers in the data set; one may come again.
    Given(Arc<[u32]>),
}

impl Order {
    /// Pictures in a whole pass over a data set of `images`.
    pub fn len(&self, images: usize) -> usize {
        match self {
            Self::Own => images,
            Self::Given(samples) => samples.len(),
        }
    }

    /// Number in the data set of the image at `position`, which is less than [`Order::len`].
    pub fn sample(&self, position: usize) -> usize {
        match self {
            Self::Own => position,
            Self::Given(samples) => samples[position] as usize,
        }
    }

    /// Refuses numbers that a data set of `images` does not have.
    pub(super) fn check(&self, images: usize) -> Result<()> {
        if let Self::Given(samples) = self
            && let Some(beyond) = samples.iter().find(|&&sample| sample as usize >= images)
        {
            bail!("the order names image {beyond} of a data set that has {images}, counted from 0");
        }
        Ok(())
    }
}

/// How images are loaded.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images a batch; the last one may be smaller.
    pub batch_size: usize,
    /// Threads that read, decode and transform.
    pub workers: usize,
    pub order: Order,
    /// Position in the order of the first image to load: none before it is read.
    pub start: usize,
    /// Only so many images, counted from the beginning of the order.
    pub limit: Option<usize>,
    /// Leaves out a last batch that would be smaller than the others.
    pub drop_last: bool,
}

impl Options {
    /// The whole data set in its own order.
    pub fn new(batch_size: usize, workers: usize) -> Self {
        Self { batch_size, workers, order: Order::Own, start: 0, limit: None, drop_last: false }
    }

    /// The positions that are loaded of a data set of `images`.
    pub(super) fn positions(&self, images: usize) -> Result<Range<usize>> {
        let &Self { batch_size, workers, ref order, start, limit, drop_last } = self;
        ensure!(batch_size > 0, "--batch-size 0: give at least 1");
        ensure!(workers > 0, "--workers 0: give at least 1");
        ensure!(limit != Some(0), "--limit 0: give at least 1");
        order.check(images)?;
        let end = limit.unwrap_or(usize::MAX).min(order.len(images));
        ensure!(start <= end, "a pass of {end} images cannot begin behind image {start}");
        if drop_last {
            ensure!(
                batch_size <= end,
                "--batch-size {batch_size}: more than the {end} images of a pass, whose incomplete batch is left out; \
                 give at most {end}"
            );
        }
        let batches = (end - start) / batch_size;
        Ok(start..if drop_last { start + batches * batch_size } else { end })
    }
}
