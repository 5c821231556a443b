//! Which folder, tar, list or part of a data set is a split: timm's names, but never the whole folder for want of one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::enumerate;
use super::source::{self, Set, Source};

/// What a split is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a network learns from.
    Train,
    /// What it is measured on.
    Val,
}

/// Names that stand for each other, the one to prefer first (timm's `_TRAIN_SYNONYM` and `_EVAL_SYNONYM`).
const TRAIN: &[&str] = &["train", "training"];
const VAL: &[&str] = &["val", "valid", "validation", "eval", "evaluation"];

/// Files that a split may be: a tar of class folders, a list of path and label.
const FILES: [&str; 2] = ["tar", "csv"];

impl Split {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Train => TRAIN,
            Self::Val => VAL,
        }
    }
}

/// A part of a data set that says itself which image is for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Train,
    Val,
    /// Those for training and those for validation: what a network learns from before its test.
    TrainVal,
    Test,
}

impl Part {
    /// The part of this name, or of two names with a plus between.
    fn named(name: &str) -> Option<Self> {
        match name.split_once('+') {
            None if TRAIN.contains(&name) => Some(Self::Train),
            None if VAL.contains(&name) => Some(Self::Val),
            None if name == "test" => Some(Self::Test),
            Some((train, val)) if TRAIN.contains(&train) && VAL.contains(&val) => Some(Self::TrainVal),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::TrainVal => "train+val",
            Self::Test => "test",
        })
    }
}

/// Where the images of a split lie, to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    path: PathBuf,
    /// Which part of the data set at `path`, where that has several.
    part: Option<Part>,
}

impl Location {
    /// All that [`source::open`] finds at `path`.
    pub fn whole(path: PathBuf) -> Self {
        Self { path, part: None }
    }

    /// Lists the images.
    ///
    /// # Errors
    ///
    /// Those of [`source::open`].
    pub fn open(&self, class_map: Option<&Path>) -> Result<Source> {
        let part = self.part.map(|part| source::open_part(&self.path, part, class_map)).transpose()?;
        part.flatten().map_or_else(|| source::open(&self.path, class_map), Ok)
    }
}

/// Finds a split of the data set at `path` by the names that it may have: `name` first, where one is given, and those
/// that stand for it. A split is, by precedence, the folder of that name; NAME.tar or NAME.csv; a tar or list whose
/// name ends so after a dash, underline or dot (`imagenet-train.tar`); a part of CIFAR-10, CIFAR-100, Stanford Cars or
/// Oxford Flowers-102, whose files lie there. Where `path` is a file but no archive of those, that is the training
/// split, and another is looked for beside it.
///
/// # Errors
///
/// When there is no such split, which says what there is instead, or more than one file that could be it.
pub fn locate(path: &Path, split: Split, name: Option<&str>) -> Result<Location> {
    let shown = path.display();
    let name = name.unwrap_or(split.names()[0]);
    let alike = [TRAIN, VAL].into_iter().find(|names| names.contains(&name)).unwrap_or_default();
    let entries = if path.is_file() {
        Vec::new()
    } else {
        entries(path).with_context(|| format!("{shown}: no data set can be read there"))?
    };
    for name in [name].into_iter().chain(alike.iter().copied().filter(|&other| other != name)) {
        if let Some(path) = named(path, &entries, name)? {
            return Ok(Location::whole(path));
        }
    }
    if let Some(set) = Set::find(path) {
        if let Some(part) = Part::named(name).and_then(|part| set.part(part)) {
            return Ok(Location { path: path.to_owned(), part: Some(part) });
        }
        let parts: Vec<String> = set.parts().iter().map(Part::to_string).collect();
        bail!("{shown}: {} has no split {name:?}; name one of {}", set.name(), parts.join(", "));
    }
    if path.is_file() {
        return match split {
            Split::Train => Ok(Location::whole(path.to_owned())),
            Split::Val => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                locate(folder.unwrap_or(Path::new(".")), split, Some(name))
            }
        };
    }
    let there = match entries.is_empty() {
        true => "nothing".to_owned(),
        false => enumerate(&entries),
    };
    bail!(
        "{shown}: no {name} split, which is a folder of class folders, a plain tar of one or a CSV list of that name, or \
         is told by the files of CIFAR, Stanford Cars or Oxford Flowers-102; there is {there}"
    )
}

/// Opens what [`locate`] finds under the names that timm knows.
///
/// # Errors
///
/// Those of [`locate`] and of [`source::open`].
pub fn open_split(path: &Path, split: Split, class_map: Option<&Path>) -> Result<Source> {
    locate(path, split, None)?.open(class_map)
}

/// The names of what a folder holds, in order.
fn entries(path: &Path) -> std::io::Result<Vec<String>> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// The folder, tar or list of a name.
fn named(folder: &Path, entries: &[String], name: &str) -> Result<Option<PathBuf>> {
    let whole = folder.join(name);
    // An empty name would be the folder itself.
    if !name.is_empty() && whole.exists() {
        return Ok(Some(whole));
    }
    for ending in FILES {
        let file = format!("{name}.{ending}");
        let ends = [format!("-{file}"), format!("_{file}"), format!(".{file}")];
        let own = entries.iter().filter(|entry| **entry == file);
        let longer = entries.iter().filter(|entry| ends.iter().any(|end| entry.ends_with(end)));
        let own: Vec<&str> = own.map(String::as_str).collect();
        let longer: Vec<&str> = longer.map(String::as_str).collect();
        match (&own[..], &longer[..]) {
            (&[file], _) | (_, &[file]) => return Ok(Some(folder.join(file))),
            (_, []) => {}
            (_, several) => bail!(
                "{}: several files could be the {name} split; name one of {}",
                folder.display(),
                enumerate(several)
            ),
        }
    }
    Ok(None)
}
