//! Which source pixels an output pixel is made of, and by how much of each.

use std::ops::Range;

use crate::preprocessing::Interpolation;

/// Fractional bits of a weight: 32 less 8 of the pixel, less 2 of head room (Pillow's `PRECISION_BITS`).
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// An accumulator starts at one half, which makes the shift at its end round.
pub(super) const HALF: i32 = 1 << (PRECISION - 1);

/// Where a weight is cut in two for multiplications of 16 bits: `weight = (high << SPLIT) + low`.
pub(super) const SPLIT: u32 = 11;

/// Tap pairs are padded to an even number, so that four taps can be taken at once.
const PAIRS_AT_ONCE: usize = 2;

/// Two neighbouring weights, cut in two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Pair {
    /// Low parts, 0 to 2047 each.
    pub low: [i16; 2],
    /// High parts, signed.
    pub high: [i16; 2],
}

/// The weights of one output pixel, in both forms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    pub whole: &'a [i32],
    /// The same by twos, padded with zeros.
    pub pairs: &'a [Pair],
}

/// The filter along one axis, from `input` pixels to `output`.
struct Kernel {
    input: usize,
    scale: f64,
    /// A reduction widens the filter (that is the antialiasing); an enlargement leaves it as it is.
    widening: f64,
    support: f64,
    weigh: fn(f64) -> f64,
}

impl Kernel {
    fn new(input: usize, output: usize, filter: Interpolation) -> Self {
        let (reach, weigh): (f64, fn(f64) -> f64) = match filter {
            Interpolation::Bilinear => (1.0, triangle),
            Interpolation::Bicubic => (2.0, cubic),
        };
        let scale = input as f64 / output as f64;
        let widening = scale.max(1.0);
        Self { input, scale, widening, support: reach * widening, weigh }
    }

    fn centre(&self, x: usize) -> f64 {
        (x as f64 + 0.5) * self.scale
    }

    /// The source pixels of output pixel `x`.
    fn sources(&self, x: usize) -> Range<usize> {
        let centre = self.centre(x);
        // Casts of negative numbers saturate to 0, where Pillow truncates and then clamps.
        (centre - self.support + 0.5) as usize..((centre + self.support + 0.5) as usize).min(self.input)
    }
}

/// The source pixels that a `window` of a line of `output` pixels needs, of one of `input`.
pub(super) fn needed(input: usize, output: usize, window: &Range<usize>, filter: Interpolation) -> Range<usize> {
    // A line that keeps its size is not filtered.
    if input == output || window.is_empty() {
        return window.clone();
    }
    let kernel = Kernel::new(input, output, filter);
    kernel.sources(window.start).start..kernel.sources(window.end - 1).end
}

/// The taps of a stretch of output pixels along one axis.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// First source pixel, counted from the first that any needs, and number of taps, one for each output pixel.
    bounds: Vec<(usize, usize)>,
    /// `stride` weights for each output pixel; those beyond its number of taps are zero.
    whole: Vec<i32>,
    pairs: Vec<Pair>,
    stride: usize,
    exact: Vec<f64>,
}

impl Taps {
    /// Computes the taps that make the `window` of a line of `output` pixels out of one of `input` pixels, and returns
    /// which source pixels they need.
    pub fn prepare(
        &mut self,
        input: usize,
        output: usize,
        window: Range<usize>,
        filter: Interpolation,
    ) -> Range<usize> {
        let kernel = Kernel::new(input, output, filter);
        let inverse = 1.0 / kernel.widening;
        let most = ((kernel.support.ceil() as usize) * 2 + 1).min(input);
        self.stride = most.div_ceil(2 * PAIRS_AT_ONCE) * 2 * PAIRS_AT_ONCE;

        self.bounds.clear();
        self.whole.clear();
        self.pairs.clear();
        for x in window {
            let centre = kernel.centre(x);
            let Range { start: first, end } = kernel.sources(x);
            self.exact.clear();
            self.exact.extend((first..end).map(|i| (kernel.weigh)((i as f64 - centre + 0.5) * inverse)));
            let total: f64 = self.exact.iter().sum();
            let start = self.whole.len();
            self.whole.extend(self.exact.iter().map(|&w| quantise(if total != 0.0 { w / total } else { w })));
            self.whole.resize(start + self.stride, 0);
            self.pairs.extend(self.whole[start..].chunks_exact(2).map(|two| Pair::new(two[0], two[1])));
            self.bounds.push((first, end - first));
        }
        let start = self.bounds.first().map_or(0, |first| first.0);
        let end = self.bounds.last().map_or(start, |last| last.0 + last.1);
        self.bounds.iter_mut().for_each(|bound| bound.0 -= start);
        start..end
    }

    /// Number of output pixels.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// For each output pixel its first source pixel, counted from the first that any needs, and its weights.
    pub fn each(&self) -> impl Iterator<Item = (usize, Weights<'_>)> + Clone {
        self.bounds.iter().enumerate().map(move |(x, &(first, count))| {
            let whole = &self.whole[x * self.stride..][..count];
            let pairs = &self.pairs[x * self.stride / 2..][..count.div_ceil(2 * PAIRS_AT_ONCE) * PAIRS_AT_ONCE];
            (first, Weights { whole, pairs })
        })
    }
}

impl Pair {
    fn new(first: i32, second: i32) -> Self {
        let low = |w: i32| (w & ((1 << SPLIT) - 1)) as i16;
        // A weight is at most a few times 2^22, so that its upper part fits 16 bits.
        let high = |w: i32| (w >> SPLIT) as i16;
        Self { low: [low(first), low(second)], high: [high(first), high(second)] }
    }
}

/// To 22 fractional bits, halves away from zero.
fn quantise(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Cubic convolution (Keys 1981) with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
