//! What a device took for a batch, one thing that it was given after the other.

use std::time::Duration;

/// A batch on a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceProfile {
    /// As it is always computed: all of it recorded, and launched as a whole.
    pub elapsed: Duration,
    /// In their order, one at a time.
    pub ops: Vec<DeviceOp>,
}

/// A kernel of our own, or a plan of cuDNN's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceOp {
    /// The kernel's name, or by what engine of cuDNN's.
    pub name: String,
    /// What others do too, with other sizes.
    pub kind: String,
    /// What it works on.
    pub shape: String,
    pub time: Duration,
    /// Floating-point operations of a convolution, a product with its addition being two; of other kernels none are
    /// counted, as bytes are what holds them up.
    pub flops: u64,
    /// What it is given and leaves, each once.
    pub bytes: u64,
}

impl DeviceProfile {
    /// Of two of the same batch the faster one as a whole, and the faster one op by op.
    pub fn fastest(self, other: Self) -> Self {
        let of_ops = |profile: &Self| profile.ops.iter().map(|op| op.time).sum::<Duration>();
        let elapsed = self.elapsed.min(other.elapsed);
        Self { elapsed, ..if of_ops(&other) < of_ops(&self) { other } else { self } }
    }

    /// Both, one after the other.
    pub fn then(mut self, next: Self) -> Self {
        self.elapsed += next.elapsed;
        self.ops.extend(next.ops);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_whole_and_the_fastest_ops_may_be_of_two_runs() {
        let profile = |elapsed, times: [u64; 2]| DeviceProfile {
            elapsed: Duration::from_millis(elapsed),
            ops: times.map(|time| DeviceOp { time: Duration::from_millis(time), ..DeviceOp::default() }).into(),
        };
        let (one, other) = (profile(5, [4, 3]), profile(6, [5, 1]));
        assert_eq!(one.clone().fastest(other.clone()), profile(5, [5, 1]));
        assert_eq!(other.fastest(one), profile(5, [5, 1]));
    }
}
