//! Updates on a GPU. Not yet run on a GPU.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use super::learner::{Executor, Snapshot, Update, UpdatePlan};
use crate::checkpoint::Scaler;
use crate::commands::element;
use crate::config::TrainSettings;
use crate::loss::{Criterion, Targets};
use crate::models::Architecture;
use crate::nn::{DeviceTrainable, DeviceTraining, Drops, Graph, Images, LearntState, NormMode, TrainingOptions};
use crate::ops::Shape;
use crate::ops::cuda::Element;
use crate::ops::training::{self, Control, LossRule, TargetKind, TargetValues, UpdateRules};
use crate::optim::{Ema, GradScaler, Groups};

/// A device's executor.
pub struct CudaExecutor {
    trainable: DeviceTrainable,
    /// Tells how much of the average stays; the values themselves are the device's.
    ema: Option<Ema>,
    scaler: Option<GradScaler>,
    plan: Option<UpdatePlan>,
}

impl CudaExecutor {
    /// Starts with `values` on CUDA device `number`.
    ///
    /// # Errors
    /// By the flag's name for what is not done on CUDA, by the op's for what has no kernels, or what the device says.
    pub fn new(
        number: usize,
        settings: &TrainSettings,
        architecture: Architecture,
        values: &[Vec<f32>],
    ) -> Result<Self> {
        let image = image(settings);
        let (training, scaler) = training(settings, architecture)?;
        let ema = settings.ema.map(|ema| Ema::new(Vec::new(), ema.decay, ema.warmup)).transpose()?;
        let open = |setup: &training::TrainingSetup| training::trainer(number, setup);
        Ok(Self { trainable: DeviceTrainable::new(training, image, values, open)?, ema, scaler, plan: None })
    }
}

/// A batch as it comes.
fn image(settings: &TrainSettings) -> Shape {
    let side = settings.evaluation.input_size;
    Shape::new(settings.data.batch_size * settings.data.aug_splits, side, side, settings.model.in_chans)
}

/// What the settings mean on a device, and the loss scale where there is one.
fn training(settings: &TrainSettings, architecture: Architecture) -> Result<(DeviceTraining, Option<GradScaler>)> {
    let (model, optimization) = (&settings.model, &settings.optimization);
    let Architecture { graph, logits, .. } = architecture;
    let element = element(settings.runtime.dtype);
    let scaler = (element == Element::F16).then(GradScaler::default);
    let groups = Groups::new(graph.parameters(), &model.frozen, &optimization.groups)?;
    let training = DeviceTraining {
        logits,
        frozen: model.frozen.clone(),
        drops: Drops { features: model.drop, path: model.drop_path, seed: settings.seed },
        options: TrainingOptions {
            element,
            norms: NormMode::InPlace,
            loss: loss(settings.criterion),
            targets: match settings.augmentation.mixing {
                Some(_) => TargetKind::Soft,
                None => TargetKind::Classes,
            },
            bytes: settings.augmentation.erasing.is_none(),
            checkpointing: model.grad_checkpointing,
        },
        norms: model.norms,
        rules: UpdateRules {
            stepper: optimization.optimizer.stepper()?,
            clip: optimization.clip.map(|clip| clip.on_device(&groups)),
            scaling: scaler.as_ref().map(GradScaler::rules),
            groups: groups.members().iter().map(|own| [own.lr_scale as f32, own.weight_decay as f32]).collect(),
            averages: settings.ema.is_some(),
        },
        mean: settings.evaluation.mean.to_vec(),
        std: settings.evaluation.std.to_vec(),
        deterministic: settings.deterministic,
        scale: scaler.as_ref().map_or(1.0, GradScaler::scale),
        graph,
    };
    Ok((training, scaler))
}

fn loss(criterion: Criterion) -> LossRule {
    match criterion {
        Criterion::CrossEntropy { smoothing } => LossRule::CrossEntropy { smoothing: smoothing as f32 },
        Criterion::Binary(binary) => LossRule::Binary {
            smoothing: binary.smoothing as f32,
            threshold: binary.threshold.map(|threshold| threshold as f32),
            sum: binary.sum,
            positive_weight: binary.positive_weight.unwrap_or(1.0) as f32,
        },
        Criterion::JensenShannon { splits, smoothing } => {
            LossRule::JensenShannon { splits, smoothing: smoothing as f32 }
        }
    }
}

impl Executor for CudaExecutor {
    fn graph(&self) -> &Graph {
        self.trainable.graph()
    }

    fn is_prepared(&self, shape: Shape) -> bool {
        self.trainable.is_prepared(shape)
    }

    fn begin(&mut self, plan: UpdatePlan) -> Result<()> {
        self.plan = Some(plan);
        self.trainable.begin()
    }

    fn add(&mut self, batch: u64, images: Images, shape: Shape, targets: Targets, share: f64) -> Result<()> {
        let plan = self.plan.context("no update has begun")?;
        let ema_weight = self.ema.as_ref().map_or(0.0, |ema| 1.0 - ema.decay_at(plan.number));
        let control = Control { share: share as f32, lr: plan.lr as f32, ema_weight: ema_weight as f32 };
        let targets = match targets {
            Targets::Classes(labels) => TargetValues::Classes(labels),
            Targets::Soft(weights) => TargetValues::Soft(weights),
        };
        self.trainable.add(images, shape, targets, batch, control)
    }

    fn end(&mut self) -> Result<()> {
        self.trainable.end()
    }

    fn outcomes(&mut self, all: bool) -> Result<Vec<Update>> {
        let scaled = self.scaler.is_some();
        let outcomes = self.trainable.outcomes(all)?.into_iter().map(|numbers| Update {
            loss: f64::from(numbers.loss()),
            finite: numbers.finite(),
            scale: scaled.then(|| f64::from(numbers.scale())),
        });
        Ok(outcomes.collect())
    }

    fn snapshot(&self) -> Result<Snapshot<'_>> {
        let state = self.trainable.state()?;
        let own = |buffers: Vec<Vec<f32>>| buffers.into_iter().map(Cow::Owned).collect();
        Ok(Snapshot {
            values: Cow::Owned(state.values),
            average: state.average.map(Cow::Owned),
            buffers: state.buffers.into_iter().map(|(name, buffers)| (name.to_owned(), own(buffers))).collect(),
            steps: state.numbers.steps(),
            scaler: self.scaler.as_ref().map(|_| Scaler {
                scale: f64::from(state.numbers.scale()),
                growth_tracker: state.numbers.good_steps(),
            }),
        })
    }

    fn restore_values(&mut self, values: Vec<Vec<f32>>, average: Option<Vec<Vec<f32>>>) -> Result<()> {
        let state = self.trainable.state()?;
        self.trainable.restore(&LearntState { values, average, ..state })
    }

    fn restore_optimizer(&mut self, steps: u64, mut buffers: HashMap<String, Vec<f32>>) -> Result<()> {
        let mut state = self.trainable.state()?;
        let parameters = self.trainable.graph().parameters();
        for (name, held) in &mut state.buffers {
            for (parameter, now) in parameters.iter().zip(held.iter_mut()).filter(|(_, now)| !now.is_empty()) {
                let name = format!("{name}.{}", parameter.name);
                let saved = buffers.remove(&name);
                *now = saved.with_context(|| {
                    format!("the saved optimiser has no {name}: it is another --opt's or another network's")
                })?;
            }
        }
        if let Some(name) = buffers.keys().min() {
            bail!("the saved optimiser's {name} belongs to nothing that is trained: another --opt, or more is frozen");
        }
        state.numbers = state.numbers.with(steps, state.numbers.good_steps());
        self.trainable.restore(&state)
    }

    fn restore_scaler(&mut self, scaler: &Scaler) -> Result<()> {
        let mut state = self.trainable.state()?;
        let steps = state.numbers.steps();
        state.numbers = state.numbers.scaled_by(scaler.scale as f32).with(steps, scaler.growth_tracker);
        self.trainable.restore(&state)
    }
}
