//! Launches of optimizer.cu: a step over all parameters, which lie flat one after another.

use anyhow::Result;

use super::element::Element;
use super::launch::{BLOCK, Builder, EIGHT, Launch, Region};

/// Each parameter starts at a multiple of so many elements, zeros between: a byte says a segment's group.
pub const SEGMENT: usize = 256;
/// f32 of a step's state.
pub const STATE: usize = 13;
/// Places in the state: the first two are the host's to write, [`SCALE`] to start with.
pub const LR: usize = 0;
pub const EMA_WEIGHT: usize = 1;
pub const SCALE: usize = 2;
/// Finite steps since the scale last changed.
pub const GOOD_STEPS: usize = 3;
/// 1 where the last step's gradients were finite.
pub const FINITE: usize = 4;
/// Of the gradients, before clipping.
pub const NORM: usize = 6;
/// Steps taken.
pub const STEPS: usize = 7;
/// Of the update: its batches' mean losses times their shares.
pub const LOSS: usize = 10;
/// What the next gradient of a loss is multiplied by.
pub const BATCH_SCALE: usize = 12;

/// Blocks of [`gradient_squares`], enough to fill the largest GPUs.
const SQUARES_BLOCKS: usize = 512;

/// Gradients as the backward pass left them.
#[derive(Clone, Copy)]
pub enum Gradients<'a> {
    /// As the activations.
    Half(&'a Region),
    F32(&'a Region),
}

/// Parameters in f32 with all that a step needs to know of them.
pub struct Parameters<'a> {
    /// Elements, those between parameters included; a multiple of [`SEGMENT`].
    pub count: usize,
    pub values: &'a Region,
    pub gradients: Gradients<'a>,
    /// Where the values go in the activations' type too.
    pub copy: Option<&'a Region>,
    /// A group's number, one byte a segment.
    pub groups: &'a Region,
    /// Two f32 a group: the factor on the learning rate, and the weight decay.
    pub table: &'a Region,
    /// Groups in the table, at most 256.
    pub group_count: usize,
}

/// f64 that [`gradient_squares`] writes.
pub fn squares_len(count: usize) -> usize {
    count.div_ceil(BLOCK * EIGHT).clamp(1, SQUARES_BLOCKS)
}

fn gradients(builder: Builder, gradients: Gradients, count: usize) -> Builder {
    let builder = builder.require(count.is_multiple_of(SEGMENT), || format!("{count} is not whole segments"));
    match gradients {
        Gradients::Half(region) => builder.values(region, count).optional_words(None, 0),
        Gradients::F32(region) => builder.optional_words(None, 0).words(region, count),
    }
}

/// Sums of squares of the unscaled gradients, [`squares_len`] of f64. Those of several flat arrays stand one after
/// another for [`begin_step`].
pub fn gradient_squares(element: Element, parameters: &Parameters, state: &Region, sums: &Region) -> Result<Launch> {
    let blocks = squares_len(parameters.count);
    let builder = Builder::new("gradient_squares", element, parameters.count);
    gradients(builder, parameters.gradients, parameters.count)
        .words(state, STATE)
        .bytes(sums, blocks * size_of::<f64>())
        .int(parameters.count)
        .grid([blocks, 1, 1])
}

/// How far steps go, and how the loss scale moves.
#[derive(Clone, Copy, Debug)]
pub struct StepRules {
    /// The gradients' norm is brought to at most this.
    pub max_norm: Option<f32>,
    /// What clipping leaves is divided down to this: LAMB's.
    pub lamb_norm: Option<f32>,
    /// Adam's.
    pub betas: [f32; 2],
    /// None where the loss is not scaled.
    pub scaling: Option<ScaleRules>,
}

/// How the loss scale moves: PyTorch's `GradScaler`.
#[derive(Clone, Copy, Debug)]
pub struct ScaleRules {
    pub growth_factor: f32,
    pub backoff_factor: f32,
    /// Good steps before it grows.
    pub growth_interval: usize,
}

/// From the `blocks` sums of all arrays to whether and how far to step; then the next loss scale.
pub fn begin_step(blocks: usize, sums: &Region, state: &Region, rules: StepRules) -> Result<Launch> {
    let scaling = rules.scaling.unwrap_or(ScaleRules { growth_factor: 1.0, backoff_factor: 1.0, growth_interval: 0 });
    Builder::plain("begin_step", blocks)
        .bytes(sums, blocks * size_of::<f64>())
        .words(state, STATE)
        .int(blocks)
        .float(rules.max_norm.unwrap_or(f32::INFINITY))
        .float(rules.lamb_norm.unwrap_or(f32::INFINITY))
        .float(rules.betas[0])
        .float(rules.betas[1])
        .float(scaling.growth_factor)
        .float(scaling.backoff_factor)
        .int(scaling.growth_interval)
        .grid([1, 1, 1])
}

fn step(name: &str, element: Element, parameters: &Parameters, buffers: &[&Region], state: &Region) -> Builder {
    let count = parameters.count;
    let builder = Builder::new(name, element, count).words(parameters.values, count);
    let builder = gradients(builder, parameters.gradients, count);
    buffers
        .iter()
        .fold(builder, |builder, buffer| builder.words(buffer, count))
        .optional_values(parameters.copy, count)
        .bytes(parameters.groups, count / SEGMENT)
        .words(parameters.table, 2 * parameters.group_count)
        .words(state, STATE)
}

/// SGD with momentum, the optimiser `sgd` of the room `optim`.
pub fn sgd(
    element: Element,
    parameters: &Parameters,
    velocity: &Region,
    state: &Region,
    momentum: f32,
    nesterov: bool,
) -> Result<Launch> {
    step("sgd", element, parameters, &[velocity], state)
        .float(momentum)
        .int(usize::from(nesterov))
        .int(parameters.count)
        .threads(parameters.count / EIGHT)
}

/// Adam's numbers.
#[derive(Clone, Copy, Debug)]
pub struct AdamRules {
    pub betas: [f32; 2],
    pub epsilon: f32,
    /// AdamW: decays the parameters, not by way of the gradient.
    pub decoupled: bool,
}

/// Adam and AdamW, the optimisers of those names of the room `optim`.
pub fn adam(
    element: Element,
    parameters: &Parameters,
    moments: [&Region; 2],
    state: &Region,
    rules: AdamRules,
) -> Result<Launch> {
    step("adam", element, parameters, &moments, state)
        .float(rules.betas[0])
        .float(rules.betas[1])
        .float(rules.epsilon)
        .int(usize::from(rules.decoupled))
        .int(parameters.count)
        .threads(parameters.count / EIGHT)
}

/// Lion, the optimiser of that name of the room `optim`.
pub fn lion(
    element: Element,
    parameters: &Parameters,
    average: &Region,
    state: &Region,
    betas: [f32; 2],
) -> Result<Launch> {
    step("lion", element, parameters, &[average], state)
        .float(betas[0])
        .float(betas[1])
        .int(parameters.count)
        .threads(parameters.count / EIGHT)
}

/// What LAMB keeps of segments and parameters.
pub struct LambMemory<'a> {
    /// Two f64 a segment.
    pub sums: &'a Region,
    /// Two i32 a parameter: its first segment, and how many it has.
    pub spans: &'a Region,
    /// An i32 a segment: its parameter.
    pub owners: &'a Region,
    /// An f32 a parameter.
    pub factors: &'a Region,
    pub parameters: usize,
}

/// LAMB, the optimiser of that name of the room `optim`; [`StepRules::lamb_norm`] is its first half. In order.
pub fn lamb(
    element: Element,
    parameters: &Parameters,
    moments: [&Region; 2],
    state: &Region,
    memory: &LambMemory,
    rules: AdamRules,
) -> Result<[Launch; 3]> {
    let (count, segments) = (parameters.count, parameters.count / SEGMENT);
    let grouped = |builder: Builder| {
        builder.bytes(parameters.groups, segments).words(parameters.table, 2 * parameters.group_count)
    };
    let first = Builder::new("lamb_moments", element, count).words(parameters.values, count);
    let first = gradients(first, parameters.gradients, count).words(moments[0], count).words(moments[1], count);
    let first = grouped(first)
        .words(state, STATE)
        .bytes(memory.sums, segments * 2 * size_of::<f64>())
        .float(rules.betas[0])
        .float(rules.betas[1])
        .float(rules.epsilon)
        .int(count)
        .threads(count / EIGHT)?;
    let second = Builder::plain("lamb_factors", count)
        .bytes(memory.sums, segments * 2 * size_of::<f64>())
        .words(memory.spans, 2 * memory.parameters);
    let second = grouped(second).words(memory.factors, memory.parameters).grid([memory.parameters, 1, 1])?;
    let third = Builder::new("lamb_apply", element, count)
        .words(parameters.values, count)
        .words(moments[0], count)
        .words(moments[1], count)
        .optional_values(parameters.copy, count);
    let third = grouped(third)
        .words(state, STATE)
        .words(memory.owners, segments)
        .words(memory.factors, memory.parameters)
        .float(rules.epsilon)
        .int(count)
        .threads(count / EIGHT)?;
    Ok([first, second, third])
}

/// Moves the average towards the values by the state's weight.
pub fn ema(count: usize, average: &Region, values: &Region, state: &Region) -> Result<Launch> {
    Builder::plain("ema", count)
        .words(average, count)
        .words(values, count)
        .words(state, STATE)
        .int(count)
        .threads(count / EIGHT)
}
