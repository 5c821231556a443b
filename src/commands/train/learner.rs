//! What learns: a network with its optimiser and its moving average, one update at a time, on whatever device.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Result;

use crate::checkpoint::Scaler;
use crate::loss::Targets;
use crate::nn::{Graph, Images, Value};
use crate::ops::Shape;

/// A network in training.
pub struct Learner {
    executor: Box<dyn Executor>,
    pub logits: Value,
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

/// What an update came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Mean over the group's images.
    pub loss: f64,
    /// Whether loss and gradients were finite. Otherwise nothing was changed.
    pub finite: bool,
    /// The loss scale of the next update, where there is one.
    pub scale: Option<f64>,
}

/// Where an update stands in the run.
#[derive(Clone, Copy, Debug)]
pub struct UpdatePlan {
    pub lr: f64,
    /// Its number in the run, from 1.
    pub number: u64,
}

/// All that has been learnt, in the order of the graph's parameters.
pub struct Snapshot<'a> {
    pub values: Cow<'a, [Vec<f32>]>,
    /// Their moving average, where one is kept.
    pub average: Option<Cow<'a, [Vec<f32>]>>,
    /// The optimiser's buffers by name; empty ones where a parameter has none.
    pub buffers: Vec<(String, Vec<Cow<'a, [f32]>>)>,
    /// Steps of the optimiser.
    pub steps: u64,
    pub scaler: Option<Scaler>,
}

/// What computes updates: the CPU, or a device that may be some updates behind what it was asked for.
pub trait Executor {
    fn graph(&self) -> &Graph;

    /// Whether a batch of this shape needs no more of a device's memory than is taken already.
    fn is_prepared(&self, shape: Shape) -> bool;

    /// Begins an update.
    fn begin(&mut self, plan: UpdatePlan) -> Result<()>;

    /// Adds the gradients of batch number `batch` of the run, weighted by its `share` of the update.
    fn add(&mut self, batch: u64, images: Images, shape: Shape, targets: Targets, share: f64) -> Result<()>;

    /// Ends the update: clips, steps, averages. A loss or gradients that are not finite change nothing but, as in timm,
    /// the moving average.
    fn end(&mut self) -> Result<()>;

    /// What updates came to that nobody has been told of, in their order: those that are known without waiting, or all.
    fn outcomes(&mut self, all: bool) -> Result<Vec<Update>>;

    fn snapshot(&self) -> Result<Snapshot<'_>>;

    /// Takes up weights; the average starts from them where none is given.
    fn restore_values(&mut self, values: Vec<Vec<f32>>, average: Option<Vec<Vec<f32>>>) -> Result<()>;

    /// Takes up the optimiser's steps and buffers, `<buffer>.<parameter>`.
    ///
    /// # Errors
    /// If a buffer is missing, of another length or unknown: the optimiser is then as it was.
    fn restore_optimizer(&mut self, steps: u64, buffers: HashMap<String, Vec<f32>>) -> Result<()>;

    fn restore_scaler(&mut self, scaler: &Scaler) -> Result<()>;
}

impl Learner {
    pub fn new(executor: Box<dyn Executor>, logits: Value) -> Self {
        Self { executor, logits, counts: Counts::default() }
    }

    pub fn graph(&self) -> &Graph {
        self.executor.graph()
    }

    /// See [`Executor::is_prepared`].
    pub fn is_prepared(&self, shape: Shape) -> bool {
        self.executor.is_prepared(shape)
    }

    /// Begins an update with this learning rate.
    pub fn begin(&mut self, lr: f64) -> Result<()> {
        self.executor.begin(UpdatePlan { lr, number: self.counts.updates + 1 })
    }

    /// Adds a batch's gradients, weighted by its `share` of the update.
    pub fn add(&mut self, images: Images, shape: Shape, targets: Targets, share: f64) -> Result<()> {
        self.executor.add(self.counts.batches, images, shape, targets, share)?;
        self.counts.batches += 1;
        self.counts.samples += shape.batch as u64;
        Ok(())
    }

    /// Ends the update.
    pub fn finish(&mut self) -> Result<()> {
        self.counts.updates += 1;
        self.executor.end()
    }

    /// What updates came to since this was asked last: see [`Executor::outcomes`].
    pub fn outcomes(&mut self, all: bool) -> Result<Vec<Update>> {
        self.executor.outcomes(all)
    }

    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        self.executor.snapshot()
    }

    pub fn executor(&mut self) -> &mut dyn Executor {
        self.executor.as_mut()
    }
}

impl Snapshot<'_> {
    /// The values that are evaluated and kept: the moving average where there is one.
    pub fn best_values(&self) -> &[Vec<f32>] {
        self.average.as_deref().unwrap_or(&self.values)
    }
}
