//! Convolution with a fused epilogue: scale and shift (a folded batch norm or a bias), residual, activation.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::kernels::{Kernel, KernelSet, Tile};
use super::{Activation, Isa, Shape};

/// Bytes of input that one block of tiles works on, so that it stays in the second-level cache beside the weights.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of weights that one pass over a block works on. Longer sums are taken in several passes over the taps.
const WEIGHT_BYTES: usize = 384 << 10;
/// Blocks are cut smaller until each thread has so many tasks, or a block is one tile.
const TASKS_PER_THREAD: usize = 4;

/// Geometry of a convolution with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    pub in_channels: usize,
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

impl ConvSpec {
    /// The output's shape, or why the input does not fit.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        ensure!(
            input.channels == self.in_channels,
            "a convolution of {} input channels got a feature map {input}",
            self.in_channels
        );
        let side = |size: usize| (size + 2 * self.padding).checked_sub(self.kernel).map(|span| span / self.stride + 1);
        match (side(input.height), side(input.width)) {
            (Some(height), Some(width)) => Ok(Shape::new(input.batch, height, width, self.out_channels)),
            _ => anyhow::bail!("a {0}x{0} convolution got a feature map {input}, smaller than its kernel", self.kernel),
        }
    }

    /// Shape of the weight in a checkpoint: output channels, input channels, kernel height, kernel width.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels, self.kernel, self.kernel]
    }

    /// Multiplications with accumulation for an output of `area` positions.
    pub fn macs(&self, area: usize) -> u64 {
        area as u64 * self.weight_shape().iter().map(|&dim| dim as u64).product::<u64>()
    }

    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}

/// A convolution with its weights laid out for the processor.
pub struct Conv2d {
    spec: ConvSpec,
    set: &'static KernelSet,
    panels: Vec<Panel>,
    /// One pixel of padding.
    zeros: Vec<f32>,
}

/// The output channels that one kernel call computes.
struct Panel {
    kernel: Kernel,
    first_channel: usize,
    channels: usize,
    /// `[taps][in_channels][kernel.panel]`, scaled, zero beyond `channels`.
    weights: Vec<f32>,
    /// `[kernel.panel]`
    shift: Vec<f32>,
}

/// Pointers into slices that outlive the parallel loop that they are sent to.
#[derive(Clone, Copy)]
struct Pointers {
    input: *const f32,
    residual: *const f32,
    out: *mut f32,
}

// SAFETY: `input` and `residual` are only read; tasks write disjoint parts of `out` (see `Conv2d::forward`).
unsafe impl Send for Pointers {}
unsafe impl Sync for Pointers {}

impl Conv2d {
    /// Lays out `weight`, `[out_channels, in_channels, kernel, kernel]` as in a checkpoint. Each output channel is
    /// multiplied by its `scale` and then raised by its `shift`.
    pub fn new(spec: ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>, isa: Isa) -> Self {
        let per_channel = spec.in_channels * spec.taps();
        assert_eq!(weight.len(), spec.out_channels * per_channel, "weights of {spec:?}");
        let set = KernelSet::new(isa, spec.out_channels);
        let mut first_channel = 0;
        let panels = set.panels(spec.out_channels).into_iter().map(|kernel| {
            let channels = kernel.panel.min(spec.out_channels - first_channel);
            let mut panel = Panel {
                kernel,
                first_channel,
                channels,
                weights: vec![0.0; per_channel * kernel.panel],
                shift: vec![0.0; kernel.panel],
            };
            for lane in 0..channels {
                let channel = first_channel + lane;
                let factor = scale.map_or(1.0, |scale| scale[channel]);
                panel.shift[lane] = shift.map_or(0.0, |shift| shift[channel]);
                for (at, &value) in weight[channel * per_channel..][..per_channel].iter().enumerate() {
                    let (input, tap) = (at / spec.taps(), at % spec.taps());
                    panel.weights[(tap * spec.in_channels + input) * kernel.panel + lane] = factor * value;
                }
            }
            first_channel += channels;
            panel
        });
        Self { spec, set, panels: panels.collect(), zeros: vec![0.0; spec.in_channels] }
    }

    pub fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// `out = activation(conv(input) + residual)`; `out` and `residual` are laid out as `spec.output(shape)`.
    pub fn forward(
        &self,
        input: &[f32],
        shape: Shape,
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) -> Result<()> {
        let out_shape = self.spec.output(shape)?;
        assert_eq!(input.len(), shape.len(), "input of {:?}", self.spec);
        assert_eq!(out.len(), out_shape.len(), "output of {:?}", self.spec);
        if let Some(residual) = residual {
            assert_eq!(residual.len(), out.len(), "residual of {:?}", self.spec);
        }
        let pointers = Pointers {
            input: input.as_ptr(),
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            out: out.as_mut_ptr(),
        };
        let tiles = out_shape.pixels().div_ceil(self.set.rows);
        let (block, groups) = self.tasks(tiles);
        (0..tiles.div_ceil(block) * groups).into_par_iter().with_max_len(1).for_each(|task| {
            let first = task / groups * block;
            let block = first..tiles.min(first + block);
            let group = task % groups;
            let panels = &self.panels[self.panels.len() * group / groups..self.panels.len() * (group + 1) / groups];
            // SAFETY: the lengths were checked above; a task writes the pixels of its tiles in the channels of its
            // panels, and no two tasks share both.
            unsafe { self.run_block(pointers, shape, out_shape, block, panels, activation.slope()) }
        });
        Ok(())
    }

    /// Tiles in a block and groups of panels: blocks that fit the cache, and enough tasks for the threads.
    fn tasks(&self, tiles: usize) -> (usize, usize) {
        let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
        let tile_bytes = self.set.rows * self.spec.in_channels * self.spec.stride.pow(2) * size_of::<f32>();
        let fits = (BLOCK_BYTES / tile_bytes).max(1);
        // Few pixels and many channels: share out the panels before a block loses what it gains from its weights.
        let groups = wanted.div_ceil(tiles.div_ceil(fits)).min(self.panels.len()).max(1);
        let block = fits.min(tiles.div_ceil(wanted.div_ceil(groups))).max(1);
        (block, groups)
    }

    /// # Safety
    /// The pointers are valid for the two shapes, and nobody else writes `block`'s pixels in `panels`' channels.
    unsafe fn run_block(
        &self,
        pointers: Pointers,
        shape: Shape,
        out_shape: Shape,
        block: std::ops::Range<usize>,
        panels: &[Panel],
        slope: f32,
    ) {
        let (rows, taps) = (self.set.rows, self.spec.taps());
        let inputs = self.input_pointers(pointers.input, shape, out_shape, block.clone());
        for panel in panels {
            let tap_values = self.spec.in_channels * panel.kernel.panel;
            let step = (WEIGHT_BYTES / size_of::<f32>() / tap_values).clamp(1, taps);
            for tap in (0..taps).step_by(step) {
                for (index, tile) in block.clone().enumerate() {
                    let at = tile * rows * out_shape.channels + panel.first_channel;
                    // SAFETY: `at` is the first value of the tile, `rows` and `channels` keep the kernel inside the
                    // output; the input pointers were made for exactly these tiles and taps.
                    unsafe {
                        let residual = pointers.residual;
                        (panel.kernel.run)(&Tile {
                            taps: inputs.as_ptr().add((index * taps + tap) * rows),
                            tap_count: step.min(taps - tap),
                            in_channels: self.spec.in_channels,
                            weights: panel.weights.as_ptr().add(tap * tap_values),
                            shift: if tap == 0 { panel.shift.as_ptr() } else { std::ptr::null() },
                            last: tap + step >= taps,
                            residual: if residual.is_null() { residual } else { residual.add(at) },
                            slope,
                            out: pointers.out.add(at),
                            out_stride: out_shape.channels,
                            rows: rows.min(out_shape.pixels() - tile * rows),
                            channels: panel.channels,
                        });
                    }
                }
            }
        }
    }

    /// `[tile][tap][row]`: where each tap of each output pixel reads. Rows beyond the last pixel repeat it.
    fn input_pointers(
        &self,
        input: *const f32,
        shape: Shape,
        out: Shape,
        block: std::ops::Range<usize>,
    ) -> Vec<*const f32> {
        let ConvSpec { kernel, stride, padding, in_channels, .. } = self.spec;
        let mut pointers = Vec::with_capacity(block.len() * self.spec.taps() * self.set.rows);
        for tile in block {
            for tap in 0..self.spec.taps() {
                for row in 0..self.set.rows {
                    let pixel = (tile * self.set.rows + row).min(out.pixels() - 1);
                    let (image, position) = (pixel / out.area(), pixel % out.area());
                    let y = (position / out.width * stride + tap / kernel).wrapping_sub(padding);
                    let x = (position % out.width * stride + tap % kernel).wrapping_sub(padding);
                    pointers.push(if y < shape.height && x < shape.width {
                        let at = ((image * shape.height + y) * shape.width + x) * in_channels;
                        input.wrapping_add(at)
                    } else {
                        self.zeros.as_ptr()
                    });
                }
            }
        }
        pointers
    }
}
