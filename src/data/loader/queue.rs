//! Who works on which image, which batches are under way, and which one is next.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::Pool;
use crate::ops::squares::Encoded;

/// Batches under way at once, at least: one at the caller's door, two being filled.
const BATCHES: usize = 3;

/// What became of an image, or why nothing.
pub type Outcome = Result<Loaded, String>;

/// An image that could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Its pixels are in their place.
    Pixels,
    /// Its file, for the device that decodes it.
    Encoded(Box<Encoded>),
    /// It is a square on the device.
    Square,
}

/// An image to load.
pub struct Task {
    /// Its position in the order.
    pub position: usize,
    place: usize,
    batch: Arc<Mutex<Assembly>>,
}

/// A batch whose images have all been tried.
pub struct Finished {
    /// Position of its first image.
    pub first: usize,
    /// `[outcomes, image_bytes]`; meaningless where the outcome is not pixels.
    pub pixels: Vec<u8>,
    pub outcomes: Vec<Outcome>,
}

/// A batch that is being filled.
#[derive(Debug)]
struct Assembly {
    pixels: Vec<u8>,
    outcomes: Vec<Option<Outcome>>,
    missing: usize,
}

/// The queue between the threads and the caller.
#[derive(Debug)]
pub struct Queue {
    positions: Range<usize>,
    batch_size: usize,
    image_bytes: usize,
    depth: usize,
    pool: Arc<Pool>,
    state: Mutex<State>,
    /// A batch was taken, or the end has come: threads may go on.
    room: Condvar,
    /// The first batch is complete, or the end has come: the caller may go on.
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Images handed out.
    claimed: usize,
    /// Batches that the caller has taken.
    taken: usize,
    /// Batches under way, the oldest first.
    under_way: VecDeque<Arc<Mutex<Assembly>>>,
    stopped: bool,
    busy: Duration,
}

/// Locks even after a panic elsewhere: nothing behind these locks is ever left half done.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Queue {
    /// A queue of the images at `positions`, each of `image_bytes` once transformed.
    pub fn new(
        positions: Range<usize>,
        batch_size: usize,
        image_bytes: usize,
        workers: usize,
        pool: Arc<Pool>,
    ) -> Self {
        // Small batches: enough of them that every thread has an image and another one waits for it.
        let depth = (2 * workers).div_ceil(batch_size).max(BATCHES);
        Self {
            positions,
            batch_size,
            image_bytes,
            depth,
            pool,
            state: Mutex::default(),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    pub fn images(&self) -> usize {
        self.positions.len()
    }

    pub fn batches(&self) -> usize {
        self.images().div_ceil(self.batch_size)
    }

    pub fn image_bytes(&self) -> usize {
        self.image_bytes
    }

    /// Time that the threads have worked.
    pub fn busy(&self) -> Duration {
        locked(&self.state).busy
    }

    /// Ends the work: threads get no more tasks.
    pub fn stop(&self) {
        locked(&self.state).stopped = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// For a thread: the next image, once its batch may be begun. None at the end.
    pub fn claim(&self) -> Option<Task> {
        let mut state = locked(&self.state);
        loop {
            if state.stopped || state.claimed == self.images() {
                return None;
            }
            if state.claimed / self.batch_size < state.taken + self.depth {
                break;
            }
            state = self.room.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let number = state.claimed;
        state.claimed += 1;
        let place = number % self.batch_size;
        if place == 0 {
            let images = self.batch_size.min(self.images() - number);
            let assembly = self.assembly(images);
            state.under_way.push_back(assembly);
        }
        // The batch of the image handed out last is the last one under way.
        let batch = state.under_way.back()?.clone();
        Some(Task { position: self.positions.start + number, place, batch })
    }

    fn assembly(&self, images: usize) -> Arc<Mutex<Assembly>> {
        let mut pixels = locked(&self.pool).pop().unwrap_or_default();
        pixels.resize(images * self.image_bytes, 0);
        Arc::new(Mutex::new(Assembly { pixels, outcomes: (0..images).map(|_| None).collect(), missing: images }))
    }

    /// For a thread: what became of its image, whose bytes are `pixels`, and how long that took.
    pub fn deliver(&self, task: Task, pixels: &[u8], outcome: Outcome, took: Duration) {
        let complete = {
            let mut batch = locked(&task.batch);
            if outcome == Ok(Loaded::Pixels) {
                batch.pixels[task.place * self.image_bytes..][..self.image_bytes].copy_from_slice(pixels);
            }
            batch.outcomes[task.place] = Some(outcome);
            batch.missing -= 1;
            batch.missing == 0
        };
        // Under the lock of the state, so that the caller cannot look between the check and the signal.
        locked(&self.state).busy += took;
        if complete {
            self.ready.notify_one();
        }
    }

    /// For the caller: the next batch, once it is complete. None at the end.
    pub fn take(&self) -> Option<Finished> {
        let mut state = locked(&self.state);
        loop {
            if state.stopped || state.taken == self.batches() {
                return None;
            }
            let complete = state.under_way.front().is_some_and(|batch| locked(batch).missing == 0);
            if complete {
                break;
            }
            state = self.ready.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let batch = state.under_way.pop_front()?;
        let first = self.positions.start + state.taken * self.batch_size;
        state.taken += 1;
        drop(state);
        self.room.notify_all();
        let mut batch = locked(&batch);
        let outcomes = std::mem::take(&mut batch.outcomes).into_iter().flatten().collect();
        Some(Finished { first, pixels: std::mem::take(&mut batch.pixels), outcomes })
    }
}
