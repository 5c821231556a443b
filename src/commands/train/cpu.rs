//! Updates on the CPU.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail};

use super::learner::{Executor, Snapshot, Update, UpdatePlan};
use crate::checkpoint::Scaler;
use crate::loss::{Criterion, Targets};
use crate::nn::{Graph, Images, Trainable, Value};
use crate::ops::Shape;
use crate::optim::{Clip, Ema, Optimizer, gradient_norm};

/// The CPU's executor with its optimiser.
pub struct CpuExecutor {
    pub trainable: Trainable,
    pub logits: Value,
    pub criterion: Criterion,
    pub optimizer: Optimizer,
    pub clip: Option<Clip>,
    pub ema: Option<Ema>,
    /// The update that has begun.
    pub group: Option<Group>,
    /// What updates came to that nobody has been told of.
    pub told: Vec<Update>,
}

/// Batches that make one update together.
pub struct Group {
    plan: UpdatePlan,
    /// Mean loss of each batch times its share.
    loss: f64,
    finite: bool,
    running: Vec<(usize, Vec<f32>)>,
}

impl Executor for CpuExecutor {
    fn graph(&self) -> &Graph {
        self.trainable.graph()
    }

    /// No device's memory is taken at all.
    fn is_prepared(&self, _: Shape) -> bool {
        true
    }

    fn begin(&mut self, plan: UpdatePlan) -> Result<()> {
        self.group = Some(Group { plan, loss: 0.0, finite: true, running: self.trainable.running() });
        Ok(())
    }

    fn add(&mut self, batch: u64, images: Images, shape: Shape, targets: Targets, share: f64) -> Result<()> {
        let Some(group) = &mut self.group else { bail!("no update has begun") };
        let classes = self.trainable.graph().channels(self.logits);
        self.trainable.set_batch(batch);
        let tape = self.trainable.forward(images, shape, self.logits)?;
        let mut loss = self.criterion.loss(tape.output(), classes, targets)?;
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

    fn end(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { bail!("no update has begun") };
        let (values, gradients) = self.trainable.parameters_mut();
        let groups = self.optimizer.groups();
        let finite = group.finite && gradient_norm(gradients, groups).is_finite();
        if finite {
            if let Some(clip) = self.clip {
                clip.apply(values, gradients, groups);
            }
            self.optimizer.step(values, gradients, group.plan.lr)?;
        } else {
            self.trainable.restore_running(group.running);
        }
        self.trainable.zero_gradients();
        if let Some(ema) = &mut self.ema {
            ema.update(self.trainable.parameters(), group.plan.number);
        }
        self.told.push(Update { loss: group.loss, finite, scale: None });
        Ok(())
    }

    fn outcomes(&mut self, _: bool) -> Result<Vec<Update>> {
        Ok(std::mem::take(&mut self.told))
    }

    fn snapshot(&self) -> Result<Snapshot<'_>> {
        let parameters = self.trainable.graph().parameters();
        let places: HashMap<&str, usize> =
            parameters.iter().enumerate().map(|(at, parameter)| (parameter.name.as_str(), at)).collect();
        let mut buffers: BTreeMap<String, Vec<Cow<'_, [f32]>>> = BTreeMap::new();
        for (name, values) in self.optimizer.state() {
            let Some((buffer, parameter)) = name.split_once('.') else { continue };
            let Some(&at) = places.get(parameter) else { continue };
            let empty = || vec![Cow::Borrowed(&[][..]); parameters.len()];
            buffers.entry(buffer.to_owned()).or_insert_with(empty)[at] = Cow::Borrowed(values);
        }
        Ok(Snapshot {
            values: Cow::Borrowed(self.trainable.parameters()),
            average: self.ema.as_ref().map(|ema| Cow::Borrowed(ema.values())),
            buffers: buffers.into_iter().collect(),
            steps: self.optimizer.steps(),
            scaler: None,
        })
    }

    fn restore_values(&mut self, values: Vec<Vec<f32>>, average: Option<Vec<Vec<f32>>>) -> Result<()> {
        if let Some(ema) = &mut self.ema {
            ema.values_mut().clone_from_slice(average.as_ref().unwrap_or(&values));
        }
        self.trainable.parameters_mut().0.clone_from_slice(&values);
        Ok(())
    }

    fn restore_optimizer(&mut self, steps: u64, buffers: HashMap<String, Vec<f32>>) -> Result<()> {
        self.optimizer.load_state(steps, buffers)
    }

    /// The CPU computes in f32, which needs no scale.
    fn restore_scaler(&mut self, _: &Scaler) -> Result<()> {
        Ok(())
    }
}
