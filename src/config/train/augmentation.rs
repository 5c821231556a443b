//! What happens to training images alone.

use anyhow::Result;

use super::settings::AugmentationSettings;
use crate::augment::erase::{EraseMode, RandomErasing};
use crate::augment::mixing::{Mixing, MixingMode, MixingSettings};
use crate::augment::training::{Training, TrainingSettings};
use crate::cli::{AugmentationArgs, CropModeFlag, MixupModeFlag, RemodeFlag, TrainInterpolationFlag};
use crate::config::{as_usage, usage};
use crate::preprocessing::{Interpolation, Preprocessing};

pub fn resolve(
    args: &AugmentationArgs,
    evaluation: &Preprocessing,
    warnings: &mut Vec<String>,
) -> Result<AugmentationSettings> {
    let transform = transform(args, evaluation)?;
    // What is wrong with any of it, the policy's language included, is found by building it.
    as_usage(Training::new(&transform, evaluation.input_size, evaluation.mean))?;
    if args.no_aug && (args.aa.is_some() || args.reprob > 0.0) {
        warnings.push("--no-aug turns --aa and --reprob off".to_owned());
    }
    if args.no_aug && args.aug_splits > 0 {
        return usage("--aug-splits compares copies that augmentation tells apart: leave it or --no-aug out");
    }
    Ok(AugmentationSettings { transform, erasing: erasing(args)?, spare_first: args.resplit, mixing: mixing(args)? })
}

fn transform(args: &AugmentationArgs, evaluation: &Preprocessing) -> Result<TrainingSettings> {
    let interpolation = match args.train_interpolation {
        // timm's trainer takes validation's filter where nothing is augmented.
        _ if args.no_aug => Some(evaluation.interpolation),
        TrainInterpolationFlag::Random => None,
        TrainInterpolationFlag::Bilinear => Some(Interpolation::Bilinear),
        TrainInterpolationFlag::Bicubic => Some(Interpolation::Bicubic),
    };
    Ok(TrainingSettings {
        padding: match args.train_crop_mode {
            CropModeFlag::Rrc => None,
            CropModeFlag::Pad => Some(args.train_crop_pad),
        },
        scale: pair("--scale", &args.scale, "0.08 1")?,
        ratio: pair("--ratio", &args.ratio, "0.75 1.3333")?,
        hflip: args.hflip,
        vflip: args.vflip,
        color_jitter: args.color_jitter.clone(),
        auto_augment: args.aa.clone().filter(|policy| !policy.is_empty()),
        interpolation,
        no_aug: args.no_aug,
    })
}

fn erasing(args: &AugmentationArgs) -> Result<Option<RandomErasing>> {
    let mode = match args.remode {
        RemodeFlag::Const => EraseMode::Const,
        RemodeFlag::Rand => EraseMode::Rand,
        RemodeFlag::Pixel => EraseMode::Pixel,
    };
    let erasing = as_usage(RandomErasing::new(args.reprob, mode, args.recount))?;
    Ok((args.reprob > 0.0 && !args.no_aug).then_some(erasing))
}

fn mixing(args: &AugmentationArgs) -> Result<Option<Mixing>> {
    let cutmix_minmax = args.cutmix_minmax.as_ref();
    as_usage(Mixing::new(MixingSettings {
        mixup: args.mixup,
        cutmix: args.cutmix,
        cutmix_minmax: cutmix_minmax.map(|shares| pair("--cutmix-minmax", shares, "0.2 0.8")).transpose()?,
        probability: args.mixup_prob,
        switch_probability: args.mixup_switch_prob,
        mode: match args.mixup_mode {
            MixupModeFlag::Batch => MixingMode::Batch,
            MixupModeFlag::Pair => MixingMode::Pair,
            MixupModeFlag::Elem => MixingMode::Elem,
        },
        off_epoch: args.mixup_off_epoch,
    }))
}

/// Two numbers, the least and the greatest.
fn pair(flag: &str, numbers: &[f64], example: &str) -> Result<(f64, f64)> {
    match *numbers {
        [least, most] => Ok((least, most)),
        _ => usage(format!("{flag}: give two numbers, the lesser first, as in {flag} {example}")),
    }
}
