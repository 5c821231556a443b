//! The network: which, from what, and what of it stays as it is.

use anyhow::{Context, Result};

use super::settings::{InitialWeights, ModelSettings};
use crate::cli::{AbnFlag, ModelArgs};
use crate::config::{as_usage, in_chans, interpolation, model_kwargs, numbers, usage, variant};
use crate::models::{Request, Variant};
use crate::nn::{NormChoice, NormMode, Parameter};
use crate::preprocessing::{Preprocessing, Preset};

/// What `--freeze` calls all but the classifier.
const BACKBONE: &str = "backbone";

pub fn resolve(args: &ModelArgs, warnings: &mut Vec<String>) -> Result<ModelSettings> {
    let variant = variant(&args.model)?;
    let in_chans = in_chans(args.in_chans)?;
    let drop_path = args.drop_path.unwrap_or(0.0);
    let drops = [("--drop", args.drop), ("--drop-path", drop_path)];
    if let Some((flag, share)) = drops.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
        return usage(format!("{flag} {share}: give a share from 0 up to, not including, 1"));
    }
    let kwargs = model_kwargs(&args.model_kwargs)?;
    // Names and order of the parameters are the same for any number of classes.
    let request = Request { num_classes: args.num_classes.unwrap_or(variant.num_classes), in_chans, kwargs };
    let graph = as_usage(variant.architecture(&request).context("--model-kwargs"))?.graph;
    Ok(ModelSettings {
        variant,
        num_classes: args.num_classes,
        in_chans,
        kwargs,
        weights: weights(args, warnings)?,
        frozen: frozen(&args.freeze, graph.parameters())?,
        grad_checkpointing: args.grad_checkpointing,
        norms: match args.abn {
            AbnFlag::Inplace => NormChoice::Always(NormMode::InPlace),
            AbnFlag::Stored => NormChoice::Always(NormMode::Stored),
            AbnFlag::Auto => NormChoice::ByMemory,
        },
        drop: args.drop,
        drop_path,
    })
}

fn weights(args: &ModelArgs, warnings: &mut Vec<String>) -> Result<InitialWeights> {
    let use_ema = !args.no_initial_ema;
    Ok(match (&args.initial_checkpoint, &args.pretrained_path) {
        (Some(_), Some(_)) => {
            return usage("--initial-checkpoint and --pretrained-path both say where to start: leave one of them out");
        }
        (Some(file), None) => InitialWeights::Exact { file: file.clone(), use_ema },
        (None, Some(file)) => InitialWeights::Pretrained { file: file.clone(), use_ema },
        (None, None) => {
            if args.no_initial_ema {
                warnings.push("--no-initial-ema does nothing: no --initial-checkpoint or --pretrained-path".into());
            }
            InitialWeights::Random
        }
    })
}

/// One flag a parameter.
fn frozen(names: &[String], parameters: &[Parameter]) -> Result<Vec<bool>> {
    // The head is the last weight and its bias, as for the optimizers' groups.
    let head: Vec<&str> =
        parameters.iter().rev().filter(|parameter| parameter.trainable).take(2).map(|p| p.name.as_str()).collect();
    let within =
        |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let meant = |asked: &str, name: &str| match asked {
        BACKBONE => !head.contains(&name),
        asked => within(name, asked.trim_end_matches('.')),
    };
    if let Some(asked) = names.iter().find(|asked| !parameters.iter().any(|p| meant(asked, &p.name))) {
        let mut parts: Vec<String> = parameters.iter().map(|p| part(&p.name)).collect();
        parts.dedup();
        return usage(format!(
            "--freeze {asked}: no parameter has that name or begins so; there are {BACKBONE}, {}",
            parts.join(", ")
        ));
    }
    let frozen: Vec<bool> = parameters.iter().map(|p| names.iter().any(|asked| meant(asked, &p.name))).collect();
    if parameters.iter().zip(&frozen).all(|(parameter, frozen)| *frozen || !parameter.trainable) {
        return usage(format!("--freeze {}: nothing is left to train; name fewer parameters", names.join(",")));
    }
    Ok(frozen)
}

/// The first two parts of a name: a stage, or the head.
fn part(name: &str) -> String {
    name.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// How validation prepares its images: as timm's trainer, which crops at every size.
pub fn preprocessing(args: &ModelArgs, variant: &Variant) -> Result<Preprocessing> {
    let mut chosen = variant.preprocessing(Preset::Timm, side(args, variant)?);
    if let Some(share) = args.crop_pct {
        chosen.crop_pct = numbers::crop_share("--crop-pct", share)?;
    }
    if let Some(flag) = args.interpolation {
        chosen.interpolation = interpolation(flag);
    }
    if let Some(mean) = &args.mean {
        chosen.mean = numbers::three("--mean", mean)?;
    }
    if let Some(std) = &args.std {
        chosen.std = numbers::deviations("--std", std)?;
    }
    Ok(chosen)
}

/// The side of the input, of `--input-size 224`, `--input-size 3 224 224` or `--img-size 224`.
fn side(args: &ModelArgs, variant: &Variant) -> Result<usize> {
    match (args.input_size.as_slice(), args.img_size) {
        ([], side) => Ok(side.unwrap_or(variant.input_size)),
        (&[side] | &[3, side, _], Some(other)) if other != side => {
            usage(format!("--input-size {side} and --img-size {other} exclude each other: leave one of them out"))
        }
        (&[side], _) => Ok(side),
        (&[3, height, width], _) if height == width => Ok(height),
        (sizes, _) => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            usage(format!("--input-size {}: give one side, or 3 and the side twice: 3 224 224", sizes.join(" ")))
        }
    }
}
