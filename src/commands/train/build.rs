//! From settings to a learner: the network with its first weights, what is frozen, the optimiser.

use std::path::Path;

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::cpu::CpuExecutor;
use super::cuda::CudaExecutor;
use super::learner::Learner;
use crate::checkpoint::{Checkpoint, Fresh, StateDict, Weights};
use crate::config::{InitialWeights, TrainSettings};
use crate::models::{Architecture, Request};
use crate::nn::{Drops, Initializer, Trainable};
use crate::ops::Isa;
use crate::optim::{Ema, Groups};

/// The learner at the beginning of a run, and what its user should know of it.
pub fn learner(settings: &TrainSettings, classes: usize) -> Result<(Learner, Vec<String>)> {
    let model = &settings.model;
    let isa = Isa::of(settings.amp);
    let (mean, std) = (settings.evaluation.mean, settings.evaluation.std);
    let held = match &model.weights {
        InitialWeights::Random => None,
        InitialWeights::Exact { file, use_ema } | InitialWeights::Pretrained { file, use_ema } => {
            Some(weights(file, *use_ema)?)
        }
    };
    let request = model.request(classes);
    let kwargs = held.as_ref().map_or(request.kwargs, |held| held.kwargs(model.variant, request.kwargs));
    let architecture = model.variant.architecture(&Request { kwargs, ..request })?;
    let graph = architecture.graph.clone();
    let (mut trainable, remarks) = match (&model.weights, held) {
        (InitialWeights::Pretrained { file, .. }, Some(held)) => {
            let other = held.num_classes().filter(|&held| held != classes);
            let fresh = other.map(|_| Fresh { prefix: held.layout().head_path().to_owned(), seed: settings.seed });
            let (weights, binding) = held.builder(fresh);
            let trainable = Trainable::new(graph, &weights, &mean, &std, isa)?;
            binding.finish(model.variant.name)?;
            let remark =
                |held| format!("{} tells {held} classes apart; the head for {classes} starts afresh", file.display());
            (trainable, other.map(remark).into_iter().collect())
        }
        (_, Some(held)) => {
            let (weights, binding) = held.builder(None);
            let trainable = Trainable::new(graph, &weights, &mean, &std, isa)?;
            binding.finish(model.variant.name)?;
            (trainable, Vec::new())
        }
        (_, None) => {
            let fresh = Box::new(Initializer { seed: settings.seed });
            let weights = VarBuilder::from_backend(fresh, DType::F32, Device::Cpu);
            (Trainable::new(graph, &weights, &mean, &std, isa)?, Vec::new())
        }
    };
    let logits = architecture.logits;
    if let Some(number) = settings.runtime.cuda {
        let architecture = Architecture { graph: trainable.graph().clone(), ..architecture };
        let executor = CudaExecutor::new(number, settings, architecture, trainable.parameters())?;
        return Ok((Learner::new(Box::new(executor), logits), remarks));
    }
    trainable.set_checkpointing(model.grad_checkpointing);
    trainable.set_drops(Drops { features: model.drop, path: model.drop_path, seed: settings.seed })?;
    let frozen = &model.frozen;
    frozen.iter().enumerate().filter(|(_, frozen)| **frozen).for_each(|(at, _)| trainable.freeze(at));
    let optimization = &settings.optimization;
    let groups = Groups::new(trainable.graph().parameters(), frozen, &optimization.groups)?;
    let ema = match settings.ema {
        Some(ema) => Some(Ema::new(trainable.parameters().to_vec(), ema.decay, ema.warmup)?),
        None => None,
    };
    let executor = CpuExecutor {
        trainable,
        logits,
        criterion: settings.criterion,
        optimizer: optimization.optimizer.build(groups)?,
        clip: optimization.clip,
        ema,
        group: None,
        told: Vec::new(),
    };
    let learner = Learner::new(Box::new(executor), logits);
    Ok((learner, remarks))
}

/// A checkpoint's weights: their moving average where that is wanted and there is one, as timm takes them.
fn weights(file: &Path, use_ema: bool) -> Result<Weights> {
    let checkpoint = Checkpoint::open(file)?;
    let averaged = checkpoint.state_dicts().iter().any(StateDict::is_ema);
    checkpoint.weights(use_ema && averaged)
}
