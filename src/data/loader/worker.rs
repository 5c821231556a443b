//! What a thread does with an image: read, decode, transform.

use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use anyhow::Result;

use super::order::Order;
use super::queue::{Loaded, Queue};
use crate::augment::{Place, Rgb, Transform};
use crate::data::source::{Reader, Source};
use crate::ops::squares::Encoded;

/// Room that is used again for every image.
#[derive(Default)]
struct Desk<Room> {
    reader: Reader,
    image: Rgb,
    room: Room,
    pixels: Vec<u8>,
}

/// Bytes of a picture that a thread keeps for the next one; a larger one gives its memory back.
const KEPT: usize = 64 << 20;

/// Loads images until there are no more.
pub fn run<T: Transform>(source: &Source, order: &Order, transform: &T, queue: &Queue) {
    let mut desk = Desk { pixels: vec![0; queue.image_bytes()], ..Desk::default() };
    while let Some(task) = queue.claim() {
        let place = Place { sample: order.sample(task.position), position: task.position };
        let begun = Instant::now();
        // Whatever goes wrong with one image must neither end the thread nor leave the caller waiting.
        let loaded = panic::catch_unwind(AssertUnwindSafe(|| desk.load(source, transform, place)));
        let outcome = match loaded {
            Ok(result) => result.map_err(|error| format!("{error:#}")),
            Err(_) => Err("its decoding failed unexpectedly".to_owned()),
        };
        queue.deliver(task, &desk.pixels, outcome, begun.elapsed());
    }
}

impl<Room> Desk<Room> {
    fn load(&mut self, source: &Source, transform: &impl Transform<Room = Room>, place: Place) -> Result<Loaded> {
        let wanted = |width, height| transform.region(width, height, place);
        match transform.on_device() {
            None => source.load(place.sample, wanted, &mut self.reader, &mut self.image)?,
            Some(planned) => {
                if let Some((bytes, width, height)) = source.read_plain_jpeg(place.sample, &mut self.reader)? {
                    return Ok(Loaded::Encoded(Box::new(Encoded { bytes, plan: planned.plan(width, height) })));
                }
                source.decode(&mut self.reader, wanted, &mut self.image)?;
            }
        }
        transform.apply(&self.image, place, &mut self.room, &mut self.pixels);
        self.reader.shrink(KEPT);
        if self.image.pixels.capacity() > KEPT {
            self.image.pixels = Vec::new();
        }
        Ok(Loaded::Pixels)
    }
}
