//! 3x3 convolutions of stride 1 with a fraction of the direct sum's products: 1/4 by F(4x4, 3x3), which evaluation takes,
//! 1/2.25 by F(2x2, 3x3), which training takes, because it rounds as the direct sum does.
//!
//! A block of tiles goes through all three steps at once (inputs to points, one product a point, points to outputs), so that what
//! lies between them stays in the second-level cache.

mod gradient;
mod keep;
mod scheme;
mod tiling;
mod transform;
mod weights;

use std::cell::RefCell;

use rayon::prelude::*;

pub(super) use self::gradient::weight_gradient;
use self::tiling::Tiling;
pub(super) use self::transform::Transforms;
use self::transform::{Read, Write};
use self::weights::{Panel, Source};
use super::ConvSpec;
use super::pack::{Strides, in_words};
use super::product::{Operands, Pointers};
use crate::ops::kernels::{KernelSet, Tile};
use crate::ops::{Isa, Shape};

/// Channels from which on the products saved outweigh the transforms, in and out.
const FEWEST_CHANNELS: usize = 32;
/// Channels up to which F(4x4, 3x3)'s weights, four times as many as a kernel's, do not outweigh the products saved.
const MOST_CHANNELS: usize = 384;
/// Bytes of points and sums in a block.
const BLOCK_BYTES: usize = 1 << 20;
/// Tiles of a block, at least, so that its weights are worth reading.
const FEWEST_TILES: usize = 24;
/// Blocks are cut smaller until each thread has so many tasks.
const TASKS_PER_THREAD: usize = 4;

thread_local! {
    /// Points and sums of a block, kept from one to the next.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The transforms that suit a convolution, if any do; `exact`: that round as the direct sum does.
pub(super) fn transforms(spec: &ConvSpec, exact: bool, isa: Isa) -> Option<&'static Transforms> {
    let (fewest, most) = (spec.in_channels.min(spec.out_channels), spec.in_channels.max(spec.out_channels));
    let suits = (spec.kernel, spec.stride, spec.padding) == (scheme::KERNEL, 1, 1)
        && spec.is_dense()
        // Tiles of AMX take all products in less time than the transforms do.
        && isa != Isa::AmxBf16
        && fewest >= FEWEST_CHANNELS;
    suits.then(|| if exact || most > MOST_CHANNELS { Transforms::exact(isa) } else { Transforms::fast(isa) })
}

/// Weights at the points.
pub(super) struct Winograd {
    in_channels: usize,
    /// Words of a tile's inputs at a point.
    words: usize,
    out_channels: usize,
    set: &'static KernelSet,
    transforms: &'static Transforms,
    panels: Vec<Panel>,
    /// `[out_channels]`
    shift: Vec<f32>,
    /// What a tile reads outside the map, and where the sums at a point start.
    zeros: Vec<f32>,
}

impl Winograd {
    /// As `Product::pack`; `turned`: the kernels are turned by half a turn.
    pub fn pack(
        transforms: &'static Transforms,
        dims: [usize; 2],
        weight: &[f32],
        strides: Strides,
        turned: bool,
        [scale, shift]: [Option<&[f32]>; 2],
        isa: Isa,
    ) -> Self {
        let [out_channels, in_channels] = dims;
        let set = KernelSet::new(isa, out_channels);
        let source = Source { weight, strides, turned, scale };
        let panels = weights::pack(transforms.size, set, dims, &source, isa.is_bf16());
        let widest = panels.iter().map(|panel| panel.kernel.panel).max().unwrap_or_default();
        Self {
            in_channels,
            words: in_words(in_channels, isa.is_bf16()),
            out_channels,
            set,
            transforms,
            panels,
            shift: shift.map_or_else(|| vec![0.0; out_channels], <[f32]>::to_vec),
            zeros: vec![0.0; in_channels.max(widest)],
        }
    }

    /// `out = activation(sum + residual)`, for an input of `shape`. The result does not depend on the number of threads.
    pub fn run(&self, operands: Operands, shape: Shape) {
        let Operands { input, residual, activation, out } = operands;
        let out_shape = Shape { channels: self.out_channels, ..shape };
        assert_eq!((input.len(), shape.channels), (shape.len(), self.in_channels), "the input");
        assert_eq!(out.len(), out_shape.len(), "the output");
        assert!(residual.is_none_or(|residual| residual.len() == out.len()));
        let pointers = Pointers::new(input, residual, out);
        let size = self.transforms.size;
        let (reads, writes) = (Tiling::new(shape, size), Tiling::new(out_shape, size));
        let tiles = reads.count();
        let (block, groups) = self.tasks(tiles);
        (0..tiles.div_ceil(block) * groups).into_par_iter().with_max_len(1).for_each(|task| {
            let first = task / groups * block;
            let tiles = first..tiles.min(first + block);
            let group = task % groups;
            let panels = &self.panels[self.panels.len() * group / groups..self.panels.len() * (group + 1) / groups];
            let Some(last) = panels.last() else { return };
            let channels = panels[0].first_channel..last.first_channel + last.channels;
            SCRATCH.with_borrow_mut(|scratch| {
                let len = size.points * tiles.len() * (self.words + channels.len());
                if scratch.len() < len {
                    scratch.resize(len, 0.0);
                }
                let (points, sums) = scratch.split_at_mut(size.points * tiles.len() * self.words);
                let stride = tiles.len() * self.words;
                for (at, tile) in tiles.clone().enumerate() {
                    let pixels = reads.inputs(tile).map(|pixel| match pixel {
                        Some(pixel) => input[pixel * self.in_channels..][..self.in_channels].as_ptr(),
                        None => self.zeros.as_ptr(),
                    });
                    let out = points[at * self.words..].as_mut_ptr();
                    let read = Read { pixels, channels: self.in_channels, out, point_stride: stride };
                    // SAFETY: each pixel points to `in_channels` values; tile `at` of each of the points has room for
                    // their words.
                    unsafe { (self.transforms.read)(&read) };
                }
                let sums = &mut sums[..size.points * tiles.len() * channels.len()];
                self.multiply(panels, points, tiles.len(), sums);
                let Pointers { residual, out, .. } = pointers.at_channel(channels.start);
                for (at, tile) in tiles.enumerate() {
                    let write = Write {
                        sums: sums[at * channels.len()..].as_ptr(),
                        point_stride: sums.len() / size.points,
                        channels: channels.len(),
                        shift: self.shift[channels.clone()].as_ptr(),
                        places: writes.places(tile),
                        out,
                        residual,
                        slope: activation.slope(),
                    };
                    // SAFETY: tile `at` of each point holds `channels` sums; the places are those of the map's
                    // pixels, and no other task writes these tiles' pixels in these channels.
                    unsafe { (self.transforms.write)(&write) };
                }
            });
        });
        activation.bend_all(out);
    }

    /// `sums[point][tile][channel]`, over the channels of `panels`, from `points[point][tile][word]`.
    fn multiply(&self, panels: &[Panel], points: &[f32], tiles: usize, sums: &mut [f32]) {
        let rows = self.set.rows;
        let points_per_tile = self.transforms.size.points;
        let channels = sums.len() / points_per_tile / tiles;
        let mut inputs = Vec::with_capacity(rows);
        for panel in panels {
            let width = panel.kernel.panel;
            for point in 0..points_per_tile {
                let weights = &panel.weights[point * self.words * width..][..self.words * width];
                for first in (0..tiles).step_by(rows) {
                    // Rows beyond the last tile repeat it; they are not written.
                    let tile = |row: usize| point * tiles + (first + row).min(tiles - 1);
                    inputs.clear();
                    inputs.extend((0..rows).map(|row| points[tile(row) * self.words..].as_ptr()));
                    let offset = panel.first_channel - panels[0].first_channel;
                    let out = sums[(point * tiles + first) * channels + offset..].as_mut_ptr();
                    // SAFETY: every input points to `words` words, `weights` are as many rows of the panel's
                    // width; the sums have the panel's channels in each of the tiles from `first` on.
                    unsafe {
                        (panel.kernel.run)(&Tile {
                            taps: inputs.as_ptr(),
                            tap_count: 1,
                            first_input: 0,
                            in_channels: self.words,
                            weights: weights.as_ptr(),
                            shift: self.zeros.as_ptr(),
                            last: false,
                            residual: std::ptr::null(),
                            slope: 1.0,
                            out,
                            out_stride: channels,
                            rows: rows.min(tiles - first),
                            channels: panel.channels,
                        });
                    }
                }
            }
        }
    }

    /// Tiles in a block and groups of panels: blocks that fit the cache, and enough tasks for the threads.
    fn tasks(&self, tiles: usize) -> (usize, usize) {
        let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
        let tile_bytes = self.transforms.size.points * (self.words + self.out_channels) * size_of::<f32>();
        let whole = |tiles: usize| tiles.next_multiple_of(self.set.rows);
        let fits = whole((BLOCK_BYTES / tile_bytes).max(FEWEST_TILES));
        let groups = wanted.div_ceil(tiles.div_ceil(fits).max(1)).min(self.panels.len()).max(1);
        let block = whole(fits.min(tiles.div_ceil(wanted.div_ceil(groups)))).max(1);
        (block, groups)
    }
}
