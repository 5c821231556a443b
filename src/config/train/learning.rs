//! How the weights are changed: loss, optimizer, learning rate, moving average.

use anyhow::Result;

use super::settings::{DataSettings, EmaSettings, EvalMetric, ModelSettings, OptimizationSettings};
use crate::cli::{ClipModeFlag, LossArgs, LrScaleFlag, OptimizerArgs, ScheduleArgs, TrainArgs};
use crate::config::{as_usage, usage};
use crate::loss::{BinaryCrossEntropy, Criterion};
use crate::optim::{
    Clip, Cycles, GroupOptions, Groups, LearningRate, Noise, OptimizerSettings, Scaling, Schedule, ScheduleKind,
    ScheduleOptions,
};

pub fn criterion(args: &LossArgs, splits: usize, warnings: &mut Vec<String>) -> Result<Criterion> {
    let smoothing = args.smoothing;
    if !(0.0..1.0).contains(&smoothing) {
        return usage(format!("--smoothing {smoothing}: give a share from 0 to below 1, such as 0.1"));
    }
    if !args.bce_loss && (args.bce_sum || args.bce_target_thresh.is_some() || args.bce_pos_weight.is_some()) {
        warnings.push("--bce-sum, --bce-target-thresh and --bce-pos-weight do nothing without --bce-loss".to_owned());
    }
    Ok(match (args.jsd_loss, args.bce_loss) {
        (true, true) => return usage("--jsd-loss and --bce-loss are two losses: leave one of them out"),
        (true, false) if splits < 2 => {
            return usage("--jsd-loss compares copies of an image: add --aug-splits 3, or another number from 2");
        }
        (true, false) => Criterion::JensenShannon { splits, smoothing },
        (false, true) => {
            if let Some(weight) = args.bce_pos_weight.filter(|weight| !(weight.is_finite() && *weight > 0.0)) {
                return usage(format!("--bce-pos-weight {weight}: give a number above 0"));
            }
            Criterion::Binary(BinaryCrossEntropy {
                smoothing,
                threshold: args.bce_target_thresh,
                sum: args.bce_sum,
                positive_weight: args.bce_pos_weight,
            })
        }
        (false, false) => Criterion::CrossEntropy { smoothing },
    })
}

pub fn optimization(
    args: &TrainArgs,
    data: &DataSettings,
    model: &ModelSettings,
    warnings: &mut Vec<String>,
) -> Result<OptimizationSettings> {
    let flags = &args.optimizer;
    let betas = match flags.opt_betas.as_deref() {
        None => None,
        Some(&[first, second]) => Some([first, second]),
        Some(_) => return usage("--opt-betas: give two numbers, as in --opt-betas 0.9 0.999"),
    };
    let optimizer =
        OptimizerSettings { name: flags.opt.clone(), momentum: flags.momentum, epsilon: flags.opt_eps, betas };
    let groups = GroupOptions {
        weight_decay: flags.weight_decay,
        layer_decay: flags.layer_decay,
        layer_decay_min_scale: flags.layer_decay_min_scale,
    };
    // What is wrong with any of it is found by building it, for the smallest of all parameters: its state is small.
    let graph = model.variant.architecture(&model.request(1))?.graph;
    let smallest = graph.parameters().iter().filter(|parameter| parameter.trainable);
    let smallest = smallest.min_by_key(|parameter| parameter.shape.iter().product::<usize>());
    as_usage(
        Groups::new(smallest.map(std::slice::from_ref).unwrap_or_default(), &[false], &groups)
            .and_then(|groups| optimizer.build(groups)),
    )?;
    let rate = LearningRate {
        fixed: args.schedule.lr,
        base: args.schedule.lr_base.unwrap_or(LearningRate::default().base),
        base_size: args.schedule.lr_base_size as u64,
        scaling: args.schedule.lr_base_scale.map(|scale| match scale {
            LrScaleFlag::Linear => Scaling::Linear,
            LrScaleFlag::Sqrt => Scaling::Sqrt,
        }),
    };
    if args.schedule.lr_base.is_some() && args.schedule.lr.is_some_and(|lr| lr != 0.0) {
        warnings.push("--lr-base does nothing beside --lr".to_owned());
    }
    let global_batch = data.batch_size.saturating_mul(data.grad_accum_steps) as u64;
    let lr = as_usage(rate.resolve(global_batch, &optimizer.name))?;
    Ok(OptimizationSettings { optimizer, groups, lr, clip: clip(flags, warnings)? })
}

fn clip(args: &OptimizerArgs, warnings: &mut Vec<String>) -> Result<Option<Clip>> {
    let Some(limit) = args.clip_grad else {
        if args.clip_mode != ClipModeFlag::Norm {
            warnings.push("--clip-mode does nothing without --clip-grad".to_owned());
        }
        return Ok(None);
    };
    if !(limit.is_finite() && limit > 0.0) {
        return usage(format!("--clip-grad {limit}: give a number above 0, or leave it out"));
    }
    Ok(Some(match args.clip_mode {
        ClipModeFlag::Norm => Clip::Norm(limit),
        ClipModeFlag::Value => Clip::Value(limit),
        ClipModeFlag::Agc => Clip::Adaptive(limit),
    }))
}

pub fn ema(args: &OptimizerArgs, warnings: &mut Vec<String>) -> Result<Option<EmaSettings>> {
    let (decay, warmup) = (args.model_ema_decay, args.model_ema_warmup);
    if !(0.0..=1.0).contains(&decay) {
        return usage(format!("--model-ema-decay {decay}: give a share from 0 to 1, such as 0.9998"));
    }
    if warmup && !args.model_ema {
        warnings.push("--model-ema-warmup does nothing without --model-ema".to_owned());
    }
    Ok(args.model_ema.then_some(EmaSettings { decay, warmup }))
}

pub fn schedule(args: &ScheduleArgs, metric: EvalMetric, seed: u64, lr: f64) -> Result<ScheduleOptions> {
    let noise = match args.lr_noise.as_deref() {
        None => None,
        Some(&[from]) => Some((from, None)),
        Some(&[from, to]) => Some((from, Some(to))),
        Some(_) => return usage("--lr-noise: give one share of the run, or two"),
    };
    let options = ScheduleOptions {
        kind: kind(args, metric)?,
        epochs: args.epochs,
        warmup_epochs: args.warmup_epochs,
        warmup_lr: args.warmup_lr,
        warmup_prefix: args.warmup_prefix,
        cooldown_epochs: args.cooldown_epochs,
        min_lr: args.min_lr,
        noise: noise.map(|(from, to)| Noise { from, to, limit: args.lr_noise_pct, deviation: args.lr_noise_std, seed }),
        on_updates: args.sched_on_updates,
    };
    // What is wrong with any of it is found by building it.
    as_usage(Schedule::new(options.clone(), lr, 1))?;
    Ok(options)
}

fn kind(args: &ScheduleArgs, metric: EvalMetric) -> Result<ScheduleKind> {
    let rate = args.decay_rate;
    let k_decay = args.lr_k_decay;
    let cycles = Cycles { multiplier: args.lr_cycle_mul, decay: args.lr_cycle_decay, limit: args.lr_cycle_limit };
    Ok(match args.sched.as_str() {
        "cosine" => ScheduleKind::Cosine { cycles, k_decay },
        "tanh" => ScheduleKind::Tanh { cycles },
        "poly" => ScheduleKind::Poly { cycles, power: rate, k_decay },
        "step" => ScheduleKind::Step { every: args.decay_epochs, rate },
        "multistep" => ScheduleKind::MultiStep { milestones: args.decay_milestones.clone(), rate },
        "plateau" => ScheduleKind::Plateau { patience: args.patience_epochs, rate, goal: metric.goal() },
        "torch-resnet" => ScheduleKind::TorchResnet,
        name => {
            return usage(format!(
                "--sched {name}: there are cosine, tanh, poly, step, multistep, plateau and torch-resnet"
            ));
        }
    })
}
