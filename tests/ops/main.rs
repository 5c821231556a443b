//! The ops, forward and backward, against plain loops in f64.

mod bf16;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod emulator;
mod forward;
mod gradients;
mod padding;
#[path = "../common/random.rs"]
mod random;
mod reference;

use tresnet::ops::Isa;

/// Values in [-1, 1), the same at each call with the same name.
fn values(name: &str, len: usize) -> Vec<f32> {
    let stream = random::fnv1a64(name);
    let unit = |at: u64| (random::splitmix64(stream.wrapping_add(at)) >> 40) as f32 / (1u64 << 23) as f32;
    (0..len as u64).map(|at| unit(at) - 1.0).collect()
}

/// The sets whose products are in bf16, AMX's emulated where this processor lacks it.
fn bf16_sets() -> Vec<Isa> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    let tiles = emulator::tiles();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    let tiles = None;
    let vectors = Isa::bf16().map(|_| Isa::Avx512Bf16);
    vectors.into_iter().chain(tiles).collect()
}

/// [`values`] in f64.
fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}
