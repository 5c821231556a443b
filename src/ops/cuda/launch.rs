//! A kernel's launch: its name, grid and arguments, checked against the memory that it will touch.
//!
//! Launches are plain values, made the same way with and without a GPU: a device runs them (`device.rs`), and the tests
//! run them on the host.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};

use super::element::Element;
use crate::ops::Activation;

/// Threads of every block: `BLOCK` of kernel.cuh.
pub const BLOCK: usize = 256;
/// Channels that a thread takes, and of which feature maps on a device have a multiple.
pub const EIGHT: usize = 8;
/// What kernels take in place of a slope for SiLU: `SILU` of kernel.cuh.
const SILU: f32 = 2.0;
/// What every region is aligned to: one access of a thread.
pub const ALIGNMENT: usize = 16;

/// The number of channels of a feature map on a device: a multiple of eight, those beyond the network's own being 0.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(EIGHT)
}

/// Memory that a kernel may read and write, and what keeps it alive.
#[derive(Clone)]
pub struct Region {
    address: u64,
    bytes: usize,
    owner: Arc<dyn Any + Send + Sync>,
}

impl Region {
    /// # Safety
    /// Kernels may read and write `bytes` from `address` while `owner` lives, and nothing but kernels and copies in the
    /// order of one stream does.
    pub unsafe fn new(address: u64, bytes: usize, owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self { address, bytes, owner }
    }

    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// `bytes` of it from `offset` on.
    pub fn part(&self, offset: usize, bytes: usize) -> Result<Self> {
        ensure!(
            offset.checked_add(bytes).is_some_and(|end| end <= self.bytes),
            "{bytes} bytes from {offset} are not within a region of {}",
            self.bytes
        );
        Ok(Self { address: self.address + offset as u64, bytes, owner: self.owner.clone() })
    }
}

/// What a kernel is given, in the order of its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// A pointer; 0 where nothing is given.
    Address(u64),
    Int(i32),
    Float(f32),
}

/// A checked launch.
pub struct Launch {
    kernel: String,
    what: String,
    grid: [u32; 3],
    arguments: Vec<Argument>,
    /// What the addresses point to, in their order, of those that are not 0.
    regions: Vec<Region>,
}

impl Launch {
    /// The kernel's name with its element's.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Blocks of [`BLOCK`] threads along each axis.
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// The shape that it works on.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Bytes that its kernel is given and leaves, each argument's once.
    pub fn bytes(&self) -> usize {
        self.regions.iter().map(Region::bytes).sum()
    }

    /// What keeps the arguments' memory alive: of each address that is not 0 as many bytes as the kernel may touch.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }
}

/// The op and its shape, for errors: `blur_pool_f16 of [8, 56, 56, 64]`.
impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kernel, self.what)
    }
}

/// Gathers a launch's arguments. The first thing that does not fit is what [`Self::grid`] and [`Self::threads`] return.
pub(super) struct Builder {
    launch: Launch,
    element: Element,
    error: Option<anyhow::Error>,
}

impl Builder {
    /// The kernel `<name>_<element>`; `what` is the shape that errors name.
    pub fn new(name: &str, element: Element, what: impl fmt::Display) -> Self {
        Self { element, ..Self::plain(&format!("{name}_{}", element.name()), what) }
    }

    /// A kernel that is the same for every element.
    pub fn plain(name: &str, what: impl fmt::Display) -> Self {
        let launch = Launch {
            kernel: name.to_owned(),
            what: what.to_string(),
            grid: [0; 3],
            arguments: Vec::new(),
            regions: Vec::new(),
        };
        Self { launch, element: Element::F32, error: None }
    }

    /// A pointer to `count` elements.
    pub fn values(self, region: &Region, count: usize) -> Self {
        let bytes = count * self.element.size();
        self.bytes(region, bytes)
    }

    /// A pointer to `count` f32 or i32.
    pub fn words(self, region: &Region, count: usize) -> Self {
        self.bytes(region, count * 4)
    }

    pub fn bytes(mut self, region: &Region, bytes: usize) -> Self {
        if bytes > region.bytes || !region.address.is_multiple_of(ALIGNMENT as u64) {
            let number = self.launch.arguments.len();
            self.refuse(|| anyhow!("argument {number} takes {bytes} aligned bytes, its region has {}", region.bytes));
        }
        self.launch.arguments.push(Argument::Address(region.address));
        self.launch.regions.push(Region { bytes, ..region.clone() });
        self
    }

    pub fn optional_values(self, region: Option<&Region>, count: usize) -> Self {
        match region {
            Some(region) => self.values(region, count),
            None => self.nothing(),
        }
    }

    pub fn optional_words(self, region: Option<&Region>, count: usize) -> Self {
        match region {
            Some(region) => self.words(region, count),
            None => self.nothing(),
        }
    }

    fn nothing(mut self) -> Self {
        self.launch.arguments.push(Argument::Address(0));
        self
    }

    pub fn float(mut self, value: f32) -> Self {
        self.launch.arguments.push(Argument::Float(value));
        self
    }

    /// An activation, for a kernel that computes it with `activate`.
    pub fn activation(self, activation: Activation) -> Self {
        self.float(if activation.is_curved() { SILU } else { activation.slope() })
    }

    pub fn int(mut self, value: usize) -> Self {
        let fitting = i32::try_from(value);
        if fitting.is_err() {
            self.refuse(|| anyhow!("{value} is beyond what kernels count to"));
        }
        self.launch.arguments.push(Argument::Int(fitting.unwrap_or(0)));
        self
    }

    pub fn ints(self, values: impl IntoIterator<Item = usize>) -> Self {
        values.into_iter().fold(self, Self::int)
    }

    /// Something else that has to hold.
    pub fn require(mut self, holds: bool, otherwise: impl FnOnce() -> String) -> Self {
        if !holds {
            self.refuse(|| anyhow!(otherwise()));
        }
        self
    }

    /// Channels of a feature map on a device.
    pub fn channels(self, channels: usize) -> Self {
        self.require(channels > 0 && channels.is_multiple_of(EIGHT), || {
            format!("{channels} channels are no multiple of {EIGHT}")
        })
    }

    fn refuse(&mut self, error: impl FnOnce() -> anyhow::Error) {
        self.error.get_or_insert_with(error);
    }

    /// A grid of blocks.
    pub fn grid(mut self, blocks: [usize; 3]) -> Result<Launch> {
        // The CUDA programming guide's limits of a grid.
        const MOST: [usize; 3] = [i32::MAX as usize, 65_535, 65_535];
        if let Some(error) = self.error {
            return Err(error.context(format!("cannot launch {}", self.launch)));
        }
        ensure!(
            blocks.iter().zip(MOST).all(|(&blocks, most)| (1..=most).contains(&blocks)),
            "cannot launch {}: a grid of {blocks:?} blocks; take another batch size",
            self.launch
        );
        self.launch.grid = blocks.map(|blocks| blocks as u32);
        Ok(self.launch)
    }

    /// At least so many threads in one row of blocks.
    pub fn threads(self, threads: usize) -> Result<Launch> {
        // Kernels compute their place in i32.
        let fits = threads + BLOCK <= i32::MAX as usize;
        let launch = self.require(fits, || format!("{threads} threads are too many: take a smaller batch"));
        launch.grid([threads.div_ceil(BLOCK), 1, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(bytes: usize) -> Region {
        // SAFETY: nothing runs a launch here.
        unsafe { Region::new(1 << 12, bytes, Arc::new(())) }
    }

    #[test]
    fn memory_that_is_too_small_is_refused_with_op_and_shape() {
        let launch = |bytes| Builder::new("add", Element::F16, "[1, 2, 2, 8]").values(&region(bytes), 32).threads(4);
        assert_eq!(launch(64).unwrap().to_string(), "add_f16 of [1, 2, 2, 8]");
        assert_eq!(launch(80).unwrap().regions()[0].bytes(), 64, "no more than the kernel touches");
        let refused = format!("{:#}", launch(63).err().unwrap());
        assert_eq!(
            refused,
            "cannot launch add_f16 of [1, 2, 2, 8]: argument 0 takes 64 aligned bytes, its region has 63"
        );
    }

    #[test]
    fn parts_stay_within_their_region_and_are_aligned_where_kernels_read() {
        let whole = region(64);
        assert!(whole.part(32, 33).is_err() && whole.part(usize::MAX, 2).is_err());
        let part = whole.part(32, 32).unwrap();
        assert_eq!((part.address(), part.bytes()), (whole.address() + 32, 32));
        let crooked = whole.part(8, 16).unwrap();
        assert!(Builder::plain("x", "y").words(&crooked, 4).threads(1).is_err());
    }

    #[test]
    fn a_launchs_bytes_are_those_of_its_arguments_that_are_there() {
        let (values, words) = (region(64), region(32));
        let launch = Builder::new("add", Element::F16, "[1, 2, 2, 8]").values(&values, 32).words(&words, 4);
        assert_eq!(launch.optional_values(None, 32).float(1.0).threads(4).unwrap().bytes(), 64 + 16);
    }

    #[test]
    fn counts_beyond_i32_and_empty_grids_are_refused() {
        assert!(Builder::plain("x", "y").int(1 << 31).threads(1).is_err());
        assert!(Builder::plain("x", "y").threads(i32::MAX as usize).is_err());
        assert!(Builder::plain("x", "y").grid([1, 0, 1]).is_err());
        assert!(Builder::plain("x", "y").channels(12).threads(1).is_err());
    }
}
