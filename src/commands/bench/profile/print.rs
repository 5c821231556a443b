//! A profile as tables for people and as records for programs.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Profile;
use super::lines::{self, Line};
use super::yardstick::Yardstick;
use crate::cli::TableFormat;
use crate::config::BenchSettings;
use crate::ops::Limits;
use crate::report::{self, Record, Table};

/// Kinds that are named as what a batch could gain most from.
const MOST_TO_GAIN: usize = 3;

/// All profiles in the form that the settings ask for.
pub fn text(settings: &BenchSettings, yardstick: &Yardstick, profiles: &[Profile], top: usize) -> Result<String> {
    let lines = |profile| Lines::new(profile, &yardstick.limits, top);
    let profiles: Vec<Lines> = profiles.iter().map(lines).collect();
    match settings.format {
        TableFormat::Table | TableFormat::Md => {
            let mut text = yardstick.text();
            for profile in &profiles {
                text += &profile.text(settings.format)?;
            }
            Ok(text)
        }
        TableFormat::Csv => {
            let mut table = Table::new(&[]);
            profiles.iter().flat_map(Lines::records).for_each(|record| table.row(Vec::new(), record));
            table.render(TableFormat::Csv, |_| Value::Null)
        }
        TableFormat::Json => {
            let object = json!({
                "device": settings.runtime.device_name(),
                "dtype": settings.runtime.dtype_name(),
                "versions": { "tresnet": env!("CARGO_PKG_VERSION"), "rust_target": std::env::consts::ARCH },
                "cores": crate::runtime::available_cores(),
                "limits": yardstick.object(),
                "profiles": profiles.iter().map(Lines::object).collect::<Vec<_>>(),
            });
            Ok(serde_json::to_string_pretty(&object).context("cannot write the profile as JSON")? + "\n")
        }
    }
}

/// A profile's lines.
struct Lines<'a> {
    profile: &'a Profile,
    seconds: f64,
    kinds: Vec<Line>,
    /// The longest.
    ops: Vec<Line>,
    /// Of the batch, in no op.
    between: f64,
}

impl<'a> Lines<'a> {
    fn new(profile: &'a Profile, limits: &Limits, top: usize) -> Self {
        let seconds = profile.elapsed.as_secs_f64();
        let mut ops: Vec<Line> = profile.ops.iter().map(|op| Line::new(op, limits)).collect();
        let kinds = lines::kinds(&ops);
        let between = (seconds - ops.iter().map(|op| op.seconds).sum::<f64>()).max(0.0);
        lines::longest_first(&mut ops);
        ops.truncate(top);
        Self { profile, seconds, kinds, ops, between }
    }

    fn share(&self, seconds: f64) -> f64 {
        if self.seconds > 0.0 { seconds / self.seconds } else { 0.0 }
    }

    fn img_per_sec(&self) -> f64 {
        if self.seconds > 0.0 { self.profile.batch_size as f64 / self.seconds } else { 0.0 }
    }

    fn text(&self, format: TableFormat) -> Result<String> {
        let Profile { model, mode, input_size, batch_size, batches, ops, .. } = self.profile;
        let mut text = format!(
            "\n{model} at {input_size}, {}, batch {batch_size}: {:.1} ms a batch ({:.1} img/s, fastest of {batches}) in {}\n\n",
            mode.name(),
            1e3 * self.seconds,
            self.img_per_sec(),
            report::count(ops.len(), "op"),
        );
        text += &self.kinds_table().render(format, |_| Value::Null)?;
        text += "\n";
        text += &self.ops_table().render(format, |_| Value::Null)?;
        text += "\n";
        let mut kinds: Vec<&Line> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.to_gain().total_cmp(&a.to_gain()));
        for kind in kinds.into_iter().take(MOST_TO_GAIN) {
            let (gain, share) = (1e3 * kind.to_gain(), 100.0 * self.share(kind.to_gain()));
            let _ = writeln!(text, "to gain: {gain:.1} ms ({share:.1} % of the batch) in {}", kind.kind);
        }
        Ok(text)
    }

    fn kinds_table(&self) -> Table {
        let mut table =
            Table::new(&["kind", ">calls", ">ms", ">share", ">GFLOP/s", ">GB/s", ">of limit", "limit", ">to gain, ms"]);
        for line in &self.kinds {
            let mut cells = vec![line.kind.clone()];
            cells.extend(self.figures(line));
            cells.push(format!("{:.2}", 1e3 * line.to_gain()));
            table.row(cells, Record::new());
        }
        for (name, seconds) in [("between ops", self.between), ("a batch", self.seconds)] {
            let nothing = std::iter::repeat_n(String::new(), 5);
            let cells = [name.into(), String::new()].into_iter().chain(self.time(seconds)).chain(nothing);
            table.row(cells.collect(), Record::new());
        }
        table
    }

    fn ops_table(&self) -> Table {
        let headings =
            ["op", "kind", "input > output", ">calls", ">ms", ">share", ">GFLOP/s", ">GB/s", ">of limit", "limit"];
        let mut table = Table::new(&headings);
        for line in &self.ops {
            let words = [line.name.clone(), Some(line.kind.clone()), line.shape.clone()];
            let cells = words.into_iter().map(Option::unwrap_or_default).chain(self.figures(line));
            table.row(cells.collect(), Record::new());
        }
        table
    }

    fn time(&self, seconds: f64) -> [String; 2] {
        [format!("{:.2}", 1e3 * seconds), format!("{:.1} %", 100.0 * self.share(seconds))]
    }

    fn figures(&self, line: &Line) -> Vec<String> {
        let [ms, share] = self.time(line.seconds);
        vec![
            line.calls.to_string(),
            ms,
            share,
            format!("{:.1}", line.per_second(line.flops) / 1e9),
            format!("{:.1}", line.per_second(line.bytes) / 1e9),
            format!("{:.0} %", 100.0 * line.per_second(line.least)),
            line.bound().to_owned(),
        ]
    }

    fn object(&self) -> Value {
        let Profile { model, mode, input_size, batch_size, batches, .. } = self.profile;
        let each = |lines: &[Line]| lines.iter().map(|line| self.record(line)).collect::<Vec<_>>();
        json!({
            "model": model,
            "mode": mode.name(),
            "input_size": input_size,
            "batch_size": batch_size,
            "batches": batches,
            "batch_ms": 1e3 * self.seconds,
            "img_per_sec": self.img_per_sec(),
            "between_ops_ms": 1e3 * self.between,
            "kinds": each(&self.kinds),
            "ops": each(&self.ops),
        })
    }

    /// The values of a line under the names that scripts rely on.
    fn record(&self, line: &Line) -> Record {
        report::record(json!({
            "op": line.name,
            "kind": line.kind,
            "shape": line.shape,
            "calls": line.calls,
            "ms": 1e3 * line.seconds,
            "share": self.share(line.seconds),
            "gflop_per_sec": line.per_second(line.flops) / 1e9,
            "gb_per_sec": line.per_second(line.bytes) / 1e9,
            "of_limit": line.per_second(line.least),
            "limit": line.bound(),
            "to_gain_ms": 1e3 * line.to_gain(),
        }))
    }

    /// One a line, kinds first, with what they belong to; then what lies between and the whole.
    fn records(&self) -> Vec<Record> {
        let Profile { model, mode, input_size, batch_size, .. } = self.profile;
        let within = |level: &str, record: Record| {
            let mut whole = report::record(json!({
                "model": model, "mode": mode.name(), "input_size": input_size, "batch_size": batch_size, "level": level,
            }));
            whole.extend(record);
            whole
        };
        let kinds = self.kinds.iter().map(|line| within("kind", self.record(line)));
        let ops = self.ops.iter().map(|line| within("op", self.record(line)));
        let sums = [("between ops", self.between), ("batch", self.seconds)].map(|(level, seconds)| {
            within(level, report::record(json!({ "ms": 1e3 * seconds, "share": self.share(seconds) })))
        });
        kinds.chain(ops).chain(sums).collect()
    }
}
