//! What people and programs get to read: progress while a run lasts, tables, summaries and files at its end.

mod curves;
mod date;
mod drawing;
mod evaluation;
mod predictions;
mod progress;
mod run_folder;
mod scatter;
mod steps;
mod summary;
mod table;
mod tensorboard;
mod timing;
mod training_progress;

use std::io::{self, Write};

use anyhow::{Context, Result};

pub use curves::curves;
pub use date::utc;
pub use evaluation::{EvaluationReport, SkippedImage};
pub use predictions::Predictions;
pub use progress::Progress;
pub use run_folder::RunFolder;
pub use scatter::{Cloud, Dot, scatter};
pub use steps::{StepRow, Steps};
pub use summary::{Summary, SummaryRow};
pub use table::{Record, Table};
pub use tensorboard::EventFile;
pub use timing::Timing;
pub use training_progress::{TrainingProgress, UpdateFigures};

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

/// An object as a row for programs.
///
/// # Panics
/// Where `object` is anything but an object, which only a mistake in this crate makes it.
pub fn record(object: serde_json::Value) -> Record {
    match object {
        serde_json::Value::Object(record) => record,
        other => unreachable!("a record is an object, not {other}"),
    }
}

/// A number with commas between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 image`, `2 images`.
pub fn count(number: usize, singular: &str) -> String {
    format!("{number} {singular}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 31_389_032].map(grouped), ["0", "999", "1,000", "31,389,032"]);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!((count(1, "image"), count(2, "image")), ("1 image".to_owned(), "2 images".to_owned()));
    }
}
