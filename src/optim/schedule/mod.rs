//! The learning rate over a run: timm's schedulers, a function of the epoch or of the update.
//!
//! Only the plateau remembers anything; all others give the same value for the same time, so that a resumed run needs
//! nothing but its place.

mod cycles;
mod learning_rate;
mod noise;
mod plateau;

use anyhow::{Result, ensure};

pub use cycles::Cycles;
pub use learning_rate::{LearningRate, Scaling};
pub use noise::Noise;
pub use plateau::{Goal, PlateauState};

use plateau::Plateau;

/// What a run's schedule is made of; lengths are in epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleOptions {
    pub kind: ScheduleKind,
    pub epochs: u64,
    pub warmup_epochs: u64,
    /// Where the warm-up starts.
    pub warmup_lr: f64,
    /// Whether the warm-up comes before the epochs of the schedule instead of taking their place.
    pub warmup_prefix: bool,
    /// Epochs at `min_lr` after the cycles of `Cosine`, `Tanh` and `Poly`.
    pub cooldown_epochs: u64,
    pub min_lr: f64,
    pub noise: Option<Noise>,
    /// Whether the rate changes with each update instead of each epoch.
    pub on_updates: bool,
}

/// How the rate falls after the warm-up.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Half a cosine a cycle (Loshchilov and Hutter, arXiv 1608.03983); `k_decay` bends the time (arXiv 2004.05909).
    Cosine { cycles: Cycles, k_decay: f64 },
    /// A hyperbolic tangent from -7 to 3 a cycle (arXiv 1806.01593).
    Tanh { cycles: Cycles },
    /// `(1 - t)^power` a cycle; timm takes the power from `--decay-rate`.
    Poly { cycles: Cycles, power: f64, k_decay: f64 },
    /// By `rate` every so many epochs.
    Step { every: f64, rate: f64 },
    /// By `rate` at each of the epochs, in rising order. As for timm, a milestone takes effect one epoch (or update)
    /// before the one that it names.
    MultiStep { milestones: Vec<u64>, rate: f64 },
    /// By `rate` when the metric has not improved for more than `patience` epochs.
    Plateau { patience: u32, rate: f64, goal: Goal },
    /// torch-resnet's for CIFAR: a tenth up to update 400, all of it up to 32,000, a tenth up to 48,000, then a
    /// hundredth. Always by update, without any other warm-up.
    TorchResnet,
}

/// A learning rate for every epoch or update of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    options: ScheduleOptions,
    base: f64,
    /// Steps of time in an epoch: 1, or the updates.
    unit: u64,
    warmup_slope: f64,
    plateau: Plateau,
}

impl Schedule {
    /// A schedule whose highest rate is `base`. `updates_per_epoch` counts the optimiser's steps.
    ///
    /// # Errors
    ///
    /// If a number is out of its range or the flags exclude each other.
    pub fn new(options: ScheduleOptions, base: f64, updates_per_epoch: u64) -> Result<Self> {
        options.check()?;
        ensure!(base.is_finite() && base > 0.0, "the learning rate must be positive and finite, got {base}");
        ensure!(updates_per_epoch > 0, "an epoch without an update leaves nothing to schedule");
        let unit = if options.on_updates { updates_per_epoch } else { 1 };
        let mut schedule = Self { options, base, unit, warmup_slope: 0.0, plateau: Plateau::new(base) };
        let warmup = schedule.warmup();
        if warmup > 0 {
            // timm's tanh warms up to where its curve will be, the others to the base.
            let to_curve =
                matches!(schedule.options.kind, ScheduleKind::Tanh { .. }) && !schedule.options.warmup_prefix;
            let top = if to_curve { schedule.fallen(warmup) } else { base };
            schedule.warmup_slope = (top - schedule.options.warmup_lr) / warmup as f64;
        }
        Ok(schedule)
    }

    /// Epochs to train: with the warm-up if that is a prefix, with all cycles and the cooldown.
    pub fn total_epochs(&self) -> u64 {
        let prefix = if self.options.warmup_prefix { self.options.warmup_epochs } else { 0 };
        let cycles = match &self.options.kind {
            ScheduleKind::Cosine { cycles, .. } | ScheduleKind::Tanh { cycles } | ScheduleKind::Poly { cycles, .. } => {
                cycles
            }
            _ => return self.options.epochs.saturating_add(prefix),
        };
        let cycles = cycles.length(self.time(self.options.epochs)) / self.unit;
        cycles.saturating_add(prefix).saturating_add(self.options.cooldown_epochs)
    }

    /// The rate at `epoch`, from 0, and `update`, the number of the whole run's updates before this one. Of the two the
    /// schedule looks at its own.
    pub fn lr(&self, epoch: u64, update: u64) -> f64 {
        if let ScheduleKind::TorchResnet = self.options.kind {
            return self.base * torch_resnet_factor(update);
        }
        let t = if self.options.on_updates { update } else { epoch };
        let warmup = self.warmup();
        if t == 0 {
            // timm asks its schedule for the first time when this step is over.
            return if warmup > 0 { self.options.warmup_lr } else { self.base };
        }
        let plateau = matches!(self.options.kind, ScheduleKind::Plateau { .. });
        // timm's plateau neither warms up past its last epoch nor makes noise before.
        if t < warmup || (plateau && t == warmup) {
            let lr = self.options.warmup_lr + t as f64 * self.warmup_slope;
            return if plateau { lr } else { self.with_noise(lr, t) };
        }
        let lr = if plateau { self.plateau.lr() } else { self.fallen(t) };
        self.with_noise(lr, t)
    }

    /// Tells the plateau the metric with which the epoch before `next_epoch` ended; other schedules need not know.
    pub fn observe(&mut self, next_epoch: u64, metric: f64) {
        if let ScheduleKind::Plateau { patience, rate, goal } = self.options.kind
            && next_epoch > self.options.warmup_epochs
        {
            self.plateau.observe(metric, goal, patience, rate, self.options.min_lr);
        }
    }

    /// What a resumed run needs beside its place.
    pub fn plateau_state(&self) -> &PlateauState {
        self.plateau.state()
    }

    pub fn load_plateau_state(&mut self, state: PlateauState) {
        self.plateau.load(state);
    }

    /// Epochs in the schedule's own time.
    fn time(&self, epochs: u64) -> u64 {
        epochs.saturating_mul(self.unit)
    }

    fn warmup(&self) -> u64 {
        self.time(self.options.warmup_epochs)
    }

    /// The rate at a time that is not before the warm-up's end.
    fn fallen(&self, t: u64) -> f64 {
        let options = &self.options;
        let t = if options.warmup_prefix { t - self.warmup() } else { t };
        let (length, range) = (self.time(options.epochs), [options.min_lr, self.base]);
        match &options.kind {
            ScheduleKind::Cosine { cycles, k_decay } => cycles.cosine(t, length, range, *k_decay),
            ScheduleKind::Tanh { cycles } => cycles.tanh(t, length, range),
            ScheduleKind::Poly { cycles, power, k_decay } => cycles.poly(t, length, range, *power, *k_decay),
            ScheduleKind::Step { every, rate } => self.base * step_factor(t, every * self.unit as f64, *rate),
            ScheduleKind::MultiStep { milestones, rate } => {
                let passed =
                    milestones.iter().filter(|&&milestone| self.time(milestone) <= t.saturating_add(1)).count();
                self.base * rate.powf(passed as f64)
            }
            ScheduleKind::Plateau { .. } | ScheduleKind::TorchResnet => self.base,
        }
    }

    fn with_noise(&self, lr: f64, t: u64) -> f64 {
        let noise = self.options.noise.as_ref().and_then(|noise| noise.at(t, self.time(self.options.epochs)));
        noise.map_or(lr, |noise| lr + lr * noise)
    }
}

/// The factor after a fall by `rate` in every `length` of time.
fn step_factor(t: u64, length: f64, rate: f64) -> f64 {
    // Python's floor division: rounding the quotient itself would be off by one where it is nearly whole.
    let t = t as f64;
    let falls = ((t - t % length) / length).round();
    rate.powf(falls)
}

/// The last update at each factor of torch-resnet's CIFAR example, and that factor.
const TORCH_RESNET: [(u64, f64); 3] = [(400, 0.1), (32_000, 1.0), (48_000, 0.1)];

/// torch-resnet's factor for an update, from 0.
fn torch_resnet_factor(update: u64) -> f64 {
    TORCH_RESNET.iter().find(|(last, _)| update <= *last).map_or(0.01, |(_, factor)| *factor)
}

impl ScheduleOptions {
    fn check(&self) -> Result<()> {
        ensure!(self.epochs > 0, "--epochs must be at least 1");
        let at_least_zero = |flag: &str, value: f64| {
            ensure!(value.is_finite() && value >= 0.0, "{flag} must be finite and not negative, got {value}");
            Ok(())
        };
        at_least_zero("--min-lr", self.min_lr)?;
        at_least_zero("--warmup-lr", self.warmup_lr)?;
        match &self.kind {
            ScheduleKind::Cosine { cycles, k_decay } | ScheduleKind::Poly { cycles, k_decay, .. } => {
                cycles.check()?;
                ensure!(k_decay.is_finite() && *k_decay > 0.0, "--lr-k-decay must be positive, got {k_decay}");
            }
            ScheduleKind::Tanh { cycles } => cycles.check()?,
            ScheduleKind::Step { every, rate } => {
                ensure!(every.is_finite() && *every > 0.0, "--decay-epochs must be positive, got {every}");
                at_least_zero("--decay-rate", *rate)?;
            }
            ScheduleKind::MultiStep { milestones, rate } => {
                ensure!(milestones.is_sorted(), "--decay-milestones must rise, got {milestones:?}");
                at_least_zero("--decay-rate", *rate)?;
            }
            ScheduleKind::Plateau { rate, .. } => {
                ensure!(!self.on_updates, "--sched plateau goes by epochs: leave --sched-on-updates out");
                ensure!((0.0..1.0).contains(rate), "--decay-rate must lie in [0, 1) for a plateau, got {rate}");
            }
            ScheduleKind::TorchResnet => {}
        }
        if let ScheduleKind::Poly { power, .. } = self.kind {
            at_least_zero("--decay-rate", power)?;
        }
        self.noise.as_ref().map_or(Ok(()), Noise::check)
    }
}
