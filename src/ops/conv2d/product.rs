//! A sum over taps and channels with packed weights: what a convolution's forward pass and the gradient of its input
//! have in common. They differ in where a tap reads.

use rayon::prelude::*;

use super::gather::Gather;
use super::level::level;
use super::pack::{Panel, Sides, in_words, pack};
use crate::ops::bf16::pairs;
use crate::ops::kernels::{KernelSet, Tile};
use crate::ops::{Activation, Isa};

/// Bytes of input that one block of tiles works on, so that it stays in the second-level cache beside the weights.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of weights that one pass over a block works on. Longer sums are taken in several passes over the taps.
const WEIGHT_BYTES: usize = 384 << 10;
/// Blocks are cut smaller until each thread has so many tasks, or a block is one tile.
const TASKS_PER_THREAD: usize = 4;

/// Weights laid out for the processor.
pub(super) struct Product {
    taps: usize,
    /// Channels of an input pixel.
    in_channels: usize,
    /// Words of an input pixel: its channels, or its pairs of them where products are in bf16.
    words: usize,
    is_bf16: bool,
    /// Channels of an output pixel.
    out_channels: usize,
    set: &'static KernelSet,
    panels: Vec<Panel>,
    /// What a tap reads that falls outside the input.
    zeros: Vec<f32>,
}

/// One product's operands. `input` holds `[pixels][in_channels]`, `out` and `residual` `[pixels][out_channels]`.
pub(super) struct Operands<'a> {
    pub input: &'a [f32],
    pub residual: Option<&'a [f32]>,
    pub activation: Activation,
    pub out: &'a mut [f32],
}

/// The operands as pointers that a parallel loop's tasks share.
#[derive(Clone, Copy)]
pub(super) struct Pointers {
    pub input: *const f32,
    /// Null for none.
    pub residual: *const f32,
    pub out: *mut f32,
}

// SAFETY: `input` and `residual` are only read; tasks write disjoint parts of `out` (see the `run`s that make them).
unsafe impl Send for Pointers {}
unsafe impl Sync for Pointers {}

impl Pointers {
    pub fn new(input: &[f32], residual: Option<&[f32]>, out: &mut [f32]) -> Self {
        let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
        Self { input: input.as_ptr(), residual, out: out.as_mut_ptr() }
    }

    /// Residual and output from a channel on.
    pub fn at_channel(self, channel: usize) -> Self {
        let residual = if self.residual.is_null() { self.residual } else { self.residual.wrapping_add(channel) };
        Self { residual, out: self.out.wrapping_add(channel), ..self }
    }
}

impl Product {
    /// Packs a weight tensor. Each output channel is multiplied by its `scale` and then raised by its `shift`.
    pub fn pack(sides: &Sides, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>, isa: Isa) -> Self {
        let isa = sides.isa(isa);
        let words = in_words(sides.input.of, isa.is_bf16());
        let (set, panels) = pack(sides, weight, scale, shift, isa);
        Self {
            taps: sides.taps,
            in_channels: sides.input.of,
            words,
            is_bf16: isa.is_bf16(),
            out_channels: sides.output.of,
            set,
            panels,
            zeros: vec![0.0; words],
        }
    }

    /// `out = activation(sum + residual)` in the channels that the weights compute. `gather` says what each tap of an
    /// output pixel reads. The result does not depend on the number of threads.
    pub fn run(&self, operands: Operands, gather: &impl Gather) {
        let Operands { input, residual, activation, out } = operands;
        let pixels = out.len() / self.out_channels;
        assert_eq!(out.len(), pixels * self.out_channels);
        assert!(residual.is_none_or(|residual| residual.len() == out.len()));
        let in_pixels = input.len() / self.in_channels;
        let paired = self.is_bf16.then(|| pairs(input, self.in_channels));
        let pointers = Pointers::new(paired.as_deref().unwrap_or(input), residual, out);
        let tiles = pixels.div_ceil(self.set.rows);
        let (block, groups) = self.tasks(tiles, in_pixels);
        (0..tiles.div_ceil(block) * groups).into_par_iter().with_max_len(1).for_each(|task| {
            let first = task / groups * block;
            let block = first..tiles.min(first + block);
            let group = task % groups;
            let panels = &self.panels[self.panels.len() * group / groups..self.panels.len() * (group + 1) / groups];
            let mut inputs = Vec::with_capacity(block.len() * self.taps * self.set.rows);
            let mut positions = Vec::with_capacity(self.set.rows);
            for tile in block.clone() {
                // Rows beyond the last pixel repeat it; they are not written.
                let rows = (0..self.set.rows).map(|row| (tile * self.set.rows + row).min(pixels - 1));
                positions.clear();
                positions.extend(rows.map(|pixel| gather.position(pixel)));
                for tap in 0..self.taps {
                    inputs.extend(positions.iter().map(|&position| match gather.source(position, tap) {
                        Some(from) => {
                            assert!(from < in_pixels);
                            pointers.input.wrapping_add(from * self.words)
                        }
                        None => self.zeros.as_ptr(),
                    }));
                }
            }
            // To be kept until the kernels have run.
            let _copies = (self.set.depth > 1).then(|| {
                // SAFETY: each of `inputs` points to a pixel of the input, or to as many zeros.
                unsafe { level(&mut inputs, self.set.rows, self.words, self.set.depth) }
            });
            // SAFETY: `inputs` holds pointers to `words` values for exactly the block's tiles and taps; a task
            // writes the pixels of its tiles in the channels of its panels, and no two tasks share both.
            unsafe {
                self.set.ready(|| self.run_block(pointers, &inputs, pixels, block.clone(), panels, activation.slope()));
                if activation.is_curved() {
                    self.bend(pointers, pixels, block, panels, activation);
                }
            }
        });
    }

    /// The part of an activation that the kernels leave, on what they have just written.
    ///
    /// # Safety
    /// As [`Self::run_block`].
    unsafe fn bend(
        &self,
        pointers: Pointers,
        pixels: usize,
        block: std::ops::Range<usize>,
        panels: &[Panel],
        activation: Activation,
    ) {
        let (Some(first), Some(last)) = (panels.first(), panels.last()) else { return };
        // The panels' channels lie side by side.
        let channels = last.first_channel + last.channels - first.first_channel;
        for pixel in block.start * self.set.rows..pixels.min(block.end * self.set.rows) {
            let at = pixel * self.out_channels + first.first_channel;
            // SAFETY: `out` holds the pixel, whose channels of these panels this task alone has.
            activation.bend(unsafe { std::slice::from_raw_parts_mut(pointers.out.add(at), channels) });
        }
    }

    /// Tiles in a block and groups of panels: blocks that fit the cache, and enough tasks for the threads.
    fn tasks(&self, tiles: usize, in_pixels: usize) -> (usize, usize) {
        let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
        let tile_values = match self.set.depth {
            1 => (in_pixels * self.words).div_ceil(tiles.max(1)),
            // Rows may have to be copied, tap by tap.
            depth => self.taps * self.set.rows * self.words.next_multiple_of(depth),
        };
        let tile_bytes = tile_values * size_of::<f32>();
        let fits = (BLOCK_BYTES / tile_bytes.max(1)).max(1);
        // Few pixels and many channels: share out the panels before a block loses what it gains from its weights.
        let groups = wanted.div_ceil(tiles.div_ceil(fits).max(1)).min(self.panels.len()).max(1);
        let block = fits.min(tiles.div_ceil(wanted.div_ceil(groups))).max(1);
        (block, groups)
    }

    /// # Safety
    /// `inputs` is `[tile of the block][tap][row]`, each valid for `words` values; `pointers.out` (and the
    /// residual, unless null) holds `pixels` pixels, and nobody else writes `block`'s in `panels`' channels.
    unsafe fn run_block(
        &self,
        pointers: Pointers,
        inputs: &[*const f32],
        pixels: usize,
        block: std::ops::Range<usize>,
        panels: &[Panel],
        slope: f32,
    ) {
        let rows = self.set.rows;
        for panel in panels {
            let tap_values = panel.rows * panel.kernel.panel;
            let step = (WEIGHT_BYTES / size_of::<f32>() / tap_values).clamp(1, self.taps);
            for tap in (0..self.taps).step_by(step) {
                for (index, tile) in block.clone().enumerate() {
                    let at = tile * rows * self.out_channels + panel.first_channel;
                    let residual = pointers.residual;
                    // SAFETY: `at` is the first value of the tile; `rows` and `channels` keep the kernel inside.
                    unsafe {
                        (panel.kernel.run)(&Tile {
                            taps: inputs.as_ptr().add((index * self.taps + tap) * rows),
                            tap_count: step.min(self.taps - tap),
                            first_input: panel.first_word,
                            in_channels: panel.words,
                            weights: panel.weights.as_ptr().add(tap * tap_values),
                            shift: if tap == 0 { panel.shift.as_ptr() } else { std::ptr::null() },
                            last: tap + step >= self.taps,
                            residual: if residual.is_null() { residual } else { residual.add(at) },
                            slope,
                            out: pointers.out.add(at),
                            out_stride: self.out_channels,
                            rows: rows.min(pixels - tile * rows),
                            channels: panel.channels,
                        });
                    }
                }
            }
        }
    }
}
