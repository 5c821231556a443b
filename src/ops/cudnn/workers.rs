//! Building over all cores: each thread has a handle of its own, and whatever it builds keeps that handle.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::target::Target;

/// Handles at most: each takes memory of the device, and compilation gains little beyond.
const MOST: usize = 32;

/// Threads to be, each by its target.
pub(super) struct Workers {
    targets: Vec<Target>,
}

impl Workers {
    /// One a core, but no more than `jobs`; fewer where the device gives no more handles. cuDNN's documentation wants the
    /// first handle made before threads make theirs, and it has been: it is `target`'s own.
    pub fn new(target: &Target, jobs: usize) -> Self {
        let wanted = rayon::current_num_threads().min(jobs).min(MOST);
        let mut targets = vec![target.clone()];
        while targets.len() < wanted {
            match target.another() {
                Ok(other) => targets.push(other),
                Err(error) => {
                    tracing::debug!("plans are built by {} threads: {error:#}", targets.len());
                    break;
                }
            }
        }
        Self { targets }
    }

    pub fn count(&self) -> usize {
        self.targets.len()
    }

    /// Results of `work` in the order of the items, whichever thread came to them.
    pub fn map<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&Target, &T) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(items.len()));
        let run = |target: &Target| {
            let _alone = target.enter();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else { break };
                let result = work(target, item);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
            }
        };
        // Not rayon's own threads: a thread must keep to one handle, and one that waits for cuDNN must not take up other
        // work meanwhile.
        std::thread::scope(|scope| {
            for target in &self.targets {
                scope.spawn(|| run(target));
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }
}
