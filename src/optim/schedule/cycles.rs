//! Schedules that fall to the lowest rate and may start again.

use std::f64::consts::PI;

use anyhow::{Result, ensure};

/// `--lr-cycle-mul`, `--lr-cycle-decay` and `--lr-cycle-limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycles {
    /// The length of a cycle in terms of the one before it.
    pub multiplier: f64,
    /// The highest rate of a cycle in terms of the one before it.
    pub decay: f64,
    /// After so many cycles the rate stays at its lowest.
    pub limit: u64,
}

/// One cycle to the end of the run, with timm's default decay.
impl Default for Cycles {
    fn default() -> Self {
        Self { multiplier: 1.0, decay: 0.5, limit: 1 }
    }
}

/// Where a time lies within its cycle.
struct Place {
    /// The highest rate of the cycle.
    top: f64,
    /// Time since the cycle's start.
    t: f64,
    /// The cycle's length.
    length: f64,
}

/// The ends of the tangent: timm's.
const TANH_ENDS: [f64; 2] = [-7.0, 3.0];

impl Cycles {
    pub(super) fn check(&self) -> Result<()> {
        let Self { multiplier, decay, .. } = *self;
        ensure!(multiplier.is_finite() && multiplier > 0.0, "--lr-cycle-mul must be positive, got {multiplier}");
        ensure!(decay.is_finite() && decay >= 0.0, "--lr-cycle-decay must not be negative, got {decay}");
        Ok(())
    }

    /// The length of all cycles when the first takes `first`.
    pub(super) fn length(&self, first: u64) -> u64 {
        let cycles = self.limit.max(1);
        if self.multiplier == 1.0 {
            return first.saturating_mul(cycles);
        }
        let factor = (self.multiplier.powf(cycles as f64) - 1.0) / (1.0 - self.multiplier);
        (-(first as f64) * factor).floor() as u64
    }

    /// Nothing after the last cycle.
    fn place(&self, t: u64, first: u64, base: f64) -> Option<Place> {
        let (cycle, start, length) = if self.multiplier == 1.0 {
            let cycle = t / first;
            (cycle as f64, (first * cycle) as f64, first as f64)
        } else {
            let multiplier = self.multiplier;
            let (t, first) = (t as f64, first as f64);
            let cycle = ((1.0 - t / first * (1.0 - multiplier)).ln() / multiplier.ln()).floor();
            let scale = multiplier.powf(cycle);
            (cycle, (1.0 - scale) / (1.0 - multiplier) * first, scale * first)
        };
        // Not a number after the end of ever shorter cycles, so the comparison is false there too.
        let within = cycle < self.limit as f64;
        // Rounding can put a cycle's first moment just before its start.
        within.then(|| Place { top: base * self.decay.powf(cycle), t: (t as f64 - start).max(0.0), length })
    }

    pub(super) fn cosine(&self, t: u64, first: u64, [min, base]: [f64; 2], k: f64) -> f64 {
        self.place(t, first, base).map_or(min, |place| {
            min + 0.5 * (place.top - min) * (1.0 + (PI * place.t.powf(k) / place.length.powf(k)).cos())
        })
    }

    pub(super) fn tanh(&self, t: u64, first: u64, [min, base]: [f64; 2]) -> f64 {
        self.place(t, first, base).map_or(min, |place| {
            let passed = place.t / place.length;
            let at = TANH_ENDS[0] * (1.0 - passed) + TANH_ENDS[1] * passed;
            min + 0.5 * (place.top - min) * (1.0 - at.tanh())
        })
    }

    pub(super) fn poly(&self, t: u64, first: u64, [min, base]: [f64; 2], power: f64, k: f64) -> f64 {
        self.place(t, first, base).map_or(min, |place| {
            let left = 1.0 - place.t.powf(k) / place.length.powf(k);
            min + (place.top - min) * left.max(0.0).powf(power)
        })
    }
}
