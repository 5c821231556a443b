//! A tar of class folders: indexed once, then read by offset, never unpacked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tar::{Archive, EntryType};

use super::Skipped;
use super::listing::{ClassFolder, Listing, is_image, path_of};

/// Where a file's bytes lie in the tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub length: u64,
}

/// How compressed archives begin.
const COMPRESSED: [(&[u8], &str); 4] =
    [(b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];

/// Everything a tar holds, by path without `.`; a name that comes again replaces the earlier one, as unpacking does.
#[derive(Default)]
struct Contents {
    files: BTreeMap<Vec<u8>, Span>,
    folders: Vec<Vec<u8>>,
    skipped: Vec<Skipped>,
}

/// Lists the images of the tar `file` by class folder, as those of the unpacked folder would be. When all of it lies
/// in one top folder (`val/` around the classes), that one is passed over.
///
/// # Errors
///
/// When the file is compressed, is no tar, or ends early; `path` is what the message names.
pub fn list(file: &File, path: &Path) -> Result<Listing<Span>> {
    let shown = path.display();
    let length = file.metadata().with_context(|| format!("{shown}: cannot be read"))?.len();
    refuse_compressed(file, path)?;
    let not_a_tar = || {
        format!(
            "{shown}: not a readable tar; give a folder of class folders, a plain tar of one or a CSV list of path and label"
        )
    };
    let mut contents = Contents::default();
    let mut archive = Archive::new(file);
    for entry in archive.entries_with_seek().with_context(not_a_tar)? {
        let entry = entry.with_context(not_a_tar)?;
        let span = Span { start: entry.raw_file_position(), length: entry.size() };
        let name = plain(&entry.path_bytes());
        match entry.header().entry_type() {
            EntryType::Directory => contents.folders.push(name),
            _ if !is_image(&name) => {}
            EntryType::Regular | EntryType::Continuous => {
                let end = span.start.checked_add(span.length);
                ensure!(
                    end.is_some_and(|end| end <= length),
                    "{shown}: cut off within {}; fetch the tar again",
                    String::from_utf8_lossy(&name)
                );
                contents.files.insert(name, span);
            }
            EntryType::Link => contents.hard_link(name, entry.link_name_bytes().as_deref()),
            other => contents.skip(&name, format!("an entry of the kind {other:?}, which is not read from a tar")),
        }
    }
    Ok(contents.into_listing())
}

impl Contents {
    /// A second name of an earlier file.
    fn hard_link(&mut self, name: Vec<u8>, target: Option<&[u8]>) {
        match target.and_then(|target| self.files.get(&plain(target))).copied() {
            Some(span) => {
                self.files.insert(name, span);
            }
            None => self.skip(&name, "a link to a file that the tar does not hold".to_owned()),
        }
    }

    fn skip(&mut self, name: &[u8], reason: String) {
        self.skipped.push(Skipped { path: String::from_utf8_lossy(name).into_owned(), reason });
    }

    fn into_listing(self) -> Listing<Span> {
        let around = self.wrapping();
        let mut classes: BTreeMap<Vec<u8>, ClassFolder<Span>> = BTreeMap::new();
        let mut loose = 0;
        for folder in &self.folders {
            // The wrapping folder's own entry is shorter than what it adds to a path.
            let Some(path) = folder.get(around..).filter(|path| !path.is_empty()) else { continue };
            let cut = path.iter().position(|&b| b == b'/').unwrap_or(path.len());
            class(&mut classes, &path[..cut]);
        }
        for (path, span) in &self.files {
            let path = &path[around..];
            match path.iter().position(|&b| b == b'/') {
                Some(cut) => class(&mut classes, &path[..cut]).images.push((path_of(path), *span)),
                None => loose += 1,
            }
        }
        Listing { folders: classes.into_values().collect(), loose, skipped: self.skipped }
    }

    /// Length of `top/` if one folder wraps the class folders: everything in it, no image directly in it.
    fn wrapping(&self) -> usize {
        let Some(first) = self.files.keys().next() else { return 0 };
        let Some(cut) = first.iter().position(|&b| b == b'/') else { return 0 };
        let top = &first[..=cut];
        let wrapped = self.files.keys().all(|path| path.starts_with(top) && path[top.len()..].contains(&b'/'));
        if wrapped { top.len() } else { 0 }
    }
}

/// The class folder of that name, made when it is new.
fn class<'a>(classes: &'a mut BTreeMap<Vec<u8>, ClassFolder<Span>>, name: &[u8]) -> &'a mut ClassFolder<Span> {
    let new = || ClassFolder { name: OsStr::from_bytes(name).to_owned(), images: Vec::new() };
    classes.entry(name.to_vec()).or_insert_with(new)
}

/// A path without empty parts and `.`, so that `./a/b`, `a//b` and `a/b` are one.
fn plain(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

fn refuse_compressed(mut file: &File, path: &Path) -> Result<()> {
    let mut start = Vec::new();
    let cannot = || format!("{}: cannot be read", path.display());
    file.take(8).read_to_end(&mut start).with_context(cannot)?;
    file.rewind().with_context(cannot)?;
    if let Some((_, name)) = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        bail!(
            "{}: compressed by {name}; images are read by offset, so decompress it to a plain tar first",
            path.display()
        );
    }
    ensure!(!start.is_empty(), "{}: the file is empty", path.display());
    Ok(())
}
