//! The updates of one epoch.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Run;
use super::learner::Update;
use super::prepare::CHANNELS;
use crate::data::loader::{Batch, Loader};
use crate::interrupt::Signal;
use crate::report::{StepRow, TrainingProgress, UpdateFigures};

/// Updates in a row that may fail before the run stops.
const MOST_NON_FINITE: u64 = 10;

/// An update that was asked for and whose outcome is not known yet.
pub(super) struct UnderWay {
    /// In the run, from 0.
    number: u64,
    /// Updates of the epoch with it.
    done: u64,
    images: usize,
    lr: f64,
    begun: Instant,
    /// For images.
    waited: Duration,
}

impl Run {
    /// Runs the epoch from where it stands. A signal stops it after an update, with the state saved.
    pub(super) fn epoch(&mut self) -> Result<Option<Signal>> {
        let epoch = self.position.epoch;
        let steps = self.steps_per_epoch();
        let accumulated = self.settings.data.grad_accum_steps as u64;
        let mut loader = self.data.epoch(epoch, self.position.step * accumulated)?;
        let interval = self.settings.output.log_interval;
        let mut progress =
            TrainingProgress::start([epoch, self.epochs()], [self.position.step, steps], interval, self.quiet);
        while self.position.step < steps {
            let begun = Instant::now();
            let waited = loader.statistics().waited;
            let lr = self.schedule.lr(epoch, self.learner.counts.updates);
            let left = self.data.batches() - self.position.step * accumulated;
            let Some(images) = self.update(&mut loader, left.min(accumulated), lr, &progress)? else {
                bail!("the images of epoch {} ended before its updates", epoch + 1);
            };
            self.position.step += 1;
            let done = self.position.step;
            let waited = loader.statistics().waited - waited;
            let number = self.learner.counts.updates - 1;
            self.under_way.push_back(UnderWay { number, done, images, lr, begun, waited });
            self.log_outcomes(false, &mut progress)?;
            if let Some(signal) = self.interrupt.received() {
                self.log_outcomes(true, &mut progress)?;
                self.save()?;
                return Ok(Some(signal));
            }
            if self.settings.output.recovery_interval.is_some_and(|every| done.is_multiple_of(every)) && done < steps {
                self.log_outcomes(true, &mut progress)?;
                self.save()?;
            }
        }
        self.log_outcomes(true, &mut progress)?;
        progress.finish();
        Ok(None)
    }

    /// One update out of the next `batches` batches: how many images it saw. None where there are no more.
    fn update(
        &mut self,
        loader: &mut Loader,
        batches: u64,
        lr: f64,
        progress: &TrainingProgress,
    ) -> Result<Option<usize>> {
        self.learner.begin(lr)?;
        let mut images = 0;
        for _ in 0..batches {
            let Some(mut batch) = loader.next() else { return Ok(None) };
            for skipped in &batch.skipped {
                progress.say(&format!("warning: left out {skipped}"));
            }
            self.position.unfinished.unreadable += batch.skipped.len() as u64;
            self.unreadable += batch.skipped.len();
            if batch.size == 0 {
                continue;
            }
            images += batch.size;
            let epoch = self.position.epoch;
            let prepared = self.preparation.prepare(&mut batch, epoch)?;
            // Training comes first where a device's memory is taken.
            if !self.learner.is_prepared(prepared.shape) {
                self.validator.release();
            }
            let share = 1.0 / batches as f64;
            self.learner.add(prepared.images(), prepared.shape, prepared.targets(), share)?;
            drop(prepared);
            if self.position.step == 0 {
                self.show(&batch)?;
            }
        }
        self.learner.finish()?;
        Ok(Some(images))
    }

    fn show(&mut self, batch: &Batch) -> Result<()> {
        if !self.outputs.wants_images() {
            return Ok(());
        }
        let images = self.settings.output.sample_images.min(batch.size);
        let side = self.preparation.side;
        let pixels = &batch.pixels[..images * side * side * CHANNELS];
        self.outputs.images(self.learner.counts.updates, pixels, images, side)
    }

    /// Logs what updates came to: those that are known by now, or all.
    fn log_outcomes(&mut self, all: bool, progress: &mut TrainingProgress) -> Result<()> {
        let outcomes = self.learner.outcomes(all)?;
        let Some(first) = self.under_way.front().filter(|_| !outcomes.is_empty()) else { return Ok(()) };
        // A device is some updates behind: what one took lies between its outcome and the last one's, and outcomes that
        // come together share it.
        let took = self.heard.max(first.begun).elapsed().as_secs_f64() / outcomes.len() as f64;
        self.heard = Instant::now();
        for update in outcomes {
            let own = self.under_way.pop_front().context("an update that nobody asked for")?;
            self.log(update, &own, took)?;
            let UnderWay { done, lr, images, waited, .. } = own;
            progress.advance(UpdateFigures { done, loss: update.loss, lr, images: images as u64, waited });
            match update.finite {
                true => self.learner.counts.non_finite = 0,
                false => self.not_finite(own.number, progress)?,
            }
        }
        Ok(())
    }

    fn log(&mut self, update: Update, own: &UnderWay, took: f64) -> Result<()> {
        let images = own.images;
        if update.finite {
            self.position.unfinished.loss += update.loss * images as f64;
            self.position.unfinished.images += images as u64;
        }
        self.outputs.update(&StepRow {
            epoch: self.position.epoch,
            step: own.number,
            loss: update.loss.is_finite().then_some(update.loss),
            lr: own.lr,
            img_per_sec: images as f64 / took.max(1e-9),
            data_seconds: own.waited.as_secs_f64(),
            step_seconds: took,
            scale: update.scale,
        })
    }

    /// An update was left out. Too many in a row end the run, with the weights as they were before the first.
    fn not_finite(&mut self, step: u64, progress: &TrainingProgress) -> Result<()> {
        self.learner.counts.non_finite += 1;
        let count = self.learner.counts.non_finite;
        progress.say(&format!("warning: update {step}: the loss or its gradients are not finite; it is left out"));
        if count >= MOST_NON_FINITE {
            self.save()?;
            bail!(
                "updates {} to {step}: the loss or its gradients are not finite; try a lower --lr, a longer warm-up or \
                 --clip-grad",
                step + 1 - count
            );
        }
        Ok(())
    }
}
