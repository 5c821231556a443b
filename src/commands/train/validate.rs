//! How well a learner does on the validation images.
//!
//! On a GPU the network for it is opened once and stays, with its memory, its plans and its recorded graph: each
//! validation gives it the new weights. Training comes first, though: before it takes memory, for a shape of batch that it
//! has not seen, the network goes, and the next validation opens another. So neither finds less room than it would if the
//! network went after each validation.

use std::ops::ControlFlow;

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::data::Data;
use super::learner::Learner;
use super::prepare::CHANNELS;
use crate::commands::element;
use crate::config::{EvalMetric, TrainSettings};
use crate::data::Skipped;
use crate::evaluate::{DeviceJudge, Forward, Judge, Options, evaluate};
use crate::interrupt::Interrupt;
use crate::metrics::Counts;
use crate::nn::{CudaPlace, DeviceNetwork, Network, weights_of};
use crate::ops::{Isa, Shape};

/// The figures of a validation.
pub struct Validation {
    pub counts: Counts,
    pub skipped: Vec<Skipped>,
}

impl Validation {
    /// What decides which epoch is best.
    pub fn metric(&self, metric: EvalMetric) -> f64 {
        match metric {
            EvalMetric::Top1 => self.counts.top1(),
            EvalMetric::Top5 => self.counts.top5(),
            EvalMetric::Loss => self.counts.loss(),
        }
    }
}

/// What validates between the epochs of a run.
#[derive(Default)]
pub struct Validator {
    /// The GPU's network, from the first validation on.
    resident: Option<DeviceNetwork>,
}

impl Validator {
    /// Gives back what the network takes of a GPU's memory.
    pub fn release(&mut self) {
        self.resident = None;
    }

    /// The GPU's network, with these weights.
    fn on_device(
        &mut self,
        number: usize,
        learner: &Learner,
        weights: &VarBuilder,
        data: &Data,
        settings: &TrainSettings,
    ) -> Result<&DeviceNetwork> {
        let network = match self.resident.take() {
            Some(mut network) => {
                network.rebind(weights)?;
                network
            }
            None => {
                let (element, evaluation) = (element(settings.runtime.dtype), &settings.evaluation);
                let place = CudaPlace { number, element, deterministic: settings.deterministic };
                let graph = learner.graph().clone();
                let network = DeviceNetwork::bind(graph, weights, [&evaluation.mean, &evaluation.std], place)?;
                let side = evaluation.input_size;
                network.expect(Shape::new(data.validation_batch(), side, side, CHANNELS), learner.logits)?;
                network
            }
        };
        Ok(self.resident.insert(network))
    }

    /// Evaluates the values that would be kept, the moving average where there is one. None where a signal came first.
    pub fn validate(
        &mut self,
        learner: &Learner,
        data: &Data,
        settings: &TrainSettings,
        interrupt: &Interrupt,
    ) -> Result<Option<Validation>> {
        let (graph, logits) = (learner.graph(), learner.logits);
        let snapshot = learner.snapshot()?;
        let weights = weights_of(graph.parameters(), snapshot.best_values());
        let options = Options {
            side: settings.evaluation.input_size,
            mirror: false,
            kept: 0,
            device: settings.runtime.device.clone(),
        };
        let mut judge: Box<dyn Judge> = match settings.runtime.cuda {
            Some(number) => {
                let network = self.on_device(number, learner, &weights, data, settings)?;
                Box::new(DeviceJudge::new(network, logits, options))
            }
            None => {
                let (mean, std) = (&settings.evaluation.mean, &settings.evaluation.std);
                let network = Network::bind(graph.clone(), &weights, mean, std, Isa::of(settings.amp))?;
                Box::new(Forward::new(move |images: &Tensor| network.run(images, logits), options))
            }
        };
        let mut run = evaluate(&mut *judge, data.validation()?, |_| {
            Ok(if interrupt.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        drop(judge);
        // What ended early has batches on their way, whose answers are nobody's.
        if let Some(failure) = run.failure.take() {
            self.release();
            return Err(failure);
        }
        if interrupt.received().is_some() {
            self.release();
            return Ok(None);
        }
        Ok(Some(Validation { counts: run.counts, skipped: run.skipped }))
    }
}
