//! Rows as a table: cells for people, values for programs.

use serde_json::{Value, json};

use super::row::Row;
use crate::config::{BenchSettings, Mode};
use crate::report::{self, Record, Table};

/// When a column is there.
#[derive(Clone, Copy)]
enum Shown {
    Always,
    /// Where this mode was asked for.
    With(Mode),
    /// Where networks were told something.
    Told,
    /// With `--published`.
    Published,
    /// Where a row has failed.
    Failed,
}

struct Column(&'static str, Shown, fn(&Row) -> Option<String>);

const COLUMNS: &[Column] = &[
    Column("model", Shown::Always, |row| Some(row.model.to_owned())),
    Column("kwargs", Shown::Told, |row| row.kwargs.clone()),
    Column(">input", Shown::Always, |row| Some(row.input_size.to_string())),
    Column(">params", Shown::Always, |row| row.params.map(report::grouped)),
    Column(">GMACs", Shown::Always, |row| Some(format!("{:.3}", row.gmacs()?))),
    Column(">infer img/s", Shown::Always, |row| speed(row, Mode::Infer)),
    Column(">infer batch", Shown::Always, |row| batch(row, Mode::Infer)),
    Column(">load img/s", Shown::With(Mode::Load), |row| speed(row, Mode::Load)),
    Column(">e2e img/s", Shown::With(Mode::EndToEnd), |row| speed(row, Mode::EndToEnd)),
    Column(">train img/s", Shown::Always, |row| speed(row, Mode::Train)),
    Column(">train batch", Shown::Always, |row| batch(row, Mode::Train)),
    Column(">max train batch", Shown::Always, |row| row.max_batches.get(&Mode::Train).map(usize::to_string)),
    Column(">peak memory", Shown::Always, |row| row.peak_memory_bytes().map(mib)),
    Column("device", Shown::Always, |row| Some(row.device.clone())),
    Column("dtype", Shown::Always, |row| Some(row.dtype.to_owned())),
    Column(">published top-1", Shown::Always, |row| Some(row.published_top1?.to_string())),
    Column(">V100 infer img/s", Shown::Published, |row| Some(row.paper?.infer.to_string())),
    Column(">V100 train img/s", Shown::Published, |row| Some(row.paper?.train?.to_string())),
    Column(">V100 max train batch", Shown::Published, |row| Some(row.paper?.max_train_batch?.to_string())),
    Column(">paper top-1", Shown::Published, |row| Some(row.paper?.top1?.to_string())),
    Column("failed", Shown::Failed, Row::error),
];

fn speed(row: &Row, mode: Mode) -> Option<String> {
    row.figure(mode).map(|figure| figure.to_string())
}

fn batch(row: &Row, mode: Mode) -> Option<String> {
    row.batch(mode).map(|batch| batch.to_string())
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The rows as a table.
pub fn table(rows: &[Row], settings: &BenchSettings) -> Table {
    let shown = |Column(_, shown, _): &&Column| match shown {
        Shown::Always => true,
        Shown::With(mode) => settings.modes.contains(mode),
        Shown::Told => !settings.kwargs_words.is_empty(),
        Shown::Published => settings.published,
        Shown::Failed => rows.iter().any(|row| row.error().is_some()),
    };
    let columns: Vec<&Column> = COLUMNS.iter().filter(shown).collect();
    let mut table = Table::new(&columns.iter().map(|Column(heading, ..)| *heading).collect::<Vec<_>>());
    for row in rows {
        // A dash is what was not measured, or not published.
        let cells = columns.iter().map(|Column(.., cell)| cell(row).unwrap_or_else(|| "-".to_owned()));
        table.row(cells.collect(), record(row, settings.published));
    }
    table
}

/// All rows for programs.
pub fn records(rows: &[Row], published: bool) -> Vec<Record> {
    rows.iter().map(|row| record(row, published)).collect()
}

/// A row for programs, `published` with the paper's own figures.
fn record(row: &Row, published: bool) -> Record {
    let mut record = report::record(json!({
        "model": row.model,
        "model_kwargs": row.kwargs,
        "input_size": row.input_size,
        "device": row.device,
        "dtype": row.dtype,
        "params": row.params,
        "gmacs": row.gmacs(),
    }));
    for (name, mode) in [("infer", Mode::Infer), ("train", Mode::Train)] {
        measured(&mut record, name, row, mode);
        record.insert(format!("max_{name}_batch"), json!(row.max_batches.get(&mode)));
        record.insert(format!("{name}_peak_memory_bytes"), json!(row.peak(mode)));
    }
    measured(&mut record, "load", row, Mode::Load);
    measured(&mut record, "e2e", row, Mode::EndToEnd);
    record.insert("bottleneck".into(), json!(row.bottleneck()));
    record.insert("peak_memory_bytes".into(), json!(row.peak_memory_bytes()));
    record.insert("published_top1".into(), json!(row.published_top1));
    if published {
        record.insert("v100_infer_img_per_sec".into(), json!(row.paper.map(|paper| paper.infer)));
        record.insert("v100_train_img_per_sec".into(), json!(row.paper.and_then(|paper| paper.train)));
        record.insert("v100_max_train_batch".into(), json!(row.paper.and_then(|paper| paper.max_train_batch)));
        record.insert("paper_top1".into(), json!(row.paper.and_then(|paper| paper.top1)));
    }
    record.insert("error".into(), json!(row.error()));
    record
}

/// Puts `<what>_img_per_sec` with its spread, or nulls, and `<what>_batch`.
fn measured(record: &mut Record, what: &str, row: &Row, mode: Mode) {
    let figure = row.figure(mode);
    let mut put = |suffix: &str, value: Value| record.insert(format!("{what}_{suffix}"), value);
    put("img_per_sec", json!(figure.map(|figure| figure.median)));
    put("img_per_sec_min", json!(figure.map(|figure| figure.min)));
    put("img_per_sec_max", json!(figure.map(|figure| figure.max)));
    put("img_per_sec_n", json!(figure.map_or(0, |figure| figure.n)));
    put("batch", json!(row.batch(mode)));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::{self, Command, TableFormat};
    use crate::commands::bench::row::tests::row;

    /// What these flags mean.
    pub fn settings(flags: &str) -> BenchSettings {
        let line = format!("tresnet bench {flags}");
        let parsed = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
        let Command::Bench(args) = parsed.command else { unreachable!("the line says bench") };
        BenchSettings::resolve(*args).unwrap()
    }

    fn markdown(rows: &[Row], flags: &str) -> String {
        table(rows, &settings(flags)).render(TableFormat::Md, |_| Value::Null).unwrap()
    }

    #[test]
    fn the_record_has_every_key_of_the_contract() {
        let record = record(&row(&[(Mode::Infer, 20.0)]), false);
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
            "error",
        ] {
            assert!(record.contains_key(key), "{key}");
        }
        assert_eq!((&record["infer_batch"], &record["train_img_per_sec"]), (&json!(8), &Value::Null));
    }

    #[test]
    fn cells_stand_under_headings() {
        let rows = [row(&[(Mode::Infer, 20.0), (Mode::Load, 500.0)])];
        let text = markdown(&rows, "--modes infer,load");
        assert!(text.contains("| 20.0 (20.0 to 20.0, n=3) | 8 | 500.0 (500.0 to 500.0, n=3) |"), "{text}");
        assert!(text.contains("| 700 MiB | cpu | f32 | 80.8 |"), "{text}");
        assert!(!text.contains("e2e") && !text.contains("V100") && !text.contains("failed"), "{text}");
    }

    #[test]
    fn the_papers_figures_stand_beside_where_they_are_asked_for() {
        let text = markdown(&[row(&[])], "--published");
        assert!(text.contains("| 80.8 | 2930 | 730 | 512 | 80.8 |"), "{text}");
        assert_eq!(record(&row(&[]), true)["v100_max_train_batch"], 512);
    }

    #[test]
    fn a_row_that_failed_says_why() {
        let mut failed = row(&[(Mode::Infer, 20.0)]);
        failed.fail(Some(Mode::Train), "out of memory at batch 9000".into());
        failed.max_batches.insert(Mode::Train, 296);
        let text = markdown(&[failed.clone(), row(&[])], "--modes infer,train");
        assert!(text.contains("| 296 |") && text.contains("| train: out of memory at batch 9000 |"), "{text}");
        assert_eq!(record(&failed, false)["error"], "train: out of memory at batch 9000");
    }
}
