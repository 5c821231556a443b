//! How far a right plan may be from our own kernels, out of the arithmetic alone.
//!
//! What is made up are odd sixteenths times a power of two, at most five bits each. They are exact in f16, bf16 and TF32,
//! their products are exact in f32, and so are sums of them in any order: products of a problem are multiples of one
//! number, and scaled so that sums stay below 16, of which the sum of 2^20 products needs 20 bits. What is left are
//! roundings of values to the maps' element, by a share of at most `unit` each:
//!
//! - the result's own, and that of our kernel, which rounds once more where the gradient of an activation follows: 3
//! - where a kernel rounds the product or the product with its bias before it goes on, which f32 tensors within a graph
//!   ask it not to do: 1 of the result each, and of the terms that were or will be added, at most 15/16 each
//! - where it rounds parts of the sum, "split-K", before it adds them: about 1, the sums being 0.33 to 0.66 by their root
//!   mean square
//!
//! So 4 units of the result and 8 units of 1 are granted. The second would hide a slope of 1e-3 that is ignored, were it not
//! taken down by the slope along with the value (`deviation` in verification.cu). A bias or a residual that is missing, a
//! filter that is shifted or a tap that is left out shows as a difference of some tenths.

use crate::ops::Activation;
use crate::ops::cuda::Element;
use crate::ops::cuda::verification::Tolerance;

/// Of the result, in units.
const OF_THE_RESULT: f32 = 4.0;
/// Of what came before it, in units of 1.
const OF_THE_TERMS: f32 = 8.0;
/// What exponentials may be off by: the hardware's tanh has 11 bits, and takes x * sigmoid(x) with it up to |x| = 4.
const OF_EXPONENTIALS: f32 = 1.0 / 512.0;
/// Standard deviations of a sum's roundings that are granted.
const DEVIATIONS: f64 = 8.0;
/// Of sums in f32 over a batch's pixels: the roundings of a chain of 2^22 additions walk at random, to about 2^11 times
/// 2^-24, or 2^-13 of the whole; twice that.
const OF_CHAINS: f64 = 1.0 / 4096.0;

/// The largest share that rounding a number to the element takes away or adds. In f32 the random walk of 2^16 roundings
/// is granted in its place, to kernels whose sums are not of the plain products.
pub fn unit(element: Element) -> f32 {
    match element {
        Element::F16 => 1.0 / 2048.0,
        Element::Bf16 => 1.0 / 256.0,
        Element::F32 => 1.0 / 65536.0,
    }
}

/// How far a value may be off behind `activation`.
pub fn of_values(element: Element, activation: Activation) -> Tolerance {
    let unit = unit(element);
    let curve = if activation.is_curved() { OF_EXPONENTIALS } else { 0.0 };
    Tolerance { relative: OF_THE_RESULT * unit, absolute: OF_THE_TERMS * unit + curve }
}

/// How far the sum of a channel's values, and that of their squares, may be from those of the rounded values: a kernel may
/// sum up what it has not rounded yet. Of n values y the roundings' sum is about unit * sqrt(sum of y^2), as they have
/// no sign in common, and that of the squares' roundings 2 * unit * sqrt(sum of y^4), with sqrt(3 / n) * sum of y^2 for
/// the root.
pub fn of_sums(element: Element, pixels: usize, squares: f64) -> [f64; 2] {
    let unit = f64::from(unit(element));
    let sum = (DEVIATIONS * unit + OF_CHAINS) * squares.sqrt();
    [sum, (DEVIATIONS * 2.0 * unit * (3.0 / pixels as f64).sqrt() + OF_CHAINS) * squares]
}

/// The power of two that brings the root mean square of sums of `depth` products of two made-up values to 0.33 to 0.66:
/// that of one is 85 / 256.
pub fn scale(depth: usize) -> f32 {
    (-(depth.max(1) as f32).sqrt().log2().floor()).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_any_depth_are_scaled_to_about_a_half() {
        for depth in [1, 2, 3, 4, 27, 36, 576, 4608, 23_904, 100_352] {
            let root_mean_square = 85.0 / 256.0 * (depth as f32).sqrt() * scale(depth);
            assert!((0.33..0.67).contains(&root_mean_square), "{depth}: {root_mean_square}");
            assert_eq!(scale(depth).log2().fract(), 0.0);
        }
    }

    #[test]
    fn a_slope_that_is_ignored_a_term_that_is_missing_and_a_sum_that_is_off_are_beyond_every_tolerance() {
        for element in [Element::F32, Element::F16, Element::Bf16] {
            let Tolerance { relative, absolute } = of_values(element, Activation::LeakyRelu(1e-3));
            let slope = 1e-3;
            // -1, and 0 instead of -slope.
            assert!(slope > 4.0 * (relative * slope + absolute * slope), "{element:?}");
            // Half a term less of a result of 2.
            assert!(0.5 > 4.0 * (relative * 2.0 + absolute), "{element:?}");
            let pixels = 2 * 7 * 13;
            let [_, squares] = of_sums(element, pixels, 1.0);
            assert!(squares < 0.05, "{element:?}: {squares}");
            let [sum, squares] = of_sums(element, 1 << 20, f64::from(1 << 20) * 0.25);
            assert!(squares < 0.01 * f64::from(1 << 20) * 0.25 && sum < 0.1 * 512.0, "{element:?}: {sum}, {squares}");
        }
    }
}
