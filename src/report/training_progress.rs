//! How far an epoch of training has come: a bar on a terminal, a plain line every few updates elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::remark;

/// The progress of one epoch, on the standard error.
pub struct TrainingProgress {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Updates between plain lines.
    interval: u64,
    epoch: u64,
    epochs: u64,
    first: u64,
    steps: u64,
    started: Instant,
    waited: Duration,
    images: u64,
}

/// An update, for the line.
#[derive(Clone, Copy, Debug)]
pub struct UpdateFigures {
    /// Updates of the epoch that are done.
    pub done: u64,
    pub loss: f64,
    pub lr: f64,
    pub images: u64,
    pub waited: Duration,
}

impl TrainingProgress {
    /// Epoch `epoch` of `epochs`, which begins at update `first` of `steps`.
    pub fn start([epoch, epochs]: [u64; 2], [first, steps]: [u64; 2], interval: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(ProgressStyle::with_template("{wide_bar} {msg}").unwrap_or(ProgressStyle::default_bar()));
            bar
        });
        let (started, interval) = (Instant::now(), interval.max(1));
        Self { bar, quiet, interval, epoch, epochs, first, steps, started, waited: Duration::ZERO, images: 0 }
    }

    pub fn advance(&mut self, update: UpdateFigures) {
        self.waited += update.waited;
        self.images += update.images;
        match &self.bar {
            Some(bar) => {
                bar.set_position(update.done);
                bar.set_message(self.line(update));
            }
            None if !self.quiet && (update.done.is_multiple_of(self.interval) || update.done == self.steps) => {
                remark(&self.line(update));
            }
            None => {}
        }
    }

    /// Says something without tearing the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| remark(line)),
            None => remark(line),
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, update: UpdateFigures) -> String {
        let elapsed = self.started.elapsed();
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let done = update.done.saturating_sub(self.first).max(1);
        let left = elapsed.mul_f64(self.steps.saturating_sub(update.done) as f64 / done as f64).as_secs();
        format!(
            "epoch {}/{}, update {}/{}, loss {:.4}, lr {:.3e}, {:.1} img/s, {:.0}% waited for images, {}:{:02} left",
            self.epoch + 1,
            self.epochs,
            update.done,
            self.steps,
            update.loss,
            update.lr,
            self.images as f64 / seconds,
            100.0 * self.waited.as_secs_f64() / seconds,
            left / 60,
            left % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_an_epoch_does_and_how_long_it_will() {
        let mut progress = TrainingProgress::start([2, 300], [10, 30], 1, true);
        progress.started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let update = UpdateFigures { done: 20, loss: 1.25, lr: 0.1, images: 640, waited: Duration::from_secs(1) };
        progress.advance(update);
        let line = progress.line(update);
        let expected =
            "epoch 3/300, update 20/30, loss 1.2500, lr 1.000e-1, 64.0 img/s, 10% waited for images, 0:10 left";
        assert_eq!(line, expected);
    }
}
