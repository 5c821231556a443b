//! What the program says about itself, for those who ask: -v, -vv or RUST_LOG.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::Verbosity;

/// Starts diagnostics on the standard error. A second start in one process changes nothing.
pub fn start(verbosity: Verbosity) {
    let level = match verbosity.verbose {
        0 if verbosity.quiet => "warn",
        // What is waited for.
        0 => "planning=info,warn",
        1 => "tresnet=debug,planning=info,warn",
        _ => "tresnet=trace,info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time();
    // Only a second start fails, and the first one's filter then stands.
    let _ = subscriber.try_init();
}
