//! Training on an NVIDIA GPU: convolutions from cuDNN, all else by kernels of our own, forward and backward pass as one
//! captured graph, and the host never waits for a step. Not yet run on a GPU.

mod outcomes;
mod program;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use self::outcomes::{Outcomes, numbers};
use self::program::{Maker, Program};
use super::trainer::{DeviceState, StateNumbers, Trainer, TrainingSetup};
use super::{Batch, FlatLayout, TrainingMemory, TrainingSchedule, UpdateMemory};
use crate::ops::DeviceProfile;
use crate::ops::cuda::optimizer::STATE;
use crate::ops::cuda::{Arena, Device, Element, Launch, Region, Upload};
use crate::ops::schedule::gpu::convolution::Convolutions;
use crate::ops::schedule::gpu::opening::open;
use crate::ops::schedule::gpu::recording::{Action, Recording};

/// A GPU with a network that learns.
pub struct GpuTrainer {
    device: Arc<Device>,
    /// Where cuDNN is missing, convolutions are our own, and slow.
    convolutions: Option<Convolutions>,
    /// Whether the same run gives the same bits again: then kernels are not chosen by a clock.
    deterministic: bool,
    layout: FlatLayout,
    /// What stays from batch to batch; the arena and the batch's block are those of the first schedule.
    memory: TrainingMemory,
    update: UpdateMemory,
    begin: Recording,
    end: Recording,
    /// Where batches arrive, in blocks of so many bytes.
    upload: Option<(usize, Upload)>,
    programs: Vec<Program>,
    outcomes: Outcomes,
}

impl GpuTrainer {
    /// Opens the device and its libraries and uploads the parameters.
    pub fn new(number: usize, setup: &TrainingSetup) -> Result<Self> {
        let (device, cudnn) = open(number)?;
        let TrainingSetup { element, layout, rules, mean, std, widest, deterministic, start } = setup;
        // In f32 tensor cores would leave digits out, which nobody trains in f32 for.
        let cudnn = cudnn.filter(|_| *element != Element::F32);
        let convolutions = cudnn.map(|library| Convolutions::new(&device, &library, *element)).transpose()?;
        let convolutions = convolutions.map(|convolutions| convolutions.deterministic(*deterministic));
        let sizes = rules.sizes(layout)?;
        let word = size_of::<f32>();
        // Without running statistics there is one segment that nobody uses.
        let running = layout.running_len().max(1) * word;
        let zeros = vec![0.0; *widest];
        let uploads = [
            floats(mean),
            floats(std),
            floats(&zeros),
            sizes.groups,
            floats(&sizes.table),
            ints(&sizes.owners),
            ints(&sizes.spans),
            ints(&sizes.units),
        ];
        let empty = [
            layout.len * word,
            layout.gradient_len * element.size(),
            layout.gradient_len * word,
            STATE * word,
            running,
            sizes.squares,
            sizes.spans.len() / 2 * word,
        ];
        let buffers = rules.stepper.buffers().iter().map(|_| layout.stepped_len * word);
        let average = rules.averages.then_some(layout.len * word);
        let all = uploads.iter().map(Vec::len).chain(empty).chain(buffers).chain(average);
        let mut arena = device.arena(all.map(Arena::footprint).sum()).context("the network's parameters do not fit")?;
        let mut regions = Vec::new();
        for upload in &uploads {
            let region = arena.take(upload.len())?;
            device.write(&region, upload).context("cannot upload the network's parameters")?;
            regions.push(region);
        }
        for bytes in empty {
            regions.push(arena.take(bytes)?);
        }
        let taken = <[Region; 15]>::try_from(regions).map_err(|_| anyhow!("not all memory was taken"))?;
        let [
            mean,
            std,
            zeros,
            groups,
            table,
            owners,
            spans,
            units,
            values,
            copies,
            gradients,
            state,
            running,
            squares,
            norms,
        ] = taken;
        let buffers = rules.stepper.buffers().iter().map(|_| arena.take(layout.stepped_len * word));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        let average = if rules.averages { Some(arena.take(layout.len * word)?) } else { None };
        let nothing = device.arena(0)?.take(0)?;
        let memory = TrainingMemory {
            element: *element,
            arena: nothing.clone(),
            batch: nothing,
            normalization: [mean, std],
            values,
            copies,
            gradients,
            state,
            zeros,
        };
        let update = UpdateMemory {
            buffers,
            average,
            running,
            groups,
            table,
            squares,
            units,
            segments: Some(owners),
            spans: Some(spans),
            norms: Some(norms),
        };
        write_state(&device, &memory, &update, layout, start)?;
        let recorded =
            |launches: Vec<Launch>| Recording::new(&device, launches.into_iter().map(Action::Launch).collect());
        let begin = recorded(update.begin(layout, &memory)?)?;
        let end = recorded(update.end(layout, &memory, rules)?)?;
        // Both have run once, on gradients of nothing.
        write_state(&device, &memory, &update, layout, start)?;
        Ok(Self {
            outcomes: Outcomes::new(&device)?,
            device,
            convolutions,
            deterministic: *deterministic,
            layout: (*layout).clone(),
            memory,
            update,
            begin,
            end,
            upload: None,
            programs: Vec::new(),
        })
    }

    /// The parts of memory that a schedule needs for itself: those of the first schedule where they are large enough.
    fn memory_for(&mut self, schedule: &TrainingSchedule) -> Result<TrainingMemory> {
        let sizes = [schedule.arena_bytes, schedule.batch.bytes];
        if self.memory.arena.bytes() < sizes[0] || self.memory.batch.bytes() < sizes[1] {
            let wanted = sizes.iter().map(|&bytes| Arena::footprint(bytes)).sum::<usize>();
            let short = |error| too_large(error, &self.device, schedule, wanted);
            let mut arena = self.device.arena(wanted).map_err(short)?;
            (self.memory.arena, self.memory.batch) = (arena.take(sizes[0])?, arena.take(sizes[1])?);
        }
        if self.upload.as_ref().is_none_or(|(bytes, _)| *bytes < sizes[1]) {
            let upload = Upload::new(&self.device, sizes[1]);
            let short = |error| too_large(error, &self.device, schedule, sizes[1]);
            self.upload = Some((sizes[1], upload.map_err(short)?));
        }
        Ok(self.memory.clone())
    }
}

impl Trainer for GpuTrainer {
    fn free_memory(&self) -> Option<usize> {
        self.device.free_memory().ok()
    }

    fn prepare(&mut self, schedule: TrainingSchedule) -> Result<usize> {
        if let Some(conflict) = schedule.conflict() {
            bail!("{conflict}");
        }
        let memory = self.memory_for(&schedule)?;
        // Tuning and the first run compute on whatever memory holds; nothing of it may stay, not even in the middle of an
        // update.
        let changed = [&memory.values, &memory.gradients, &memory.state].map(Region::clone);
        let before = changed.iter().map(|region| self.device.read(region)).collect::<Result<Vec<_>>>()?;
        self.device.write(&memory.batch, &vec![0; memory.batch.bytes()])?;
        let measures = self.programs.is_empty() && !self.deterministic;
        let maker = Maker { device: &self.device, convolutions: self.convolutions.as_ref(), measures };
        self.programs.push(maker.program(schedule, memory)?);
        for (region, bytes) in changed.iter().zip(&before) {
            self.device.write(region, bytes)?;
        }
        Ok(self.programs.len() - 1)
    }

    fn begin(&mut self) -> Result<()> {
        self.begin.launch()
    }

    fn pass(&mut self, number: usize, batch: &Batch) -> Result<()> {
        let program = self.programs.get_mut(number).with_context(|| format!("no schedule has number {number}"))?;
        let (_, upload) = self.upload.as_mut().context("nothing was prepared")?;
        let device = &self.device;
        let layout = &program.schedule.batch;
        let (bytes, block) = (layout.bytes, &program.memory.batch);
        let compute = |arrived: &Region| {
            device.copy(arrived, block)?;
            program.graph.launch()
        };
        upload.send(device, bytes, |host| layout.fill(host, batch), compute)
    }

    fn end(&mut self) -> Result<()> {
        self.end.launch()?;
        self.outcomes.send(&self.device, &self.memory.state)
    }

    fn outcomes(&mut self, all: bool) -> Result<Vec<StateNumbers>> {
        self.outcomes.take(all)
    }

    fn profile(&mut self, number: usize) -> Result<DeviceProfile> {
        let Self { device, begin, end, programs, .. } = self;
        let program = programs.get_mut(number).with_context(|| format!("no schedule has number {number}"))?;
        let begun = begin.profile(device)?;
        Ok(begun.then(program.graph.profile(device)?).then(end.profile(device)?))
    }

    fn read(&self) -> Result<DeviceState> {
        let read = |region: &Region| -> Result<Vec<f32>> { Ok(words(&self.device.read(region)?)) };
        Ok(DeviceState {
            values: read(&self.memory.values)?,
            average: self.update.average.as_ref().map(read).transpose()?,
            buffers: self.update.buffers.iter().map(read).collect::<Result<_>>()?,
            numbers: numbers(&self.device.read(&self.memory.state)?)?,
        })
    }

    fn write(&mut self, state: &DeviceState) -> Result<()> {
        write_state(&self.device, &self.memory, &self.update, &self.layout, state)
    }
}

/// Uploads all that changes.
fn write_state(
    device: &Device,
    memory: &TrainingMemory,
    update: &UpdateMemory,
    layout: &FlatLayout,
    state: &DeviceState,
) -> Result<()> {
    device.write(&memory.values, &floats(&state.values))?;
    let trained = state.values.get(..layout.gradient_len).context("the state lacks parameters")?;
    device.write(&memory.copies, &memory.element.bytes_of(trained))?;
    if let (Some(average), Some(values)) = (&update.average, &state.average) {
        device.write(average, &floats(values))?;
    }
    for (buffer, values) in update.buffers.iter().zip(&state.buffers) {
        device.write(buffer, &floats(values))?;
    }
    device.write(&memory.state, &floats(&state.numbers.0))
}

/// Names the batch that would fit.
fn too_large(error: anyhow::Error, device: &Device, schedule: &TrainingSchedule, wanted: usize) -> anyhow::Error {
    let batch = schedule.image.batch;
    let fits = device.free_memory().map_or(0, |free| free / (wanted / batch.max(1)).max(1));
    error.context(format!("a training batch of {batch} does not fit into the GPU's memory; about {fits} would"))
}

fn floats(values: &[f32]) -> Vec<u8> {
    Element::F32.bytes_of(values)
}

fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn words(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}
