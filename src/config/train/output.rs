//! Where a run begins, and what it writes.

use std::path::{Component, Path};

use anyhow::Result;

use super::settings::{EvalMetric, OutputSettings, Resume, StartSettings};
use crate::cli::{EvalMetricFlag, LogFlag, OutputArgs, TrainArgs};
use crate::config::{as_usage, usage};
use crate::optim::{Schedule, ScheduleOptions};

pub fn resolve(args: &OutputArgs) -> Result<OutputSettings> {
    let experiment = args.experiment.clone().filter(|name| !name.is_empty());
    if let Some(name) = &experiment
        && !Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
    {
        return usage(format!("--experiment {name}: give the name of a folder within --output"));
    }
    let tensorboard = args.log.contains(&LogFlag::Tensorboard);
    Ok(OutputSettings {
        root: args.output.clone(),
        experiment,
        checkpoint_hist: args.checkpoint_hist,
        recovery_interval: (args.recovery_interval > 0).then_some(args.recovery_interval),
        log_interval: args.log_interval as u64,
        val_interval: args.val_interval as u64,
        eval_metric: match args.eval_metric {
            EvalMetricFlag::Top1 => EvalMetric::Top1,
            EvalMetricFlag::Top5 => EvalMetric::Top5,
            EvalMetricFlag::Loss => EvalMetric::Loss,
        },
        tensorboard,
        sample_images: if tensorboard { args.sample_images } else { 0 },
    })
}

pub fn start(args: &TrainArgs, schedule: &ScheduleOptions, lr: f64) -> Result<StartSettings> {
    let resume = match args.start.resume.as_deref() {
        Some(file) if file == Path::new("auto") => Resume::Auto,
        Some(file) if !file.as_os_str().is_empty() => Resume::From(file.to_owned()),
        _ => Resume::No,
    };
    match &resume {
        Resume::Auto if args.output.experiment.is_none() => {
            return usage("--resume auto looks into the experiment's folder: give its name with --experiment");
        }
        Resume::From(_) => {
            let others = [
                ("--initial-checkpoint", &args.model.initial_checkpoint),
                ("--pretrained-path", &args.model.pretrained_path),
            ];
            if let Some((flag, _)) = others.iter().find(|(_, file)| file.is_some()) {
                return usage(format!("--resume brings its own weights: leave {flag} out, or --resume"));
            }
        }
        _ => {}
    }
    // The number of epochs does not depend on how many updates an epoch has.
    let total = as_usage(Schedule::new(schedule.clone(), lr, 1))?.total_epochs();
    if let Some(epoch) = args.start.start_epoch.filter(|&epoch| epoch >= total) {
        return usage(format!("--start-epoch {epoch}: the run has {total} epochs, counted from 0; raise --epochs"));
    }
    Ok(StartSettings { resume, epoch: args.start.start_epoch, new_optimizer: args.start.no_resume_opt })
}
