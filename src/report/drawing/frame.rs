//! The field of a diagram between its two axes.

use super::axis::Axis;
use super::svg::{Place, Svg};

/// A rectangle in pixels with an axis along its lower edge and one along its left.
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub upper: f64,
    pub lower: f64,
    pub across: Axis,
    pub up: Axis,
}

impl Frame {
    /// Where a pair of values lies.
    pub fn place(&self, across: f64, up: f64) -> Place {
        let x = self.left + self.across.place(across) * (self.right - self.left);
        (x, self.lower - self.up.place(up) * (self.lower - self.upper))
    }

    /// Draws the axes with their ticks; those of the lower one are named, below with `what` they mean, where that is
    /// given.
    pub fn draw(&self, svg: &mut Svg, what: Option<&str>) {
        for tick in self.up.ticks() {
            let (left, y) = self.place(self.across.from, tick);
            svg.line((left, y), (self.right, y), "grid");
            svg.text((left - 8.0, y + 4.0), "value", &self.up.label(tick));
        }
        for tick in self.across.ticks() {
            let (x, lower) = self.place(tick, self.up.from);
            svg.line((x, lower), (x, lower + 4.0), "axis");
            if what.is_some() {
                svg.text((x, lower + 18.0), "across", &self.across.label(tick));
            }
        }
        svg.line((self.left, self.lower), (self.right, self.lower), "axis");
        if let Some(what) = what {
            svg.text(((self.left + self.right) / 2.0, self.lower + 36.0), "across", what);
        }
    }
}
