//! Which parameters are trained, which of them decay, and how fast each layer learns.

use anyhow::{Result, ensure};

use crate::nn::Parameter;

/// What decides a parameter's group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupOptions {
    /// Of everything but biases and the parameters of norms.
    pub weight_decay: f64,
    /// The factor from one layer's learning rate to that of the layer before it; the head's is 1.
    pub layer_decay: Option<f64>,
    /// No layer learns more slowly than this.
    pub layer_decay_min_scale: f64,
}

/// A parameter that is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its place in the graph's parameters.
    pub parameter: usize,
    pub name: String,
    pub shape: Vec<usize>,
    pub weight_decay: f64,
    /// What the learning rate is multiplied by.
    pub lr_scale: f64,
    /// Whether it belongs to the classifier.
    pub head: bool,
}

impl Member {
    /// What one output channel is computed with is a unit; a bias or a norm's parameter is one as a whole.
    pub(super) fn units(&self) -> usize {
        if let [outputs, _, ..] = self.shape[..] { outputs } else { 1 }
    }

    /// Units that adaptive clipping clips; those of the classifier it leaves alone.
    pub(super) fn clipped_units(&self) -> usize {
        if self.head { 0 } else { self.units() }
    }
}

/// The parameters that an optimiser steps, in the graph's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    members: Vec<Member>,
}

impl Groups {
    /// Groups a graph's parameters as timm's `param_groups_weight_decay` and `param_groups_layer_decay` do. `frozen`
    /// holds one flag a parameter; running statistics are never members.
    ///
    /// # Errors
    ///
    /// If `frozen` is of another length, everything is frozen, or a factor is out of range.
    pub fn new(parameters: &[Parameter], frozen: &[bool], options: &GroupOptions) -> Result<Self> {
        let GroupOptions { weight_decay, layer_decay, layer_decay_min_scale } = *options;
        ensure!(frozen.len() == parameters.len(), "one flag is needed for each of {} parameters", parameters.len());
        ensure!(weight_decay >= 0.0, "--weight-decay must not be negative, got {weight_decay}");
        ensure!(
            layer_decay.is_none_or(|decay| decay > 0.0 && decay <= 1.0),
            "--layer-decay must lie above 0 and at most at 1, got {}",
            layer_decay.unwrap_or_default()
        );
        let mut layers: Vec<Layer> = parameters.iter().map(|parameter| Layer::of(&parameter.name)).collect();
        layers.sort_unstable();
        layers.dedup();
        // It learns as the last block does, and so is no layer of its own.
        layers.retain(|&layer| layer != Layer::Tail);
        let trainable = || parameters.iter().enumerate().filter(|(_, parameter)| parameter.trainable);
        // The head is the last weight and its bias, as for timm.
        let head: Vec<usize> = trainable().rev().take(2).map(|(at, _)| at).collect();
        let member = |(at, parameter): (usize, &Parameter)| {
            let decays = parameter.shape.len() > 1 && !parameter.name.ends_with(".bias");
            let after = layers.iter().filter(|&&layer| layer > Layer::of(&parameter.name)).count();
            Member {
                parameter: at,
                name: parameter.name.clone(),
                shape: parameter.shape.clone(),
                weight_decay: if decays { weight_decay } else { 0.0 },
                lr_scale: layer_decay.map_or(1.0, |decay| decay.powf(after as f64).max(layer_decay_min_scale)),
                head: head.contains(&at),
            }
        };
        let members: Vec<Member> = trainable().filter(|&(at, _)| !frozen[at]).map(member).collect();
        ensure!(!members.is_empty(), "every parameter is frozen: nothing is left to train");
        Ok(Self { members })
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }
}

/// A layer for `--layer-decay`, in the order in which an image passes: the stem, each block, and whatever is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Stem,
    Block {
        stage: usize,
        block: usize,
    },
    /// What stands between the blocks and the pool: timm's `MATCH_PREV_GROUP`.
    Tail,
    Head,
}

/// What the stems' names begin with: timm's matchers for TResNet, ResNets and EfficientNets, and its like for
/// torch-resnet's names.
const STEMS: [&str; 5] = ["body.conv1.", "conv1", "conv_stem", "bn1", "init_layer."];
/// EfficientNet's last convolution and its norm.
const TAILS: [&str; 2] = ["conv_head", "bn2"];
/// What stands before `<stage>.<block>.`.
const STAGES: [&str; 4] = ["body.layer", "layer", "blocks.", "layers."];

impl Layer {
    fn of(name: &str) -> Self {
        if STEMS.iter().any(|stem| name.starts_with(stem)) {
            return Self::Stem;
        }
        if TAILS.iter().any(|tail| name.starts_with(tail)) {
            return Self::Tail;
        }
        STAGES.iter().find_map(|stage| Self::block(name.strip_prefix(stage)?)).unwrap_or(Self::Head)
    }

    fn block(path: &str) -> Option<Self> {
        let mut parts = path.split('.').map(|part| part.parse().ok());
        Some(Self::Block { stage: parts.next()??, block: parts.next()?? })
    }
}
