//! `steps.jsonl`: one object an optimizer step, each written as one line in one go.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// An optimizer step. What is not finite is null in the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Counted from 0.
    pub epoch: u64,
    /// Counted from 0 over the whole run.
    pub step: u64,
    /// Mean over the step's images.
    pub loss: Option<f64>,
    /// Mean over the parameter groups.
    pub lr: f64,
    pub img_per_sec: f64,
    /// How long the step stood waiting for images.
    pub data_seconds: f64,
    /// Wall time, waiting included.
    pub step_seconds: f64,
    /// The gradient scaler's scale, where there is one.
    pub scale: Option<f64>,
}

/// The steps of a run.
#[derive(Debug)]
pub struct Steps {
    path: PathBuf,
    file: File,
}

impl Steps {
    pub const FILE: &str = "steps.jsonl";

    /// Goes on in `folder` with the optimizer step `step`: lines of earlier steps stay, what follows is cut off, be it
    /// of steps that will be run again or the half of a line that a kill has left.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or written; the message names it.
    pub fn resume(folder: &Path, step: u64) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let open = || -> std::io::Result<File> {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            let kept = length(&file, |row| row.step < step)?;
            file.set_len(kept)?;
            (&file).seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Adds a step.
    ///
    /// # Errors
    ///
    /// Where the disk refuses; the message names the file.
    pub fn add(&mut self, row: &StepRow) -> Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Bytes of the whole lines from the first on that are steps and wanted.
fn length(file: &File, wanted: impl Fn(&StepRow) -> bool) -> std::io::Result<u64> {
    let mut lines = BufReader::new(file);
    let (mut line, mut length) = (Vec::new(), 0);
    loop {
        line.clear();
        let bytes = lines.read_until(b'\n', &mut line)?;
        match serde_json::from_slice::<StepRow>(&line) {
            Ok(row) if line.ends_with(b"\n") && wanted(&row) => length += bytes as u64,
            _ => return Ok(length),
        }
    }
}

/// The steps in a run's folder up to the first line that is none; no steps where there is no file.
///
/// # Errors
///
/// Where the file cannot be read; the message names it.
pub(super) fn read(path: &Path) -> Result<Vec<StepRow>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut rows = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        match serde_json::from_slice(&line) {
            Ok(row) => rows.push(row),
            Err(_) => break,
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn row(step: u64) -> StepRow {
        StepRow {
            epoch: step / 3,
            step,
            loss: Some(0.5),
            lr: 1e-5,
            img_per_sec: 100.0,
            data_seconds: 0.0,
            step_seconds: 0.25,
            scale: None,
        }
    }

    fn steps(path: &Path) -> Vec<u64> {
        read(path).unwrap().iter().map(|row| row.step).collect()
    }

    #[test]
    fn a_line_has_the_promised_keys() {
        let folder = tempfile::tempdir().unwrap();
        Steps::resume(folder.path(), 0).unwrap().add(&row(0)).unwrap();
        let text = fs::read_to_string(folder.path().join(Steps::FILE)).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        let expected = ["epoch", "step", "loss", "lr", "img_per_sec", "data_seconds", "step_seconds", "scale"];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_resumed_run_cuts_off_what_it_runs_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Steps::resume(folder.path(), 0).unwrap();
        (0..6).for_each(|step| first.add(&row(step)).unwrap());
        let mut resumed = Steps::resume(folder.path(), 4).unwrap();
        resumed.add(&row(4)).unwrap();
        assert_eq!(steps(&folder.path().join(Steps::FILE)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn half_a_line_is_cut_off_wherever_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Steps::FILE);
        let mut whole = Steps::resume(folder.path(), 0).unwrap();
        (0..2).for_each(|step| whole.add(&row(step)).unwrap());
        let bytes = fs::read(&path).unwrap();
        let line = bytes.len() / 2;
        for end in line + 1..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            Steps::resume(folder.path(), 9).unwrap().add(&row(1)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes, "cut at {end}");
        }
    }

    #[test]
    fn a_loss_that_is_no_number_is_null() {
        let text = serde_json::to_string(&StepRow { loss: Some(f64::NAN), ..row(0) }).unwrap();
        assert_eq!(serde_json::from_str::<StepRow>(&text).unwrap().loss, None);
    }
}
