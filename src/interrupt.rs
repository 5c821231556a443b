//! Interruption as a flag. The first SIGINT or SIGTERM asks the run to stop at the next batch and write what it has; the
//! second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

/// Whether, and by which signal, the run has been asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    /// 0, or the number of the signal.
    signal: Arc<AtomicUsize>,
}

/// What asked the run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, usually Ctrl-C.
    Interrupt,
    /// SIGTERM, usually a scheduler.
    Terminate,
}

impl Interrupt {
    /// Listens to both signals from here on.
    ///
    /// # Errors
    /// Where the operating system refuses the handlers.
    pub fn listen() -> Result<Self> {
        let interrupt = Self::default();
        interrupt.register().context("cannot listen to interrupts")?;
        Ok(interrupt)
    }

    /// The signal that came, if one has.
    pub fn received(&self) -> Option<Signal> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal if signal == Signal::Terminate.number() => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        }
    }

    /// Asks the run to stop as this signal would.
    pub fn raise(&self, signal: Signal) {
        self.signal.store(signal.number(), Ordering::Relaxed);
    }

    #[cfg(unix)]
    fn register(&self) -> std::io::Result<()> {
        use signal_hook::flag;
        use std::sync::atomic::AtomicBool;
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = signal.number() as std::ffi::c_int;
            // Handlers run in this order: a second signal finds `once` set and exits; the first one sets it.
            let once = Arc::new(AtomicBool::new(false));
            flag::register_conditional_shutdown(number, signal.exit_status().into(), Arc::clone(&once))?;
            flag::register(number, once)?;
            flag::register_usize(number, Arc::clone(&self.signal), signal.number())?;
        }
        Ok(())
    }

    /// Elsewhere an interruption ends the process as it always does.
    #[cfg(not(unix))]
    fn register(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Signal {
    /// The number that POSIX gives it.
    const fn number(self) -> usize {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// 128 + the signal's number, as shells report it.
    pub const fn exit_status(self) -> u8 {
        128 + self.number() as u8
    }

    /// As in "interrupted after 3 batches".
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "terminated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_shells() {
        assert_eq!((Signal::Interrupt.exit_status(), Signal::Terminate.exit_status()), (130, 143));
    }

    #[test]
    fn nothing_has_come_at_first_and_a_number_names_its_signal() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.received(), None);
        interrupt.raise(Signal::Terminate);
        assert_eq!(interrupt.received(), Some(Signal::Terminate));
    }
}
