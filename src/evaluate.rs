//! A network and batches of images become counts. Nothing is printed here: whoever wants to see the run as it goes
//! observes its batches, and may end it.
//!
//! Loading overlaps computing, since the loader decodes the next batches on its own threads meanwhile.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use crate::data::Skipped;
use crate::data::loader::Batch;
use crate::metrics::Counts;

/// How images reach the network.
#[derive(Clone, Debug)]
pub struct Options {
    /// Side of the square images, in pixels.
    pub side: usize,
    /// Average the logits of each image and of its mirror image.
    pub mirror: bool,
    pub device: Device,
}

/// What one batch gave.
pub struct Outcome<'a> {
    /// Number in the data set of each image that could be read.
    pub indices: &'a [usize],
    pub labels: &'a [usize],
    /// `[images, classes]`
    pub logits: &'a [Vec<f32>],
    /// Images of this stretch that could not be read.
    pub skipped: &'a [Skipped],
    /// Images behind us, read or not.
    pub done: usize,
    /// Of the run so far.
    pub counts: &'a Counts,
}

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    pub counts: Counts,
    pub skipped: Vec<Skipped>,
    /// Images that the run came to, read or not.
    pub done: usize,
    /// Wall time of it all.
    pub elapsed: Duration,
    /// Wall time of the network.
    pub computing: Duration,
}

/// Runs every batch through `network`, which maps u8 `[batch, side, side, 3]` to f32 `[batch, classes]`, until the
/// batches or the observer's patience end.
///
/// # Errors
/// What the network or the observer says.
pub fn evaluate(
    network: impl Fn(&Tensor) -> Result<Tensor>,
    batches: impl Iterator<Item = Batch>,
    options: &Options,
    mut observe: impl FnMut(&Outcome<'_>) -> Result<ControlFlow<()>>,
) -> Result<Evaluation> {
    let mut run = Evaluation::default();
    let started = Instant::now();
    for batch in batches {
        let computing = Instant::now();
        let logits = if batch.size == 0 { Vec::new() } else { logits(&network, &batch, options)? };
        run.computing += computing.elapsed();
        for (logits, &label) in logits.iter().zip(&batch.labels) {
            run.counts.add(logits, label);
        }
        run.skipped.extend_from_slice(&batch.skipped);
        run.done += batch.size + batch.skipped.len();
        let outcome = Outcome {
            indices: &batch.indices,
            labels: &batch.labels,
            logits: &logits,
            skipped: &batch.skipped,
            done: run.done,
            counts: &run.counts,
        };
        if observe(&outcome)?.is_break() {
            break;
        }
    }
    run.elapsed = started.elapsed();
    Ok(run)
}

fn logits(network: impl Fn(&Tensor) -> Result<Tensor>, batch: &Batch, options: &Options) -> Result<Vec<Vec<f32>>> {
    let shape = (batch.size, options.side, options.side, CHANNELS);
    let forward = |pixels: &[u8]| -> Result<Vec<Vec<f32>>> {
        let images =
            Tensor::from_slice(pixels, shape, &options.device).context("cannot hand a batch to the network")?;
        let logits = network(&images)?.to_vec2()?;
        ensure!(logits.len() == batch.size, "the network gave {} rows for {} images", logits.len(), batch.size);
        Ok(logits)
    };
    let mut logits = forward(&batch.pixels)?;
    if options.mirror {
        let mirrored = forward(&mirror(&batch.pixels, options.side))?;
        for (own, other) in logits.iter_mut().flatten().zip(mirrored.into_iter().flatten()) {
            *own = 0.5 * (*own + other);
        }
    }
    Ok(logits)
}

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// Swaps left and right in images of `[side, side, 3]`.
fn mirror(pixels: &[u8], side: usize) -> Vec<u8> {
    let rows = pixels.chunks_exact(side * CHANNELS);
    rows.flat_map(|row| row.chunks_exact(CHANNELS).rev().flatten().copied()).collect()
}

#[cfg(test)]
mod tests {
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

    fn options(mirror: bool) -> Options {
        Options { side: SIDE, mirror, device: Device::Cpu }
    }

    #[test]
    fn every_readable_image_counts_once_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let run = evaluate(first_red, batches(folder.path()), &options(false), |outcome| {
            seen.extend(outcome.indices.iter().zip(outcome.labels).map(|(&index, &label)| (index, label)));
            Ok(ControlFlow::Continue(()))
        });
        let run = run.unwrap();
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
        let run = evaluate(first_red, batches(folder.path()), &options(true), |outcome| {
            logits.extend(outcome.logits.iter().map(|logits| logits[1]));
            Ok(ControlFlow::Continue(()))
        });
        run.unwrap();
        assert_eq!(logits, [5.0, 5.0, 100.0, 100.0]);
    }

    #[test]
    fn the_observer_may_end_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let stop = |_: &Outcome<'_>| Ok(ControlFlow::Break(()));
        let run = evaluate(first_red, batches(folder.path()), &options(false), stop).unwrap();
        assert_eq!((run.done, run.counts.images), (3, 2));
    }
}
