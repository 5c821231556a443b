//! `-c FILE`: settings by timm's names that take the place of the defaults.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::{Foreign, Setting, TrainArgs};
use crate::config::usage;
use crate::flat_yaml::{self, Settings};

/// A longer file is no file of settings.
const MOST_BYTES: u64 = 1 << 20;

/// The key whose value is another file, to start from.
const EXTENDS: &str = "extends";

/// `args` over the settings of their `--config`, if they name one. Adds to `warnings` what in it does nothing.
///
/// # Errors
///
/// Usage errors: a file that cannot be read or understood, a setting that there is not or that has no such value.
pub fn apply(args: TrainArgs, warnings: &mut Vec<String>) -> Result<TrainArgs> {
    let Some(file) = &args.config else { return Ok(args) };
    let shown = file.display();
    let (mut settings, mut ignored) = (Vec::new(), Vec::new());
    for (name, value) in load(file, &mut Vec::new())? {
        match meaning(&name, &value) {
            Ok(Some(setting)) => settings.push(setting),
            Ok(None) if says_nothing(&value) || TrainArgs::is_switch(&name).is_some() => {}
            Ok(None) => ignored.push(name),
            Err(refusal) => return usage(format!("{shown}: {refusal}")),
        }
    }
    if !ignored.is_empty() {
        warnings.push(format!("{shown}: without a meaning here and ignored: {}", ignored.join(", ")));
    }
    args.over(&settings).or_else(|error| usage(format!("{shown}: {}", first_paragraph(&error.to_string()))))
}

/// The settings of `file` over those of the file that it extends. `above` are the files on the way to it.
fn load(file: &Path, above: &mut Vec<PathBuf>) -> Result<Settings> {
    let shown = file.display();
    let read = || -> Result<(PathBuf, Settings)> {
        let place = file.canonicalize().context("it cannot be read")?;
        let mut text = String::new();
        File::open(&place)?.take(MOST_BYTES).read_to_string(&mut text).context("it cannot be read")?;
        Ok((place, flat_yaml::parse(&text)?))
    };
    let (place, mut settings) = read().or_else(|error| usage(format!("--config {shown}: {error:#}")))?;
    if above.contains(&place) {
        return usage(format!("--config {shown}: it extends itself; remove one `{EXTENDS}`"));
    }
    above.push(place);
    match settings.remove(EXTENDS) {
        None => Ok(settings),
        Some(Value::String(other)) => {
            let base = file.parent().unwrap_or(Path::new("")).join(other);
            let mut all = load(&base, above)?;
            all.extend(settings);
            Ok(all)
        }
        Some(_) => usage(format!("{shown}: `{EXTENDS}` takes the name of a file")),
    }
}

/// What a setting says on the command line, or nothing; why it cannot be meant.
fn meaning(name: &str, value: &Value) -> Result<Option<Setting>, String> {
    let name = if name == "data" { "data_dir" } else { name };
    let switch = TrainArgs::is_switch(name);
    if switch.is_none() && name != "config" {
        return foreign(name, value).map(|()| None);
    }
    let setting = |values| Some(Setting { name: name.to_owned(), values });
    Ok(match (name, switch, value) {
        ("config", ..) => None,
        (_, Some(true), Value::Bool(true)) => setting(Vec::new()),
        (_, Some(true), value) if says_nothing(value) => None,
        (_, Some(true), value) => return Err(format!("{name}: {value}: say true or false")),
        // timm's word for no jitter.
        ("color_jitter", _, Value::Null) => setting(vec!["0".to_owned()]),
        // timm's defaults: whatever GPU there was, and the half type that `auto` means on one.
        ("device", _, Value::String(text)) if text == "cuda" => None,
        ("amp_dtype", _, Value::String(text)) if text == "float16" => None,
        (_, _, Value::Bool(_)) => return Err(format!("{name}: {value}: it takes a value, not true or false")),
        (_, _, value) if says_nothing(value) => None,
        // timm writes this one as a mapping.
        ("model_kwargs", _, Value::Object(entries)) => setting(entries.iter().map(pair).collect()),
        (_, _, value) => setting(words(value).ok_or_else(|| format!("{name}: {value}: it takes no such value"))?),
    })
}

/// Whether a setting of timm's that there is not here can be ignored.
fn foreign(name: &str, value: &Value) -> Result<(), String> {
    let Some(foreign) = Foreign::find(name) else {
        return Err(format!("there is no setting `{name}`; the nearest are {}", nearest(name)));
    };
    if says_nothing(value) {
        return Ok(());
    }
    let values = words(value).unwrap_or_else(|| vec![value.to_string()]);
    let values = if *value == Value::Bool(true) { Vec::new() } else { values };
    foreign.refusal(&values).map_or(Ok(()), Err)
}

/// What Python's trainers write for what nobody set.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// `name=value`, the value as a command line says it.
fn pair((name, value): (&String, &Value)) -> String {
    format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// A scalar as one word, a list of scalars as several.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(values) => {
            let each = values.iter().map(|value| if value.is_array() { None } else { words(value) });
            each.collect::<Option<Vec<_>>>().map(|words| words.concat())
        }
        _ => None,
    }
}

/// The three settings whose names are most like `name`.
fn nearest(name: &str) -> String {
    let mut names: Vec<(f64, String)> =
        TrainArgs::names().into_iter().map(|known| (strsim::jaro_winkler(name, &known), known)).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names.into_iter().take(3).map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

/// What clap says before its hints.
fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect::<Vec<_>>().join(" ")
}
