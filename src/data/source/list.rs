//! A list of images as CSV: a path and a label a line, with or without a header.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;

use super::Sample;
use super::annotated;
use super::class_map::ClassMap;
use super::listing::Labelled;

/// What a header may call its columns, in any case.
const PATHS: [&str; 7] = ["path", "file", "filename", "file_name", "image", "image_path", "fname"];
const LABELS: [&str; 6] = ["label", "class", "target", "class_name", "category", "class_id"];

/// Labels beyond it are no numbers of classes.
const MOST_CLASSES: usize = 1 << 20;

/// Bytes that tell a text from a tar.
const START: u64 = 512;

/// Whether the file begins as text does. A tar's names end in zeros, and what is compressed is no Unicode.
///
/// # Errors
///
/// When the file cannot be read.
pub fn is_text(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    let cannot = || format!("{}: cannot be read", path.display());
    File::open(path).with_context(cannot)?.take(START).read_to_end(&mut start).with_context(cannot)?;
    // The last character may be cut.
    let text = std::str::from_utf8(&start).map_or_else(|error| error.error_len().is_none(), |_| true);
    Ok(text && !start.is_empty() && !start.contains(&0))
}

/// Reads the list at `path`, whose images' paths begin in its own folder. Labels are numbers from 0 where all of them
/// are; else names of classes, numbered in byte order, as folders are, or by `map`.
///
/// # Errors
///
/// A line without a path or a label, a class that the map lacks, images that are not there.
pub fn list(path: &Path, map: Option<ClassMap>) -> Result<(PathBuf, Labelled)> {
    let shown = path.display();
    let lines = lines(path)?;
    let labelled = |label: &dyn Fn(&Line) -> Result<usize>| -> Result<Vec<Sample>> {
        let sample = |line: &Line| Ok(Sample { path: PathBuf::from(&line.path), label: label(line)? });
        lines.iter().map(sample).collect()
    };
    let numbers = lines.iter().all(Line::whole);
    let (classes, samples) = match map {
        Some(map) => {
            let samples = labelled(&|line| {
                let label = map.label(&line.label);
                label.with_context(|| format!("{shown}: line {}: the class map has no {:?}", line.at, line.label))
            })?;
            (map.into_names(), samples)
        }
        None if numbers => {
            let samples = labelled(&|line| {
                let label = line.number().filter(|&label| label < MOST_CLASSES);
                label.with_context(|| format!("{shown}: line {}: there is no class {}", line.at, line.label))
            })?;
            let classes = samples.iter().map(|sample| sample.label + 1).max().unwrap_or(0);
            ((0..classes).map(|class| class.to_string()).collect(), samples)
        }
        None => {
            let mut names: BTreeMap<&str, usize> = lines.iter().map(|line| (line.label.as_str(), 0)).collect();
            names.values_mut().zip(0..).for_each(|(label, number)| *label = number);
            let samples = labelled(&|line| Ok(names[line.label.as_str()]))?;
            (names.into_keys().map(str::to_owned).collect(), samples)
        }
    };
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let labelled = annotated::labelled(path, &root, classes, samples)?;
    Ok((root, labelled))
}

/// An image and what it shows.
struct Line {
    /// In the file, from 1.
    at: u64,
    path: String,
    label: String,
}

impl Line {
    /// The label as a number of a class. Tables that once had a gap write them as `3.0`.
    fn number(&self) -> Option<usize> {
        self.label.strip_suffix(".0").unwrap_or(&self.label).parse().ok()
    }

    /// Whether the label is a whole number, which below 0 is no class (and often means that none is known).
    fn whole(&self) -> bool {
        self.number().is_some() || self.label.parse::<i64>().is_ok()
    }
}

fn lines(path: &Path) -> Result<Vec<Line>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown}: cannot be read"))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(file);
    let mut columns = None;
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{shown}: not a readable list of path and label"))?;
        let at = record.position().map_or(0, csv::Position::line);
        if columns.is_none() {
            columns = header(&record);
            if columns.is_some() {
                continue;
            }
            ensure!(
                record.len() == 2,
                "{shown}: line {at} has {} columns; give a path and a label a line, or a header that names the columns \
                 path and label",
                record.len()
            );
        }
        let [image, label] = *columns.get_or_insert([0, 1]);
        match (record.get(image), record.get(label)) {
            (Some(image), Some(label)) if !image.is_empty() && !label.is_empty() => {
                lines.push(Line { at, path: image.to_owned(), label: label.to_owned() });
            }
            _ => bail!("{shown}: line {at} has no path or no label; give both"),
        }
    }
    Ok(lines)
}

/// Where a header has the paths and the labels; none where the record is no header.
fn header(record: &StringRecord) -> Option<[usize; 2]> {
    let column = |names: &[&str]| {
        let is_one =
            |word: &str| names.iter().any(|name| word.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name));
        record.iter().position(is_one)
    };
    Some([column(&PATHS)?, column(&LABELS)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels that a list with these in its second column gives.
    fn labels(column: &[&str]) -> Result<Vec<usize>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), "").unwrap();
        let path = folder.path().join("val.csv");
        std::fs::write(&path, column.iter().map(|label| format!("a.png,{label}\n")).collect::<String>()).unwrap();
        let (_, labelled) = list(&path, None)?;
        Ok(labelled.samples.iter().map(|sample| sample.label).collect())
    }

    #[test]
    fn numbers_with_a_point_and_a_zero_are_the_numbers() {
        assert_eq!(labels(&["2.0", "10.0", "0"]).unwrap(), [2, 10, 0]);
        assert_eq!(labels(&["2.5", "10.0", "x"]).unwrap(), [1, 0, 2], "names, in byte order");
    }

    #[test]
    fn a_number_below_zero_is_refused_and_makes_no_names_of_the_others() {
        let error = labels(&["0", "10", "-1"]).unwrap_err().to_string();
        assert!(error.ends_with("val.csv: line 3: there is no class -1"), "{error}");
    }
}
