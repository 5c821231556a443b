//! Weights in the order in which the kernels read them, panel by panel.

use rayon::prelude::*;

use super::{ConvSpec, Window};
use crate::ops::Isa;
use crate::ops::bf16::pair;
use crate::ops::kernels::{Kernel, KernelSet};

/// Groups narrower than this are packed side by side, with zeros between them, until their outputs fill the widest
/// vector: what is multiplied in vain would otherwise be idle lanes.
const NARROWEST_BLOCK: usize = 16;

/// What a product sums and what it computes: a convolution's input and output, or the reverse for its gradient.
#[derive(Clone, Copy)]
pub(super) struct Sides {
    groups: usize,
    /// Channels of a group.
    group_outputs: usize,
    group_inputs: usize,
    pub taps: usize,
    pub input: Window,
    pub output: Window,
    pub strides: Strides,
}

/// Strides of a weight tensor from a group's output channel and from its input channel to the next; taps lie side by
/// side.
#[derive(Clone, Copy)]
pub(super) struct Strides {
    pub out_channel: usize,
    pub in_channel: usize,
}

impl Sides {
    pub fn forward(spec: &ConvSpec) -> Self {
        let (group_inputs, taps) = (spec.in_channels / spec.groups, spec.taps());
        Self {
            groups: spec.groups,
            group_outputs: spec.out_channels / spec.groups,
            group_inputs,
            taps,
            input: spec.input,
            output: spec.output,
            strides: Strides { out_channel: group_inputs * taps, in_channel: taps },
        }
    }

    /// From the output's gradient to the input's.
    pub fn backward(spec: &ConvSpec) -> Self {
        let forward = Self::forward(spec);
        Self {
            group_outputs: forward.group_inputs,
            group_inputs: forward.group_outputs,
            input: forward.output,
            output: forward.input,
            strides: Strides { out_channel: forward.strides.in_channel, in_channel: forward.strides.out_channel },
            ..forward
        }
    }

    /// Groups that are packed side by side.
    pub fn groups_in_block(&self) -> usize {
        if self.groups == 1 { 1 } else { NARROWEST_BLOCK.div_ceil(self.group_outputs).min(self.groups) }
    }

    /// Products of bf16 take input channels in pairs, which no block may begin in the middle of; products of tiles take
    /// whole pixels.
    pub fn isa(&self, isa: Isa) -> Isa {
        let isa = if self.groups == 1 && self.group_inputs == self.input.of { isa } else { isa.without_tiles() };
        let odd_blocks = self.groups > 1 && !(self.groups_in_block() * self.group_inputs).is_multiple_of(2);
        if odd_blocks || !self.input.first.is_multiple_of(2) { isa.exact() } else { isa }
    }
}

/// The output channels that one kernel call computes.
pub(super) struct Panel {
    pub kernel: Kernel,
    /// In the output's maps.
    pub first_channel: usize,
    pub channels: usize,
    /// Words of an input pixel that these channels see.
    pub first_word: usize,
    pub words: usize,
    /// Words of a tap's weights: `words`, to a whole number of the kernels' steps.
    pub rows: usize,
    /// `[taps][rows][kernel.panel]`, zero beyond `channels` and `words`.
    pub weights: Vec<f32>,
    /// `[kernel.panel]`
    pub shift: Vec<f32>,
}

/// An output channel of a panel.
struct Lane<'a> {
    /// Which of the block's inputs is its group's first.
    first_input: usize,
    /// From its weight of that input on.
    weight: &'a [f32],
    factor: f32,
    shift: f32,
}

/// Packs a weight tensor for the kernels of `isa`, which [`Sides::isa`] has allowed. Each output channel is multiplied
/// by its `scale` and then raised by its `shift`.
pub(super) fn pack(
    sides: &Sides,
    weight: &[f32],
    scale: Option<&[f32]>,
    shift: Option<&[f32]>,
    isa: Isa,
) -> (&'static KernelSet, Vec<Panel>) {
    let &Sides { groups, group_outputs, group_inputs, taps, strides, .. } = sides;
    assert_eq!(weight.len(), groups * group_outputs * group_inputs * taps, "weights of {groups} groups");
    let in_block = sides.groups_in_block();
    let set = KernelSet::new(isa, in_block * group_outputs);
    let blocks = (0..groups).step_by(in_block).map(|first| first..groups.min(first + in_block));
    let all: Vec<_> = blocks
        .flat_map(|block| {
            let panels = places(set, block.len() * group_outputs);
            panels.into_iter().map(move |(kernel, first, channels)| (kernel, block.clone(), first, channels))
        })
        .collect();
    let is_bf16 = isa.is_bf16();
    let panels = all.into_par_iter().map(|(kernel, block, first, channels)| {
        let inputs = block.len() * group_inputs;
        let (words, first_input) = (in_words(inputs, is_bf16), sides.input.first + block.start * group_inputs);
        let rows = words.next_multiple_of(set.depth);
        let mut weights = vec![0.0; taps * rows * kernel.panel];
        let mut shifts = vec![0.0; kernel.panel];
        let lanes: Vec<Lane> = (first..first + channels)
            .map(|output| {
                let (group, channel) = (output / group_outputs, block.start * group_outputs + output);
                Lane {
                    first_input: group * group_inputs,
                    weight: &weight[(block.start + group) * group_outputs * group_inputs * taps..]
                        [output % group_outputs * strides.out_channel..],
                    factor: scale.map_or(1.0, |scale| scale[channel]),
                    shift: shift.map_or(0.0, |shift| shift[channel]),
                }
            })
            .collect();
        for (lane, shift) in lanes.iter().zip(&mut shifts) {
            *shift = lane.shift;
        }
        for tap in 0..taps {
            // The block's other groups, and a pair's half beyond the last input, are zeros to a channel.
            let value = |lane: &Lane, input: usize| match input.checked_sub(lane.first_input) {
                Some(input) if input < group_inputs => lane.factor * lane.weight[input * strides.in_channel + tap],
                _ => 0.0,
            };
            let rows = weights[tap * rows * kernel.panel..].chunks_exact_mut(kernel.panel);
            for (word, row) in rows.enumerate().take(words) {
                for (to, lane) in row.iter_mut().zip(&lanes) {
                    *to = match is_bf16 {
                        true => pair(value(lane, 2 * word), value(lane, 2 * word + 1)),
                        false => value(lane, word),
                    };
                }
            }
        }
        Panel {
            kernel,
            first_channel: sides.output.first + block.start * group_outputs + first,
            channels,
            first_word: if is_bf16 { first_input / 2 } else { first_input },
            words,
            rows,
            weights,
            shift: shifts,
        }
    });
    (set, panels.collect())
}

/// The panels of so many channels: each one's kernel, its first output channel and how many it has.
pub(super) fn places(set: &KernelSet, out_channels: usize) -> Vec<(Kernel, usize, usize)> {
    let mut first = 0;
    let place = |kernel: Kernel| {
        let channels = kernel.panel.min(out_channels - first);
        first += channels;
        (kernel, first - channels, channels)
    };
    set.panels(out_channels).into_iter().map(place).collect()
}

/// Words that hold so many channels of a pixel.
pub(super) fn in_words(channels: usize, is_bf16: bool) -> usize {
    if is_bf16 { channels.div_ceil(2) } else { channels }
}
