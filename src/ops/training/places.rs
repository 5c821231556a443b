//! Where a network's parameters lie in the flat arrays of values, gradients and optimiser state.

use crate::ops::cuda::Element;
use crate::ops::{Activation, Piece, Slot};

/// A parameter's elements in every flat array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first element.
    pub start: usize,
    pub len: usize,
}

impl Place {
    /// The place in an array of f32.
    pub fn words(self) -> Slot {
        self.of(Element::F32)
    }

    /// The place in an array of `element`.
    pub fn of(self, element: Element) -> Slot {
        Slot { offset: self.start * element.size(), bytes: self.len * element.size() }
    }
}

/// A batch norm's parameters, `[channels]` each, padding channels 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormPlaces {
    pub weight: Place,
    pub bias: Place,
    /// Running statistics.
    pub mean: Place,
    pub variance: Place,
}

/// A linear layer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinePlaces {
    /// `[outputs, inputs]`
    pub weight: Place,
    pub bias: Place,
}

/// A gate's two layers, and what stands between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatePlaces {
    pub reduce: AffinePlaces,
    pub expand: AffinePlaces,
    pub between: Activation,
}

/// Where a part of a joined filter lies there, and where among the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterPart {
    pub piece: Piece,
    pub place: Place,
}

/// Where a convolution's weight is.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Among the parameters, as the convolution takes it.
    Parameter(Place),
    /// A variable, read last, joined of these; for a gradient, those of them that get one.
    Joined(Vec<FilterPart>),
}
