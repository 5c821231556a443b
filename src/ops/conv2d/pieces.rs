//! Where the parts of a convolution lie in the filter that a device joins them to. Each part stays a parameter of its own,
//! as a checkpoint holds it: an optimiser never sees the zeros between them.

use anyhow::{Result, ensure};

use super::bands::Bands;
use super::spec::ConvSpec;

/// A part's place in rows of a filter, `[rows][kernel][kernel][wide]`, a smaller kernel in the middle of the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Number of the part.
    pub part: usize,
    /// First value of its rows in the filter.
    pub start: usize,
    /// Output channels of the part, and rows up to the next part's, which are filled with zeros.
    pub rows: usize,
    pub all_rows: usize,
    /// Sides of the filter's kernel and of the part's.
    pub kernel: usize,
    pub own_kernel: usize,
    /// Values of a row and tap of the filter.
    pub wide: usize,
    /// Columns that are written: those of the part's inputs, and what is left with zeros.
    pub columns: [usize; 2],
    /// Column of the first input, and inputs of an output. A group's are that many further than those of the one before.
    pub first: usize,
    pub inputs: usize,
    /// Rows of a group.
    pub group_rows: usize,
    /// Inputs of the part before these, where a filter has it in two places.
    pub skipped: usize,
}

impl Piece {
    /// Values of the part that lie here.
    pub fn values(&self) -> usize {
        self.rows * self.inputs * self.own_kernel * self.own_kernel
    }

    /// Values of the filter from [`Self::start`] that it may write to.
    pub fn span(&self) -> usize {
        self.all_rows * self.kernel * self.kernel * self.wide
    }

    /// Values of the part up to the last that lies here.
    pub fn own_span(&self) -> usize {
        self.values() + self.skipped * self.own_kernel * self.own_kernel
    }
}

impl ConvSpec {
    /// Where `parts` lie in the padded filter of [`Self::joined`], which this is.
    ///
    /// # Errors
    /// If they leave output channels out, or are not in their order.
    pub fn pieces(&self, parts: &[Self]) -> Result<Vec<Piece>> {
        let wide = self.padded();
        let row = wide.taps() * wide.in_channels;
        let ends = parts.iter().skip(1).map(|next| next.output.first).chain([wide.out_channels]);
        let mut next = 0;
        let mut pieces = Vec::with_capacity(parts.len());
        for ((part, spec), end) in parts.iter().enumerate().zip(ends) {
            let own_end = spec.output.first + spec.out_channels;
            let last = part + 1 == parts.len();
            let follows = spec.output.first == next && own_end <= end && (own_end == end || last);
            ensure!(follows, "{parts:?} do not make up all of a convolution's output");
            pieces.push(Piece {
                part,
                start: spec.output.first * row,
                rows: spec.out_channels,
                all_rows: end - spec.output.first,
                kernel: wide.kernel,
                own_kernel: spec.kernel,
                wide: wide.in_channels,
                columns: [0, wide.in_channels],
                first: spec.input.first,
                inputs: spec.in_channels / spec.groups,
                group_rows: spec.out_channels / spec.groups,
                skipped: 0,
            });
            next = end;
        }
        ensure!(next == wide.out_channels, "a convolution without a kernel");
        Ok(pieces)
    }
}

impl Bands {
    /// Values of the weight as [`Self::weight`] lays it out.
    pub fn weight_len(&self) -> usize {
        self.bands.iter().map(|band| band.kernel * band.kernel * band.channels).sum()
    }

    /// Where the parts that the bands were made of lie in that weight.
    pub fn pieces(&self, parts: &[ConvSpec]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for band in &self.bands {
            let end = band.first + band.channels;
            for (part, spec) in parts.iter().enumerate() {
                let [own, own_end] = [spec.output.first, spec.output.first + spec.out_channels];
                let [from, to] = [own.max(band.first), own_end.min(end)];
                if from >= to {
                    continue;
                }
                let last = part + 1 == parts.len();
                pieces.push(Piece {
                    part,
                    start,
                    rows: 1,
                    all_rows: 1,
                    kernel: band.kernel,
                    own_kernel: spec.kernel,
                    wide: band.channels,
                    columns: [from - band.first, if last { band.channels } else { to - band.first }],
                    first: from - band.first,
                    inputs: to - from,
                    group_rows: 1,
                    skipped: from - own,
                });
            }
            start += band.kernel * band.kernel * band.channels;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Window;

    fn part(first: usize, channels: usize, kernel: usize) -> ConvSpec {
        let window = Window { first, of: 20 };
        ConvSpec { groups: channels, input: window, output: window, ..ConvSpec::new(channels, channels, kernel, 1) }
    }

    #[test]
    fn a_part_on_a_border_of_bands_lies_in_both() {
        let parts = [part(0, 10, 3), part(10, 10, 5)];
        let pieces = Bands::new(&parts).unwrap().pieces(&parts);
        let places: Vec<_> = pieces.iter().map(|own| (own.part, own.start, own.columns, own.skipped)).collect();
        assert_eq!(places, [(0, 0, [0, 8], 0), (0, 72, [0, 2], 8), (1, 72, [2, 16], 0)]);
        assert_eq!(pieces.iter().map(Piece::values).sum::<usize>(), 10 * 9 + 10 * 25);
    }

    #[test]
    fn parts_of_a_product_take_whole_rows_and_the_last_the_padding_too() {
        let window = |first, of| Window { first, of };
        let parts = [0, 5].map(|first| ConvSpec {
            input: window(first, 10),
            output: window(first, 10),
            ..ConvSpec::new(5, 5, 1, 1)
        });
        let pieces = ConvSpec::joined(&parts).unwrap().pieces(&parts).unwrap();
        let places: Vec<_> = pieces.iter().map(|own| (own.start, own.rows, own.all_rows, own.first)).collect();
        assert_eq!(places, [(0, 5, 5, 0), (80, 5, 11, 5)]);
        let error = ConvSpec::joined(&parts).unwrap().pieces(&parts[1..]).unwrap_err().to_string();
        assert!(error.ends_with("do not make up all of a convolution's output"), "{error}");
    }
}
