//! What a thread does with an image: read, decode, resize.

use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use anyhow::Result;

use super::queue::Queue;
use crate::augment::Rgb;
use crate::augment::evaluation::Evaluation;
use crate::augment::resize::Resizer;
use crate::data::decode::decode;
use crate::data::source::Source;

/// Room that is used again for every image.
#[derive(Default)]
struct Desk {
    bytes: Vec<u8>,
    image: Rgb,
    resizer: Resizer,
    pixels: Vec<u8>,
}

/// Bytes of a picture that a thread keeps for the next one; a larger one gives its memory back.
const KEPT: usize = 64 << 20;

/// Loads images until there are no more.
pub fn run(source: &Source, transform: &Evaluation, queue: &Queue) {
    let mut desk = Desk { pixels: vec![0; queue.image_bytes()], ..Desk::default() };
    while let Some(task) = queue.claim() {
        let begun = Instant::now();
        // Whatever goes wrong with one image must neither end the thread nor leave the caller waiting.
        let loaded = panic::catch_unwind(AssertUnwindSafe(|| desk.load(source, transform, task.index)));
        let outcome = match loaded {
            Ok(result) => result.map_err(|error| format!("{error:#}")),
            Err(_) => Err("its decoding failed unexpectedly".to_owned()),
        };
        queue.deliver(task, &desk.pixels, outcome, begun.elapsed());
    }
}

impl Desk {
    fn load(&mut self, source: &Source, transform: &Evaluation, index: usize) -> Result<()> {
        source.read(index, &mut self.bytes)?;
        decode(&self.bytes, &mut self.image)?;
        transform.apply(&self.image, &mut self.resizer, &mut self.pixels);
        for buffer in [&mut self.bytes, &mut self.image.pixels] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }
}
