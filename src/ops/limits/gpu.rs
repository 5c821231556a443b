//! A GPU's limits: copies in its memory, and the largest products that cuDNN makes. Not yet run on a GPU.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::{Bandwidth, Limits};
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::Library;
use crate::ops::schedule::gpu::convolution::{Convolutions, Tensors};
use crate::ops::schedule::gpu::opening::open;
use crate::ops::schedule::gpu::plans::Plans;
use crate::ops::{Activation, ConvPass, ConvProblem, ConvSpec, Shape};
use crate::random::{mix, unit};

/// Bytes that a copy reads and writes: within the second-level cache (50 MB on an H200), and far beyond it.
const COPIED: [usize; 2] = [16 << 20, 512 << 20];
/// Rows, columns and depth of a product. The larger one is for devices that do the smaller within [`SHORT`]: there it
/// takes a millisecond or two, and the launch does not count.
const PRODUCTS: [usize; 2] = [256, 8192];
const SHORT: Duration = Duration::from_micros(20);
/// The best of so many counts.
const TRIES: usize = 3;
const IN_A_ROW: u32 = 4;
/// Bytes that tensors are filled with, over and over: zeros would take less power than a network's values do.
const PATTERN: usize = 1 << 20;

/// Measures CUDA device `number` with products of `element`.
pub fn measure(number: usize, element: Element) -> Result<Limits> {
    let (device, cudnn) = open(number)?;
    let bandwidths = COPIED.map(|bytes| copies(&device, bytes)).into_iter().collect::<Result<_>>()?;
    let flops = cudnn.map_or(Ok(f64::INFINITY), |library| products(&device, &library, element))?;
    Ok(Limits { flops, bf16_flops: None, bandwidths })
}

fn copies(device: &Device, bytes: usize) -> Result<Bandwidth> {
    let mut arena = device.arena(bytes)?;
    let [from, to] = [arena.take(bytes / 2)?, arena.take(bytes / 2)?];
    fill(device, &from, Element::F32)?;
    let least = least(device, || device.copy(&from, &to))?;
    Ok(Bandwidth { bytes, bytes_per_second: bytes as f64 / least.as_secs_f64() })
}

/// Floating-point operations a second.
fn products(device: &Device, library: &Arc<Library>, element: Element) -> Result<f64> {
    let convolutions = Convolutions::new(device, library, element)?;
    let mut best = 0.0_f64;
    for size in PRODUCTS {
        let time = product(device, &convolutions, element, size)?;
        tracing::debug!("a product of {size} by {size} took {time:?}");
        best = best.max(2.0 * (size as f64).powi(3) / time.as_secs_f64());
        if time > SHORT {
            break;
        }
    }
    Ok(best)
}

/// Time of a product of two square matrices, as the 1x1 convolution that it is to cuDNN.
fn product(device: &Device, convolutions: &Convolutions, element: Element, size: usize) -> Result<Duration> {
    // As many pixels as channels, in images of 128.
    let input = Shape::new(size / 128, 16, 8, size);
    let pass = ConvPass::Forward { residual: false, activation: Activation::Identity };
    let problem = ConvProblem { spec: ConvSpec::new(size, size, 1, 1), input, pass };
    let (matrix, bias) = (size * size * element.size(), size * size_of::<f32>());
    let sizes = [matrix, matrix, bias, size * element.size(), matrix, matrix];
    let mut arena = device.arena(sizes.iter().map(|&bytes| Arena::footprint(bytes)).sum())?;
    let [x, w, bias, rounded_bias, y, other] = sizes.map(|bytes| arena.take(bytes));
    let mut tensors = Tensors { x: x?, w: w?, bias: bias?, rounded_bias: rounded_bias?, residual: None, y: y? };
    for (region, element) in
        [(&tensors.x, element), (&tensors.w, element), (&tensors.bias, Element::F32), (&tensors.rounded_bias, element)]
    {
        fill(device, region, element)?;
    }
    let mut plans = Plans::build(convolutions, &[problem], true);
    let first = plans.bind(device, &problem, &tensors)?;
    tensors.y = other?;
    let second = plans.bind(device, &problem, &tensors)?;
    let (Some((_, first)), Some((_, second))) = (first, second) else { return Ok(Duration::MAX) };
    // In turn: what is written over would be in a cache.
    let both = least(device, || first.run(device).and_then(|()| second.run(device)))?;
    Ok(both / 2)
}

/// The time of a run, of the quickest of some rows of them. Each begins with runs that do not count: with a device that had
/// nothing to do the host's share would be.
fn least(device: &Device, run: impl Fn() -> Result<()>) -> Result<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..TRIES {
        (0..IN_A_ROW).try_for_each(|_| run())?;
        let started = device.moment()?;
        (0..IN_A_ROW).try_for_each(|_| run())?;
        least = least.min(started.until(&device.moment()?)?);
    }
    // A clock that does not see so little counts what it can see.
    Ok(least.max(Duration::from_nanos(500)) / IN_A_ROW)
}

/// Numbers between -1 and 1.
fn fill(device: &Device, region: &Region, element: Element) -> Result<()> {
    let values: Vec<f32> = (0..PATTERN / element.size()).map(|at| 2.0 * unit(mix(at as u64)) as f32 - 1.0).collect();
    let pattern = element.bytes_of(&values);
    let first = pattern.len().min(region.bytes());
    device.write(region, &pattern[..first])?;
    let pattern = region.part(0, first)?;
    for offset in (first..region.bytes()).step_by(first.max(1)) {
        let bytes = first.min(region.bytes() - offset);
        device.copy(&pattern.part(0, bytes)?, &region.part(offset, bytes)?)?;
    }
    Ok(())
}
