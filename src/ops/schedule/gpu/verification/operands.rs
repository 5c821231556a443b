//! What a plan is verified on: maps where the network's own will lie, all else beside them.

use anyhow::Result;

use super::sums::Statistics;
use crate::ops::cuda::Region;
use crate::ops::cudnn::Role;
use crate::ops::schedule::gpu::convolution::Operands;

/// Memory for what must not be made up in its own place, and for what is compared.
pub struct Room {
    pub weight: Region,
    /// In f32.
    pub bias: Region,
    /// The same values in the maps' element.
    pub rounded_bias: Region,
    /// By our own kernels: two images, or a weight's gradient in f32.
    pub expected: Region,
    /// What deviates.
    pub found: Region,
    pub statistics: Option<Statistics>,
}

/// The tensors of a verification.
pub struct Made<'a> {
    pub own: &'a dyn Operands,
    pub room: &'a Room,
}

impl Operands for Made<'_> {
    fn region(&self, role: Role, bytes: usize) -> Result<&Region> {
        match role {
            Role::W => Ok(&self.room.weight),
            Role::Bias if bytes == self.room.rounded_bias.bytes() => Ok(&self.room.rounded_bias),
            Role::Bias => Ok(&self.room.bias),
            _ => self.own.region(role, bytes),
        }
    }
}
