//! A schedule on the device: its memory, its kernels, and one recorded graph of them all. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::Gpu;
use super::convolution::{BoundConvolution, Convolutions, Tensors};
use crate::ops::cuda::{Arena, Device, Element, Graph, Launch, Region, Upload};
use crate::ops::schedule::{Constants, Memory, Run, Schedule, Step};
use crate::ops::{ConvPass, Fusion};

/// Batches whose results are kept on the device until they are fetched together.
const KEPT: usize = 16;

/// What the stream is given for a batch, in order.
enum Action {
    Launch(Launch),
    Convolution(BoundConvolution),
}

/// A schedule ready to run.
pub struct Session {
    device: Arc<Device>,
    upload: Upload,
    graph: Graph,
    images: Region,
    output: Region,
    /// The outputs of [`KEPT`] batches.
    results: Region,
    /// Kept with their handle, which the graph was recorded through.
    _convolutions: Option<Convolutions>,
    /// Bytes of an image, and of a batch.
    image: usize,
    batch: usize,
    /// Numbers in a row of the output, and those that are the network's.
    width: usize,
    channels: usize,
}

impl Session {
    pub fn new(gpu: &Gpu, schedule: &Schedule) -> Result<Self> {
        if schedule.element != Element::F16 {
            bail!("networks run in f16 on a GPU, not in {}", schedule.element.name());
        }
        if let Some(conflict) = schedule.conflict() {
            bail!("{conflict}");
        }
        let device = gpu.device.clone();
        let sizes = [schedule.arena_bytes, schedule.image.len(), KEPT * schedule.output.bytes];
        let wanted = sizes.iter().map(|&bytes| Arena::footprint(bytes)).sum();
        let short = |error| too_large(error, &device, schedule, wanted);
        let mut arena = device.arena(wanted).map_err(short)?;
        let [values, images, results] = sizes.map(|bytes| arena.take(bytes));
        let memory = gpu.memory(schedule.element, values?, images?);
        let upload = Upload::new(&device, schedule.image.len()).map_err(short)?;
        let convolutions = gpu.cudnn.as_ref().map(|library| Convolutions::new(&device, library)).transpose()?;
        let mut actions = Vec::new();
        for step in &schedule.steps {
            match (&convolutions, step) {
                (Some(convolutions), Step::Conv { .. }) => {
                    add_convolution(gpu, convolutions, &memory, step, &mut actions)?;
                }
                _ => actions.extend(step.launches(&memory)?.into_iter().map(Action::Launch)),
            }
        }
        let queue = || queue(&device, convolutions.as_ref(), &actions);
        // Kernels are loaded when they first run, which a recording would not allow.
        queue()?;
        device.synchronize()?;
        let graph = Graph::record(&device, queue)?;
        Ok(Self {
            upload,
            graph,
            output: memory.slot(schedule.output)?,
            images: memory.images,
            results: results?,
            _convolutions: convolutions,
            image: schedule.image.image_len(),
            batch: schedule.image.len(),
            width: schedule.output_width,
            channels: schedule.output_channels,
            device,
        })
    }

    /// Reads the outputs of the `batches` that are kept and appends the rows of `images` images.
    fn fetch(&self, batches: usize, images: usize, out: &mut Vec<f32>) -> Result<()> {
        let bytes = self.device.read(&self.results.part(0, batches * self.output.bytes())?)?;
        for row in bytes.chunks_exact(self.width * size_of::<f32>()).take(images) {
            let numbers = row.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
            out.extend(numbers.take(self.channels));
        }
        Ok(())
    }
}

impl Run for Session {
    fn run(&mut self, pixels: &[u8]) -> Result<Vec<f32>> {
        if self.image == 0 || !pixels.len().is_multiple_of(self.image) {
            bail!("{} bytes are no whole number of images of {}", pixels.len(), self.image);
        }
        let mut out = Vec::with_capacity(pixels.len() / self.image * self.channels);
        for some in pixels.chunks(KEPT * self.batch) {
            let batches = some.chunks(self.batch);
            for (at, batch) in batches.clone().enumerate() {
                let Self { device, upload, graph, images, output, results, .. } = self;
                let fill = |host: &mut [u8]| {
                    host.copy_from_slice(batch);
                    Ok(())
                };
                // Behind a batch that is not full lie images of an earlier one, whose results nobody reads.
                let compute = |arrived: &Region| {
                    device.copy(arrived, images)?;
                    graph.launch()?;
                    device.copy(output, &results.part(at * output.bytes(), output.bytes())?)
                };
                upload.send(device, batch.len(), fill, compute)?;
            }
            self.fetch(batches.len(), some.len() / self.image, &mut out)?;
        }
        Ok(out)
    }
}

fn queue(device: &Device, convolutions: Option<&Convolutions>, actions: &[Action]) -> Result<()> {
    for action in actions {
        match (action, convolutions) {
            (Action::Launch(launch), _) => device.launch(launch)?,
            (Action::Convolution(convolution), Some(convolutions)) => convolutions.run(device, convolution)?,
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
    let (plan, convolution) =
        convolutions.plan(&gpu.device, problem, &tensors).with_context(|| format!("cannot plan {problem}"))?;
    for refusal in &plan.refusals {
        tracing::debug!("{problem}: {:?} is not granted: {}", refusal.fusion, refusal.reason);
    }
    actions.push(Action::Convolution(convolution));
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
