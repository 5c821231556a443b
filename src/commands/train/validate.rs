//! How well a learner does on the validation images.

use std::ops::ControlFlow;

use anyhow::Result;
use candle_core::Tensor;

use super::data::Data;
use super::learner::Learner;
use crate::commands::element;
use crate::config::{EvalMetric, TrainSettings};
use crate::data::Skipped;
use crate::evaluate::{Forward, Options, evaluate};
use crate::interrupt::Interrupt;
use crate::metrics::Counts;
use crate::nn::{CudaPlace, DeviceNetwork, Network, weights_of};
use crate::ops::Isa;

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

/// From images to logits.
type Answers<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// Evaluates the values that would be kept, the moving average where there is one. None where a signal came first.
pub fn validate(
    learner: &Learner,
    data: &Data,
    settings: &TrainSettings,
    interrupt: &Interrupt,
) -> Result<Option<Validation>> {
    let graph = learner.graph();
    let snapshot = learner.snapshot()?;
    let weights = weights_of(graph.parameters(), snapshot.best_values());
    let (mean, std) = (&settings.evaluation.mean, &settings.evaluation.std);
    let network: Answers = match settings.runtime.cuda {
        Some(number) => {
            let place =
                CudaPlace { number, element: element(settings.runtime.dtype), deterministic: settings.deterministic };
            let network = DeviceNetwork::bind(graph.clone(), &weights, [mean, std], place)?;
            Box::new(move |images| network.run(images, learner.logits))
        }
        None => {
            let isa = Isa::of(settings.amp);
            let network = Network::bind(graph.clone(), &weights, mean, std, isa)?;
            Box::new(move |images| network.run(images, learner.logits))
        }
    };
    let options = Options {
        side: settings.evaluation.input_size,
        mirror: false,
        kept: 0,
        device: settings.runtime.device.clone(),
    };
    let mut run = evaluate(&mut Forward::new(network, options), data.validation()?, |_| {
        Ok(if interrupt.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if let Some(failure) = run.failure.take() {
        return Err(failure);
    }
    if interrupt.received().is_some() {
        return Ok(None);
    }
    Ok(Some(Validation { counts: run.counts, skipped: run.skipped }))
}
