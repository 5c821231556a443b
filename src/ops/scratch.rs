//! Working memory that a thread keeps from one call to the next, so that no call pays for fresh pages.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Values that go back to the thread's free ones when dropped.
pub(super) struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

impl Scratch {
    /// So many values, whatever they are.
    pub fn new(len: usize) -> Self {
        let mut buffer = FREE.with_borrow_mut(|free| {
            // The smallest that is large enough, else the largest.
            let fits = |buffer: &Vec<f32>| {
                if buffer.len() >= len { (0, buffer.len()) } else { (1, usize::MAX - buffer.len()) }
            };
            let best = (0..free.len()).min_by_key(|&at| fits(&free[at]));
            best.map(|at| free.swap_remove(at)).unwrap_or_default()
        });
        if buffer.len() < len {
            // What it held is of no use: dropped first, so that the two never exist together.
            buffer = Vec::new();
            buffer.resize(len, 0.0);
        }
        Self { buffer, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        FREE.with_borrow_mut(|free| free.push(std::mem::take(&mut self.buffer)));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_and_what_is_in_use_is_not() {
        let first = Scratch::new(100).as_ptr();
        let again = Scratch::new(60);
        assert_eq!((again.as_ptr(), again.len()), (first, 60));
        let other = Scratch::new(60);
        assert_ne!(other.as_ptr(), again.as_ptr());
        drop((again, other));
        assert_eq!(Scratch::new(90).as_ptr(), first);
        assert_eq!(Scratch::new(1000).len(), 1000);
    }
}
