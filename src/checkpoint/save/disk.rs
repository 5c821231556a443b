//! The steps by which a file takes its place, on a disk that tests make fail at any of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// What saving asks of a file system.
pub trait Disk {
    type File: Write;

    /// An empty file, whatever was there before.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Returns when the file's bytes are on the disk.
    fn sync(&self, file: Self::File) -> io::Result<()>;
    /// Takes the place of `to` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// A second name for a file, or where the file system knows none, a copy on the disk.
    fn duplicate(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when the folder's names are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The file systems of this machine.
pub struct LocalDisk;

impl Disk for LocalDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn sync(&self, file: File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn duplicate(&self, from: &Path, to: &Path) -> io::Result<()> {
        if fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        fs::copy(from, to)?;
        File::open(to)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder)?.sync_all() {
            // Some network file systems keep names safe on their own and refuse to be asked.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

/// Writes a file beside `path` and puts it there; `make_room` is called when it is whole and on the disk.
pub fn replace<D: Disk>(
    disk: &D,
    path: &Path,
    write: impl FnOnce(&mut D::File) -> io::Result<()>,
    make_room: impl FnOnce() -> io::Result<()>,
) -> Result<()> {
    let temporary = temporary(path)?;
    let steps = || -> io::Result<()> {
        let mut file = disk.create(&temporary)?;
        write(&mut file)?;
        disk.sync(file)?;
        make_room()?;
        disk.rename(&temporary, path)?;
        disk.sync_folder(folder(path))
    };
    steps().map_err(|error| {
        // What cannot be removed is swept by the next run.
        let _ = disk.remove(&temporary);
        explain(error, path)
    })
}

/// Makes `path` a second name of the file `from`, in one step.
pub fn share<D: Disk>(disk: &D, from: &Path, path: &Path) -> Result<()> {
    let temporary = temporary(path)?;
    let steps = || -> io::Result<()> {
        // Left by a run that was killed; a link does not replace.
        let _ = disk.remove(&temporary);
        disk.duplicate(from, &temporary)?;
        disk.rename(&temporary, path)?;
        disk.sync_folder(folder(path))
    };
    let shared = steps().map_err(|error| explain(error, path));
    // Renaming one name of a file onto another of the same file does nothing and leaves both.
    let _ = disk.remove(&temporary);
    shared
}

/// Removes what killed runs left of files that end in `.safetensors`.
pub fn sweep<D: Disk>(disk: &D, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let stale = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with('.') && name.ends_with(".safetensors.tmp"))
    };
    entries.filter(stale).filter(|path| disk.remove(path).is_ok()).collect()
}

/// Where a file is written before it takes its place.
fn temporary(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().with_context(|| format!("cannot save {}: it names no file", path.display()))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    Ok(path.with_file_name(hidden))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The error with what to do about it.
fn explain(error: io::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let remedy = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space or give another --output, then go on with --resume; what was saved before still stands"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable or give another --output; what was saved before still stands"
        }
        ErrorKind::NotFound => "its folder has gone; put it back or give another --output",
        _ => "what was saved before still stands",
    };
    anyhow!("cannot save {shown}: {error}; {remedy}")
}
