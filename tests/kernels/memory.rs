//! Buffers that kernels work on, wherever that is, and the run of a launch.

use std::ops::Deref;

use half::{bf16, f16};
use tresnet::ops::cuda::{Element, Launch, Region};

use crate::place;

/// Bytes on each side of a buffer that nothing may touch.
const GUARD: usize = 256;
/// What fills guards and fresh memory: a NaN in every type.
const POISON: u8 = 0xff;

/// A buffer between two guards.
pub struct Memory {
    region: Region,
    guarded: Region,
}

impl Deref for Memory {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.region
    }
}

impl Memory {
    /// Full of NaN.
    pub fn fresh(bytes: usize) -> Self {
        let guarded = place::allocate(bytes + 2 * GUARD);
        place::write(&guarded, &vec![POISON; guarded.bytes()]);
        Self { region: guarded.part(GUARD, bytes).unwrap(), guarded }
    }

    pub fn of_bytes(bytes: &[u8]) -> Self {
        let memory = Self::fresh(bytes.len());
        place::write(&memory, bytes);
        memory
    }

    pub fn floats(values: &[f32]) -> Self {
        Self::values(Element::F32, values)
    }

    pub fn values(element: Element, values: &[f32]) -> Self {
        Self::of_bytes(&element.bytes_of(values))
    }

    pub fn ints(values: &[i32]) -> Self {
        Self::of_bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    pub fn doubles(values: &[f64]) -> Self {
        Self::of_bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// What it holds; fails where something was written beside it.
    fn read<const SIZE: usize>(&self) -> Vec<[u8; SIZE]> {
        let all = place::read(&self.guarded);
        let (before, rest) = all.split_at(GUARD);
        let (own, after) = rest.split_at(self.bytes());
        assert!(before.iter().chain(after).all(|&byte| byte == POISON), "a kernel wrote beside its memory");
        own.chunks_exact(SIZE).map(|chunk| chunk.try_into().unwrap()).collect()
    }

    pub fn read_bytes(&self) -> Vec<u8> {
        self.read().into_iter().map(|[byte]| byte).collect()
    }

    pub fn read_floats(&self) -> Vec<f32> {
        self.read().into_iter().map(f32::from_le_bytes).collect()
    }

    pub fn read_values(&self, element: Element) -> Vec<f32> {
        match element {
            Element::F32 => self.read_floats(),
            Element::F16 => self.read().into_iter().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
            Element::Bf16 => self.read().into_iter().map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        }
    }

    pub fn read_ints(&self) -> Vec<i32> {
        self.read().into_iter().map(i32::from_le_bytes).collect()
    }

    pub fn read_doubles(&self) -> Vec<f64> {
        self.read().into_iter().map(f64::from_le_bytes).collect()
    }
}

/// Runs a launch twice from the same memory: what comes out must be the same to the bit. On the host the second run has
/// threads and blocks in falling order, so that a barrier that is missing shows.
pub fn run(launch: anyhow::Result<Launch>) {
    let launch = launch.unwrap_or_else(|error| panic!("{error:#}"));
    let snapshot = || -> Vec<Vec<u8>> { launch.regions().iter().map(place::read).collect() };
    let before = snapshot();
    place::launch(&launch, false);
    let first = snapshot();
    for (region, bytes) in launch.regions().iter().zip(&before) {
        place::write(region, bytes);
    }
    place::launch(&launch, true);
    assert!(first == snapshot(), "{launch}: the result depends on the order of threads");
}
