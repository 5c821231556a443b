//! A diagram with its axes, its legend and its curves.

use crate::report::drawing::{Axis, Frame, Svg};

/// Measures in pixels.
pub const WIDTH: f64 = 860.0;
/// Of a panel, with what stands above it.
pub const HEIGHT: f64 = 244.0;
pub const LEFT: f64 = 64.0;
pub const TOP: f64 = 44.0;
pub const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 28.0;
/// The panel's title and legend.
const HEADING: f64 = 40.0;

/// The share of points that an axis need not hold: single steps whose loss shot up or fell.
const OUTLIERS: f64 = 0.005;

/// One curve. Between its points no number is missing; NaN breaks it.
pub struct Series {
    pub label: &'static str,
    pub colour: &'static str,
    /// Epochs and values.
    pub points: Vec<(f64, f64)>,
    /// Whether it stands behind the others.
    pub fine: bool,
}

pub struct Panel {
    pub title: &'static str,
    pub series: Vec<Series>,
}

impl Series {
    fn finite(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|(_, y)| *y).filter(|y| y.is_finite())
    }
}

impl Panel {
    pub fn has_points(&self) -> bool {
        self.shown().next().is_some()
    }

    fn shown(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| series.finite().next().is_some())
    }

    /// Draws the panel from `top` down, its epochs from 0 to `end`; they are named below the last panel.
    pub fn draw(&self, svg: &mut Svg, top: f64, end: f64, is_last: bool) {
        let (upper, lower) = (top + HEADING, top + HEIGHT - 12.0);
        let (from, to) = self.range();
        let (across, up) = (Axis::exactly(0.0, end, 12), Axis::around(from, to, 5));
        let frame = Frame { left: LEFT, right: WIDTH - RIGHT, upper, lower, across, up };
        svg.text((LEFT, top + 24.0), "heading", self.title);
        frame.draw(svg, is_last.then_some("epoch"));
        if self.series.len() > 1 {
            self.legend(svg, top + 24.0);
        }
        svg.begin_clip((LEFT, upper - 2.0), (WIDTH - LEFT - RIGHT + 3.0, lower - upper + 4.0));
        for series in self.shown() {
            let points = series.points.iter().map(|&(at, value)| frame.place(at, value)).collect::<Vec<_>>();
            for run in points.split(|(_, y)| !y.is_finite()).filter(|run| !run.is_empty()) {
                svg.curve(run, series.colour, if series.fine { 1.2 } else { 2.0 });
            }
        }
        svg.end_clip();
    }

    /// The least and the greatest value that the axis holds.
    fn range(&self) -> (f64, f64) {
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        for series in self.shown() {
            let mut values: Vec<f64> = series.finite().collect();
            values.sort_by(f64::total_cmp);
            let spared = if series.fine { (values.len() as f64 * OUTLIERS) as usize } else { 0 };
            if let (Some(low), Some(high)) = (values.get(spared), values.iter().nth_back(spared)) {
                range = (range.0.min(*low), range.1.max(*high));
            }
        }
        range
    }

    /// Names the curves from right to left, at the right of the title.
    fn legend(&self, svg: &mut Svg, baseline: f64) {
        /// The width of a letter of the legend's size, on average and rather too much.
        const LETTER: f64 = 6.6;
        let mut right = WIDTH - RIGHT;
        for series in self.shown().collect::<Vec<_>>().into_iter().rev() {
            let start = right - LETTER * series.label.len() as f64;
            svg.text((start, baseline), "legend", series.label);
            svg.curve(&[(start - 24.0, baseline - 4.0), (start - 6.0, baseline - 4.0)], series.colour, 3.0);
            right = start - 40.0;
        }
    }
}
