//! The resize of a window as data for a device: two passes, each with its taps. A pass that Pillow skips, since the
//! size stays, has one tap a pixel, of weight one, which leaves every byte as it is.

use std::ops::Range;

use super::taps::{PRECISION, Taps};
use super::{Window, columns_first};
use crate::augment::Region;
use crate::ops::squares::Pass;
use crate::preprocessing::Interpolation;

/// The source pixels along one axis, and of each output pixel the first of them with the weights.
struct Axis {
    sources: Range<usize>,
    rows: Vec<(usize, Vec<i32>)>,
}

impl Axis {
    fn new(input: usize, output: usize, window: &Range<usize>, filter: Interpolation) -> Self {
        if input == output {
            let one = vec![1 << PRECISION];
            return Self { sources: window.clone(), rows: (0..window.len()).map(|x| (x, one.clone())).collect() };
        }
        let mut taps = Taps::default();
        let sources = taps.prepare(input, output, window.clone(), filter);
        Self { sources, rows: taps.each().map(|(first, weights)| (first, weights.whole.to_vec())).collect() }
    }

    fn pass(&self, is_down: bool, size: [usize; 2]) -> Pass {
        Pass::new(is_down, self.rows.iter().map(|(first, weights)| (*first, &weights[..])), size)
    }
}

/// The rectangle that a `window` of a picture resized from `from` to `to` (widths and heights) is made of, and the two
/// passes that make it, the first of which begins at the rectangle's first pixel.
pub fn plan(from: (usize, usize), to: (usize, usize), filter: Interpolation, window: &Window) -> (Region, [Pass; 2]) {
    let across = Axis::new(from.0, to.0, &window.columns, filter);
    let down = Axis::new(from.1, to.1, &window.rows, filter);
    let Region { left, top, width, height } = Region {
        left: across.sources.start,
        top: down.sources.start,
        width: across.sources.len(),
        height: down.sources.len(),
    };
    let (columns, lines) = (window.columns.len(), window.rows.len());
    let passes = if columns_first(from, to) {
        [down.pass(true, [width, lines]), across.pass(false, [columns, lines])]
    } else {
        [across.pass(false, [columns, height]), down.pass(true, [columns, lines])]
    };
    (Region { left, top, width, height }, passes)
}
