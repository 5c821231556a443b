//! What people and programs get to read: progress while a run lasts, tables, summaries and files at its end.

mod evaluation;
mod predictions;
mod progress;
mod table;

use std::io::{self, Write};

use anyhow::{Context, Result};

pub use evaluation::{EvaluationReport, SkippedImage};
pub use predictions::Predictions;
pub use progress::Progress;
pub use table::Table;

/// Writes results to the standard output. A reader that has gone (`| head`) is no error: it has seen what it wanted.
///
/// # Errors
/// For anything else that the standard output refuses, a full disk for one.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to the standard output"),
    }
}

/// Writes one line to the standard error. What cannot be said there cannot be said at all.
pub fn remark(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// `1 image`, `2 images`.
pub fn count(number: usize, singular: &str) -> String {
    format!("{number} {singular}{}", if number == 1 { "" } else { "s" })
}
