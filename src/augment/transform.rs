//! What a loader does to every picture, whichever transform it was given.

use super::evaluation::Evaluation;
use super::training::{Training, Workspace};
use super::{Region, Rgb};
use crate::random::Draws;

/// Which picture of a pass over the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the image in the data set.
    pub sample: usize,
    /// Place in the order of the pass. No two pictures of a pass share it, also where an image comes again: what is
    /// random about a picture follows from it.
    pub position: usize,
}

/// From any picture to the square that a network sees. The result follows from the picture and its place alone.
pub trait Transform: Send + Sync {
    /// What a thread keeps between pictures: buffers, never results.
    type Room: Default;

    /// Side of the square that comes out, in pixels.
    fn side(&self) -> usize;

    /// Squares that come out of one picture.
    fn copies(&self) -> usize {
        1
    }

    /// The rectangle that [`Transform::apply`] looks at in a picture of `width` x `height`, neither of them 0: nothing
    /// else of it need be decoded.
    fn region(&self, width: usize, height: usize, _place: Place) -> Region {
        Region { left: 0, top: 0, width, height }
    }

    /// The evaluation that a device is to carry out where it decodes the picture itself; none where all are left to
    /// [`Transform::apply`].
    fn on_device(&self) -> Option<&Evaluation> {
        None
    }

    /// Writes the `[copies, side, side, 3]` bytes that the network sees of `image` into `out`. Around
    /// [`Transform::region`] the picture may hold anything.
    ///
    /// # Panics
    ///
    /// When the picture is empty or `out` has another length: the caller's mistakes.
    fn apply(&self, image: &Rgb, place: Place, room: &mut Self::Room, out: &mut [u8]);
}

/// The training transform of one epoch: what is random about a picture follows from the seed, the epoch and its
/// position.
#[derive(Clone, Debug)]
pub struct OfEpoch {
    pub transform: Training,
    pub seed: u64,
    pub epoch: u64,
    /// `--aug-splits`; 1 where there is but the picture itself.
    pub copies: usize,
}

impl OfEpoch {
    fn draws(&self, place: Place) -> Draws {
        Draws::new(self.seed, self.epoch, place.position as u64, "transform")
    }
}

impl Transform for OfEpoch {
    type Room = Workspace;

    fn side(&self) -> usize {
        self.transform.side()
    }

    fn copies(&self) -> usize {
        self.copies
    }

    fn region(&self, width: usize, height: usize, place: Place) -> Region {
        self.transform.region(width, height, &self.draws(place))
    }

    fn apply(&self, image: &Rgb, place: Place, workspace: &mut Workspace, out: &mut [u8]) {
        self.transform.apply(image, &mut self.draws(place), workspace, out);
    }
}
