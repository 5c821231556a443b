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
#[derive(Clone, Debug, PartialEq)]
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
    /// Both, one after the other.
    pub fn then(mut self, next: Self) -> Self {
        self.elapsed += next.elapsed;
        self.ops.extend(next.ops);
        self
    }
}
