//! A trainer on the host: every launch of a schedule through the shim, and convolutions by the CPU's ops, since the slow
//! ones of our own would take the shim too long: they run where they are asked for.

use half::{bf16, f16};
use tresnet::ops::cuda::optimizer::STATE;
use tresnet::ops::cuda::{Element, Launch, Region};
use tresnet::ops::training::{
    Batch, DeviceState, Filter, FlatLayout, StateNumbers, Trainer, TrainingMemory, TrainingOp, TrainingSchedule,
    TrainingSetup, UpdateMemory, UpdateRules, Variable,
};
use tresnet::ops::{
    Activation, Conv2d, ConvPass, ConvSpec, DeviceProfile, Isa, conv2d_input_gradient, conv2d_weight_gradient,
};

use crate::host;

struct HostTrainer {
    /// Whether convolutions are the slow kernels of our own too.
    own: bool,
    layout: FlatLayout,
    rules: UpdateRules,
    memory: TrainingMemory,
    update: UpdateMemory,
    schedules: Vec<TrainingSchedule>,
    told: Vec<StateNumbers>,
}

/// Of its norm a tensor may be away in f32.
pub const TOLERANCE: f32 = 1e-3;

/// On the host.
pub fn trainer(setup: &TrainingSetup) -> anyhow::Result<Box<dyn Trainer>> {
    host_trainer(setup, false)
}

/// On the host, with all that a device without cuDNN runs.
pub fn trainer_without_cudnn(setup: &TrainingSetup) -> anyhow::Result<Box<dyn Trainer>> {
    host_trainer(setup, true)
}

fn host_trainer(setup: &TrainingSetup, own: bool) -> anyhow::Result<Box<dyn Trainer>> {
    let TrainingSetup { element, layout, rules, mean, std, widest, .. } = *setup;
    let sizes = rules.sizes(layout)?;
    let ints = |values: &[i32]| of_bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let memory = TrainingMemory {
        element,
        arena: fresh(16),
        batch: fresh(16),
        normalization: [floats(mean), floats(std)],
        values: fresh(layout.len * 4),
        copies: fresh(layout.gradient_len * element.size()),
        gradients: fresh(layout.gradient_len * 4),
        state: fresh(STATE * 4),
        zeros: floats(&vec![0.0; widest]),
    };
    let update = UpdateMemory {
        buffers: rules.stepper.buffers().iter().map(|_| fresh(layout.stepped_len * 4)).collect(),
        average: rules.averages.then(|| fresh(layout.len * 4)),
        running: fresh(layout.running_len().max(4) * 4),
        groups: of_bytes(&sizes.groups),
        table: floats(&sizes.table),
        squares: fresh(sizes.squares),
        units: ints(&sizes.units),
        segments: Some(ints(&sizes.owners)),
        norms: Some(fresh(sizes.spans.len() * 2)),
        spans: Some(ints(&sizes.spans)),
    };
    let mut trainer = HostTrainer {
        own,
        layout: layout.clone(),
        rules: rules.clone(),
        memory,
        update,
        schedules: Vec::new(),
        told: Vec::new(),
    };
    trainer.write(&setup.start)?;
    Ok(Box::new(trainer))
}

impl Trainer for HostTrainer {
    fn free_memory(&self) -> Option<usize> {
        None
    }

    fn prepare(&mut self, schedule: TrainingSchedule) -> anyhow::Result<usize> {
        assert_eq!(schedule.conflict(), None);
        self.schedules.push(schedule);
        Ok(self.schedules.len() - 1)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        run_all(self.update.begin(&self.layout, &self.memory)?);
        Ok(())
    }

    fn pass(&mut self, number: usize, batch: &Batch) -> anyhow::Result<()> {
        let schedule = &self.schedules[number];
        let mut block = vec![0; schedule.batch.bytes];
        schedule.batch.fill(&mut block, batch)?;
        let arena = fresh(schedule.arena_bytes);
        let memory = TrainingMemory { batch: of_bytes(&block), arena, ..self.memory.clone() };
        for (at, step) in schedule.steps.iter().enumerate() {
            let place = |variable: Variable| schedule.slots[variable.0];
            let maps = Maps { memory: &memory, element: memory.element };
            let at_of = |variable: &Variable| {
                let slot = place(*variable);
                memory.arena.part(slot.offset, slot.bytes).unwrap()
            };
            let reads: Vec<Region> = step.reads.iter().map(at_of).collect();
            let writes: Vec<Region> = step.writes.iter().map(at_of).collect();
            match &step.op {
                _ if self.own => run_all(schedule.launches(at, &memory)?),
                TrainingOp::Conv { problem, weight } => {
                    let weight = maps.weight(&problem.spec, weight, &reads);
                    let conv = Conv2d::new(problem.spec, &weight, None, None, Isa::detect());
                    let mut out = vec![0.0; problem.output()?.len()];
                    let residual = step.op.adds().then(|| maps.read(&reads[1]));
                    let activation = match problem.pass {
                        ConvPass::Forward { activation, .. } => activation,
                        _ => Activation::Identity,
                    };
                    let input = maps.read(&reads[0]);
                    conv.forward(&input, problem.input, residual.as_deref(), activation, &mut out)?;
                    maps.write(&writes[0], &out);
                }
                TrainingOp::ConvInputGradient { problem, weight, .. } => {
                    let weight = maps.weight(&problem.spec, weight, &reads);
                    let (gradient, add) = (maps.read(&reads[0]), step.op.adds().then(|| maps.read(&reads[1])));
                    let mut out = vec![0.0; problem.input.len()];
                    let (spec, shape) = (&problem.spec, problem.input);
                    conv2d_input_gradient(spec, &weight, &gradient, shape, add.as_deref(), &mut out, Isa::detect())?;
                    maps.write(&writes[0], &out);
                }
                TrainingOp::ConvWeightGradient { problem, .. } => {
                    let (input, gradient) = (maps.read(&reads[0]), maps.read(&reads[1]));
                    let mut out = vec![0.0; problem.spec.weight_shape().iter().product()];
                    conv2d_weight_gradient(&problem.spec, &input, problem.input, &gradient, &mut out, Isa::detect())?;
                    // As cuDNN gives it: rounded to the element.
                    maps.write(&writes[0], &device_order(&problem.spec, &out));
                    run_all(schedule.raising(at, &memory, &writes[0])?);
                }
                _ => run_all(schedule.launches(at, &memory)?),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        run_all(self.update.end(&self.layout, &self.memory, &self.rules)?);
        self.told.push(StateNumbers(words(&self.memory.state).try_into().unwrap()));
        Ok(())
    }

    fn outcomes(&mut self, _all: bool) -> anyhow::Result<Vec<StateNumbers>> {
        Ok(std::mem::take(&mut self.told))
    }

    fn profile(&mut self, _: usize) -> anyhow::Result<DeviceProfile> {
        anyhow::bail!("the host has no device's clock")
    }

    fn read(&self) -> anyhow::Result<DeviceState> {
        Ok(DeviceState {
            values: words(&self.memory.values),
            average: self.update.average.as_ref().map(words),
            buffers: self.update.buffers.iter().map(words).collect(),
            numbers: StateNumbers(words(&self.memory.state).try_into().unwrap()),
        })
    }

    fn write(&mut self, state: &DeviceState) -> anyhow::Result<()> {
        host::write(&self.memory.values, &bytes_of(&state.values));
        let copies = &state.values[..self.layout.gradient_len];
        Maps { memory: &self.memory, element: self.memory.element }.write(&self.memory.copies, copies);
        if let (Some(average), Some(values)) = (&self.update.average, &state.average) {
            host::write(average, &bytes_of(values));
        }
        for (buffer, values) in self.update.buffers.iter().zip(&state.buffers) {
            host::write(buffer, &bytes_of(values));
        }
        host::write(&self.memory.state, &bytes_of(&state.numbers.0));
        Ok(())
    }
}

fn run_all(launches: Vec<Launch>) {
    launches.iter().for_each(|launch| host::launch(launch, false));
}

/// Maps as the CPU's ops know them.
struct Maps<'a> {
    memory: &'a TrainingMemory,
    element: Element,
}

impl Maps<'_> {
    fn read(&self, region: &Region) -> Vec<f32> {
        let bytes = host::read(region);
        let half = |convert: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().map(|&half| convert(half)).collect();
        match self.element {
            Element::F32 => words(region),
            Element::F16 => half(|half| f16::from_le_bytes(half).to_f32()),
            Element::Bf16 => half(|half| bf16::from_le_bytes(half).to_f32()),
        }
    }

    fn write(&self, region: &Region, values: &[f32]) {
        host::write(region, &self.element.bytes_of(values));
    }

    /// A filter in a checkpoint's order, its channels padded still; of a joined one, what the step reads last.
    fn weight(&self, spec: &ConvSpec, weight: &Filter, reads: &[Region]) -> Vec<f32> {
        let filter = match weight {
            Filter::Parameter(place) => {
                let slot = place.of(self.element);
                self.read(&self.memory.copies.part(slot.offset, slot.bytes).unwrap())
            }
            Filter::Joined(_) => self.read(&reads[reads.len() - 1]),
        };
        let (taps, inputs) = (spec.kernel * spec.kernel, spec.in_channels / spec.groups);
        let mut weight = vec![0.0; filter.len()];
        for (at, value) in filter.into_iter().enumerate() {
            let (input, tap, output) = (at % inputs, at / inputs % taps, at / inputs / taps);
            weight[(output * inputs + input) * taps + tap] = value;
        }
        weight
    }
}

/// From a checkpoint's order to the device's.
fn device_order(spec: &ConvSpec, weight: &[f32]) -> Vec<f32> {
    tresnet::ops::cuda::conv2d::filter_for_device(spec, weight, |channels| channels)
}

/// Full of NaN.
fn fresh(bytes: usize) -> Region {
    let region = host::allocate(bytes.max(1));
    host::write(&region, &vec![0xff; region.bytes()]);
    region
}

fn of_bytes(bytes: &[u8]) -> Region {
    let region = fresh(bytes.len());
    host::write(&region, bytes);
    region
}

fn floats(values: &[f32]) -> Region {
    of_bytes(&bytes_of(values))
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn words(region: &Region) -> Vec<f32> {
    host::read(region).as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}
