//! Which folder, tar or files of DATA_DIR are a split: timm's names, but never the whole folder for want of one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::settings::{Cifar, DataSource};
use crate::config::usage;

/// What a split is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Train,
    Val,
}

/// Names that stand for each other, as for timm.
const TRAIN: &[&str] = &["train", "training"];
const VAL: &[&str] = &["val", "valid", "validation", "eval", "evaluation"];

/// Names that a message lists of a folder.
const MOST_LISTED: usize = 12;

/// The split `name` of the data set in `dir`: the folder or tar of that name or of one that stands for it, a tar whose
/// name ends with it after a dash or dot, or CIFAR's files.
///
/// # Errors
///
/// Usage errors: there is none, which says what there is instead, or there are several.
pub fn split(dir: &Path, name: &str, role: Role) -> Result<DataSource> {
    let entries = match list(dir) {
        Ok(entries) => entries,
        Err(error) => {
            return usage(format!("--data-dir {}: give the folder that holds the splits: {error}", dir.display()));
        }
    };
    let alike = [TRAIN, VAL].into_iter().find(|names| names.contains(&name)).unwrap_or_default();
    for name in [name].into_iter().chain(alike.iter().copied().filter(|&other| other != name)) {
        if let Some(path) = named(dir, &entries, name)? {
            return Ok(DataSource::Images(path));
        }
    }
    let places = [dir.to_owned(), dir.join(FOLDERS[0]), dir.join(FOLDERS[1])];
    if let Some(found) = places.iter().find_map(|place| cifar(place, role)) {
        return found;
    }
    let flag = match role {
        Role::Train => "--train-split",
        Role::Val => "--val-split",
    };
    let found = match entries.len() {
        0 => "the folder is empty".to_owned(),
        1..=MOST_LISTED => format!("there are {}", entries.join(", ")),
        more => format!("there are {} and {} more", entries[..MOST_LISTED].join(", "), more - MOST_LISTED),
    };
    usage(format!("{}: there is no split {name:?}: {found}; name one of them with {flag}", dir.display()))
}

/// The names of what a folder holds, in order.
fn list(dir: &Path) -> std::io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The folder, file or tar of a name.
fn named(dir: &Path, entries: &[String], name: &str) -> Result<Option<PathBuf>> {
    let whole = dir.join(name);
    // An empty name would be the folder itself.
    if !name.is_empty() && whole.exists() {
        return Ok(Some(whole));
    }
    let tar = format!("{name}.tar");
    if entries.contains(&tar) {
        return Ok(Some(dir.join(tar)));
    }
    let ends = [format!("-{tar}"), format!("_{tar}"), format!(".{tar}")];
    let tars: Vec<&str> =
        entries.iter().map(String::as_str).filter(|entry| ends.iter().any(|end| entry.ends_with(end))).collect();
    match tars[..] {
        [] => Ok(None),
        [tar] => Ok(Some(dir.join(tar))),
        _ => usage(format!(
            "{}: several tars could be the split {name:?}: {}; name one with its flag, as in --train-split {}",
            dir.display(),
            tars.join(", "),
            tars[0]
        )),
    }
}

/// The folders that CIFAR's archives unpack to.
const FOLDERS: [&str; 2] = ["cifar-10-batches-bin", "cifar-100-binary"];

/// CIFAR's files of a role, where the folder holds any of them.
fn cifar(dir: &Path, role: Role) -> Option<Result<DataSource>> {
    let ten: &[&str] = match role {
        Role::Train => {
            &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
        }
        Role::Val => &["test_batch.bin"],
    };
    let hundred: &[&str] = match role {
        Role::Train => &["train.bin"],
        Role::Val => &["test.bin"],
    };
    let is_there = |name: &&&str| dir.join(name).is_file();
    let (kind, names) = [(Cifar::Ten, ten), (Cifar::Hundred, hundred)]
        .into_iter()
        .find(|(_, names)| names.iter().any(|name| is_there(&name)))?;
    if let Some(lost) = names.iter().find(|name| !is_there(name)) {
        let all = names.join(", ");
        return Some(usage(format!("{}: {lost} is not there; the split is {all}: unpack them all", dir.display())));
    }
    Some(Ok(DataSource::Cifar { kind, files: names.iter().map(|name| dir.join(name)).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(files: &[&str], name: &str, role: Role) -> Result<Vec<String>> {
        let dir = folder(files);
        let relative = |path: PathBuf| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
        Ok(match split(dir.path(), name, role)? {
            DataSource::Images(path) => vec![relative(path)],
            DataSource::Cifar { files, .. } => files.into_iter().map(relative).collect(),
        })
    }

    #[test]
    fn a_split_is_found_under_any_of_its_names() {
        assert_eq!(found(&["train/a/1.png", "val/a/1.png"], "train", Role::Train).unwrap(), ["train"]);
        assert_eq!(found(&["train/a/1.png", "val/a/1.png"], "validation", Role::Val).unwrap(), ["val"]);
        assert_eq!(found(&["valid.tar", "training.tar"], "train", Role::Train).unwrap(), ["training.tar"]);
        assert_eq!(
            found(&["digits-val.tar", "digits-train.tar"], "validation", Role::Val).unwrap(),
            ["digits-val.tar"]
        );
        assert_eq!(found(&["test/a/1.png", "val/a/1.png"], "test", Role::Val).unwrap(), ["test"]);
    }

    #[test]
    fn the_name_given_goes_before_those_that_stand_for_it() {
        assert_eq!(found(&["val/a", "validation/a"], "validation", Role::Val).unwrap(), ["validation"]);
    }

    #[test]
    fn cifars_files_are_a_split_where_they_lie_and_in_their_folder() {
        let train = found(&["train.bin", "test.bin"], "train", Role::Train).unwrap();
        assert_eq!(train, ["train.bin"]);
        let val = found(&["cifar-10-batches-bin/test_batch.bin"], "validation", Role::Val).unwrap();
        assert_eq!(val, ["cifar-10-batches-bin/test_batch.bin"]);
        let error = found(&["data_batch_1.bin", "data_batch_5.bin"], "train", Role::Train).unwrap_err().to_string();
        assert!(error.contains("data_batch_2.bin is not there"), "{error}");
    }

    #[test]
    fn without_the_split_the_message_says_what_there_is() {
        let error = found(&["cats/1.png", "dogs/1.png"], "train", Role::Train).unwrap_err().to_string();
        assert!(error.contains("there are cats, dogs; name one of them with --train-split"), "{error}");
        let error = split(Path::new("/nowhere/at/all"), "train", Role::Train).unwrap_err().to_string();
        assert!(error.starts_with("--data-dir /nowhere/at/all"), "{error}");
    }

    #[test]
    fn two_tars_that_could_be_it_are_named() {
        let error = found(&["a-train.tar", "b-train.tar"], "train", Role::Train).unwrap_err().to_string();
        assert!(error.contains("a-train.tar, b-train.tar"), "{error}");
    }
}
