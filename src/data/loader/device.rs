//! Files that threads have left encoded become squares: on the device, and where it does not take one, here.

use std::mem;

use anyhow::Result;
use rayon::prelude::*;

use super::queue::{Finished, Loaded};
use crate::augment::Rgb;
use crate::augment::evaluation::Evaluation;
use crate::augment::resize::Resizer;
use crate::data::decode::Decoder;
use crate::ops::squares::{Encoded, Squares};

/// A device's part of loading.
#[derive(Debug)]
pub struct Stage {
    transform: Evaluation,
    /// None after the device has failed.
    squares: Option<Squares>,
}

/// Room for decoding here.
#[derive(Default)]
struct Desk {
    decoder: Decoder,
    image: Rgb,
    resizer: Resizer,
}

impl Stage {
    pub fn new(transform: Evaluation, squares: Squares) -> Self {
        Self { transform, squares: Some(squares) }
    }

    /// Makes pixels of every image of the batch that is still encoded, or a reason why not. Returns how many of them the
    /// device has decoded.
    pub fn run(&mut self, finished: &mut Finished, image_bytes: usize) -> usize {
        let mut files: Vec<(usize, Encoded)> = Vec::new();
        for (place, outcome) in finished.outcomes.iter_mut().enumerate() {
            match mem::replace(outcome, Ok(Loaded::Pixels)) {
                Ok(Loaded::Encoded(file)) => files.push((place, *file)),
                other => *outcome = other,
            }
        }
        if files.is_empty() {
            return 0;
        }
        let made = self.make(&files, &mut finished.pixels, image_bytes);
        let decode_here = |desk: &mut Desk, ((place, file), _): (&(usize, Encoded), _)| {
            (*place, desk.square(&file.bytes, &self.transform, image_bytes))
        };
        let refused = files.par_iter().zip(&made).filter(|(_, made)| !**made);
        let refused: Vec<(usize, Result<Vec<u8>>)> = refused.map_init(Desk::default, decode_here).collect();
        for (place, square) in &refused {
            match square {
                Ok(square) => finished.pixels[place * image_bytes..][..image_bytes].copy_from_slice(square),
                Err(error) => finished.outcomes[*place] = Err(format!("{error:#}")),
            }
        }
        files.len() - refused.len()
    }

    /// Has the device make squares and puts them into their places of `pixels`; of which files it did.
    fn make(&mut self, files: &[(usize, Encoded)], pixels: &mut [u8], image_bytes: usize) -> Vec<bool> {
        if let Some(squares) = &mut self.squares {
            match make(squares, files, pixels, image_bytes) {
                Ok(made) => return made,
                Err(error) => {
                    tracing::warn!("the GPU decodes no more, from here on the processor does: {error:#}");
                    self.squares = None;
                }
            }
        }
        vec![false; files.len()]
    }
}

fn make(squares: &mut Squares, files: &[(usize, Encoded)], pixels: &mut [u8], image_bytes: usize) -> Result<Vec<bool>> {
    let batch = squares.make(files, pixels.len() / image_bytes, image_bytes)?;
    let places: Vec<usize> = files.iter().zip(&batch.made).filter(|(_, made)| **made).map(|(file, _)| file.0).collect();
    // Neighbours come together: there is seldom another kind of file between them.
    for run in places.chunk_by(|place, next| place + 1 == *next) {
        let run = run[0]..run[0] + run.len();
        squares.fetch(&batch, run.clone(), &mut pixels[run.start * image_bytes..run.end * image_bytes])?;
    }
    Ok(batch.made)
}

impl Desk {
    fn square(&mut self, bytes: &[u8], transform: &Evaluation, image_bytes: usize) -> Result<Vec<u8>> {
        self.decoder.decode(bytes, |width, height| transform.region(width, height), &mut self.image)?;
        let mut square = vec![0; image_bytes];
        transform.apply(&self.image, &mut self.resizer, &mut square);
        Ok(square)
    }
}
