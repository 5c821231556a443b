//! Batches without end: a data set, over and over.

use std::sync::Arc;

use anyhow::Result;

use super::trial::Trial;
use crate::augment::evaluation::Evaluation as Transform;
use crate::data::loader::{Batch, Loader, Options};
use crate::data::source::Source;

/// Batches of a data set, from its beginning again where it ends.
pub struct Endless<'a> {
    source: &'a Arc<Source>,
    transform: Transform,
    options: Options,
    loader: Loader,
}

impl<'a> Endless<'a> {
    pub fn new(trial: &Trial<'_>, source: &'a Arc<Source>) -> Result<Self> {
        let transform = Transform::new(&trial.subject.preprocessing)?;
        let batch_size = trial.batch_size.min(source.len());
        let options = Options::new(batch_size, trial.settings.workers);
        let loader = Loader::new(Arc::clone(source), transform, options.clone())?;
        Ok(Self { source, transform, options, loader })
    }

    /// The next batch that holds an image.
    ///
    /// # Errors
    /// Where a whole pass gave none.
    pub fn next(&mut self) -> Result<Batch> {
        for _ in 0..2 {
            if let Some(batch) = self.loader.find(|batch| batch.size > 0) {
                return Ok(batch);
            }
            self.loader = Loader::new(Arc::clone(self.source), self.transform, self.options.clone())?;
        }
        anyhow::bail!("--val-dir: none of its images could be read")
    }
}
