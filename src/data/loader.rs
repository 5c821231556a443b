//! Batches of u8 pixels in a given order, decoded and transformed by several threads.
//!
//! Threads take images one by one, so that all of them work on the same batch; each writes into the place that the
//! image's position gives it. At most a few batches are under way at once, which bounds the memory, and what a batch
//! holds does not depend on how many threads there are.

mod batch;
mod device;
mod order;
mod queue;
mod worker;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::batch::Pool;
pub use self::batch::{Batch, Squares as BatchSquares};
use self::device::Stage;
pub use self::order::{Options, Order};
use self::queue::{Loaded, Queue};
use super::Skipped;
use super::source::Source;
use crate::augment::Transform;
use crate::augment::evaluation::{Evaluation, OnDevice};
use crate::ops::squares::Squares;

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Images that were delivered.
    pub images: usize,
    /// Time that the caller of `next` spent waiting for a batch.
    pub waited: Duration,
    /// Time that all threads together spent reading, decoding and transforming.
    pub busy: Duration,
    /// From the start to the last batch delivered.
    pub elapsed: Duration,
    pub workers: usize,
    /// Of the images, those that a device decoded.
    pub on_device: usize,
    /// How long the device's part took, which goes on beside the threads and the caller.
    pub device: Duration,
}

/// An iterator over the batches of a pass. Dropping it early stops the threads after the image at hand.
#[derive(Debug)]
pub struct Loader {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    source: Arc<Source>,
    order: Order,
    pool: Arc<Pool>,
    started: Instant,
    statistics: Statistics,
    /// What decodes the files that threads leave encoded.
    stage: Option<Stage>,
}

impl Loader {
    /// Starts loading `source` through `transform`.
    ///
    /// # Errors
    ///
    /// A batch size, a limit or a number of threads of zero; an order that names images that there are not, a start
    /// behind its end, less than a batch where incomplete ones are left out; threads that the system does not grant.
    pub fn new<T: Transform + 'static>(source: Arc<Source>, transform: T, options: Options) -> Result<Self> {
        let positions = options.positions(source.len())?;
        let Options { batch_size, workers, order, .. } = options;
        let image_bytes = transform.copies() * transform.side() * transform.side() * 3;
        let transform = Arc::new(transform);
        let pool = Arc::new(Pool::default());
        let queue = Arc::new(Queue::new(positions, batch_size, image_bytes, workers, pool.clone()));
        // From here on a failure drops the loader, which stops the threads that did start.
        let mut loader = Self {
            queue,
            threads: Vec::with_capacity(workers),
            source,
            order,
            pool,
            started: Instant::now(),
            statistics: Statistics { workers, ..Statistics::default() },
            stage: None,
        };
        for number in 0..workers {
            let (source, queue, order) = (loader.source.clone(), loader.queue.clone(), loader.order.clone());
            let transform = transform.clone();
            let thread = thread::Builder::new()
                .name(format!("loader-{number}"))
                .spawn(move || worker::run(&source, &order, &*transform, &queue))
                .with_context(|| format!("--workers {workers}: the system grants no more than {number} threads"))?;
            loader.threads.push(thread);
        }
        Ok(loader)
    }

    /// Starts loading `source` through `transform`, with a device that makes `squares` of the usual kind of JPEG. What it
    /// does not take is decoded here, so that the same images are left out.
    ///
    /// # Errors
    ///
    /// As for [`Loader::new`].
    pub fn on_device(source: Arc<Source>, transform: Evaluation, squares: Squares, options: Options) -> Result<Self> {
        let batch_size = options.batch_size;
        let mut loader = Self::new(source, OnDevice(transform), options)?;
        loader.stage = Some(Stage::new(transform, squares, batch_size * loader.queue.image_bytes()));
        Ok(loader)
    }

    /// Batches in all, those already delivered included.
    pub fn batches(&self) -> usize {
        self.queue.batches()
    }

    /// Images in all from the start on, whether or not they can be read.
    pub fn images(&self) -> usize {
        self.queue.images()
    }

    /// Where the time went so far.
    pub fn statistics(&self) -> Statistics {
        let device = self.stage.as_ref().map(Stage::took).unwrap_or_default();
        Statistics { busy: self.queue.busy(), device, ..self.statistics }
    }
}

impl Iterator for Loader {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let asked = Instant::now();
        let mut finished = self.queue.take()?;
        let bytes = self.queue.image_bytes();
        let squares = self.stage.as_mut().and_then(|stage| stage.run(&mut finished, bytes));
        self.statistics.waited += asked.elapsed();
        self.statistics.elapsed = self.started.elapsed();
        let mut batch = Batch {
            pixels: finished.pixels,
            squares: None,
            size: 0,
            covers: finished.first..finished.first + finished.outcomes.len(),
            positions: Vec::with_capacity(finished.outcomes.len()),
            indices: Vec::with_capacity(finished.outcomes.len()),
            labels: Vec::with_capacity(finished.outcomes.len()),
            skipped: Vec::new(),
            home: self.pool.clone(),
        };
        let mut places = Vec::with_capacity(finished.outcomes.len());
        for (place, outcome) in finished.outcomes.into_iter().enumerate() {
            let position = finished.first + place;
            let index = self.order.sample(position);
            let sample = &self.source.samples()[index];
            let square = match outcome {
                Ok(Loaded::Pixels) => Ok(None),
                Ok(Loaded::Square) => Ok(Some(place)),
                Ok(Loaded::Encoded(_)) => Err("no device has decoded it".to_owned()),
                Err(reason) => Err(reason),
            };
            let square = match square {
                Ok(square) => square,
                Err(reason) => {
                    batch.skipped.push(Skipped { path: sample.path.display().to_string(), reason });
                    continue;
                }
            };
            // Close the gap that an unreadable image left; a square stays where it is.
            if place != batch.size && square.is_none() {
                batch.pixels.copy_within(place * bytes..(place + 1) * bytes, batch.size * bytes);
            }
            places.push(square);
            batch.positions.push(position);
            batch.indices.push(index);
            batch.labels.push(sample.label);
            batch.size += 1;
        }
        batch.pixels.truncate(batch.size * bytes);
        self.statistics.on_device += places.iter().flatten().count();
        batch.squares = squares.map(|batch| BatchSquares { batch, places });
        self.statistics.images += batch.size;
        Some(batch)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queue.stop();
        for thread in self.threads.drain(..) {
            // A thread cannot panic: its work is caught, image by image.
            let _ = thread.join();
        }
    }
}

impl Statistics {
    /// What the threads would deliver if nobody made them wait, in images a second.
    pub fn images_per_busy_second(&self) -> f64 {
        let seconds = self.busy.as_secs_f64() / self.workers.max(1) as f64;
        if seconds > 0.0 { self.images as f64 / seconds } else { 0.0 }
    }
}
