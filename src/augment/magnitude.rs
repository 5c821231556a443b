//! An operation that a policy may try: how likely, how strong, and how much the strength varies.

use super::Step;
use super::operation::{FULL, Hints, Operation};
use crate::random::Draws;

/// How the strength of an operation varies from picture to picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    None,
    /// A normal variate of this deviation around the magnitude.
    Normal(f64),
    /// Anything between none and the magnitude.
    Uniform,
}

/// The strength of operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Magnitude {
    pub value: f64,
    pub spread: Spread,
    /// Upper limit of what is drawn.
    pub most: f64,
}

/// An operation, how likely it is and how strong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    pub operation: Operation,
    pub probability: f64,
    pub magnitude: Magnitude,
}

impl Spread {
    /// A deviation of zero is none.
    pub fn normal(deviation: f64) -> Self {
        if deviation > 0.0 { Self::Normal(deviation) } else { Self::None }
    }
}

impl Magnitude {
    /// Up to 10.
    pub fn new(value: f64, spread: Spread) -> Self {
        Self { value, spread, most: FULL }
    }

    /// The magnitude for one picture.
    pub fn draw(&self, draws: &mut Draws) -> f64 {
        let value = match self.spread {
            Spread::None => self.value,
            Spread::Normal(deviation) => draws.normal(self.value, deviation),
            Spread::Uniform => draws.uniform(0.0, self.value),
        };
        value.clamp(0.0, self.most)
    }
}

impl Trial {
    /// What to do to one picture, if anything.
    pub fn draw(&self, hints: &Hints, draws: &mut Draws) -> Option<Step> {
        draws.chance(self.probability).then(|| {
            let magnitude = self.magnitude.draw(draws);
            self.operation.step(magnitude, hints, draws)
        })
    }
}
