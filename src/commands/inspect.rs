//! `tresnet inspect`: what a checkpoint holds.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Status;
use crate::checkpoint::{Checkpoint, Entry, StateDict};
use crate::cli::{InspectArgs, TableFormat};
use crate::report::{self, Table};

pub fn run(args: &InspectArgs) -> Result<Status> {
    let checkpoint = Checkpoint::open(&args.file)?;
    let mut table = Table::new(&["set", "tensor", "shape", "type"]);
    for dict in checkpoint.state_dicts() {
        for entry in &dict.entries {
            let shape = entry.shape();
            let sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let set = if dict.path.is_empty() { "-" } else { &dict.path };
            let cells = vec![set.to_owned(), entry.name.clone(), sizes, entry.element().to_string()];
            let record = json!({
                "set": dict.path, "name": entry.name, "shape": shape, "dtype": entry.element().to_string(),
            });
            table.row(cells, report::record(record));
        }
    }
    let listed = table.render(args.format, |tensors| {
        let metadata: Map<String, Value> =
            checkpoint.metadata().iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        json!({
            "file": args.file.display().to_string(),
            "format": checkpoint.format().to_string(),
            "sets": checkpoint.state_dicts().iter().map(set).collect::<Vec<_>>(),
            "metadata": metadata,
            "tensors": tensors,
        })
    })?;
    let head = match args.format {
        TableFormat::Table | TableFormat::Md => about(args, &checkpoint).context("cannot describe the checkpoint")?,
        TableFormat::Csv | TableFormat::Json => String::new(),
    };
    report::print(&(head + &listed))?;
    Ok(Status::Done)
}

/// What stands above the tensors.
fn about(args: &InspectArgs, checkpoint: &Checkpoint) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}: {}", args.file.display(), checkpoint.format())?;
    for dict in checkpoint.state_dicts() {
        let (tensors, elements) = (dict.entries.len(), dict.entries.iter().map(elements).sum());
        let name = if dict.path.is_empty() { "weights" } else { &dict.path };
        let average = if dict.is_ema() { ", averaged (EMA)" } else { "" };
        let (tensors, elements) = (report::count(tensors, "tensor"), report::grouped(elements));
        writeln!(text, "{name}: {tensors} of {elements} elements, {} layout{average}", dict.layout())?;
    }
    for (key, value) in checkpoint.metadata() {
        writeln!(text, "{key}: {value}")?;
    }
    text.push('\n');
    Ok(text)
}

fn set(dict: &StateDict) -> Value {
    json!({
        "path": dict.path,
        "layout": dict.layout().to_string(),
        "ema": dict.is_ema(),
        "tensors": dict.entries.len(),
        "elements": dict.entries.iter().map(elements).sum::<usize>(),
    })
}

/// How many numbers a tensor holds. The reader has bounded it by the file's size.
fn elements(entry: &Entry) -> usize {
    entry.shape().iter().product()
}
