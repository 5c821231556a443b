//! Where the training and the validation images of a data set lie, by the names that timm knows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::enumerate;
use super::source::{self, Source};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a network learns from.
    Train,
    /// What it is measured on.
    Val,
}

impl Split {
    /// Names of its folder, the one to prefer first (timm's `_TRAIN_SYNONYM` and `_EVAL_SYNONYM`).
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Val => &["val", "valid", "validation", "eval", "evaluation"],
        }
    }
}

/// Opens a split of the data set at `path`: a folder that holds, by precedence, a folder of class folders of the
/// split's name (`train`, `training`; `val`, `valid`, `validation`, `eval`, `evaluation`), a tar of one (`train.tar`,
/// `imagenet-train.tar`), or the binary files of CIFAR-10 or CIFAR-100, as they are or in the archive that they come in;
/// or that archive.
///
/// # Errors
///
/// When there is no such split, or more than one tar that could be it; and those of [`source::open`].
pub fn open_split(path: &Path, split: Split, class_map: Option<&Path>) -> Result<Source> {
    let shown = path.display();
    if let Some(folder) = split.names().iter().map(|name| path.join(name)).find(|folder| folder.is_dir()) {
        return source::open(&folder, class_map);
    }
    let entries = entries(path)?;
    if let Some(tar) = tar_of(path, &entries, split)? {
        return source::open(&tar, class_map);
    }
    if let Some(found) = source::cifar(path, split, class_map)? {
        return Ok(found);
    }
    let wanted = split.names()[0];
    let there = match entries.is_empty() {
        true => "nothing".to_owned(),
        false => enumerate(&entries),
    };
    bail!(
        "{shown}: no {wanted} split; it may be a folder {} or a plain {wanted}.tar of class folders, or CIFAR's binary \
         files beside those of its classes' names; there is {there}",
        split.names().join(", ")
    )
}

/// Names of what lies in a folder, sorted; of a file, its own.
fn entries(path: &Path) -> Result<Vec<String>> {
    let cannot = || format!("{}: no data set can be read there", path.display());
    if fs::metadata(path).with_context(cannot)?.is_file() {
        let name = path.file_name().unwrap_or(path.as_os_str());
        return Ok(vec![name.to_string_lossy().into_owned()]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).with_context(cannot)? {
        names.push(entry.with_context(cannot)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// The tar of a split: named as the split, or something before it and a hyphen.
fn tar_of(path: &Path, entries: &[String], split: Split) -> Result<Option<PathBuf>> {
    for name in split.names() {
        let own = path.join(format!("{name}.tar"));
        if own.is_file() {
            return Ok(Some(own));
        }
        let end = format!("-{name}.tar");
        let tars: Vec<&str> = entries.iter().map(String::as_str).filter(|entry| entry.ends_with(&end)).collect();
        match tars[..] {
            [] => {}
            [tar] => return Ok(Some(path.join(tar))),
            _ => bail!("{}: which is the {name} split? There are {}", path.display(), enumerate(&tars)),
        }
    }
    Ok(None)
}
