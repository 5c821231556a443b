//! What a run leaves in its folder while it goes.

use anyhow::Result;

use super::learner::Learner;
use super::state::Position;
use super::validate::Validation;
use crate::checkpoint::{Best, History, TensorFile};
use crate::config::TrainSettings;
use crate::optim::Goal;
use crate::report::{EventFile, RunFolder, StepRow, Steps, Summary, SummaryRow};

/// The files of a run.
pub struct Outputs {
    steps: Steps,
    summary: Summary,
    events: Option<EventFile>,
    pub history: History,
}

impl Outputs {
    /// Goes on in `folder` from where the run stands.
    pub fn open(
        folder: &RunFolder,
        settings: &TrainSettings,
        position: &Position,
        updates: u64,
        best: Vec<Best>,
    ) -> Result<Self> {
        let path = folder.path();
        let output = &settings.output;
        folder.write_settings(&settings.record)?;
        let higher = output.eval_metric.goal() == Goal::Highest;
        Ok(Self {
            steps: Steps::resume(path, updates)?,
            summary: Summary::resume(path, position.epoch)?,
            events: if output.tensorboard { Some(EventFile::create(path, updates)?) } else { None },
            history: History::new(path, output.checkpoint_hist, higher, best),
        })
    }

    pub fn update(&mut self, row: &StepRow) -> Result<()> {
        self.steps.add(row)?;
        if let Some(events) = &mut self.events {
            let scalars = [
                ("train/loss", row.loss.unwrap_or(f64::NAN)),
                ("train/lr", row.lr),
                ("throughput/img_per_sec", row.img_per_sec),
                ("throughput/data_seconds", row.data_seconds),
            ];
            events.scalars(row.step, &scalars)?;
        }
        Ok(())
    }

    /// Shows images of an augmented batch, `[images, side, side, 3]` bytes.
    pub fn images(&mut self, step: u64, pixels: &[u8], images: usize, side: usize) -> Result<()> {
        match &mut self.events {
            Some(events) if images > 0 => events.images(step, "train/batch", pixels, [images, side, side]),
            _ => Ok(()),
        }
    }

    /// Whether anybody looks at images.
    pub fn wants_images(&self) -> bool {
        self.events.is_some()
    }

    /// An epoch has ended: its row, its weights. Whether it is the best so far.
    pub fn epoch(
        &mut self,
        row: SummaryRow,
        validation: &Validation,
        learner: &Learner,
        settings: &TrainSettings,
    ) -> Result<bool> {
        self.summary.add(row)?;
        if let Some(events) = &mut self.events {
            let scalars = [
                ("epoch/train_loss", row.train_loss),
                ("val/loss", row.eval_loss),
                ("val/top1", row.eval_top1),
                ("val/top5", row.eval_top5),
            ];
            events.scalars(learner.counts.updates, &scalars)?;
        }
        let snapshot = learner.snapshot()?;
        let graph = learner.graph();
        let metric = validation.metric(settings.output.eval_metric);
        let weights = TensorFile::weights(graph.parameters(), snapshot.best_values(), learner.counts.batches)?
            .note("model", settings.model.variant.name)
            .norm_epsilon(graph.norm_epsilon())
            .note("num_classes", graph.channels(learner.logits))
            .note("epoch", row.epoch)
            .note("top1", row.eval_top1);
        Ok(self.history.record(row.epoch, metric, &weights)?.is_best)
    }
}
