//! Randomness as a function: every number follows from a seed and from what it is for, so that neither the thread count
//! nor the order of the work changes a result, and a resumed run needs no stored generator.

mod draws;
mod gauss;

pub use draws::Draws;

/// Increment of a SplitMix64 sequence: 2^64 over the golden ratio, made odd.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's output function (Steele, Lea and Flood 2014).
pub fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(GAMMA);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bits.
pub fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Uniform in [0, 1), 53 bits.
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A standard normal variate.
pub fn normal(bits: u64) -> f64 {
    normals(bits).0
}

/// Two independent standard normal variates (Box and Muller 1958).
pub fn normals(bits: u64) -> (f64, f64) {
    // 1 - unit is in (0, 1], where the logarithm is finite.
    let radius = (-2.0 * (1.0 - unit(bits)).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * unit(mix(bits))).sin_cos();
    (radius * cos, radius * sin)
}
