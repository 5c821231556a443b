//! The recipes of `configs/`: what they mean.

use super::*;
use crate::optim::{Schedule, ScheduleKind};

/// A recipe's settings, for a data set that has every split that a recipe may ask for.
fn recipe(name: &str) -> TrainSettings {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = home.join("configs").join(name);
    resolved_in(&home.join("tests/fixtures/transfer/flowers-102"), &format!("-c {}", file.display())).unwrap()
}

fn schedule(settings: &TrainSettings) -> Schedule {
    Schedule::new(settings.schedule.clone(), settings.optimization.lr, 100).unwrap()
}

#[test]
fn the_two_recipes_differ_as_timms_defaults_of_then_and_today() {
    let (then, today) = (recipe("tresnet_m-2020.yaml"), recipe("tresnet_m-today.yaml"));
    let decay = |settings: &TrainSettings| settings.optimization.groups.weight_decay;
    assert_eq!((decay(&then), decay(&today)), (1e-4, 2e-5));
    assert_eq!((schedule(&then).total_epochs(), schedule(&today).total_epochs()), (310, 300));
    let rates = |settings: &TrainSettings| [0, 1, 299].map(|epoch| schedule(settings).lr(epoch, 0));
    for (rate, known) in rates(&then).iter().zip([1e-4, 0.200_066_67, 2.645e-5]) {
        assert!((rate / known - 1.0).abs() < 1e-4, "{rate} {known}");
    }
    for (rate, known) in rates(&today).iter().zip([1e-5, 0.120_008, 1.645e-5]) {
        assert!((rate / known - 1.0).abs() < 1e-4, "{rate} {known}");
    }
    assert_eq!(then.augmentation, today.augmentation);
}

#[test]
fn every_recipe_is_understood_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let settings = recipe(entry.unwrap().file_name().to_str().unwrap());
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        count += 1;
    }
    assert!(count >= 8, "{count} recipes");
    let cifar = recipe("cifar-resnet.yaml");
    assert_eq!(cifar.schedule.kind, ScheduleKind::TorchResnet);
    assert_eq!(cifar.evaluation.crop_pct, 1.0);
    assert_eq!((cifar.augmentation.transform.padding, cifar.augmentation.transform.hflip), (Some(4), 0.5));
}

#[test]
fn the_recipes_of_transfer_run_eighty_epochs_of_one_cycle() {
    for (name, model, side, highest) in [
        ("transfer-cifar.yaml", "tresnet_xl", 224, 0.01),
        ("transfer-cars.yaml", "tresnet_l", 368, 0.005),
        ("transfer-flowers.yaml", "tresnet_l", 368, 0.005),
    ] {
        let settings = recipe(name);
        assert_eq!((settings.model.variant.name, settings.evaluation.input_size), (model, side), "{name}");
        let schedule = schedule(&settings);
        assert_eq!(schedule.total_epochs(), 80, "{name}");
        let near = |update: u64, expected: f64| (schedule.lr(update / 100, update) - expected).abs() < 1e-3 * highest;
        assert!(near(0, highest / 25.0) && near(2400, highest) && near(5200, highest / 2.0), "{name}");
        assert!(near(7999, 0.0), "{name}: {}", schedule.lr(79, 7999));
    }
}
