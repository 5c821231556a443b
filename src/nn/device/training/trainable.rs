//! A graph that learns on a device: what the CPU's executor is there, by way of schedules.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::{DeviceParameters, NormMode, TrainingOptions};
use crate::nn::graph::{Graph, Node, Op, Value};
use crate::nn::training::{Dropping, Drops, Images};
use crate::ops::cuda::padded;
use crate::ops::training::{
    Batch, Control, DeviceState, Pixels, StateNumbers, TargetKind, TargetValues, Trainer, TrainingSchedule,
    TrainingSetup, UpdateRules,
};
use crate::ops::{DeviceProfile, Dropout, Shape};

/// Bytes that are left to others when memory decides how norms work: validation, and what the driver takes.
const LEFT_TO_OTHERS: usize = 2 << 30;

/// How batch norms go forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormChoice {
    Always(NormMode),
    /// Stored where the device's memory allows it.
    ByMemory,
}

/// What a network on a device is told before it learns.
pub struct DeviceTraining {
    pub graph: Graph,
    pub logits: Value,
    /// One flag a parameter.
    pub frozen: Vec<bool>,
    pub drops: Drops,
    /// How norms work is decided by `norms`.
    pub options: TrainingOptions,
    pub norms: NormChoice,
    pub rules: UpdateRules,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    pub deterministic: bool,
    /// Loss scale to begin with; 1 for none.
    pub scale: f32,
}

/// A network that learns on a device.
pub struct DeviceTrainable {
    training: DeviceTraining,
    parameters: DeviceParameters,
    dropping: Dropping,
    /// By batch size.
    prepared: HashMap<Shape, usize>,
    trainer: Box<dyn Trainer>,
}

impl DeviceTraining {
    /// Whether a device can train this network for images of a shape, and where its parameters will lie.
    fn parameters(&self) -> Result<DeviceParameters> {
        DeviceParameters::new(&self.graph, &self.frozen)
    }

    /// A training step for a batch of `image`.
    ///
    /// # Errors
    /// If images of this shape do not suit the network, or a device cannot train one of its ops.
    pub fn schedule(&self, image: Shape, norms: NormMode) -> Result<TrainingSchedule> {
        let dropping = Dropping::new(&self.graph, self.drops)?;
        let options = TrainingOptions { norms, ..self.options };
        self.graph.training_schedule(image, self.logits, &self.parameters()?, &self.frozen, &dropping, &options)
    }

    /// Bytes of device memory that batches of `image` take: activations and gradients of maps, which grow with the batch,
    /// parameters with their gradients, copies, optimiser and average, and the batches on their way.
    ///
    /// # Errors
    /// As [`Self::schedule`].
    pub fn training_bytes(&self, image: Shape, norms: NormMode) -> Result<usize> {
        /// Blocks of a batch on the device: one that is computed on, and a ring of those that arrive.
        const BLOCKS: usize = 4;
        let layout = self.parameters()?.layout;
        let schedule = self.schedule(image, norms)?;
        let word = size_of::<f32>();
        let buffers = self.rules.stepper.buffers().len() * layout.stepped_len * word;
        let average = if self.rules.averages { layout.len * word } else { 0 };
        let gradients = layout.gradient_len * (word + self.options.element.size());
        let parameters = layout.len * word + layout.running_len() * word + gradients + buffers + average;
        Ok(schedule.arena_bytes + BLOCKS * schedule.batch.bytes + parameters)
    }

    fn widest(&self) -> usize {
        self.graph.nodes.iter().map(|node| padded(node.channels)).max().unwrap_or_default()
    }
}

impl DeviceTrainable {
    /// Starts at `values`, in the graph's order, on what `open` makes of them: [`crate::ops::training::trainer`].
    ///
    /// # Errors
    /// If a device cannot train the network for images of a shape, or what `open` says.
    pub fn new(
        training: DeviceTraining,
        image: Shape,
        values: &[Vec<f32>],
        open: impl FnOnce(&TrainingSetup) -> Result<Box<dyn Trainer>>,
    ) -> Result<Self> {
        // What cannot be trained is refused before any memory is taken.
        training.schedule(image, NormMode::InPlace)?;
        let parameters = training.parameters()?;
        let dropping = Dropping::new(&training.graph, training.drops)?;
        let flat = parameters.pack(values);
        let (rules, layout) = (&training.rules, &parameters.layout);
        let trainer = open(&TrainingSetup {
            element: training.options.element,
            layout,
            rules,
            mean: &training.mean,
            std: &training.std,
            widest: training.widest(),
            deterministic: training.deterministic,
            start: DeviceState {
                average: rules.averages.then(|| flat.clone()),
                values: flat,
                buffers: vec![vec![0.0; layout.stepped_len]; rules.stepper.buffers().len()],
                numbers: StateNumbers::starting_at(training.scale),
            },
        })?;
        Ok(Self { training, parameters, dropping, prepared: HashMap::new(), trainer })
    }

    pub fn graph(&self) -> &Graph {
        &self.training.graph
    }

    /// How the device keeps targets.
    pub fn target_kind(&self) -> TargetKind {
        self.training.options.targets
    }

    /// Begins an update.
    pub fn begin(&mut self) -> Result<()> {
        self.trainer.begin()
    }

    /// Adds the gradients of a batch, number `batch` of the run.
    pub fn add(
        &mut self,
        images: Images,
        shape: Shape,
        targets: TargetValues,
        batch: u64,
        control: Control,
    ) -> Result<()> {
        let number = self.number(shape)?;
        self.dropping.batch = batch;
        let shapes = self.training.graph.shapes(shape)?;
        let nodes = &self.training.graph.nodes[..=self.training.logits.0];
        let scales = |(at, node): (usize, &Node)| match (&node.op, node.inputs.first()) {
            (Op::Dropout { .. }, _) => None,
            (Op::Linear { .. }, Some(input)) => self.dropping.values(at).map(|dropout| {
                let mut scales = vec![1.0; shapes[input.0].len()];
                dropout.apply(&mut scales);
                scales
            }),
            _ => self.dropping.branches(at, shape.batch),
        };
        let scales: Vec<Vec<f32>> = nodes.iter().enumerate().filter_map(scales).collect();
        let within = nodes.iter().enumerate().filter(|(_, node)| matches!(node.op, Op::Dropout { .. }));
        let dropouts: Vec<Dropout> = within.filter_map(|(at, _)| self.dropping.values(at)).collect();
        let pixels = match images {
            Images::Bytes(bytes) => Pixels::Bytes(bytes),
            Images::Floats(floats) => Pixels::Floats(floats),
        };
        self.trainer.pass(number, &Batch { pixels, targets, scales: &scales, dropouts: &dropouts, control })
    }

    /// Whether batches of a shape have come before, so that one more takes no memory.
    pub fn is_prepared(&self, shape: Shape) -> bool {
        self.prepared.contains_key(&shape)
    }

    /// By which the trainer knows batches of a shape.
    fn number(&mut self, shape: Shape) -> Result<usize> {
        match self.prepared.get(&shape) {
            Some(&number) => Ok(number),
            None => self.prepare(shape),
        }
    }

    fn prepare(&mut self, shape: Shape) -> Result<usize> {
        let norms = match self.training.norms {
            NormChoice::Always(norms) => norms,
            NormChoice::ByMemory => {
                let stored = self.training.schedule(shape, NormMode::Stored)?;
                let wanted = stored.arena_bytes + LEFT_TO_OTHERS;
                let fits = self.trainer.free_memory().is_none_or(|free| wanted <= free);
                let norms = if fits { NormMode::Stored } else { NormMode::InPlace };
                tracing::info!("batch norms with leaky ReLU: {norms:?}, of {} bytes", stored.arena_bytes);
                self.training.norms = NormChoice::Always(norms);
                norms
            }
        };
        let schedule = self.training.schedule(shape, norms)?;
        let number = self.trainer.prepare(schedule)?;
        self.prepared.insert(shape, number);
        Ok(number)
    }

    /// Ends an update with a step.
    pub fn end(&mut self) -> Result<()> {
        self.trainer.end()
    }

    /// What an update of one batch of `image` takes, op by op: see [`Trainer::profile`].
    pub fn profile(&mut self, image: Shape) -> Result<DeviceProfile> {
        let number = self.number(image)?;
        self.trainer.profile(number)
    }

    /// What updates came to that nobody has been told of: see [`Trainer::outcomes`].
    pub fn outcomes(&mut self, all: bool) -> Result<Vec<StateNumbers>> {
        self.trainer.outcomes(all)
    }

    /// All that has been learnt, by parameters as a checkpoint holds them.
    pub fn state(&self) -> Result<LearntState> {
        let DeviceState { values, average, buffers, numbers } = self.trainer.read()?;
        let count = self.training.graph.parameters().len();
        let every = |flat: &[f32]| (0..count).map(|at| self.parameters.unpack(at, flat)).collect::<Vec<_>>();
        let stepped = &self.parameters.layout.stepped;
        let of_stepped = |flat: &Vec<f32>| {
            let held = |at: usize| stepped.contains(&at).then(|| self.parameters.unpack(at, flat));
            (0..count).map(|at| held(at).unwrap_or_default()).collect()
        };
        let names = self.training.rules.stepper.buffers();
        Ok(LearntState {
            values: every(&values),
            average: average.map(|average| every(&average)),
            buffers: names.iter().copied().zip(buffers.iter().map(of_stepped)).collect(),
            numbers,
        })
    }

    /// Takes up what [`Self::state`] gave.
    ///
    /// # Errors
    /// If the optimiser's buffers are not those of this one, or what the device says.
    pub fn restore(&mut self, state: &LearntState) -> Result<()> {
        let layout = &self.parameters.layout;
        let values = self.parameters.pack(&state.values);
        let average = self.training.rules.averages.then(|| match &state.average {
            Some(average) => self.parameters.pack(average),
            None => values.clone(),
        });
        let mut buffers = Vec::new();
        for name in self.training.rules.stepper.buffers() {
            let held = state.buffers.iter().find(|(own, _)| own == name);
            let (_, held) =
                held.with_context(|| format!("the saved optimiser has no {name}: it is another --opt's"))?;
            let mut flat = vec![0.0; layout.stepped_len];
            for &number in &layout.stepped {
                let name = || format!("the saved {name} of {}", self.training.graph.parameters()[number].name);
                let wanted = self.training.graph.parameters()[number].shape.iter().product::<usize>();
                anyhow::ensure!(
                    held[number].len() == wanted,
                    "{} has {} values, not {wanted}",
                    name(),
                    held[number].len()
                );
                self.parameters.pack_one(number, &held[number], &mut flat);
            }
            buffers.push(flat);
        }
        self.trainer.write(&DeviceState { values, average, buffers, numbers: state.numbers })
    }
}

/// What has been learnt, by parameters in the graph's order.
#[derive(Clone, Debug)]
pub struct LearntState {
    pub values: Vec<Vec<f32>>,
    pub average: Option<Vec<Vec<f32>>>,
    /// The optimiser's buffers by name; empty for what is not stepped.
    pub buffers: Vec<(&'static str, Vec<Vec<f32>>)>,
    pub numbers: StateNumbers,
}
