//! Which way a convolution is computed, and what that takes: for those who measure it.

use std::fmt;

use super::{ConvSpec, winograd};
use crate::ops::{Isa, Shape};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Sums over taps and all channels.
    Direct,
    /// Sums over taps and a group's channels.
    Grouped,
    /// Sums over taps alone.
    Depthwise,
    /// Winograd's F(out x out, 3x3): `(out + 2)^2` products for `9 out^2`.
    Winograd { out: usize },
}

impl ConvSpec {
    /// What [`super::Conv2d`] chooses: `new`, or, where `exact`, `exact` and both gradients.
    pub fn algorithm(&self, exact: bool, isa: Isa) -> Algorithm {
        match winograd::transforms(self, exact, isa) {
            Some(transforms) => Algorithm::Winograd { out: transforms.size.out },
            None if self.is_depthwise() => Algorithm::Depthwise,
            None if self.groups > 1 => Algorithm::Grouped,
            None => Algorithm::Direct,
        }
    }
}

impl Algorithm {
    /// Floating-point operations of the products behind an output of shape `output`, two each. Winograd's transforms are
    /// not counted, and neither is what narrow groups multiply by zero.
    pub fn flops(self, spec: &ConvSpec, output: Shape) -> u64 {
        match self {
            Self::Winograd { out } => {
                let tiles = output.batch * output.height.div_ceil(out) * output.width.div_ceil(out);
                2 * (tiles * points(out) * spec.in_channels * spec.out_channels) as u64
            }
            _ => 2 * output.batch as u64 * spec.macs(output.area()),
        }
    }

    /// Values of the weight as it is laid out.
    pub fn weights(self, spec: &ConvSpec) -> u64 {
        match self {
            Self::Winograd { out } => (points(out) * spec.in_channels * spec.out_channels) as u64,
            _ => spec.macs(1),
        }
    }
}

/// Products of a tile.
fn points(out: usize) -> usize {
    (out + 2) * (out + 2)
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Grouped => f.write_str("grouped"),
            Self::Depthwise => f.write_str("depthwise"),
            Self::Winograd { out } => write!(f, "winograd F({out}x{out})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISA: Isa = Isa::Portable;

    #[test]
    fn each_kind_of_convolution_has_its_algorithm() {
        let [wide, narrow] = [ConvSpec::new(64, 64, 3, 1), ConvSpec::new(16, 16, 3, 1)];
        assert_eq!(wide.algorithm(false, ISA), Algorithm::Winograd { out: 4 });
        assert_eq!(wide.algorithm(true, ISA), Algorithm::Winograd { out: 2 });
        assert_eq!(narrow.algorithm(false, ISA), Algorithm::Direct);
        assert_eq!(ConvSpec { groups: 4, ..wide }.algorithm(false, ISA), Algorithm::Grouped);
        assert_eq!(ConvSpec { groups: 64, ..wide }.algorithm(false, ISA).to_string(), "depthwise");
        assert_eq!(wide.algorithm(false, ISA).to_string(), "winograd F(4x4)");
    }

    #[test]
    fn winograd_makes_a_quarter_of_the_products_where_tiles_fit() {
        let (spec, output) = (ConvSpec::new(64, 64, 3, 1), Shape::new(2, 8, 8, 64));
        let direct = Algorithm::Direct.flops(&spec, output);
        assert_eq!(direct, 2 * 2 * 64 * 9 * 64 * 64);
        assert_eq!(4 * Algorithm::Winograd { out: 4 }.flops(&spec, output), direct);
        // Of 9x9 outputs nine tiles of 4x4 are begun.
        let odd = Algorithm::Winograd { out: 4 }.flops(&spec, Shape { height: 9, width: 9, ..output });
        assert_eq!(odd, 2 * 2 * 9 * 36 * 64 * 64);
        assert_eq!(Algorithm::Winograd { out: 4 }.weights(&spec), 4 * Algorithm::Direct.weights(&spec));
    }
}
