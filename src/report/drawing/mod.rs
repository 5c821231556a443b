//! What diagrams are made of: an axis with round numbers, a frame between two of them, and the SVG that they become.

mod axis;
mod frame;
mod svg;

pub use axis::Axis;
pub use frame::Frame;
pub use svg::{Place, Svg};

pub const BLUE: &str = "#2563eb";
pub const ORANGE: &str = "#d9480f";
