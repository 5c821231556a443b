//! What a plan is verified on: maps where the network's own will lie, all else beside them.

use anyhow::Result;

use super::norms::MadeNorm;
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
    pub norm: Option<MadeNorm>,
}

/// The tensors of a verification.
pub struct Made<'a> {
    pub own: &'a dyn Operands,
    pub room: &'a Room,
}

impl Operands for Made<'_> {
    fn region(&self, role: Role, bytes: usize) -> Result<&Region> {
        let norm = self.room.norm.as_ref().map(|made| &made.norm);
        match (role, norm) {
            (Role::W, _) => Ok(&self.room.weight),
            (Role::Bias, _) if bytes == self.room.rounded_bias.bytes() => Ok(&self.room.rounded_bias),
            (Role::Bias, _) => Ok(&self.room.bias),
            (Role::NormWeight, Some(norm)) => Ok(&norm.weight),
            (Role::NormBias, Some(norm)) => Ok(&norm.bias),
            (Role::NormMean, Some(norm)) => Ok(&norm.mean),
            (Role::NormInverse, Some(norm)) => Ok(&norm.inverse),
            _ => self.own.region(role, bytes),
        }
    }
}
