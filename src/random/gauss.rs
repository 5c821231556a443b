//! Many standard normal variates at once (Box and Muller 1958): logarithm, sine and cosine as polynomials, without
//! branches, so that the compiler takes several at a time.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, LN_2};

use super::mix;

/// Pairs that are made at once.
pub const PAIRS: usize = 8;

/// 1.5 times 2^52: a number added to it is rounded to a whole one, in the lowest bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// Two independent variates for each of `bits`; exact to 1e-10 or so, more than an f32 holds.
pub fn pairs(bits: &[u64; PAIRS]) -> [[f32; 2]; PAIRS] {
    let mut made = [[0.0; 2]; PAIRS];
    for (made, &bits) in made.iter_mut().zip(bits) {
        // 1 - unit is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * logarithm(1.0 - unit(bits))).sqrt();
        let (sine, cosine) = sine_and_cosine(unit(mix(bits)));
        *made = [(radius * cosine) as f32, (radius * sine) as f32];
    }
    made
}

/// Uniform in [0, 1), 52 bits.
#[inline(always)]
fn unit(bits: u64) -> f64 {
    f64::from_bits(1.0f64.to_bits() | bits >> 12) - 1.0
}

/// The natural logarithm of a normal number above 0.
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    // x = m 2^e with m from the square root of a half on, to that of two.
    let shifted = x.to_bits().wrapping_sub(FRAC_1_SQRT_2.to_bits());
    let exponent = (shifted as i64 >> 52) as i32;
    let m = f64::from_bits(x.to_bits().wrapping_sub(((shifted as i64 >> 52) << 52) as u64));
    // ln m = 2 artanh s, with |s| below 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let odd = [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    2.0 * s * polynomial(odd, square) + f64::from(exponent) * LN_2
}

/// Of a share of the whole turn.
#[inline(always)]
fn sine_and_cosine(turn: f64) -> (f64, f64) {
    let quarters = 4.0 * turn;
    let rounded = quarters + ROUND;
    let quadrant = rounded.to_bits();
    // At most a quarter of pi either way.
    let angle = (quarters - (rounded - ROUND)) * FRAC_PI_2;
    let square = angle * angle;
    let sine = [-1.0 / 39_916_800.0, 1.0 / 362_880.0, -1.0 / 5_040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    let cosine = [1.0 / 479_001_600.0, -1.0 / 3_628_800.0, 1.0 / 40_320.0, -1.0 / 720.0, 1.0 / 24.0, -1.0 / 2.0, 1.0];
    let (sine, cosine) = (angle * polynomial(sine, square), polynomial(cosine, square));
    // Every quadrant exchanges the two and changes a sign.
    let swap = (quadrant & 1).wrapping_neg();
    let exchanged = (sine.to_bits() ^ cosine.to_bits()) & swap;
    let (sine, cosine) = (sine.to_bits() ^ exchanged, cosine.to_bits() ^ exchanged);
    let negative = |bits: u64| (bits & 2) << 62;
    (f64::from_bits(sine ^ negative(quadrant)), f64::from_bits(cosine ^ negative(quadrant.wrapping_add(1))))
}

/// Of the coefficients, the highest power's first (Horner).
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f64; N], x: f64) -> f64 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::super::normals;
    use super::*;

    #[test]
    fn functions_are_the_exact_ones() {
        for n in 0..4_000 {
            let x = f64::from(n) / 4_000.0;
            let (sine, cosine) = sine_and_cosine(x);
            let angle = std::f64::consts::TAU * x;
            assert!((sine - angle.sin()).abs() < 1e-10 && (cosine - angle.cos()).abs() < 1e-10, "{x}");
            for x in [1.0 - x, (1.0 - x) * 1e-8, f64::EPSILON] {
                assert!((logarithm(x) - x.ln()).abs() < 1e-11, "{x}");
            }
        }
    }

    #[test]
    fn variates_are_those_that_are_made_one_by_one() {
        for start in 0..500 {
            let bits = std::array::from_fn(|n| mix(start * 8 + n as u64));
            for (pair, bits) in pairs(&bits).into_iter().zip(bits) {
                let (first, second) = normals(bits);
                assert!((f64::from(pair[0]) - first).abs() < 1e-6, "{bits}");
                assert!((f64::from(pair[1]) - second).abs() < 1e-6, "{bits}");
            }
        }
    }

    #[test]
    fn the_least_and_the_greatest_bits_give_numbers() {
        let bits = [0, u64::MAX, 1, u64::MAX << 12, 1 << 63, u64::MAX >> 1, 0xfff, 1 << 12];
        assert!(pairs(&bits).iter().flatten().all(|value| value.abs() < 9.0));
    }
}
