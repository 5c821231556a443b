//! A training step on random pixels and labels on a GPU, as the CPU's beside it. Not yet run on a GPU.

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::infer::noise;
use crate::models::{Architecture, Variant};
use crate::nn::{
    DeviceTrainable, DeviceTraining, Drops, Images, Initializer, NormChoice, NormMode, Parameter, TrainingOptions,
};
use crate::ops::cuda::Element;
use crate::ops::training::{Control, LossRule, TargetKind, TargetValues, UpdateRules, trainer};
use crate::ops::{DeviceProfile, Shape};
use crate::optim::{GradScaler, GroupOptions, Groups, OptimizerSettings};

/// Small, so that random labels drive nothing to infinity.
const LEARNING_RATE: f32 = 1e-3;

/// A network that learns nothing worth knowing.
pub struct DeviceStep {
    network: DeviceTrainable,
    pixels: Vec<u8>,
    shape: Shape,
    labels: Vec<usize>,
    batches: u64,
}

/// What is trained: SGD with Nesterov's momentum, and in f16 with loss scaling.
pub fn training(variant: &Variant, architecture: Architecture, element: Element) -> Result<DeviceTraining> {
    let Architecture { graph, logits, .. } = architecture;
    let decay = GroupOptions { weight_decay: 1e-4, layer_decay: None, layer_decay_min_scale: 0.0 };
    let frozen = vec![false; graph.parameters().len()];
    let groups = Groups::new(graph.parameters(), &frozen, &decay)?;
    let sgd = OptimizerSettings { name: "sgd".into(), momentum: 0.9, epsilon: None, betas: None };
    let scaler = (element == Element::F16).then(GradScaler::default);
    Ok(DeviceTraining {
        graph,
        logits,
        frozen,
        drops: Drops::default(),
        options: TrainingOptions {
            element,
            norms: NormMode::InPlace,
            loss: LossRule::CrossEntropy { smoothing: 0.0 },
            targets: TargetKind::Classes,
            bytes: true,
            checkpointing: false,
        },
        norms: NormChoice::ByMemory,
        rules: UpdateRules {
            stepper: sgd.stepper()?,
            clip: None,
            scaling: scaler.as_ref().map(GradScaler::rules),
            groups: groups.members().iter().map(|own| [own.lr_scale as f32, own.weight_decay as f32]).collect(),
            averages: false,
        },
        mean: variant.mean.to_vec(),
        std: variant.std.to_vec(),
        deterministic: false,
        scale: scaler.map_or(1.0, |scaler| scaler.scale()),
    })
}

impl DeviceStep {
    /// On CUDA device `number`, on batches of `shape`.
    pub fn new(training: DeviceTraining, shape: Shape, number: usize) -> Result<Self> {
        let classes = training.graph.channels(training.logits);
        let fresh = VarBuilder::from_backend(Box::new(Initializer { seed: 0 }), DType::F32, Device::Cpu);
        let read = |parameter: &Parameter| -> Result<Vec<f32>> {
            let tensor = fresh.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let values = training.graph.parameters().iter().map(read).collect::<Result<Vec<_>>>()?;
        let network = DeviceTrainable::new(training, shape, &values, |setup| trainer(number, setup))?;
        let labels = noise(shape.batch).into_iter().map(|byte| usize::from(byte) % classes).collect();
        Ok(Self { network, pixels: noise(shape.len()), shape, labels, batches: 0 })
    }

    /// An update ready to be profiled as often as wanted: what one takes, op by op.
    pub fn profiles(mut self) -> Result<impl FnMut() -> Result<DeviceProfile>> {
        self.run()?;
        Ok(move || self.network.profile(self.shape))
    }

    /// Puts a whole update on its way. The device is some updates behind, which long runs even out.
    pub fn run(&mut self) -> Result<()> {
        let control = Control { share: 1.0, lr: LEARNING_RATE, ema_weight: 0.0 };
        self.network.begin()?;
        let targets = TargetValues::Classes(&self.labels);
        self.network.add(Images::Bytes(&self.pixels), self.shape, targets, self.batches, control)?;
        self.network.end()?;
        self.batches += 1;
        self.network.outcomes(false)?;
        Ok(())
    }
}
