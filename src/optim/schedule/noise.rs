//! Noise on the learning rate. timm draws it from PyTorch's generator, seeded with the time; so do we, to the bit.

use std::f64::consts::TAU;

use anyhow::{Result, ensure};

/// `--lr-noise`, `--lr-noise-pct`, `--lr-noise-std` and `--seed`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Where it starts, as a share of the schedule.
    pub from: f64,
    /// Where it ends; without, it lasts.
    pub to: Option<f64>,
    /// Draws of this magnitude and more are drawn again.
    pub limit: f64,
    pub deviation: f64,
    pub seed: u64,
}

impl Noise {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.limit > 0.0, "--lr-noise-pct must be positive, got {}", self.limit);
        ensure!(
            self.deviation.is_finite() && self.deviation >= 0.0,
            "--lr-noise-std must be finite and not negative, got {}",
            self.deviation
        );
        // Below this a draw within the limit would take too long to wait for.
        ensure!(
            self.limit >= 1e-4 * self.deviation,
            "--lr-noise-pct {} leaves hardly anything of --lr-noise-std {}",
            self.limit,
            self.deviation
        );
        Ok(())
    }

    /// The relative change at time `t` of a schedule of `length`.
    pub(super) fn at(&self, t: u64, length: u64) -> Option<f64> {
        let share = |share: f64| share * length as f64;
        let within = t as f64 >= share(self.from) && self.to.is_none_or(|to| (t as f64) < share(to));
        within.then(|| {
            let mut normals = Normals::new(self.seed.wrapping_add(t));
            loop {
                let noise = normals.draw() * self.deviation;
                if noise.abs() < self.limit {
                    return noise;
                }
            }
        })
    }
}

/// What `torch.randn(1)` returns, one draw after the other: Box-Muller's transform on doubles, rounded to f32.
struct Normals {
    generator: MersenneTwister,
    /// The second value of the last transform.
    kept: Option<f64>,
}

impl Normals {
    fn new(seed: u64) -> Self {
        Self { generator: MersenneTwister::new(seed as u32), kept: None }
    }

    fn draw(&mut self) -> f64 {
        let normal = self.kept.take().unwrap_or_else(|| {
            let [angle, radius] = [self.generator.unit(), self.generator.unit()];
            let radius = (-2.0 * (-radius).ln_1p()).sqrt();
            let angle = TAU * angle;
            self.kept = Some(radius * angle.sin());
            radius * angle.cos()
        });
        f64::from(normal as f32)
    }
}

/// MT19937 (Matsumoto and Nishimura 1998).
struct MersenneTwister {
    state: [u32; Self::LEN],
    next: usize,
}

impl MersenneTwister {
    const LEN: usize = 624;
    const MIDDLE: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::LEN];
        for at in 1..Self::LEN {
            let before = state[at - 1];
            state[at] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(at as u32);
        }
        Self { state, next: Self::LEN }
    }

    fn twist(&mut self) {
        for at in 0..Self::LEN {
            let joined = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % Self::LEN] & 0x7FFF_FFFF);
            let odd = if joined & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[at] = self.state[(at + Self::MIDDLE) % Self::LEN] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::LEN {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C_5680;
        word ^= (word << 15) & 0xEFC6_0000;
        word ^ (word >> 18)
    }

    /// Uniform in [0, 1), 53 bits of two words.
    fn unit(&mut self) -> f64 {
        let bits = (u64::from(self.word()) << 32) | u64::from(self.word());
        (bits & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
