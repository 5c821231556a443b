//! The file of runs: `{"schema": 1, "runs": [...]}`, each run as `--format json` prints it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::atomic_file::AtomicFile;

/// Of the file's form. Another number is another form.
const SCHEMA: u64 = 1;

/// The runs in a file for a comparison, oldest first. What one `--format json` printed is taken too.
///
/// # Errors
/// Where the file is missing, unreadable or no file of runs; the message names it and what to give instead.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let remedy = "give a file that --results-file or --format json of this command wrote";
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("--compare: cannot read {shown}; {remedy}"))?;
    runs(&bytes, true).with_context(|| format!("--compare: {shown} holds no runs of a benchmark; {remedy}"))
}

/// Finds out whether a run can be added to the file.
///
/// # Errors
/// Where it cannot be written, or something else is in it that must not be lost.
pub fn check(path: &Path) -> Result<()> {
    kept(path)?;
    AtomicFile::create(path).map(drop)
}

/// Adds a run to the file, which is made where it is missing and replaced in one go.
///
/// # Errors
/// As [`check`].
pub fn append(path: &Path, run: Value) -> Result<()> {
    let mut runs = kept(path)?;
    runs.push(run);
    let text = serde_json::to_string_pretty(&json!({ "schema": SCHEMA, "runs": runs }));
    let text = text.with_context(|| format!("cannot write {}", path.display()))?;
    let mut file = AtomicFile::create(path)?;
    writeln!(file, "{text}").with_context(|| format!("cannot write {}", path.display()))?;
    file.commit()
}

/// The runs that are in the file already.
fn kept(path: &Path) -> Result<Vec<Value>> {
    let shown = path.display();
    // A device keeps nothing, and some never end.
    if path.exists() && !path.is_file() {
        return Ok(Vec::new());
    }
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Ok(Vec::new()),
        Ok(bytes) => runs(&bytes, false).with_context(|| {
            format!("--results-file: {shown} holds something else than runs of a benchmark; name another file")
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("--results-file: cannot read {shown}; name another file")),
    }
}

fn runs(bytes: &[u8], single: bool) -> Result<Vec<Value>> {
    let mut value: Value = serde_json::from_slice(bytes).context("it is not JSON")?;
    if single && value["rows"].is_array() && value["schema"].is_null() {
        return Ok(vec![value]);
    }
    match &value["schema"] {
        Value::Null => bail!("it has no \"schema\""),
        schema if schema.as_u64() == Some(SCHEMA) => {}
        schema => bail!("its \"schema\" is {schema}, this version knows {SCHEMA}"),
    }
    let Value::Array(runs) = value["runs"].take() else { bail!("it has no list of \"runs\"") };
    match runs.iter().position(|run| !run["rows"].is_array()) {
        Some(at) => bail!("its run {at} has no list of \"rows\""),
        None => Ok(runs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_added_one_after_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.json");
        check(&path).unwrap();
        assert!(!path.exists(), "asking writes nothing");
        append(&path, json!({"rows": [1]})).unwrap();
        append(&path, json!({"rows": [2]})).unwrap();
        assert_eq!(read(&path).unwrap(), [json!({"rows": [1]}), json!({"rows": [2]})]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_without_an_end_is_not_read() {
        check(Path::new("/dev/zero")).unwrap();
    }

    #[test]
    fn one_printed_run_can_be_compared_but_not_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, r#"{"device": "cpu", "rows": []}"#).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        let error = format!("{:#}", check(&path).unwrap_err());
        assert!(error.contains("something else") && error.contains("name another file"), "{error}");
    }

    #[test]
    fn what_is_no_file_of_runs_says_what_is_wrong_and_what_to_give() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        for (text, reason) in [
            ("half a fi", "not JSON"),
            ("{}", "no \"schema\""),
            ("[3]", "no \"schema\""),
            (r#"{"schema": 2, "runs": []}"#, "\"schema\" is 2, this version knows 1"),
            (r#"{"schema": 1}"#, "no list of \"runs\""),
            (r#"{"schema": 1, "runs": [{"rows": []}, {}]}"#, "run 1 has no list of \"rows\""),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains(reason) && error.contains("old.json") && error.contains("give a file"), "{error}");
            check(&path).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is lost");
        }
        let missing = format!("{:#}", read(&folder.path().join("no.json")).unwrap_err());
        assert!(missing.contains("no.json") && missing.contains("give a file"), "{missing}");
    }
}
