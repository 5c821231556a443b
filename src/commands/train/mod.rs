//! `tresnet train`: settings and images become weights.

mod build;
mod cpu;
mod cuda;
mod data;
mod epoch;
mod learner;
mod outputs;
mod prepare;
mod state;
mod validate;

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};

use self::data::Data;
use self::epoch::UnderWay;
use self::learner::Learner;
use self::outputs::Outputs;
use self::prepare::Preparation;
use self::state::{Position, Saved};
use self::validate::Validator;
use super::Status;
use crate::checkpoint::{Best, Checkpoint, ResumeFiles, Resumed, TimmState};
use crate::cli::TrainArgs;
use crate::config::{Resume, TrainSettings};
use crate::interrupt::{Interrupt, Signal};
use crate::ops::Normalize;
use crate::optim::Schedule;
use crate::report::{self, RunFolder, Summary, SummaryRow};

pub fn run(args: TrainArgs, quiet: bool) -> Result<Status> {
    let settings = TrainSettings::resolve(args)?;
    let interrupt = Interrupt::listen()?;
    if !quiet {
        report::remark(&settings.runtime.to_string());
    }
    for warning in &settings.warnings {
        report::remark(&format!("warning: {warning}"));
    }
    let mut run = Run::start(settings, interrupt, quiet)?;
    run.train().map_err(|error| run.with_what_is_saved(error))
}

/// A training run between two of its updates.
struct Run {
    settings: TrainSettings,
    data: Data,
    preparation: Preparation,
    learner: Learner,
    validator: Validator,
    schedule: Schedule,
    position: Position,
    outputs: Outputs,
    resume: ResumeFiles,
    folder: RunFolder,
    interrupt: Interrupt,
    /// Updates whose outcome is not known yet, in their order.
    under_way: VecDeque<UnderWay>,
    /// When the last outcome came.
    heard: Instant,
    /// Saved last, or taken up.
    saved: Option<Saved>,
    quiet: bool,
    /// Images that could not be read, in training and validation.
    unreadable: usize,
}

impl Run {
    /// Opens the data, builds the learner, takes up a saved state where one is asked for.
    fn start(settings: TrainSettings, interrupt: Interrupt, quiet: bool) -> Result<Self> {
        let (data, remarks) = Data::open(&settings)?;
        let classes = settings.model.num_classes.unwrap_or(data.classes());
        ensure!(
            classes >= data.classes(),
            "--num-classes {classes}: the training images show {}; give at least as many or leave it out",
            data.classes()
        );
        let (mut learner, more) = build::learner(&settings, classes)?;
        if !quiet {
            remarks.iter().chain(&more).for_each(|remark| report::remark(remark));
        }
        let output = &settings.output;
        let name = output.experiment.clone().unwrap_or_else(|| {
            RunFolder::default_experiment(
                settings.model.variant.name,
                settings.evaluation.input_size,
                SystemTime::now(),
            )
        });
        let folder = RunFolder::open(&output.root.join(name))?;
        let mut resume = ResumeFiles::new(folder.path());
        ensure!(
            settings.start.resume == Resume::Auto || !resume.exist(),
            "{} holds the state of an earlier run: go on with it by --resume auto, or give another --experiment",
            folder.path().display()
        );
        let anew = settings.start.resume == Resume::No && settings.start.epoch.is_none();
        ensure!(
            !anew || !folder.path().join(Summary::FILE).exists(),
            "{} holds the results of an earlier run, which this one would replace: give another --experiment, or remove \
             its {}",
            folder.path().display(),
            Summary::FILE
        );
        let steps = data.batches().div_ceil(settings.data.grad_accum_steps as u64);
        let mut schedule = Schedule::new(settings.schedule.clone(), settings.optimization.lr, steps)?;
        let (mut position, best, saved) = begin(&settings, &folder, &mut resume, &mut learner, &mut schedule)?;
        if let Some(epoch) = settings.start.epoch.filter(|&epoch| epoch != position.epoch) {
            position = Position { epoch, ..Position::default() };
        }
        let outputs = Outputs::open(&folder, &settings, &position, learner.counts.updates, best)?;
        let preparation = Preparation {
            seed: settings.seed,
            side: settings.evaluation.input_size,
            classes,
            smoothing: settings.smoothing,
            mixing: settings.augmentation.mixing,
            erasing: settings.augmentation.erasing,
            copies: settings.data.aug_splits,
            spare_first: settings.augmentation.spare_first,
            normalize: Normalize::new(&settings.evaluation.mean, &settings.evaluation.std),
        };
        Ok(Self {
            settings,
            data,
            preparation,
            learner,
            validator: Validator::default(),
            schedule,
            position,
            outputs,
            resume,
            folder,
            interrupt,
            under_way: VecDeque::new(),
            heard: Instant::now(),
            saved,
            quiet,
            unreadable: 0,
        })
    }

    fn epochs(&self) -> u64 {
        self.schedule.total_epochs()
    }

    /// Updates of an epoch.
    fn steps_per_epoch(&self) -> u64 {
        self.data.batches().div_ceil(self.settings.data.grad_accum_steps as u64)
    }

    fn train(&mut self) -> Result<Status> {
        while self.position.epoch < self.epochs() {
            if let Some(signal) = self.epoch()? {
                return Ok(self.stopped(signal));
            }
            if let Some(signal) = self.end_epoch()? {
                return Ok(self.stopped(signal));
            }
        }
        let best = self.outputs.history.best().first();
        let best = best.map(|best| format!("best epoch {}: {:.3}\n", best.epoch + 1, best.metric));
        report::print(&format!("{}{}\n", best.unwrap_or_default(), self.folder.path().display()))?;
        Ok(if self.unreadable > 0 { Status::SomeUnreadable } else { Status::Done })
    }

    /// Validates, writes the epoch's row and weights, saves the state. A signal during validation leaves the epoch
    /// as it was after its last update.
    fn end_epoch(&mut self) -> Result<Option<Signal>> {
        let epoch = self.position.epoch;
        let last = epoch + 1 == self.epochs();
        if last || (epoch + 1).is_multiple_of(self.settings.output.val_interval) {
            let validation = self.validator.validate(&self.learner, &self.data, &self.settings, &self.interrupt)?;
            let Some(validation) = validation else {
                self.save()?;
                return Ok(self.interrupt.received());
            };
            for skipped in &validation.skipped {
                report::remark(&format!("warning: left out {skipped}"));
            }
            self.unreadable += validation.skipped.len();
            let unfinished = &self.position.unfinished;
            let row = SummaryRow {
                epoch,
                train_loss: unfinished.loss / unfinished.images.max(1) as f64,
                eval_loss: validation.counts.loss(),
                eval_top1: validation.counts.top1(),
                eval_top5: validation.counts.top5(),
                lr: self.schedule.lr(epoch, self.learner.counts.updates.saturating_sub(1)),
            };
            let is_best = self.outputs.epoch(row, &validation, &self.learner, &self.settings)?;
            self.schedule.observe(epoch + 1, validation.metric(self.settings.output.eval_metric));
            if !self.quiet {
                report::remark(&format!(
                    "epoch {}/{}: train loss {:.4}, val loss {:.4}, top-1 {:.3}, top-5 {:.3}{}",
                    epoch + 1,
                    self.epochs(),
                    row.train_loss,
                    row.eval_loss,
                    row.eval_top1,
                    row.eval_top5,
                    if is_best { ", the best so far" } else { "" }
                ));
            }
        }
        self.position = Position { epoch: epoch + 1, ..Position::default() };
        self.save()?;
        Ok(self.interrupt.received().filter(|_| !last))
    }

    fn save(&mut self) -> Result<()> {
        let best = self.outputs.history.best();
        let (seed, record) = (self.settings.seed, &self.settings.record);
        state::save(&mut self.resume, &self.learner, &self.schedule, &self.position, best, seed, record)?;
        self.saved = Some(Saved::after(self.learner.counts.updates, self.folder.path(), AUTO));
        Ok(())
    }

    /// What ended the run, be it a device that is gone, and from where it can go on.
    fn with_what_is_saved(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(saved) = &self.saved else { return error };
        anyhow!("{}; {saved}", super::message(&error))
    }

    fn stopped(&self, signal: Signal) -> Status {
        report::remark(&format!(
            "{} in epoch {} after update {}; the state is saved in {}: --resume auto goes on from it",
            signal.verb(),
            self.position.epoch + 1,
            self.learner.counts.updates,
            self.folder.path().display()
        ));
        Status::Stopped(signal)
    }
}

/// What `--resume` is given to go on in an experiment's own folder.
const AUTO: &str = "auto";

/// Takes up a saved state where the settings ask for one; where the run then stands, its best epochs and the state.
fn begin(
    settings: &TrainSettings,
    folder: &RunFolder,
    files: &mut ResumeFiles,
    learner: &mut Learner,
    schedule: &mut Schedule,
) -> Result<(Position, Vec<Best>, Option<Saved>)> {
    let resumed = match &settings.start.resume {
        Resume::No => return Ok(Default::default()),
        Resume::Auto => match files.newest()? {
            Some(resumed) => resumed,
            None => return Ok(Default::default()),
        },
        Resume::From(path) => match Resumed::open(path) {
            Ok(resumed) => resumed,
            Err(own) => {
                // Perhaps timm's trainer wrote it. If not, the first refusal is the one that tells why.
                let checkpoint = Checkpoint::open(path).map_err(|_| own)?;
                let timm = TimmState::from_checkpoint(&checkpoint)?;
                let model = settings.model.variant.name;
                let (position, said) = state::restore_timm(timm, learner, model, settings.start.new_optimizer)?;
                report::remark(&format!("{} is timm's: epoch, weights and averages go on; {said}", path.display()));
                let what = format!("timm's state after {} epochs", position.epoch);
                let saved = Saved { what, place: path.clone(), by: path.display().to_string() };
                return Ok((position, Vec::new(), Some(saved)));
            }
        },
    };
    if let Some(warning) = resumed.warning() {
        report::remark(&format!("warning: {warning}"));
    }
    let (position, best) = state::restore(&resumed, learner, schedule, settings.start.new_optimizer)
        .with_context(|| format!("cannot resume from {}", resumed.file().display()))?;
    report::remark(&format!(
        "resumed from {}: epoch {}, update {}",
        resumed.file().display(),
        position.epoch + 1,
        learner.counts.updates
    ));
    let updates = learner.counts.updates;
    let saved = match &settings.start.resume {
        Resume::From(path) => Saved::after(updates, path, &path.display().to_string()),
        _ => Saved::after(updates, folder.path(), AUTO),
    };
    Ok((position, best, Some(saved)))
}
