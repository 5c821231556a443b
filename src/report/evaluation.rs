//! The result of an evaluation, as one JSON object and as a few lines for people.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Timing, count};
use crate::atomic_file::AtomicFile;
use crate::metrics::Counts;

/// Everything that an evaluation says, under the names that scripts rely on.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluationReport {
    pub model: String,
    #[serde(flatten)]
    pub accuracy: Accuracy,
    pub skipped: Vec<SkippedImage>,
    pub input_size: usize,
    pub crop_pct: f64,
    pub resize_mode: String,
    pub interpolation: String,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub device: String,
    pub dtype: String,
    pub batch_size: usize,
    pub param_count: usize,
    #[serde(flatten)]
    pub timing: Timing,
    /// Whether the run was asked to stop before its end.
    pub interrupted: bool,
    /// Images that the run set out to evaluate.
    pub dataset_images: usize,
    pub num_classes: usize,
    pub preset: String,
    /// `hflip` or nothing.
    pub tta: Option<&'static str>,
    pub use_ema: bool,
    pub val_dir: PathBuf,
    pub model_path: PathBuf,
    pub version: &'static str,
}

/// Counts and what follows from them. What no image has given is null in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Accuracy {
    pub images: usize,
    pub correct1: usize,
    pub correct5: usize,
    /// Per cent.
    pub top1: f64,
    /// Per cent.
    pub top5: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Images with a logit that is NaN or infinite.
    pub non_finite: usize,
}

/// An image that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedImage {
    /// Relative to the data set.
    pub path: String,
    pub reason: String,
}

impl From<&Counts> for Accuracy {
    fn from(counts: &Counts) -> Self {
        Self {
            images: counts.images,
            correct1: counts.correct1,
            correct5: counts.correct5,
            top1: counts.top1(),
            top5: counts.top5(),
            loss: counts.loss(),
            non_finite: counts.non_finite,
        }
    }
}

impl EvaluationReport {
    /// One JSON object over several lines.
    ///
    /// # Errors
    /// None is known; serialisation is fallible in general.
    pub fn json(&self) -> Result<String> {
        let mut json = serde_json::to_string_pretty(self).context("cannot write the results as JSON")?;
        json.push('\n');
        Ok(json)
    }

    /// Fills a file that was opened before the evaluation began.
    ///
    /// # Errors
    /// Where the disk refuses; the message names the file.
    pub fn write(&self, mut file: AtomicFile, path: &Path) -> Result<()> {
        use std::io::Write;
        file.write_all(self.json()?.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        file.commit()
    }

    /// Lines for people. The last one of a complete run is the original `infer.py`'s.
    pub fn summary(&self) -> String {
        let Accuracy { images, correct1, correct5, top1, top5, loss, non_finite } = &self.accuracy;
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", self.setting());
        let _ = writeln!(
            text,
            "images: {images}, top-1 {top1:.3} ({correct1}), top-5 {top5:.3} ({correct5}), loss {loss:.4}"
        );
        let _ = writeln!(text, "{}", self.timing.line());
        if !self.skipped.is_empty() {
            let skipped = count(self.skipped.len(), "image");
            let _ = writeln!(text, "skipped: {skipped} that could not be read, left out of the counts and named above");
        }
        if *non_finite > 0 {
            let affected = count(*non_finite, "image");
            let _ = writeln!(
                text,
                "warning: {affected} gave logits that are not finite: the weights may not suit the network"
            );
        }
        let _ = if self.interrupted {
            let total = self.dataset_images;
            writeln!(text, "top-1 validation accuracy so far: {top1:.2} ({images} of {total} images)")
        } else {
            writeln!(text, "final top-1 validation accuracy: {top1:.2}")
        };
        text
    }

    fn setting(&self) -> String {
        let Self { model, input_size, interpolation, crop_pct, device, dtype, batch_size, .. } = self;
        let geometry = match self.resize_mode.as_str() {
            "squash" => "squashed".to_owned(),
            mode => format!("{mode} {crop_pct}"),
        };
        let millions = self.param_count as f64 / 1e6;
        format!(
            "{model} ({millions:.2} M parameters) at {input_size}, {geometry}, {interpolation}; {dtype} on {device}, \
             batch {batch_size}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Verdict;

    fn report(interrupted: bool) -> EvaluationReport {
        let mut counts = Counts::default();
        for label in [0, 0, 1] {
            counts.add(&Verdict::of(&[1.0, 0.0], label, 0));
        }
        let seconds = |seconds| Duration::from_secs(seconds);
        EvaluationReport {
            model: "tresnet_m".into(),
            accuracy: (&counts).into(),
            skipped: vec![SkippedImage { path: "a/b.jpg".into(), reason: "empty".into() }],
            input_size: 448,
            crop_pct: 0.875,
            resize_mode: "squash".into(),
            interpolation: "bilinear".into(),
            mean: [0.485, 0.0, 0.0],
            std: [1.0; 3],
            device: "cpu".into(),
            dtype: "f32".into(),
            batch_size: 32,
            param_count: 31_389_032,
            timing: Timing::new(3, seconds(6), seconds(5), seconds(12), seconds(1), 2),
            interrupted,
            dataset_images: 4,
            num_classes: 2,
            preset: "paper".into(),
            tta: None,
            use_ema: false,
            val_dir: "val".into(),
            model_path: "m.pth".into(),
            version: "0.1.0",
        }
    }

    #[test]
    fn a_complete_run_ends_with_the_originals_line() {
        let summary = report(false).summary();
        assert_eq!(summary.lines().last(), Some("final top-1 validation accuracy: 66.67"));
        assert!(summary.contains("the slower is loading"), "{summary}");
        assert!(summary.contains("skipped: 1 image that"), "{summary}");
    }

    #[test]
    fn an_interrupted_run_does_not_pass_for_a_complete_one() {
        let summary = report(true).summary();
        assert!(!summary.contains("final"), "{summary}");
        assert!(summary.ends_with("top-1 validation accuracy so far: 66.67 (3 of 4 images)\n"), "{summary}");
    }

    #[test]
    fn json_is_flat_and_numbers_are_as_they_were_typed() {
        let json: serde_json::Value = serde_json::from_str(&report(false).json().unwrap()).unwrap();
        assert_eq!(json["correct1"], 2);
        assert_eq!(json["img_per_sec"], 0.5);
        assert_eq!(json["loading_seconds"], 6.0);
        assert_eq!(json["mean"], serde_json::json!([0.485, 0.0, 0.0]));
        assert_eq!(json["skipped"][0]["path"], "a/b.jpg");
    }
}
