//! How far a run has come: a bar on a terminal, a plain line every few batches elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::remark;
use crate::metrics::Counts;

/// The progress of one evaluation, on the standard error.
pub struct Progress {
    display: Display,
    total: usize,
    started: Instant,
    batches: usize,
}

enum Display {
    Bar(ProgressBar),
    /// A line every so many batches.
    Lines(usize),
    Quiet,
}

impl Progress {
    /// Progress towards `total` images; `interval` is the number of batches between plain lines.
    pub fn start(total: usize, interval: usize, quiet: bool) -> Self {
        let display = if quiet {
            Display::Quiet
        } else if std::io::stderr().is_terminal() {
            Display::Bar(bar(total))
        } else {
            Display::Lines(interval.max(1))
        };
        Self { display, total, started: Instant::now(), batches: 0 }
    }

    /// One batch more: `done` images are behind us, read or skipped, and `counts` is what they gave.
    pub fn advance(&mut self, done: usize, counts: &Counts) {
        self.batches += 1;
        match &self.display {
            Display::Bar(bar) => {
                bar.set_position(done as u64);
                bar.set_message(self.line(done, counts));
            }
            Display::Lines(interval) if self.batches.is_multiple_of(*interval) || done == self.total => {
                remark(&self.line(done, counts));
            }
            Display::Lines(_) | Display::Quiet => {}
        }
    }

    /// Says something without tearing the bar.
    pub fn say(&self, line: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| remark(line)),
            Display::Lines(_) | Display::Quiet => remark(line),
        }
    }

    /// Takes the bar away: the summary says the rest.
    pub fn finish(self) {
        if let Display::Bar(bar) = self.display {
            bar.finish_and_clear();
        }
    }

    fn line(&self, done: usize, counts: &Counts) -> String {
        let elapsed = self.started.elapsed();
        let left = self.total.saturating_sub(done) as f64 / done.max(1) as f64;
        let left = elapsed.mul_f64(left).as_secs();
        format!("{done}/{} images, {}, {}:{:02} left", self.total, figures(counts, elapsed), left / 60, left % 60)
    }
}

fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(10));
    let template = "{wide_bar} {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(format!("0/{total} images"));
    bar
}

/// What the images so far gave.
fn figures(counts: &Counts, elapsed: Duration) -> String {
    let speed = counts.images as f64 / elapsed.as_secs_f64().max(1e-9);
    format!("top-1 {:.2}, top-5 {:.2}, {speed:.1} img/s", counts.top1(), counts.top5())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Verdict;

    #[test]
    fn a_line_says_how_far_how_well_how_fast_and_how_long() {
        let mut counts = Counts::default();
        counts.add(&Verdict::of(&[1.0, 0.0], 0, 0));
        counts.add(&Verdict::of(&[1.0, 0.0], 1, 0));
        let started = Instant::now().checked_sub(Duration::from_secs(4)).unwrap();
        let progress = Progress { display: Display::Quiet, total: 64, started, batches: 1 };
        let line = progress.line(2, &counts);
        assert_eq!(line, "2/64 images, top-1 50.00, top-5 100.00, 0.5 img/s, 2:04 left");
    }
}
