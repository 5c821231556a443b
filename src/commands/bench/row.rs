//! A row of the table, in words and in values.

use serde_json::{Value, json};

use super::measure::Figure;
use crate::config::{BenchSettings, Mode, Subject};
use crate::report::{self, Record, Table};

/// What was measured of one model.
pub struct Row {
    model: &'static str,
    input_size: usize,
    device: String,
    dtype: &'static str,
    params: usize,
    macs: u64,
    batch_size: usize,
    infer: Option<Figure>,
    load: Option<Figure>,
    end_to_end: Option<Figure>,
    train: Option<Figure>,
    pub peak_memory_bytes: Option<u64>,
    published_top1: Option<f64>,
}

impl Row {
    pub fn new(subject: &Subject, settings: &BenchSettings, params: usize, macs: u64) -> Self {
        Self {
            model: subject.variant.name,
            input_size: subject.preprocessing.input_size,
            device: settings.runtime.device_name(),
            dtype: settings.runtime.dtype_name(),
            params,
            macs,
            batch_size: settings.batch_size,
            infer: None,
            load: None,
            end_to_end: None,
            train: None,
            peak_memory_bytes: None,
            published_top1: subject.variant.published.map(|published| published.top1),
        }
    }

    pub fn set(&mut self, mode: Mode, figure: Figure) {
        let place = match mode {
            Mode::Infer => &mut self.infer,
            Mode::Load => &mut self.load,
            Mode::EndToEnd => &mut self.end_to_end,
            Mode::Train => &mut self.train,
        };
        *place = Some(figure);
    }

    fn gmacs(&self) -> f64 {
        self.macs as f64 / 1e9
    }

    /// `loading` or `computing`, whichever holds a run up, where two speeds tell.
    fn bottleneck(&self) -> Option<&'static str> {
        let speed = |figure: Option<Figure>| figure.map(|figure| figure.median);
        // Without the network's own speed the whole's tells: a loader that is hardly faster is what it waits for.
        let (loading, computing) = match (speed(self.load)?, speed(self.infer), speed(self.end_to_end)) {
            (load, Some(infer), _) => (load, infer),
            (load, None, Some(whole)) => (load, 1.1 * whole),
            (_, None, None) => return None,
        };
        Some(if loading < computing { "loading" } else { "computing" })
    }

    fn verdict(&self) -> Option<String> {
        let bottleneck = self.bottleneck()?;
        let spoken = |name: &str, figure: Option<Figure>| figure.map(|figure| format!("{name} {:.1}", figure.median));
        let speeds =
            [spoken("loading", self.load), spoken("computing", self.infer), spoken("both together", self.end_to_end)];
        let speeds: Vec<String> = speeds.into_iter().flatten().collect();
        Some(format!("{}: the bottleneck is {bottleneck} (img/s: {})\n", self.model, speeds.join(", ")))
    }

    fn cells(&self) -> Vec<String> {
        let figure = |figure: Option<Figure>| figure.map_or_else(nothing, |figure| figure.to_string());
        let batch = |figure: Option<Figure>| figure.map_or_else(nothing, |_| self.batch_size.to_string());
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        vec![
            self.model.to_owned(),
            self.input_size.to_string(),
            report::grouped(self.params),
            format!("{:.3}", self.gmacs()),
            figure(self.infer),
            batch(self.infer),
            figure(self.load),
            figure(self.end_to_end),
            figure(self.train),
            batch(self.train),
            nothing(),
            self.peak_memory_bytes.map_or_else(nothing, mib),
            self.device.clone(),
            self.dtype.to_owned(),
            self.published_top1.map_or_else(nothing, |top1| top1.to_string()),
        ]
    }

    fn record(&self) -> Record {
        let mut record = report::record(json!({
            "model": self.model,
            "input_size": self.input_size,
            "device": self.device,
            "dtype": self.dtype,
            "params": self.params,
            "gmacs": self.gmacs(),
        }));
        let batch = |figure: Option<Figure>| figure.map(|_| self.batch_size);
        measured(&mut record, "infer", self.infer);
        record.insert("infer_batch".into(), json!(batch(self.infer)));
        measured(&mut record, "train", self.train);
        record.insert("train_batch".into(), json!(batch(self.train)));
        record.insert("max_train_batch".into(), Value::Null);
        measured(&mut record, "load", self.load);
        measured(&mut record, "e2e", self.end_to_end);
        record.insert("e2e_batch".into(), json!(batch(self.end_to_end)));
        record.insert("bottleneck".into(), json!(self.bottleneck()));
        record.insert("peak_memory_bytes".into(), json!(self.peak_memory_bytes));
        record.insert("published_top1".into(), json!(self.published_top1));
        record
    }
}

/// Puts `<what>_img_per_sec` with its spread, or nulls.
fn measured(record: &mut Record, what: &str, figure: Option<Figure>) {
    let mut put = |suffix: &str, value: Value| record.insert(format!("{what}_img_per_sec{suffix}"), value);
    put("", json!(figure.map(|figure| figure.median)));
    put("_min", json!(figure.map(|figure| figure.min)));
    put("_max", json!(figure.map(|figure| figure.max)));
    put("_n", json!(figure.map_or(0, |figure| figure.n)));
}

/// What was not measured.
fn nothing() -> String {
    "-".to_owned()
}

/// The rows as a table.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "model",
        ">input",
        ">params",
        ">GMACs",
        ">infer img/s",
        ">infer batch",
        ">load img/s",
        ">e2e img/s",
        ">train img/s",
        ">train batch",
        ">max train batch",
        ">peak memory",
        "device",
        "dtype",
        ">published top-1",
    ]);
    for row in rows {
        table.row(row.cells(), row.record());
    }
    table
}

/// A line for each row whose bottleneck is known, after an empty one.
pub fn verdicts(rows: &[Row]) -> String {
    let lines: String = rows.iter().filter_map(Row::verdict).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(infer: Option<f64>, load: Option<f64>, end_to_end: Option<f64>) -> Row {
        let figure = |speed: Option<f64>| speed.map(|median| Figure { median, min: median, max: median, n: 3 });
        Row {
            model: "tresnet_m",
            input_size: 224,
            device: "cpu".into(),
            dtype: "f32",
            params: 31_389_032,
            macs: 5_736_500_000,
            batch_size: 8,
            infer: figure(infer),
            load: figure(load),
            end_to_end: figure(end_to_end),
            train: None,
            peak_memory_bytes: Some(700 << 20),
            published_top1: Some(80.8),
        }
    }

    #[test]
    fn the_slower_of_two_is_the_bottleneck_and_one_tells_nothing() {
        assert_eq!(row(Some(20.0), Some(500.0), None).bottleneck(), Some("computing"));
        assert_eq!(row(Some(900.0), Some(500.0), Some(450.0)).bottleneck(), Some("loading"));
        assert_eq!(row(None, Some(500.0), Some(480.0)).bottleneck(), Some("loading"));
        assert_eq!(row(None, Some(500.0), Some(20.0)).bottleneck(), Some("computing"));
        assert_eq!(row(Some(20.0), None, Some(20.0)).bottleneck(), None);
        assert_eq!(row(None, Some(500.0), None).bottleneck(), None);
    }

    #[test]
    fn the_record_has_every_key_of_the_contract() {
        let record = row(Some(20.0), None, None).record();
        for key in [
            "model",
            "input_size",
            "dtype",
            "params",
            "gmacs",
            "infer_img_per_sec",
            "infer_batch",
            "infer_img_per_sec_min",
            "infer_img_per_sec_max",
            "infer_img_per_sec_n",
            "train_img_per_sec",
            "train_batch",
            "max_train_batch",
            "peak_memory_bytes",
            "published_top1",
        ] {
            assert!(record.contains_key(key), "{key}");
        }
        assert_eq!((&record["infer_batch"], &record["train_img_per_sec"]), (&json!(8), &Value::Null));
    }

    #[test]
    fn cells_stand_under_headings() {
        let rows = [row(Some(20.0), Some(500.0), None)];
        let text = table(&rows).render(crate::cli::TableFormat::Md, |_| Value::Null).unwrap();
        assert!(text.contains("| 20.0 (20.0 to 20.0, n=3) | 8 |"), "{text}");
        assert!(text.contains("| 700 MiB | cpu | f32 | 80.8 |"), "{text}");
        assert!(verdicts(&rows).contains("the bottleneck is computing (img/s: loading 500.0, computing 20.0)"));
    }
}
