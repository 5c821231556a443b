//! The gradient of a 3x3 kernel by the same points: `dg = Gt [sum over tiles of (Bt d B) * (A dy At)] G`.

use std::ops::Range;

use rayon::prelude::*;

use super::scheme::{KERNEL, MOST_POINTS, MOST_SIDE};
use super::tiling::Tiling;
use super::transform::{Read, Summed, Transforms};
use crate::ops::conv2d::ConvSpec;
use crate::ops::conv2d::outer::outer_products;
use crate::ops::kernels::{Kernel, KernelSet};
use crate::ops::scratch::Scratch;
use crate::ops::{Isa, Shape, vectorized};

/// Tiles that a task transforms.
const TILES_PER_TASK: usize = 16;
/// Tiles whose values at a point stay in the caches while a task's products pass over them.
const BLOCK_TILES: usize = 256;
/// Bytes that inputs and gradients at the points may take; more tiles are taken in several passes.
const PASS_BYTES: usize = 32 << 20;
/// Output channels that are transformed side by side.
const LANES: usize = 16;
/// Taps of a kernel.
const TAPS: usize = KERNEL * KERNEL;

/// Adds dL/dweight to `out`, laid out as in a checkpoint. Sums run over tiles in one order, whatever the number of
/// threads.
pub(in crate::ops::conv2d) fn weight_gradient(
    transforms: &Transforms,
    spec: &ConvSpec,
    input: &[f32],
    shape: Shape,
    gradient: &[f32],
    out: &mut [f32],
    isa: Isa,
) {
    let (ins, outs) = (spec.in_channels, spec.out_channels);
    let size = transforms.size;
    let (reads, spreads) = (Tiling::new(shape, size), Tiling::new(Shape { channels: outs, ..shape }, size));
    let zeros = vec![0.0; ins.max(outs)];
    let pixel = |values: &[f32], channels: usize, pixel: Option<usize>| match pixel {
        Some(pixel) => values[pixel * channels..][..channels].as_ptr(),
        None => zeros.as_ptr(),
    };
    let (tiles, shared) = (reads.count(), transforms.summed.len());
    let pass = PASS_BYTES * shared / (size.points * (ins + outs) * size_of::<f32>());
    let pass = pass.max(BLOCK_TILES).min(tiles).next_multiple_of(shared);
    // Inputs and gradients are [points][pass / shared][channels], products [points][in_channels][out_channels], the order
    // in which the kernel writes.
    let [points, gradients, products] =
        [pass / shared * ins, pass / shared * outs, ins * outs].map(|at| size.points * at);
    let (mut points, mut gradients, mut products) =
        (Scratch::new(points), Scratch::new(gradients), Scratch::new(products));
    products.fill(0.0);
    for first in (0..tiles).step_by(pass) {
        let tiles = first..tiles.min(first + pass);
        at_points(&tiles, ins, &mut points, transforms, |summed, tile, out, point_stride| {
            let pixels = reads.inputs(tile).map(|place| pixel(input, ins, place));
            // SAFETY: each pixel points to `ins` values, and `at_points` gives room for as many at each point.
            unsafe { (summed.read)(&Read { pixels, channels: ins, out, point_stride }) };
        });
        at_points(&tiles, outs, &mut gradients, transforms, |summed, tile, out, point_stride| {
            let mut pixels = [zeros.as_ptr(); MOST_POINTS];
            for (to, place) in pixels.iter_mut().zip(spreads.outputs(tile)) {
                *to = pixel(gradient, outs, place);
            }
            // SAFETY: as above, with `outs`; a tile has fewer outputs than inputs.
            unsafe { (summed.spread)(&Read { pixels, channels: outs, out, point_stride }) };
        });
        let kernels = KernelSet::new(isa, outs).panels(outs);
        multiply(&kernels, &points, &gradients, [tiles.len().div_ceil(shared), ins, outs], &mut products);
    }
    out.par_chunks_mut(LANES * ins * TAPS).enumerate().for_each(|(group, out)| {
        for (in_channel, at) in (0..ins).map(|in_channel| (in_channel, in_channel * outs + group * LANES)) {
            let lanes = out.len() / ins / TAPS;
            gather(size.kernel, &products[at..], ins * outs, lanes, &mut out[in_channel * TAPS..], ins * TAPS);
        }
    });
}

/// Where the tasks write.
#[derive(Clone, Copy)]
struct Destination(*mut f32);

// SAFETY: tasks write disjoint tiles (see `at_points`).
unsafe impl Send for Destination {}
unsafe impl Sync for Destination {}

impl Destination {
    fn at(self, place: usize) -> *mut f32 {
        self.0.wrapping_add(place)
    }
}

/// Fills `out`, `[points][words of tiles][channels]`: `transform` is given a tile with the transforms for its place among
/// those that share words, where they begin at the first point and the distance to the next.
fn at_points(
    tiles: &Range<usize>,
    channels: usize,
    out: &mut [f32],
    transforms: &Transforms,
    transform: impl Fn(&Summed, usize, *mut f32, usize) + Sync,
) {
    let shared = transforms.summed.len();
    let words = tiles.len().div_ceil(shared);
    let destination = Destination(out.as_mut_ptr());
    (0..words).into_par_iter().with_min_len(TILES_PER_TASK).for_each(|word| {
        for (tile, summed) in (tiles.start + word * shared..tiles.end).zip(transforms.summed) {
            transform(summed, tile, destination.at(word * channels), words * channels);
        }
    });
}

/// Adds the products of `[points][tiles][ins]` and `[points][tiles][outs]`, summed over tiles; where products are in bf16,
/// `tiles` are pairs of them.
fn multiply(
    kernels: &[Kernel],
    points: &[f32],
    gradients: &[f32],
    [tiles, ins, outs]: [usize; 3],
    products: &mut [f32],
) {
    products.par_chunks_exact_mut(ins * outs).enumerate().for_each(|(point, out)| {
        let (points, gradients) = (&points[point * tiles * ins..], &gradients[point * tiles * outs..]);
        let mut inputs = Vec::with_capacity(BLOCK_TILES);
        for first in (0..tiles).step_by(BLOCK_TILES) {
            let block = first..tiles.min(first + BLOCK_TILES);
            inputs.clear();
            inputs.extend(points[block.start * ins..block.end * ins].chunks_exact(ins).map(<[f32]>::as_ptr));
            let gradients = &gradients[block.start * outs..block.end * outs];
            // SAFETY: each of `inputs` points to `ins` values.
            unsafe { outer_products(kernels, &inputs, 0..ins, (gradients, outs), outs, out) };
        }
    });
}

vectorized! {
    /// Adds `Gt m G` of `lanes` output channels, whose points lie `stride` apart, to their taps, `out_stride` apart.
    fn gather(g: &[[f32; KERNEL]], products: &[f32], stride: usize, lanes: usize, out: &mut [f32], out_stride: usize) {
        let mut half = [[[0.0f32; LANES]; MOST_SIDE]; KERNEL];
        let side = g.len();
        for (row, g) in g.iter().enumerate() {
            for column in 0..side {
                let mut m = [0.0; LANES];
                m[..lanes].copy_from_slice(&products[(row * side + column) * stride..][..lanes]);
                for (g, half) in g.iter().zip(&mut half) {
                    for (half, m) in half[column].iter_mut().zip(m) {
                        *half += g * m;
                    }
                }
            }
        }
        for (row, half) in half.iter().enumerate() {
            for column in 0..KERNEL {
                let mut taps = [0.0f32; LANES];
                for (g, half) in g.iter().zip(half) {
                    for (tap, half) in taps.iter_mut().zip(half) {
                        *tap += g[column] * half;
                    }
                }
                for (lane, tap) in taps[..lanes].iter().enumerate() {
                    out[lane * out_stride + row * KERNEL + column] += tap;
                }
            }
        }
    }
}
