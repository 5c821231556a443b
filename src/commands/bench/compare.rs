//! A run beside an earlier one: the ratio of each figure, and whether it moved by more than its noise.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::TableFormat;
use crate::report::{self, Record, Table};

/// What makes two rows one: the same work on the same kind of device.
const IDENTITY: [&str; 5] = ["model", "model_kwargs", "input_size", "device", "dtype"];
/// Speeds, which have a spread, with the key of their batch.
const SPEEDS: [(&str, &str); 4] = [
    ("infer_img_per_sec", "infer_batch"),
    ("train_img_per_sec", "train_batch"),
    ("load_img_per_sec", "load_batch"),
    ("e2e_img_per_sec", "e2e_batch"),
];
/// What has no spread, with the key of its batch where it depends on one.
const AMOUNTS: [(&str, Option<&str>); 4] = [
    ("max_infer_batch", None),
    ("max_train_batch", None),
    ("infer_peak_memory_bytes", Some("infer_batch")),
    ("train_peak_memory_bytes", Some("train_batch")),
];
/// The share from which on amounts differ: batches are sought to 2 %, and either run may have missed by so much.
const NOTABLE: f64 = 0.05;
/// Ranges of fewer measurements say nothing.
const ENOUGH: u64 = 3;

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Faster,
    Slower,
    More,
    Less,
    WithinNoise,
    /// There are less than three measurements on a side.
    TooFew,
    /// The batch is another, so the figure may be too.
    OtherBatch,
}

/// A figure that both runs have.
struct Line {
    model: String,
    key: &'static str,
    old: f64,
    new: f64,
    verdict: Verdict,
}

/// All figures that both have.
pub struct Comparison {
    lines: Vec<Line>,
    /// Rows that no earlier run has.
    unknown: Vec<String>,
    /// Dates of the runs that were compared with, and the processors of those that ran on another one.
    dates: Vec<String>,
    others: Vec<String>,
}

impl Comparison {
    /// Holds each row against the latest of the runs that has it. `processor` is this run's.
    pub fn new(old: &[Value], new: &[Record], processor: &Value) -> Self {
        let mut comparison = Self { lines: Vec::new(), unknown: Vec::new(), dates: Vec::new(), others: Vec::new() };
        for row in new {
            let model = row.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
            let earlier = old.iter().rev().find_map(|run| Some((run, same_row(run, row)?)));
            let Some((run, earlier)) = earlier else {
                comparison.unknown.push(model);
                continue;
            };
            note(&mut comparison.dates, run["date"].as_str());
            note(&mut comparison.others, Some(&run["processor"]).filter(|of| *of != processor).and_then(Value::as_str));
            let speeds = SPEEDS.iter().filter_map(|&(key, batch)| speed(earlier, row, key, batch));
            let amounts = AMOUNTS.iter().filter_map(|&(key, batch)| amount(earlier, row, key, batch));
            let line = |(key, old, new, verdict)| Line { model: model.clone(), key, old, new, verdict };
            comparison.lines.extend(speeds.chain(amounts).map(line));
        }
        comparison
    }

    /// For people: a table with a line that says what it means.
    ///
    /// # Errors
    /// As [`Table::render`].
    pub fn text(&self, format: TableFormat) -> Result<String> {
        let mut text = match &self.dates[..] {
            [] => "no row of this run is in the earlier ones\n".to_owned(),
            dates => format!("beside the run of {}:\n", dates.join(", ")),
        };
        if !self.others.is_empty() {
            text += &format!("which ran on another processor: {}\n", self.others.join(", "));
        }
        if !self.unknown.is_empty() {
            text += &format!("not in it: {}\n", self.unknown.join(", "));
        }
        if self.lines.is_empty() {
            return Ok(text);
        }
        let mut table = Table::new(&["model", "figure", ">old", ">new", ">new/old", "moved"]);
        for line in &self.lines {
            let number = |value: f64| if value < 1e6 { format!("{value:.1}") } else { report::grouped(value as usize) };
            let ratio = format!("{:.3}", line.new / line.old);
            let cells = vec![
                line.model.clone(),
                line.key.into(),
                number(line.old),
                number(line.new),
                ratio,
                line.verdict.to_string(),
            ];
            table.row(cells, line.record());
        }
        if format == TableFormat::Md {
            text.push('\n');
        }
        Ok(text + &table.render(format, |_| Value::Null)?)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let lines: Vec<Record> = self.lines.iter().map(Line::record).collect();
        json!({ "dates": self.dates, "other_processors": self.others, "unknown": self.unknown, "figures": lines })
    }
}

impl Line {
    fn record(&self) -> Record {
        let Self { model, key, old, new, verdict } = self;
        report::record(json!({
            "model": model, "figure": key, "old": old, "new": new, "ratio": new / old, "moved": verdict.to_string(),
        }))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::More => "more",
            Self::Less => "less",
            Self::WithinNoise => "no",
            Self::TooFew => "too few measurements",
            Self::OtherBatch => "other batch",
        })
    }
}

fn note(list: &mut Vec<String>, text: Option<&str>) {
    list.extend(text.map(str::to_owned).filter(|text| !list.contains(text)).into_iter().collect::<Vec<_>>());
}

fn same_row<'a>(run: &'a Value, row: &Record) -> Option<&'a Value> {
    let same = |earlier: &&Value| IDENTITY.iter().all(|&key| earlier[key] == *row.get(key).unwrap_or(&Value::Null));
    run["rows"].as_array()?.iter().find(same)
}

type Figure = (&'static str, f64, f64, Verdict);

fn speed(old: &Value, new: &Record, key: &'static str, batch: &str) -> Option<Figure> {
    let new = |key: &str| new.get(key).unwrap_or(&Value::Null);
    let both = |suffix: &str| {
        let key = format!("{key}{suffix}");
        Some((old[&key].as_f64().filter(|old| *old > 0.0)?, new(&key).as_f64()?))
    };
    let (before, now) = both("")?;
    let enough = both("_n").is_some_and(|(before, now)| before.min(now) >= ENOUGH as f64);
    let verdict = match (both("_min").filter(|_| enough), both("_max")) {
        _ if old[batch] != *new(batch) => Verdict::OtherBatch,
        (Some((_, least)), Some((most, _))) if least > most => Verdict::Faster,
        (Some((least, _)), Some((_, most))) if most < least => Verdict::Slower,
        (Some(_), Some(_)) => Verdict::WithinNoise,
        _ => Verdict::TooFew,
    };
    Some((key, before, now, verdict))
}

fn amount(old: &Value, new: &Record, key: &'static str, batch: Option<&str>) -> Option<Figure> {
    let (before, now) = (old[key].as_f64().filter(|old| *old > 0.0)?, new.get(key)?.as_f64()?);
    let verdict = match now / before - 1.0 {
        _ if batch.is_some_and(|batch| old[batch] != *new.get(batch).unwrap_or(&Value::Null)) => Verdict::OtherBatch,
        change if change > NOTABLE => Verdict::More,
        change if change < -NOTABLE => Verdict::Less,
        _ => Verdict::WithinNoise,
    };
    Some((key, before, now, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, [median, min, max]: [f64; 3], n: u64) -> Value {
        json!({
            "model": model, "model_kwargs": null, "input_size": 224, "device": "cpu", "dtype": "f32",
            "infer_img_per_sec": median, "infer_img_per_sec_min": min, "infer_img_per_sec_max": max,
            "infer_img_per_sec_n": n, "infer_batch": 8, "train_img_per_sec": null, "max_train_batch": 100,
        })
    }

    fn run(date: &str, rows: &[Value]) -> Value {
        json!({ "date": date, "processor": "AMD EPYC", "rows": rows })
    }

    fn compared(old: &[Value], new: Value) -> Comparison {
        Comparison::new(old, &[report::record(new)], &json!("AMD EPYC"))
    }

    fn moved(old: Value, new: Value) -> Verdict {
        compared(&[run("then", &[old])], new).lines[0].verdict
    }

    #[test]
    fn a_speed_has_moved_where_the_ranges_have_nothing_in_common() {
        let old = || row("m", [20.0, 19.0, 21.0], 5);
        assert_eq!(moved(old(), row("m", [23.0, 21.5, 24.0], 5)), Verdict::Faster);
        assert_eq!(moved(old(), row("m", [23.0, 20.9, 24.0], 5)), Verdict::WithinNoise);
        assert_eq!(moved(old(), row("m", [18.0, 17.0, 18.9], 3)), Verdict::Slower);
        assert_eq!(moved(old(), row("m", [40.0, 39.0, 41.0], 2)), Verdict::TooFew);
    }

    #[test]
    fn a_figure_of_another_batch_is_shown_and_not_judged() {
        let mut new = row("m", [40.0, 39.0, 41.0], 5);
        new["infer_batch"] = json!(16);
        assert_eq!(moved(row("m", [20.0, 19.0, 21.0], 5), new), Verdict::OtherBatch);
    }

    #[test]
    fn the_latest_run_that_has_the_row_is_the_one() {
        let old = [
            run("one", &[row("m", [1.0; 3], 5)]),
            run("two", &[row("m", [10.0; 3], 5)]),
            run("three", &[row("l", [5.0; 3], 5)]),
        ];
        let comparison = compared(&old, row("m", [20.0; 3], 5));
        assert_eq!((comparison.lines[0].old, &comparison.dates[..]), (10.0, &["two".to_owned()][..]));
        let text = comparison.text(TableFormat::Table).unwrap();
        assert!(text.contains("beside the run of two:") && text.contains("2.000  faster"), "{text}");
        let figure = &comparison.json()["figures"][0];
        assert_eq!((&figure["ratio"], &figure["moved"]), (&json!(2.0), &json!("faster")));
    }

    #[test]
    fn batches_and_memory_have_moved_from_five_per_cent_on() {
        let old = run("then", &[row("m", [1.0; 3], 5)]);
        let verdict = |batch: u64| {
            let mut new = row("m", [1.0; 3], 5);
            new["max_train_batch"] = json!(batch);
            let comparison = compared(std::slice::from_ref(&old), new);
            comparison.lines.iter().find(|line| line.key == "max_train_batch").unwrap().verdict
        };
        assert_eq!([104, 106, 94].map(verdict), [Verdict::WithinNoise, Verdict::More, Verdict::Less]);
    }

    #[test]
    fn rows_of_other_work_are_not_compared() {
        let mut other = row("m", [1.0; 3], 5);
        other["dtype"] = json!("bf16");
        let mut run = run("then", &[other, row("l", [1.0; 3], 5)]);
        run["processor"] = json!("Xeon");
        let comparison = compared(std::slice::from_ref(&run), row("m", [1.0; 3], 5));
        assert!(comparison.lines.is_empty());
        assert!(comparison.text(TableFormat::Table).unwrap().contains("not in it: m"));
        let comparison = compared(&[run], row("l", [1.0; 3], 5));
        assert!(comparison.text(TableFormat::Md).unwrap().contains("which ran on another processor: Xeon"));
    }
}
