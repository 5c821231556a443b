//! Files that threads have left encoded become squares: on the device, and where it does not take one, here.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use rayon::prelude::*;

use super::queue::{Finished, Loaded};
use crate::augment::Rgb;
use crate::augment::evaluation::Evaluation;
use crate::augment::resize::Resizer;
use crate::data::decode::Decoder;
use crate::ops::squares::{Batch, Encoded, Files, Squares};

/// A device's part of loading.
#[derive(Debug)]
pub struct Stage {
    transform: Evaluation,
    /// None after the device has failed.
    squares: Option<Squares>,
    /// Time that whoever calls has spent here.
    spent: Duration,
    /// Time that a device took which has failed since.
    took: Duration,
}

/// Room for decoding here.
#[derive(Default)]
struct Desk {
    decoder: Decoder,
    image: Rgb,
    resizer: Resizer,
}

impl Stage {
    /// For batches of at most `batch_bytes`.
    pub fn new(transform: Evaluation, mut squares: Squares, batch_bytes: usize) -> Self {
        let reserved = squares.reserve(batch_bytes);
        let mut stage = Self { transform, squares: Some(squares), spent: Duration::ZERO, took: Duration::ZERO };
        if let Err(error) = reserved {
            stage.give_up(&error);
        }
        stage
    }

    /// Has squares made of every image of the batch that is still encoded, on the device or here, or says why not. Those on
    /// the device are there once whoever reads them has waited.
    pub fn run(&mut self, finished: &mut Finished, image_bytes: usize) -> Option<Batch> {
        let begun = Instant::now();
        let mut files: Vec<(usize, Encoded)> = Vec::new();
        for (place, outcome) in finished.outcomes.iter_mut().enumerate() {
            match mem::replace(outcome, Ok(Loaded::Square)) {
                Ok(Loaded::Encoded(file)) => files.push((place, *file)),
                other => *outcome = other,
            }
        }
        if files.is_empty() {
            return None;
        }
        let files = Arc::new(files);
        let batch = self.make(&files, finished.outcomes.len(), image_bytes);
        let is_made = |at: usize| batch.as_ref().is_some_and(|batch| batch.made[at]);
        let decode_here = |desk: &mut Desk, at: usize| {
            let (place, file) = &files[at];
            (*place, desk.square(&file.bytes, &self.transform, image_bytes))
        };
        let refused: Vec<usize> = (0..files.len()).filter(|&at| !is_made(at)).collect();
        let decoded: Vec<(usize, Result<Vec<u8>>)> =
            refused.into_par_iter().map_init(Desk::default, decode_here).collect();
        let any_made = decoded.len() < files.len();
        for (place, square) in decoded {
            finished.outcomes[place] = match square {
                Ok(square) => {
                    finished.pixels[place * image_bytes..][..image_bytes].copy_from_slice(&square);
                    Ok(Loaded::Pixels)
                }
                Err(error) => Err(format!("{error:#}")),
            };
        }
        self.spent += begun.elapsed();
        batch.filter(|_| any_made)
    }

    /// How long this part of loading takes: whoever calls and the device work side by side.
    pub fn took(&self) -> Duration {
        self.spent.max(self.took + self.squares.as_ref().map(Squares::took).unwrap_or_default())
    }

    fn make(&mut self, files: &Files, places: usize, image_bytes: usize) -> Option<Batch> {
        match self.squares.as_mut()?.make(files, places, image_bytes) {
            Ok(batch) => Some(batch),
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    fn give_up(&mut self, error: &Error) {
        tracing::warn!("the GPU decodes no more, from here on the processor does: {error:#}");
        self.took += self.squares.take().map(|squares| squares.took()).unwrap_or_default();
    }
}

impl Desk {
    fn square(&mut self, bytes: &[u8], transform: &Evaluation, image_bytes: usize) -> Result<Vec<u8>> {
        self.decoder.decode(bytes, |width, height| transform.region(width, height), &mut self.image)?;
        let mut square = vec![0; image_bytes];
        transform.apply(&self.image, &mut self.resizer, &mut square);
        Ok(square)
    }
}
