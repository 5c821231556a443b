//! A schedule on the device: its memory, its kernels, and one captured graph of them all. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};

use super::Gpu;
use super::convolution::{Convolutions, Tensors};
use super::lane::Lane;
use crate::ops::cuda::{Arena, Device, Element, Launch, Region};
use crate::ops::cudnn::Bound;
use crate::ops::schedule::{Constants, Memory, Run, Schedule, Step};
use crate::ops::{ConvPass, Fusion};

/// What the stream is given for a batch, in order.
enum Action {
    Launch(Launch),
    Convolution(Bound),
}

/// A captured batch.
struct Captured(CudaGraph);

// SAFETY: a graph belongs to no thread; it is used by one at a time, through the session's `&mut`.
unsafe impl Send for Captured {}

/// A schedule ready to run.
pub struct Session {
    // Dropped in this order: what runs before what it runs on.
    graph: Captured,
    lanes: [Lane; 2],
    _actions: Vec<Action>,
    _convolutions: Option<Convolutions>,
    memory: Memory,
    output: Region,
    image_bytes: usize,
    batch: usize,
    width: usize,
    channels: usize,
    _device: Arc<Device>,
}

impl Session {
    pub fn new(gpu: &Gpu, schedule: &Schedule) -> Result<Self> {
        if schedule.element != Element::F16 {
            bail!("networks run in f16 on a GPU, not in {}", schedule.element.name());
        }
        if let Some(conflict) = schedule.conflict() {
            bail!("{conflict}");
        }
        let device = &gpu.device;
        let images = schedule.image.len();
        let wanted = Arena::footprint(schedule.arena_bytes) + 3 * Arena::footprint(images);
        let mut arena = device.arena(wanted).map_err(|error| too_large(error, device, schedule, wanted))?;
        let memory = gpu.memory(schedule.element, arena.take(schedule.arena_bytes)?, arena.take(images)?);
        let convolutions = gpu.cudnn.as_ref().map(|library| Convolutions::new(device, library)).transpose()?;
        let mut actions = Vec::new();
        for step in &schedule.steps {
            match (&convolutions, step) {
                (Some(convolutions), Step::Conv { .. }) => {
                    add_convolution(gpu, convolutions, &memory, step, &mut actions)?;
                }
                _ => actions.extend(step.launches(&memory)?.into_iter().map(Action::Launch)),
            }
        }
        let queue = || queue(device, convolutions.as_ref(), &actions);
        // Kernels are loaded at their first use, which a capture would not allow.
        queue()?;
        device.synchronize()?;
        let stream = device.stream();
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let queued = queue();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).context("cannot capture a batch")?;
        queued?;
        let graph = Captured(graph.context("nothing was captured")?);
        let copy = stream.context().new_stream()?;
        let numbers = schedule.output.bytes / size_of::<f32>();
        let mut lane = || Lane::new(&copy, stream, arena.take(images)?, numbers);
        Ok(Self {
            graph,
            lanes: [lane()?, lane()?],
            output: memory.slot(schedule.output)?,
            memory,
            _actions: actions,
            _convolutions: convolutions,
            image_bytes: schedule.image.image_len(),
            batch: schedule.image.batch,
            width: schedule.output_width,
            channels: schedule.output_channels,
            _device: device.clone(),
        })
    }
}

impl Run for Session {
    fn run(&mut self, pixels: &[u8]) -> Result<Vec<f32>> {
        let (image, part) = (self.image_bytes, self.image_bytes * self.batch);
        if part == 0 || !pixels.len().is_multiple_of(image) {
            bail!("{} bytes are no whole number of images of {image}", pixels.len());
        }
        let mut out = Vec::with_capacity(pixels.len() / image * self.channels);
        let mut take = |lane: &Lane, bytes: usize| -> Result<()> {
            for row in lane.finish()?.chunks_exact(self.width).take(bytes / image) {
                out.extend_from_slice(&row[..self.channels]);
            }
            Ok(())
        };
        // Two batches at a time: before a lane takes its next, it gives the results of its last.
        let mut under_way = std::collections::VecDeque::new();
        for (at, part) in pixels.chunks(part).enumerate() {
            let lane = at % self.lanes.len();
            if under_way.len() == self.lanes.len()
                && let Some((done, bytes)) = under_way.pop_front()
            {
                take(&self.lanes[done], bytes)?;
            }
            let graph = || Ok(self.graph.0.launch()?);
            self.lanes[lane].start(part, &self.memory.images, &self.output, graph)?;
            under_way.push_back((lane, part.len()));
        }
        for (lane, bytes) in under_way {
            take(&self.lanes[lane], bytes)?;
        }
        Ok(out)
    }
}

fn queue(device: &Device, convolutions: Option<&Convolutions>, actions: &[Action]) -> Result<()> {
    for action in actions {
        match (action, convolutions) {
            (Action::Launch(launch), _) => device.launch(launch)?,
            (Action::Convolution(bound), Some(convolutions)) => convolutions.run(bound)?,
            (Action::Convolution(_), None) => bail!("a plan without cuDNN"),
        }
    }
    Ok(())
}

/// A convolution by cuDNN, and what its plan leaves over by a kernel of our own.
fn add_convolution(
    gpu: &Gpu,
    convolutions: &Convolutions,
    memory: &Memory,
    step: &Step,
    actions: &mut Vec<Action>,
) -> Result<()> {
    let Step::Conv { problem, constants, input, residual, out } = step else { bail!("{step:?} is no convolution") };
    let ConvPass::Forward { activation, .. } = problem.pass else { bail!("{problem} is no step of a forward pass") };
    let [w, bias] = memory.constants(*constants)?.map(Clone::clone);
    let Constants(first) = *constants;
    let half_bias = gpu.half_biases.get(first).cloned().flatten().context("a convolution's bias is missing")?;
    let residual = residual.map(|residual| memory.slot(residual)).transpose()?;
    let tensors = Tensors { x: memory.slot(*input)?, w, bias, half_bias, residual, y: memory.slot(*out)? };
    let (plan, bound) = convolutions.plan(problem, &tensors).with_context(|| format!("cannot plan {problem}"))?;
    for refusal in &plan.refusals {
        tracing::debug!("{problem}: {:?} is not granted: {}", refusal.fusion, refusal.reason);
    }
    actions.push(Action::Convolution(bound));
    if plan.fusion != Fusion::Whole {
        let Tensors { bias, residual, y, .. } = &tensors;
        actions.push(Action::Launch(memory.epilogue(problem, bias, residual.as_ref(), activation, y)?));
    }
    Ok(())
}

/// Names the batch that would fit.
fn too_large(error: anyhow::Error, device: &Device, schedule: &Schedule, wanted: usize) -> anyhow::Error {
    let batch = schedule.image.batch;
    let fits = device.free_memory().map_or(0, |free| free / (wanted / batch.max(1)).max(1));
    error.context(format!("a batch of {batch} does not fit into the GPU's memory; about {fits} would"))
}
