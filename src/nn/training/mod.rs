//! A graph that learns: the forward pass records what the backward pass needs, the backward pass gives each parameter
//! its gradient.
//!
//! Batch norms with a leaky ReLU keep their result alone (see `ops::batch_norm`). With checkpointing only the values
//! between blocks are kept, and each block is run again on the way back.

mod backward;
mod buffers;
mod drops;
mod forward;
mod values;

pub(super) use drops::Dropping;
pub use drops::Drops;
pub use values::weights_of;

use std::ops::Range;

use anyhow::Result;
use candle_nn::VarBuilder;

use self::buffers::Buffers;
use super::graph::{Graph, Parameter, Value};
use super::profile::{OpProfile, Recorder};
use crate::ops::{BatchStatistics, Gate, Isa, Normalize, Shape};

/// The share of a batch's statistics in the running ones: PyTorch's default.
pub(super) const NORM_MOMENTUM: f32 = 0.1;

/// A network's parameters with their gradients.
pub struct Trainable {
    graph: Graph,
    normalize: Normalize,
    /// In the order of [`Graph::parameters`], laid out as in a checkpoint.
    parameters: Vec<Vec<f32>>,
    /// In the same order; empty for running statistics.
    gradients: Vec<Vec<f32>>,
    /// Convolutions whose gradient nobody wants are spared the work.
    frozen: Vec<bool>,
    checkpointing: bool,
    dropping: Dropping,
    buffers: Buffers,
    recorder: Recorder,
    isa: Isa,
}

/// Images of a batch, `[batch, height, width, channels]`.
#[derive(Clone, Copy)]
pub enum Images<'a> {
    /// As decoded; they are normalised.
    Bytes(&'a [u8]),
    /// Normalised already.
    Floats(&'a [f32]),
}

/// What a forward pass left for the backward pass.
pub struct Tape {
    shapes: Vec<Shape>,
    records: Vec<Record>,
    output: Value,
}

/// A node's results.
#[derive(Default)]
struct Record {
    /// Empty once nobody needs it.
    output: Vec<f32>,
    /// The convolution's output, where the norm did not work in place.
    norm_input: Option<Vec<f32>>,
    statistics: Option<BatchStatistics>,
    gate: Option<Gate>,
}

impl Trainable {
    /// Takes every parameter of the graph from `weights`. Bytes will be normalised with `mean` and `std`, one a
    /// channel. Parameters and activations are f32 whatever products `isa` makes.
    pub fn new(graph: Graph, weights: &VarBuilder, mean: &[f32], std: &[f32], isa: Isa) -> Result<Self> {
        let read = |parameter: &Parameter| -> Result<Vec<f32>> {
            let tensor = weights.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let parameters: Vec<Vec<f32>> = graph.parameters().iter().map(read).collect::<Result<_>>()?;
        let zeros = |(parameter, values): (&Parameter, &Vec<f32>)| match parameter.trainable {
            true => vec![0.0; values.len()],
            false => Vec::new(),
        };
        let gradients: Vec<Vec<f32>> = graph.parameters().iter().zip(&parameters).map(zeros).collect();
        Ok(Self {
            dropping: Dropping::new(&graph, Drops::default())?,
            graph,
            normalize: Normalize::new(mean, std),
            frozen: vec![false; gradients.len()],
            parameters,
            gradients,
            checkpointing: false,
            buffers: Buffers::default(),
            recorder: Recorder::default(),
            isa,
        })
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether blocks are run again on the way back instead of kept.
    pub fn set_checkpointing(&mut self, on: bool) {
        self.checkpointing = on;
    }

    /// Drops these shares from the next batch on.
    ///
    /// # Errors
    ///
    /// If a share is not from 0 up to, not including, 1.
    pub fn set_drops(&mut self, drops: Drops) -> Result<()> {
        self.dropping = Dropping::new(&self.graph, drops)?;
        Ok(())
    }

    /// Adds each op's time to `recorder` from now on, and returns the one before with what it counted.
    pub fn record(&mut self, recorder: Recorder) -> Recorder {
        std::mem::replace(&mut self.recorder, recorder)
    }

    /// What `recorder` counted of this network's steps, op by op.
    pub fn recorded(&self, recorder: &Recorder) -> Result<Vec<OpProfile>> {
        recorder.ops(&self.graph, self.isa, true)
    }

    /// Tells the number of the next batch in the run, from which follows what it drops.
    pub fn set_batch(&mut self, batch: u64) {
        self.dropping.batch = batch;
    }

    /// Values of the parameters, in the order of [`Graph::parameters`].
    pub fn parameters(&self) -> &[Vec<f32>] {
        &self.parameters
    }

    /// Parameters and their gradients, to be stepped or restored.
    pub fn parameters_mut(&mut self) -> (&mut [Vec<f32>], &mut [Vec<f32>]) {
        (&mut self.parameters, &mut self.gradients)
    }

    /// Forgets all gradients.
    pub fn zero_gradients(&mut self) {
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
    }

    /// Running statistics, to be put back by [`Self::restore_running`] where a batch turns out to be unusable.
    pub fn running(&self) -> Vec<(usize, Vec<f32>)> {
        let statistics = self.graph.parameters().iter().enumerate().filter(|(_, parameter)| !parameter.trainable);
        statistics.map(|(at, _)| (at, self.parameters[at].clone())).collect()
    }

    /// Puts back what [`Self::running`] gave.
    pub fn restore_running(&mut self, running: Vec<(usize, Vec<f32>)>) {
        for (at, values) in running {
            self.parameters[at] = values;
        }
    }

    /// The parameter's gradient is not to be relied on any more.
    pub fn freeze(&mut self, parameter: usize) {
        self.frozen[parameter] = true;
    }

    /// Runs the network up to `output` in training mode and updates the running statistics. The output is
    /// [`Self::output`] of the tape.
    pub fn forward(&mut self, images: Images, shape: Shape, output: Value) -> Result<Tape> {
        let shapes = self.graph.shapes(shape)?;
        let mut tape = Tape { shapes, records: Vec::new(), output };
        tape.records.resize_with(output.0 + 1, Record::default);
        tape.records[0].output = self.read_images(images, shape, tape.shapes[0]);
        for segment in self.segments(output) {
            self.forward_segment(&mut tape, segment.clone(), true)?;
            if self.checkpointing && segment.end <= output.0 {
                for at in segment.start.max(1)..segment.end {
                    let mut record = std::mem::take(&mut tape.records[at]);
                    if at + 1 == segment.end {
                        tape.records[at].output = std::mem::take(&mut record.output);
                    }
                    record.release(&mut self.buffers);
                }
            }
        }
        Ok(tape)
    }

    /// Adds to every parameter's gradient that of a loss whose gradient at the output is `gradient`.
    pub fn backward(&mut self, mut tape: Tape, gradient: Vec<f32>) -> Result<()> {
        let output = tape.output;
        anyhow::ensure!(gradient.len() == tape.shapes[output.0].len(), "the gradient has not the output's shape");
        let mut gradients: Vec<Option<Vec<f32>>> = vec![None; output.0 + 1];
        gradients[output.0] = Some(gradient);
        for segment in self.segments(output).into_iter().rev() {
            if self.checkpointing && segment.end <= output.0 {
                self.forward_segment(&mut tape, segment.clone(), false)?;
            }
            for at in segment.rev() {
                self.backward_node(&mut tape, at, &mut gradients)?;
            }
        }
        std::mem::take(&mut tape.records[0]).release(&mut self.buffers);
        Ok(())
    }

    /// Runs of nodes between which one value alone is kept; one run of all where nothing is to be dropped.
    fn segments(&self, output: Value) -> Vec<Range<usize>> {
        if self.checkpointing { self.graph.segments(output) } else { std::iter::once(0..output.0 + 1).collect() }
    }
}

impl Record {
    fn release(self, buffers: &mut Buffers) {
        buffers.give_back(self.output);
        buffers.give_back(self.norm_input.unwrap_or_default());
    }
}

impl Tape {
    /// What the forward pass computed, `[batch, channels]`.
    pub fn output(&self) -> &[f32] {
        &self.records[self.output.0].output
    }
}
