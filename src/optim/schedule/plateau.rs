//! Falls when a metric stops improving: PyTorch's `ReduceLROnPlateau` with timm's settings.

use serde::{Deserialize, Serialize};

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Highest,
    Lowest,
}

/// What the plateau remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    lr: f64,
    /// None before the first metric.
    best: Option<f64>,
    /// Epochs since then, or since the last fall.
    bad_epochs: u32,
}

/// A relative change of less is none.
const THRESHOLD: f64 = 1e-4;
/// The rate is not changed by less.
const SMALLEST_FALL: f64 = 1e-8;

#[derive(Clone, Debug)]
pub(super) struct Plateau(PlateauState);

impl Plateau {
    pub fn new(lr: f64) -> Self {
        Self(PlateauState { lr, best: None, bad_epochs: 0 })
    }

    pub fn lr(&self) -> f64 {
        self.0.lr
    }

    pub fn state(&self) -> &PlateauState {
        &self.0
    }

    pub fn load(&mut self, state: PlateauState) {
        self.0 = state;
    }

    pub fn observe(&mut self, metric: f64, goal: Goal, patience: u32, rate: f64, min_lr: f64) {
        let Self(state) = self;
        let better = match (goal, state.best) {
            // The worst is infinite; what is not a number never improves.
            (Goal::Highest, best) => metric > best.unwrap_or(f64::NEG_INFINITY) * (1.0 + THRESHOLD),
            (Goal::Lowest, best) => metric < best.unwrap_or(f64::INFINITY) * (1.0 - THRESHOLD),
        };
        if better {
            state.best = Some(metric);
            state.bad_epochs = 0;
            return;
        }
        state.bad_epochs += 1;
        if state.bad_epochs > patience {
            state.bad_epochs = 0;
            let lr = (state.lr * rate).max(min_lr);
            if state.lr - lr > SMALLEST_FALL {
                state.lr = lr;
            }
        }
    }
}
