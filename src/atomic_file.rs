//! Files that appear whole or not at all: written beside their place, then renamed into it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// A file under construction. Dropping it without [`AtomicFile::commit`] leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    target: PathBuf,
    /// `None` where the target is written directly, being a device, a pipe or the standard output, which must not be
    /// replaced by a file.
    temporary: Option<PathBuf>,
}

impl AtomicFile {
    /// Starts the file; an existing one at `target` stays untouched until [`AtomicFile::commit`].
    ///
    /// # Errors
    /// Where `target` is a folder, or its folder is missing or not writable; the message names `target`.
    pub fn create(target: &Path) -> Result<Self> {
        let shown = target.display();
        if target.is_dir() {
            bail!("cannot write {shown}: it is a folder; name a file");
        }
        // A link keeps pointing where it does: the file behind it is the one to replace.
        let target = target.canonicalize().unwrap_or_else(|_| behind_links(target));
        if let Some(file) = standard_output(&target) {
            return Ok(Self { writer: BufWriter::new(file), target, temporary: None });
        }
        if target.exists() && !target.is_file() {
            let file = File::options().write(true).open(&target);
            let file = file.with_context(|| format!("cannot write {shown}"))?;
            return Ok(Self { writer: BufWriter::new(file), target, temporary: None });
        }
        ensure!(target.file_name().is_some(), "cannot write {shown}: it names no file");
        let temporary = target.with_file_name(temporary_name());
        let file = File::create(&temporary).map_err(|error| {
            anyhow!("cannot write {shown}: {error}; name a file in a folder that is there and may be written")
        })?;
        Ok(Self { writer: BufWriter::new(file), target, temporary: Some(temporary) })
    }

    /// Puts the file into its place, on the disk before it is seen.
    ///
    /// # Errors
    /// Where the last bytes cannot be written (a full disk) or the rename fails; the message names the file.
    pub fn commit(mut self) -> Result<()> {
        self.finish().with_context(|| format!("cannot write {}", self.target.display()))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        if let Some(temporary) = &self.temporary {
            self.writer.get_ref().sync_all()?;
            fs::rename(temporary, &self.target)?;
            self.temporary = None;
        }
        Ok(())
    }
}

/// A name of which this process makes no second one. The target's own may be as long as names can be.
fn temporary_name() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!(".tresnet-{}-{}.tmp", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// Where a chain of links leads that ends in nothing yet.
fn behind_links(path: &Path) -> PathBuf {
    // Linux follows as many.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// The standard output, where it goes into the file `target` (`--results-file /dev/stdout > out`): what else is printed
/// there would be lost with a file that is replaced.
#[cfg(unix)]
fn standard_output(target: &Path) -> Option<File> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let there = fs::metadata(target).ok().filter(fs::Metadata::is_file)?;
    let file = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    let own = file.metadata().ok()?;
    (own.dev() == there.dev() && own.ino() == there.ino()).then_some(file)
}

#[cfg(not(unix))]
fn standard_output(_: &Path) -> Option<File> {
    None
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nobody is left to tell, and the file carries its owner's name.
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_old_file_stands_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("results.json");
        fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        file.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(names_in(folder.path()), ["results.json"]);
    }

    #[test]
    fn an_abandoned_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("a.csv")).unwrap();
        file.write_all(b"half a row").unwrap();
        drop(file);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/a.csv");
        let error = format!("{:#}", AtomicFile::create(&missing).unwrap_err());
        assert!(error.starts_with(&format!("cannot write {}", missing.display())), "{error}");
        let error = AtomicFile::create(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is a folder; name a file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_and_never_replaced() {
        let mut file = AtomicFile::create(Path::new("/dev/null")).unwrap();
        file.write_all(b"gone").unwrap();
        file.commit().unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_keeps_pointing_at_the_file_that_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_what_is_not_there_yet_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::os::unix::fs::symlink("real", &link).unwrap();
        AtomicFile::create(&link).unwrap().commit().unwrap();
        assert!(link.is_symlink() && real.is_file());
    }

    #[test]
    fn a_name_may_be_as_long_as_names_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("n".repeat(255));
        AtomicFile::create(&target).unwrap().commit().unwrap();
        assert!(target.is_file());
    }
}
