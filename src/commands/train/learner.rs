//! What learns: a network, its optimiser, the schedule and the moving average, one update at a time.

use anyhow::Result;

use crate::loss::{Criterion, Targets};
use crate::nn::{Images, Trainable, Value};
use crate::ops::Shape;
use crate::optim::{Clip, Ema, Optimizer, gradient_norm};

/// A network in training.
pub struct Learner {
    pub trainable: Trainable,
    pub logits: Value,
    pub criterion: Criterion,
    pub optimizer: Optimizer,
    pub clip: Option<Clip>,
    pub ema: Option<Ema>,
    pub counts: Counts,
}

/// How far the learner has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Updates of the run, those that were skipped included.
    pub updates: u64,
    /// Batches that passed the network.
    pub batches: u64,
    pub samples: u64,
    /// Updates in a row that were skipped because something was not finite.
    pub non_finite: u64,
}

/// A group of batches that make one update together.
pub struct Group {
    /// Mean loss of each batch times its share.
    loss: f64,
    finite: bool,
    running: Vec<(usize, Vec<f32>)>,
}

/// What an update came to.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Mean over the group's images.
    pub loss: f64,
    /// Whether loss and gradients were finite. Otherwise nothing was changed.
    pub finite: bool,
}

impl Learner {
    /// Begins an update.
    pub fn begin(&self) -> Group {
        Group { loss: 0.0, finite: true, running: self.trainable.running() }
    }

    /// Adds a batch's gradients, weighted by its `share` of the group.
    pub fn add(&mut self, group: &mut Group, images: Images, shape: Shape, targets: Targets, share: f64) -> Result<()> {
        let classes = self.trainable.graph().channels(self.logits);
        self.trainable.set_batch(self.counts.batches);
        let tape = self.trainable.forward(images, shape, self.logits)?;
        let mut loss = self.criterion.loss(tape.output(), classes, targets)?;
        self.counts.batches += 1;
        self.counts.samples += shape.batch as u64;
        group.loss += loss.value * share;
        if !loss.value.is_finite() {
            group.finite = false;
            return Ok(());
        }
        if share != 1.0 {
            loss.gradient.iter_mut().for_each(|g| *g *= share as f32);
        }
        self.trainable.backward(tape, loss.gradient)
    }

    /// Ends the update: clips, steps with `lr`, averages. A loss or gradients that are not finite change nothing but
    /// the count of updates and, as in timm, the moving average.
    pub fn finish(&mut self, group: Group, lr: f64) -> Result<Update> {
        let (values, gradients) = self.trainable.parameters_mut();
        let groups = self.optimizer.groups();
        let finite = group.finite && gradient_norm(gradients, groups).is_finite();
        if finite {
            if let Some(clip) = self.clip {
                clip.apply(values, gradients, groups);
            }
            self.optimizer.step(values, gradients, lr)?;
            self.counts.non_finite = 0;
        } else {
            self.trainable.restore_running(group.running);
            self.counts.non_finite += 1;
        }
        self.trainable.zero_gradients();
        self.counts.updates += 1;
        if let Some(ema) = &mut self.ema {
            ema.update(self.trainable.parameters(), self.counts.updates);
        }
        Ok(Update { loss: group.loss, finite })
    }

    /// The values that are evaluated and kept: the moving average where there is one.
    pub fn best_values(&self) -> &[Vec<f32>] {
        self.ema.as_ref().map_or(self.trainable.parameters(), Ema::values)
    }
}
