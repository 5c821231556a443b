//! Learning rates over whole runs.

use serde::Deserialize;
use serde_json::{Map, Value};
use tresnet::optim::{Cycles, Goal, LearningRate, Noise, Schedule, ScheduleKind, ScheduleOptions};

use super::fixture;

#[derive(Deserialize)]
struct Run {
    name: String,
    arguments: Map<String, Value>,
    epochs: u64,
    /// Rates, and how many times in a row.
    rates: Vec<(f64, u64)>,
    /// What each epoch ended with, for the plateau.
    #[serde(default)]
    metrics: Vec<f64>,
}

impl Run {
    fn number(&self, key: &str, default: f64) -> f64 {
        self.arguments.get(key).map_or(default, |value| value.as_f64().unwrap())
    }

    fn count(&self, key: &str, default: u64) -> u64 {
        self.number(key, default as f64) as u64
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.arguments.get(key).map_or(default, |value| value.as_bool().unwrap())
    }

    fn kind(&self) -> ScheduleKind {
        let cycles = Cycles {
            multiplier: self.number("cycle_mul", 1.0),
            decay: self.number("cycle_decay", 0.5),
            limit: self.count("cycle_limit", 1),
        };
        let (k_decay, rate) = (self.number("k_decay", 1.0), self.number("decay_rate", 0.1));
        match self.arguments["sched"].as_str().unwrap() {
            "cosine" => ScheduleKind::Cosine { cycles, k_decay },
            "tanh" => ScheduleKind::Tanh { cycles },
            "poly" => ScheduleKind::Poly { cycles, power: rate, k_decay },
            "step" => ScheduleKind::Step { every: self.number("decay_epochs", 90.0), rate },
            "multistep" => {
                let milestones = serde_json::from_value(self.arguments["decay_milestones"].clone()).unwrap();
                ScheduleKind::MultiStep { milestones, rate }
            }
            "plateau" => {
                let lowest = self.arguments["plateau_mode"] == "min";
                let goal = if lowest { Goal::Lowest } else { Goal::Highest };
                ScheduleKind::Plateau { patience: self.count("patience_epochs", 10) as u32, rate, goal }
            }
            "torch-resnet" => ScheduleKind::TorchResnet,
            other => panic!("{other}"),
        }
    }

    fn schedule(&self) -> Schedule {
        let noise = self.arguments.get("noise").map(|range| {
            let range = range.as_array().cloned().unwrap_or(vec![range.clone()]);
            Noise {
                from: range[0].as_f64().unwrap(),
                to: range.get(1).map(|to| to.as_f64().unwrap()),
                limit: self.number("noise_pct", 0.67),
                deviation: self.number("noise_std", 1.0),
                seed: self.count("noise_seed", 42),
            }
        });
        let options = ScheduleOptions {
            kind: self.kind(),
            epochs: self.count("num_epochs", 300),
            warmup_epochs: self.count("warmup_epochs", 0),
            warmup_lr: self.number("warmup_lr", 1e-5),
            warmup_prefix: self.flag("warmup_prefix", false),
            cooldown_epochs: self.count("cooldown_epochs", 0),
            min_lr: self.number("min_lr", 0.0),
            noise,
            on_updates: !self.flag("step_on_epochs", true),
        };
        Schedule::new(options, self.number("lr", 0.1), self.count("updates_per_epoch", 1)).unwrap()
    }
}

/// Every rate of every run of the kind.
fn assert_kind_follows_timm(kind: &str) {
    let runs: Vec<Run> = fixture("schedules.json");
    let mut compared = 0;
    for run in runs.iter().filter(|run| run.arguments["sched"] == kind) {
        let mut schedule = run.schedule();
        assert_eq!(schedule.total_epochs(), run.epochs, "epochs of {}", run.name);
        let per_epoch = run.count("updates_per_epoch", 1);
        let expected = run.rates.iter().flat_map(|&(rate, count)| (0..count).map(move |_| rate));
        for (t, rate) in (0..).zip(expected) {
            let (epoch, update) = if schedule_by_update(run) { (t / per_epoch, t) } else { (t, t * per_epoch) };
            let ours = schedule.lr(epoch, update);
            // The mathematics libraries of two platforms differ in the last bit.
            assert!((ours - rate).abs() <= 1e-14 * rate.abs(), "{} at {t}: {ours}, not {rate}", run.name);
            if let Some(&metric) = run.metrics.get(t as usize) {
                schedule.observe(epoch + 1, metric);
            }
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} rates");
}

fn schedule_by_update(run: &Run) -> bool {
    !run.flag("step_on_epochs", true)
}

#[test]
fn cosine_rates_are_timms_with_cycles_noise_and_both_recipes() {
    assert_kind_follows_timm("cosine");
}

#[test]
fn step_rates_are_timms() {
    assert_kind_follows_timm("step");
}

#[test]
fn multistep_rates_are_timms() {
    assert_kind_follows_timm("multistep");
}

#[test]
fn poly_rates_are_timms() {
    assert_kind_follows_timm("poly");
}

#[test]
fn tanh_rates_are_timms() {
    assert_kind_follows_timm("tanh");
}

#[test]
fn plateau_rates_are_timms() {
    assert_kind_follows_timm("plateau");
}

#[test]
fn torch_resnets_cifar_rates_are_its_examples() {
    assert_kind_follows_timm("torch-resnet");
}

fn options(kind: ScheduleKind) -> ScheduleOptions {
    ScheduleOptions {
        kind,
        epochs: 30,
        warmup_epochs: 0,
        warmup_lr: 1e-5,
        warmup_prefix: false,
        cooldown_epochs: 0,
        min_lr: 0.0,
        noise: None,
        on_updates: false,
    }
}

#[test]
fn a_restored_plateau_goes_on_where_it_was() {
    let kind = ScheduleKind::Plateau { patience: 1, rate: 0.5, goal: Goal::Highest };
    let mut schedule = Schedule::new(options(kind), 0.1, 1).unwrap();
    schedule.observe(1, 50.0);
    schedule.observe(2, 50.0);
    let saved = serde_json::to_string(schedule.plateau_state()).unwrap();
    let mut resumed = schedule.clone();
    resumed.load_plateau_state(serde_json::from_str(&saved).unwrap());
    schedule.observe(3, 50.0);
    resumed.observe(3, 50.0);
    assert_eq!([schedule.lr(3, 3), resumed.lr(3, 3)], [0.05, 0.05]);
}

#[test]
fn a_plateau_by_update_is_refused() {
    let kind = ScheduleKind::Plateau { patience: 1, rate: 0.5, goal: Goal::Highest };
    let error = Schedule::new(ScheduleOptions { on_updates: true, ..options(kind) }, 0.1, 7).unwrap_err().to_string();
    assert!(error.contains("--sched-on-updates"), "{error}");
}

#[test]
fn milestones_out_of_order_are_refused() {
    let kind = ScheduleKind::MultiStep { milestones: vec![60, 30], rate: 0.1 };
    let error = Schedule::new(options(kind), 0.1, 1).unwrap_err().to_string();
    assert!(error.contains("[60, 30]"), "{error}");
}

#[test]
fn absurd_lengths_do_not_overflow() {
    let kind = ScheduleKind::Cosine { cycles: Cycles { limit: u64::MAX, ..Cycles::default() }, k_decay: 1.0 };
    let huge = ScheduleOptions { epochs: u64::MAX, cooldown_epochs: u64::MAX, on_updates: true, ..options(kind) };
    let schedule = Schedule::new(huge, 0.1, u64::MAX).unwrap();
    assert!(schedule.total_epochs() > 0);
    assert!(schedule.lr(u64::MAX, u64::MAX).is_finite());
}

#[test]
fn a_rate_without_lr_grows_with_the_batch() {
    let rate = LearningRate::default();
    assert_eq!(rate.resolve(1024, "sgd").unwrap(), 0.4);
    assert_eq!(rate.resolve(1024, "adamw").unwrap(), 0.2);
    assert_eq!(rate.resolve(1024, "lamb").unwrap(), 0.2);
    assert_eq!(LearningRate { fixed: Some(0.6), ..rate }.resolve(1520, "sgd").unwrap(), 0.6);
    assert_eq!(LearningRate { fixed: Some(0.0), ..rate }.resolve(256, "sgd").unwrap(), 0.1);
}
