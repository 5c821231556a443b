//! What this machine can do at most, measured: the yardstick of a profile.

mod bandwidth;
mod device;
#[cfg(feature = "cuda")]
mod gpu;
mod peak;

use super::Isa;

pub use bandwidth::Bandwidth;
pub use device::device_limits;

/// The most that all cores together reached, or a GPU.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Floating-point operations a second of the set's products: f32's, and bf16's where the set has them. Of a GPU those
    /// of the type that it was asked for; infinite where nobody could measure them.
    pub flops: f64,
    pub bf16_flops: Option<f64>,
    /// From the smallest working set to the largest.
    pub bandwidths: Vec<Bandwidth>,
}

impl Limits {
    /// Measures for about a second, on the threads that the ops use.
    pub fn measure(isa: Isa) -> Self {
        let flops = peak::flops(isa.exact());
        let bf16_flops = isa.is_bf16().then(|| peak::flops(isa));
        Self { flops, bf16_flops, bandwidths: bandwidth::measure() }
    }

    /// Bytes a second for an op that touches `bytes`: what the smallest measured working set that is no smaller gave.
    pub fn bandwidth(&self, bytes: u64) -> f64 {
        let fitting = self.bandwidths.iter().find(|measured| measured.bytes as u64 >= bytes);
        fitting.or(self.bandwidths.last()).map_or(f64::INFINITY, |measured| measured.bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_is_held_against_the_level_that_holds_its_bytes() {
        let level = |bytes, bytes_per_second| Bandwidth { bytes, bytes_per_second };
        let limits = Limits { flops: 1.0, bf16_flops: None, bandwidths: vec![level(10, 90.0), level(100, 30.0)] };
        assert_eq!([1, 10, 11, 100, 101].map(|bytes| limits.bandwidth(bytes)), [90.0, 90.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    fn every_instruction_set_of_this_machine_has_limits() {
        for isa in Isa::available().into_iter().chain(Isa::bf16()) {
            let limits = Limits::measure(isa);
            assert!(limits.flops.is_finite() && limits.flops > 0.0, "{isa:?}: {limits:?}");
            assert_eq!(limits.bf16_flops.is_some(), isa.is_bf16());
            assert!(limits.bandwidths.is_sorted_by_key(|measured| measured.bytes), "{limits:?}");
            assert!(limits.bandwidths.iter().all(|measured| measured.bytes_per_second > 0.0), "{limits:?}");
        }
    }
}
