//! One row an image, in dataset order, written as the evaluation goes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::atomic_file::AtomicFile;
use crate::cli::UsageError;
use crate::metrics::{ScoreKind, Verdict};

/// A file of predictions under construction; it takes its place at [`Predictions::commit`].
pub struct Predictions {
    rows: Rows,
    path: PathBuf,
    topk: usize,
    scores: ScoreKind,
}

enum Rows {
    Csv(Box<csv::Writer<AtomicFile>>),
    JsonLines(AtomicFile),
}

/// A line of the `.jsonl` form.
#[derive(Serialize)]
struct Row<'a> {
    path: &'a str,
    label: usize,
    topk: &'a [usize],
    scores: &'a [f32],
}

impl Predictions {
    /// Starts the file in the form that its name ends in.
    ///
    /// # Errors
    /// A [`UsageError`] for another ending; otherwise where the file cannot be written. Both name it.
    pub fn create(path: &Path, topk: usize, scores: ScoreKind) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let rows = match ending.as_deref() {
            Some("csv") => Rows::Csv(Box::new(csv::Writer::from_writer(AtomicFile::create(path)?))),
            Some("jsonl") => Rows::JsonLines(AtomicFile::create(path)?),
            _ => {
                let shown = path.display();
                let message = format!("--predictions {shown}: unknown form; let the name end in .csv or .jsonl");
                return Err(UsageError(message).into());
            }
        };
        Ok(Self { rows, path: path.to_owned(), topk, scores })
    }

    /// Says how many classes the network has, which bounds the ranks, and writes the header where the form has one. Returns
    /// how many best classes of each image it wants.
    ///
    /// # Errors
    /// Where the disk refuses; the message names the file.
    pub fn begin(&mut self, num_classes: usize) -> Result<usize> {
        self.topk = self.topk.min(num_classes);
        if let Rows::Csv(writer) = &mut self.rows {
            let ranks = 1..=self.topk;
            let mut header = vec!["path".to_owned(), "label".to_owned()];
            header.extend(ranks.clone().map(|rank| format!("top{rank}")));
            header.extend(ranks.map(|rank| format!("score{rank}")));
            writer.write_record(&header).with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(self.topk)
    }

    /// Adds one image: its path in the data set, its label and the network's answer with as many classes as
    /// [`Self::begin`] says.
    ///
    /// # Errors
    /// Where the disk refuses; the message names the file.
    pub fn add(&mut self, image: &str, label: usize, verdict: &Verdict) -> Result<()> {
        let (topk, scores) = (&verdict.classes, verdict.scores(self.scores));
        let written = match &mut self.rows {
            Rows::Csv(writer) => {
                let mut record = vec![image.to_owned(), label.to_string()];
                record.extend(topk.iter().map(usize::to_string));
                record.extend(scores.iter().map(f32::to_string));
                writer.write_record(&record).map_err(anyhow::Error::from)
            }
            Rows::JsonLines(file) => write_line(file, &Row { path: image, label, topk, scores: &scores }),
        };
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Puts the file into its place.
    ///
    /// # Errors
    /// Where the disk refuses; the message names the file.
    pub fn commit(self) -> Result<()> {
        let file = match self.rows {
            Rows::JsonLines(file) => file,
            Rows::Csv(writer) => {
                let unwritten = writer.into_inner().map_err(csv::IntoInnerError::into_error);
                unwritten.with_context(|| format!("cannot write {}", self.path.display()))?
            }
        };
        file.commit()
    }
}

fn write_line(file: &mut AtomicFile, row: &Row<'_>) -> Result<()> {
    use std::io::Write;
    serde_json::to_writer(&mut *file, row)?;
    file.write_all(b"\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, scores: ScoreKind) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut predictions = Predictions::create(&path, 5, scores).unwrap();
        let kept = predictions.begin(3).unwrap();
        predictions.add("a/1, \"x\".png", 0, &Verdict::of(&[0.0, 1.5, -2.0], 0, kept)).unwrap();
        predictions.add("b/2.png", 2, &Verdict::of(&[0.0, 0.0, 0.0], 2, kept)).unwrap();
        predictions.commit().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn csv_has_a_column_a_rank_and_quotes_what_needs_it() {
        let expected = "path,label,top1,top2,top3,score1,score2,score3\n\
                        \"a/1, \"\"x\"\".png\",0,1,0,2,1.5,0,-2\n\
                        b/2.png,2,0,1,2,0,0,0\n";
        assert_eq!(written("p.csv", ScoreKind::Logit), expected);
    }

    #[test]
    fn json_lines_have_the_four_keys() {
        let text = written("p.JSONL", ScoreKind::Probability);
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows[0]["path"], "a/1, \"x\".png");
        assert_eq!(rows[0]["topk"], serde_json::json!([1, 0, 2]));
        let sum: f64 = rows[0]["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let keys: Vec<&String> = rows[1].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["path", "label", "topk", "scores"]);
    }

    #[test]
    fn another_ending_is_wrong_usage() {
        let error = Predictions::create(Path::new("p.txt"), 5, ScoreKind::Logit).err().unwrap();
        assert!(error.is::<UsageError>(), "{error}");
    }
}
