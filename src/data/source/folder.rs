//! A folder of class folders, listed in parallel, links followed but not in circles.

use std::fs::{self, DirEntry, FileType};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;

use super::Skipped;
use super::listing::{ClassFolder, Listing, is_image};

/// What the system knows a folder by: device and inode.
type Identity = (u64, u64);

/// A folder on the way down.
struct Walk<'a> {
    root: &'a Path,
    found: ClassFolder<()>,
    skipped: Vec<Skipped>,
}

/// Lists the images under `root`, by class folder.
///
/// # Errors
///
/// When `root` itself cannot be listed. Folders beneath that cannot are skipped.
pub fn list(root: &Path) -> Result<Listing<()>> {
    let cannot = || format!("{}: the folder cannot be listed", root.display());
    let top = identity(root).with_context(cannot)?;
    let mut classes = Vec::new();
    let mut loose = 0;
    for entry in fs::read_dir(root).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        match kind(&entry) {
            Ok(kind) if kind.is_dir() => classes.push(entry.file_name()),
            _ => loose += usize::from(is_image(entry.file_name().as_bytes())),
        }
    }
    let walked: Vec<Walk> = classes
        .into_par_iter()
        .map(|name| {
            let mut walk =
                Walk { root, found: ClassFolder { name: name.clone(), images: Vec::new() }, skipped: Vec::new() };
            walk.folder(PathBuf::from(name), &[top]);
            walk
        })
        .collect();
    let mut listing = Listing { folders: Vec::with_capacity(walked.len()), loose, skipped: Vec::new() };
    for walk in walked {
        listing.folders.push(walk.found);
        listing.skipped.extend(walk.skipped);
    }
    listing.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

impl Walk<'_> {
    /// Lists the folder at `path` (from the root) and those beneath; `above` are the folders that hold it.
    fn folder(&mut self, path: PathBuf, above: &[Identity]) {
        let full = self.root.join(&path);
        let (identity, entries) = match identity(&full).and_then(|id| Ok((id, fs::read_dir(&full)?))) {
            Ok(found) => found,
            Err(error) => return self.skip(&path, format!("the folder cannot be listed: {error}")),
        };
        if above.contains(&identity) {
            return self.skip(&path, "a link back to a folder that holds it");
        }
        let above = [above, &[identity]].concat();
        for entry in entries {
            match entry.and_then(|entry| Ok((kind(&entry)?, entry.file_name()))) {
                Ok((kind, name)) => self.entry(path.join(name), kind, &above),
                Err(error) => self.skip(&path, format!("the folder cannot be listed to its end: {error}")),
            }
        }
    }

    fn entry(&mut self, path: PathBuf, kind: FileType, above: &[Identity]) {
        if kind.is_dir() {
            self.folder(path, above);
        } else if is_image(path.as_os_str().as_bytes()) {
            // A link that leads nowhere stays in: reading it says so.
            if kind.is_file() || kind.is_symlink() {
                self.found.images.push((path, ()));
            } else {
                self.skip(&path, "neither a file nor a folder");
            }
        }
    }

    fn skip(&mut self, path: &Path, reason: impl Into<String>) {
        self.skipped.push(Skipped { path: path.display().to_string(), reason: reason.into() });
    }
}

/// What an entry is, behind a link. Asks the file system only about links.
fn kind(entry: &DirEntry) -> std::io::Result<FileType> {
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(kind);
    }
    Ok(fs::metadata(entry.path()).map_or(kind, |behind| behind.file_type()))
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
