//! `summary.csv`: one row an epoch, in timm's columns. The file is written anew for each row, so that a kill leaves it
//! with or without the row and never with a part of it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::atomic_file::AtomicFile;

/// An epoch and its evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// Counted from 0.
    pub epoch: u64,
    /// Mean over the epoch's images.
    pub train_loss: f64,
    /// Mean cross-entropy over the validation images.
    pub eval_loss: f64,
    /// Per cent.
    pub eval_top1: f64,
    /// Per cent.
    pub eval_top5: f64,
    /// Mean over the parameter groups of the rate that the epoch's last step took.
    pub lr: f64,
}

/// The summary of a run, from its first epoch on.
#[derive(Debug)]
pub struct Summary {
    path: PathBuf,
    rows: Vec<SummaryRow>,
}

impl Summary {
    pub const FILE: &str = "summary.csv";

    /// Goes on in `folder` with `epoch`: rows of earlier epochs stay, others are of epochs that will be run again.
    ///
    /// # Errors
    ///
    /// Where there is a file of that name that is no summary.
    pub fn resume(folder: &Path, epoch: u64) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let mut rows = read(&path)?;
        rows.retain(|row| row.epoch < epoch);
        Ok(Self { path, rows })
    }

    /// Adds an epoch.
    ///
    /// # Errors
    ///
    /// Where the disk refuses; the message names the file, which then has the earlier rows.
    pub fn add(&mut self, row: SummaryRow) -> Result<()> {
        self.rows.push(row);
        let mut writer = csv::Writer::from_writer(AtomicFile::create(&self.path)?);
        let written = || -> Result<AtomicFile> {
            self.rows.iter().try_for_each(|row| writer.serialize(row))?;
            Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
        };
        written().with_context(|| format!("cannot write {}", self.path.display()))?.commit()
    }

    /// The rows so far, in the order of the epochs.
    pub fn rows(&self) -> &[SummaryRow] {
        &self.rows
    }
}

/// The rows of a summary, timm's included; none where there is no file.
///
/// # Errors
///
/// Where the file lacks a column or holds what is no number; the message names the file and the line.
pub(super) fn read(path: &Path) -> Result<Vec<SummaryRow>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let rows: Result<Vec<SummaryRow>, csv::Error> = csv::Reader::from_reader(text.as_slice()).deserialize().collect();
    rows.with_context(|| format!("cannot read {}: it is no summary of a run; remove it or restore it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u64) -> SummaryRow {
        SummaryRow { epoch, train_loss: 2.5, eval_loss: 1.25, eval_top1: 50.5, eval_top5: 90.0, lr: 1e-5 }
    }

    #[test]
    fn the_columns_are_timms() {
        let folder = tempfile::tempdir().unwrap();
        Summary::resume(folder.path(), 0).unwrap().add(row(0)).unwrap();
        let text = fs::read_to_string(folder.path().join(Summary::FILE)).unwrap();
        assert!(text.starts_with("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,2.5,1.25,50.5,90"), "{text}");
    }

    #[test]
    fn an_epoch_that_is_run_again_has_one_row() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Summary::resume(folder.path(), 0).unwrap();
        (0..4).for_each(|epoch| first.add(row(epoch)).unwrap());
        let mut resumed = Summary::resume(folder.path(), 2).unwrap();
        resumed.add(row(2)).unwrap();
        let epochs: Vec<u64> = Summary::resume(folder.path(), 9).unwrap().rows().iter().map(|row| row.epoch).collect();
        assert_eq!(epochs, [0, 1, 2]);
    }

    #[test]
    fn numbers_come_back_as_they_were_and_nan_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let odd = SummaryRow { train_loss: f64::NAN, lr: 0.1 + 0.2, ..row(0) };
        Summary::resume(folder.path(), 0).unwrap().add(odd).unwrap();
        let read = Summary::resume(folder.path(), 1).unwrap();
        assert!(read.rows()[0].train_loss.is_nan());
        assert_eq!(read.rows()[0].lr, 0.1 + 0.2);
    }

    #[test]
    fn timms_own_file_is_read_and_another_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Summary::FILE);
        fs::write(&path, "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,6.9,6.8,0.5,2.1,1e-05\n").unwrap();
        assert_eq!(read(&path).unwrap()[0].lr, 1e-5);
        fs::write(&path, "a,b\n1,2\n").unwrap();
        let error = format!("{:#}", Summary::resume(folder.path(), 0).unwrap_err());
        assert!(error.contains("summary.csv") && error.contains("epoch"), "{error}");
    }
}
