//! A network and batches of images become counts. Nothing is printed here: whoever wants to see the run as it goes
//! observes its batches, and may end it.
//!
//! Loading overlaps computing, since the loader decodes the next batches on its own threads meanwhile; and on a GPU one
//! batch is computed while the next one travels there.

mod judges;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Result;

pub use self::judges::{DeviceJudge, Forward, Judge, Options, judge};
use crate::data::Skipped;
use crate::data::loader::Batch;
use crate::metrics::{Counts, Verdict};

/// What one batch gave.
pub struct Outcome<'a> {
    /// Number in the data set of each image that could be read.
    pub indices: &'a [usize],
    pub labels: &'a [usize],
    /// What the network answered for each of them.
    pub verdicts: &'a [Verdict],
    /// Images of this stretch that could not be read.
    pub skipped: &'a [Skipped],
    /// Images behind us, read or not.
    pub done: usize,
    /// Of the run so far.
    pub counts: &'a Counts,
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Evaluation {
    pub counts: Counts,
    pub skipped: Vec<Skipped>,
    /// Images that the run came to, read or not.
    pub done: usize,
    /// Wall time of it all.
    pub elapsed: Duration,
    /// Wall time of the network: its device's where that says more than its caller's.
    pub computing: Duration,
    /// Time spent waiting for images that a device was still at.
    pub waited: Duration,
    /// What the network, the device that it runs on, or the observer failed with: the run ended there, and the counts are
    /// of what came before.
    pub failure: Option<anyhow::Error>,
}

/// Has every batch judged, until the batches, the judge or the observer's patience end. What fails is in
/// [`Evaluation::failure`], so that nothing that was counted before is lost.
pub fn evaluate(
    judge: &mut dyn Judge,
    batches: impl Iterator<Item = Batch>,
    mut observe: impl FnMut(&Outcome<'_>) -> Result<ControlFlow<()>>,
) -> Evaluation {
    let mut run = Evaluation::default();
    let started = Instant::now();
    let mut under_way = VecDeque::new();
    let mut batches = batches.fuse();
    loop {
        let next = batches.next();
        let ended = next.is_none();
        if let Some(batch) = next {
            if let Err(error) = run.submit(judge, &batch) {
                run.failure = Some(error);
                break;
            }
            under_way.push_back(batch);
        }
        if !ended && under_way.len() < judge.depth() {
            continue;
        }
        let Some(batch) = under_way.pop_front() else { break };
        match run.settle(judge, &batch, &mut observe) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) => {
                run.failure = Some(error);
                break;
            }
        }
    }
    // A device computes beside the loading; its caller's time also knows what is done for it here.
    run.computing = run.computing.max(judge.computed().unwrap_or_default());
    run.elapsed = started.elapsed();
    run
}

impl Evaluation {
    fn submit(&mut self, judge: &mut dyn Judge, batch: &Batch) -> Result<()> {
        if judge.computed().is_none() {
            // It computes at once, and needs them here.
            self.wait(batch)?;
        }
        let computing = Instant::now();
        let submitted = if batch.size == 0 { Ok(()) } else { judge.submit(batch) };
        self.computing += computing.elapsed();
        submitted
    }

    fn collect(&mut self, judge: &mut dyn Judge, batch: &Batch) -> Result<Vec<Verdict>> {
        let computing = Instant::now();
        let verdicts = if batch.size == 0 { Ok(Vec::new()) } else { judge.collect() };
        self.computing += computing.elapsed();
        verdicts
    }

    /// Waits for a batch's images, without which no answer comes anyway, so that this is not taken for computing.
    fn wait(&mut self, batch: &Batch) -> Result<()> {
        let waiting = Instant::now();
        let there = batch.wait();
        self.waited += waiting.elapsed();
        there
    }

    /// Counts a batch that was submitted.
    fn settle(
        &mut self,
        judge: &mut dyn Judge,
        batch: &Batch,
        observe: &mut impl FnMut(&Outcome<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        self.wait(batch)?;
        let verdicts = self.collect(judge, batch)?;
        verdicts.iter().for_each(|verdict| self.counts.add(verdict));
        self.skipped.extend_from_slice(&batch.skipped);
        self.done += batch.size + batch.skipped.len();
        observe(&Outcome {
            indices: &batch.indices,
            labels: &batch.labels,
            verdicts: &verdicts,
            skipped: &batch.skipped,
            done: self.done,
            counts: &self.counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::augment::evaluation::Evaluation as Transform;
    use crate::data::loader::{Loader, Options as LoaderOptions};
    use crate::data::source;
    use crate::preprocessing::{Interpolation, Preprocessing, ResizeMode};

    const SIDE: usize = 4;

    /// Images of two classes, the left half black and the right half as bright as the class says; one is no image.
    fn batches(folder: &std::path::Path) -> Loader {
        for (class, bright) in [("0", 10u8), ("1", 200)] {
            std::fs::create_dir(folder.join(class)).unwrap();
            for name in ["a.png", "b.png"] {
                let right = |x: u32| if x < 2 { 0 } else { bright };
                let image = image::RgbImage::from_fn(4, 4, |x, _| image::Rgb([right(x), 0, 0]));
                image.save(folder.join(class).join(name)).unwrap();
            }
        }
        std::fs::write(folder.join("0/c.png"), "no image").unwrap();
        let preprocessing = Preprocessing {
            input_size: SIDE,
            crop_pct: 1.0,
            resize_mode: ResizeMode::Crop,
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let options = LoaderOptions::new(3, 2);
        let source = source::open(folder, None).unwrap();
        Loader::new(source.into(), Transform::new(&preprocessing).unwrap(), options).unwrap()
    }

    /// Logits: 100, and the first pixel's red.
    fn first_red(images: &Tensor) -> Result<Tensor> {
        let pixels = images.flatten_from(1)?.to_vec2::<u8>()?;
        let logits: Vec<f32> = pixels.iter().flat_map(|image| [100.0, f32::from(image[0])]).collect();
        Ok(Tensor::from_vec(logits, (pixels.len(), 2), &Device::Cpu)?)
    }

    fn judge(mirror: bool) -> Forward<fn(&Tensor) -> Result<Tensor>> {
        Forward::new(first_red, Options { side: SIDE, mirror, kept: 2, device: Device::Cpu })
    }

    #[test]
    fn every_readable_image_counts_once_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let run = evaluate(&mut judge(false), batches(folder.path()), |outcome| {
            seen.extend(outcome.indices.iter().zip(outcome.labels).map(|(&index, &label)| (index, label)));
            Ok(ControlFlow::Continue(()))
        });
        // Left is black in all: class 0 is always answered.
        assert_eq!((run.counts.images, run.counts.correct1, run.done), (4, 2, 5));
        assert_eq!(seen, [(0, 0), (1, 0), (3, 1), (4, 1)]);
        let skipped: Vec<_> = run.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
        assert_eq!(skipped, ["0/c.png"]);
    }

    #[test]
    fn mirroring_averages_the_logits_of_both_sides() {
        let folder = tempfile::tempdir().unwrap();
        let mut logits = Vec::new();
        let run = evaluate(&mut judge(true), batches(folder.path()), |outcome| {
            logits.extend(
                outcome
                    .verdicts
                    .iter()
                    .map(|verdict| verdict.logits[verdict.classes.iter().position(|&class| class == 1).unwrap()]),
            );
            Ok(ControlFlow::Continue(()))
        });
        assert!(run.failure.is_none());
        assert_eq!(logits, [5.0, 5.0, 100.0, 100.0]);
    }

    #[test]
    fn the_observer_may_end_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let stop = |_: &Outcome<'_>| Ok(ControlFlow::Break(()));
        let run = evaluate(&mut judge(false), batches(folder.path()), stop);
        assert_eq!((run.done, run.counts.images), (3, 2));
    }

    #[test]
    fn an_observer_that_fails_leaves_what_was_counted() {
        let folder = tempfile::tempdir().unwrap();
        let run = evaluate(&mut judge(false), batches(folder.path()), |_| bail!("the disk is full"));
        assert_eq!((run.done, run.counts.images), (3, 2));
        assert_eq!(run.failure.unwrap().to_string(), "the disk is full");
    }

    /// Keeps batches until they are collected, as a GPU does; fails at one of them.
    struct Late {
        labels: VecDeque<Vec<usize>>,
        fails_at: usize,
        collected: usize,
    }

    impl Judge for Late {
        fn submit(&mut self, batch: &Batch) -> Result<()> {
            assert!(self.labels.len() < self.depth());
            self.labels.push_back(batch.labels.clone());
            Ok(())
        }

        fn collect(&mut self) -> Result<Vec<Verdict>> {
            if self.collected == self.fails_at {
                bail!("the GPU is gone");
            }
            self.collected += 1;
            let labels = self.labels.pop_front().unwrap();
            Ok(labels.iter().map(|&label| Verdict::of(&[1.0, 0.0], label, 1)).collect())
        }

        fn depth(&self) -> usize {
            2
        }
    }

    fn late(fails_at: usize) -> Evaluation {
        let folder = tempfile::tempdir().unwrap();
        let mut judge = Late { labels: VecDeque::new(), fails_at, collected: 0 };
        evaluate(&mut judge, batches(folder.path()), |_| Ok(ControlFlow::Continue(())))
    }

    #[test]
    fn batches_that_are_judged_late_are_all_counted() {
        let run = late(usize::MAX);
        assert_eq!((run.counts.images, run.counts.correct1, run.done), (4, 2, 5));
        assert!(run.failure.is_none());
    }

    #[test]
    fn a_judge_that_fails_leaves_what_was_counted_before() {
        let run = late(1);
        assert_eq!((run.counts.images, run.done), (2, 3));
        assert_eq!(run.failure.unwrap().to_string(), "the GPU is gone");
    }
}
