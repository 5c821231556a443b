//! The schedules of every network: no two values that live at a time share a byte, and the arena is little larger than
//! what lives at a time.

use tresnet::models::{Architecture, Request as Wanted, variants};
use tresnet::nn::{DeviceTraining, Drops, NormChoice, NormMode, TrainingOptions, Use};
use tresnet::ops::cuda::Element;
use tresnet::ops::training::{LossRule, Stepper, TargetKind, TrainingOp, UpdateRules};
use tresnet::ops::{Request, Schedule, Shape, Slot, Step};

/// Of every network that `tresnet models` lists: none is refused.
fn schedules() -> Vec<(&'static str, Schedule)> {
    let schedule = |variant: &'static tresnet::models::Variant| {
        let architecture = variant.network.architecture(&Wanted::new(variant.num_classes, 3)).unwrap();
        let image = Shape::new(8, variant.input_size, variant.input_size, 3);
        let schedule = architecture.graph.schedule(image, architecture.logits, Element::F16);
        (variant.name, schedule.unwrap_or_else(|error| panic!("{}: {error:#}", variant.name)))
    };
    variants().map(schedule).collect()
}

#[test]
fn every_step_of_every_network_finds_what_it_reads() {
    for (name, schedule) in schedules() {
        assert_eq!(schedule.conflict(), None, "{name}");
    }
}

#[test]
fn arenas_are_at_most_a_quarter_larger_than_what_lives_at_a_time() {
    for (name, schedule) in schedules() {
        let last_reader = |slot: Slot, from: usize| {
            let written_over = |step: &Step| step.writes().contains(&slot);
            let life = schedule.steps[from + 1..].iter().take_while(|step| !written_over(step));
            life.enumerate()
                .filter(|(_, step)| step.reads().contains(&slot))
                .last()
                .map_or(from, |(at, _)| from + 1 + at)
        };
        let values: Vec<Request> = schedule
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| Request { bytes: step.out().bytes, first: at, last: last_reader(step.out(), at) })
            .collect();
        let lives = |at: usize| values.iter().filter(move |value| value.first <= at && at <= value.last);
        let most = (0..values.len()).map(|at| lives(at).map(|value| value.bytes).sum::<usize>()).max().unwrap();
        let share = schedule.arena_bytes as f64 / most as f64;
        assert!((1.0..1.25).contains(&share), "{name}: {} bytes for {most}", schedule.arena_bytes);
    }
}

#[test]
fn a_value_written_over_while_it_is_needed_is_a_conflict() {
    let (_, sound) = schedules().swap_remove(0);
    // A block's input is also its shortcut: whoever writes there in between destroys it.
    let (reader, shortcut) = sound
        .steps
        .iter()
        .enumerate()
        .find_map(|(at, step)| match step {
            Step::SqueezeExcite { residual: Some(residual), .. } => Some((at, *residual)),
            _ => None,
        })
        .unwrap();
    let mut broken = sound.clone();
    let Step::Conv { out, .. } = &mut broken.steps[reader - 1] else { panic!("a convolution comes before the gate") };
    out.offset = shortcut.offset;
    let conflict = broken.conflict().unwrap();
    assert!(conflict.contains(&format!("step {reader} ")), "{conflict}");
}

#[test]
fn images_that_do_not_suit_the_network_and_maps_as_results_are_refused() {
    let variant = tresnet::models::find("tresnet_m").unwrap();
    let architecture = variant.network.architecture(&Wanted::new(10, 3)).unwrap();
    let graph = &architecture.graph;
    let error = graph.schedule(Shape::new(1, 30, 32, 3), architecture.logits, Element::F16).unwrap_err().to_string();
    assert!(error.contains("multiple of 4"), "{error}");
}

/// Of every network that `tresnet models` lists: none is refused.
fn trainings() -> Vec<(&'static str, DeviceTraining)> {
    let training = |variant: &'static tresnet::models::Variant| {
        let Architecture { graph, logits, .. } =
            variant.network.architecture(&Wanted::new(variant.num_classes, 3)).unwrap();
        let count = graph.parameters().iter().filter(|own| own.trainable).count();
        let training = DeviceTraining {
            frozen: vec![false; graph.parameters().len()],
            graph,
            logits,
            drops: Drops { features: 0.1, path: 0.2, seed: 0 },
            options: TrainingOptions {
                element: Element::F16,
                norms: NormMode::InPlace,
                loss: LossRule::CrossEntropy { smoothing: 0.1 },
                targets: TargetKind::Soft,
                bytes: false,
                checkpointing: false,
            },
            norms: NormChoice::ByMemory,
            rules: UpdateRules {
                stepper: Stepper::Sgd { momentum: 0.9, nesterov: true },
                clip: None,
                scaling: None,
                groups: vec![[1.0, 0.0]; count],
                averages: true,
            },
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
            deterministic: false,
            scale: 1.0,
        };
        (variant.name, training)
    };
    variants().map(training).collect()
}

#[test]
fn every_step_of_every_training_finds_what_it_reads_and_asks_for_the_planned_convolutions() {
    for (name, training) in trainings() {
        let side = tresnet::models::find(name).unwrap().input_size;
        let image = Shape::new(4, side, side, 3);
        let schedule = |norms| training.schedule(image, norms).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let [inplace, stored] = [NormMode::InPlace, NormMode::Stored].map(schedule);
        assert_eq!((inplace.conflict(), stored.conflict()), (None, None), "{name}");
        assert!(inplace.arena_bytes <= stored.arena_bytes, "{name}: in place takes more");
        let steps = inplace.steps.iter().chain(&stored.steps);
        let asked = steps.filter_map(|step| match &step.op {
            TrainingOp::Conv { problem, .. }
            | TrainingOp::ConvInputGradient { problem, .. }
            | TrainingOp::ConvWeightGradient { problem, .. } => Some(problem.to_string()),
            _ => None,
        });
        let planned = training.graph.conv_problems(image, Use::Training).unwrap();
        let planned: Vec<String> = planned.iter().map(ToString::to_string).collect();
        let lost = asked.filter(|asked| !asked.contains(": conv + bias")).find(|asked| !planned.contains(asked));
        assert_eq!(lost, None, "{name}");
    }
}

#[test]
fn blocks_that_are_run_again_take_less_memory_and_find_what_they_read() {
    for (name, mut training) in trainings() {
        let side = tresnet::models::find(name).unwrap().input_size;
        let mut schedule = |checkpointing| {
            training.options.checkpointing = checkpointing;
            training.schedule(Shape::new(4, side, side, 3), NormMode::Stored).unwrap()
        };
        let (kept, again) = (schedule(false), schedule(true));
        assert_eq!(again.conflict(), None, "{name}");
        let (kept, again) = (kept.arena_bytes, again.arena_bytes);
        assert!(4 * again < 3 * kept, "{name}: {again} bytes, and {kept} where all is kept");
    }
}

#[test]
fn a_training_batchs_bytes_grow_with_the_batch() {
    let (_, training) = trainings().into_iter().find(|(name, _)| *name == "tresnet_m").unwrap();
    let bytes = |batch, norms| training.training_bytes(Shape::new(batch, 224, 224, 3), norms).unwrap();
    for norms in [NormMode::InPlace, NormMode::Stored] {
        let (few, more) = (bytes(8, norms), bytes(16, norms));
        let image = (more - few) / 8;
        println!("tresnet_m at 224, {norms:?}: {} MB an image, {} MB for none", image >> 20, (few - 8 * image) >> 20);
        // Twelve bytes a parameter and more.
        assert!(few > 31_389_032 * 12 && more > few);
    }
}
