//! The bytes of a checkpoint, read by offset: a file that is never mapped nor read as a whole, or bytes in memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

/// Bytes of a known length that any number of readers may read at once.
#[derive(Debug)]
pub(super) enum Source {
    File { file: File, len: u64 },
    Bytes(Vec<u8>),
}

impl Source {
    /// Opens a regular file. A folder or a pipe is refused by its kind before anything waits on it.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow::anyhow!("there is no such file"),
            _ => anyhow::Error::new(error),
        })?;
        if metadata.is_dir() {
            bail!("this is a folder; give the checkpoint file inside it");
        }
        ensure!(metadata.is_file(), "this is not a regular file");
        let file = File::open(path).context("it cannot be opened")?;
        Ok(Self::File { file, len: metadata.len() })
    }

    /// Length in bytes, as it was when the source was opened.
    pub fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` from `offset` on; fails where the source ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(buffer, offset),
            Self::Bytes(bytes) => {
                let found = usize::try_from(offset)
                    .ok()
                    .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?))
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(found);
                Ok(())
            }
        }
    }

    /// Reads `len` bytes from `offset` on. The range is checked against the source before anything is allocated.
    pub fn read_vec(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        ensure!(
            offset.checked_add(len).is_some_and(|end| end <= self.len()),
            "it ends at byte {}, but {len} bytes are expected from byte {offset} on; is the download complete?",
            self.len()
        );
        let mut bytes = vec![0; usize::try_from(len)?];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// `Read` and `Seek` over a stretch of a source; each clone has its own position.
#[derive(Clone, Debug)]
pub(super) struct SourceCursor {
    source: Arc<Source>,
    position: u64,
    end: u64,
}

impl SourceCursor {
    /// A cursor over the whole source.
    pub fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), position: 0, end: source.len() }
    }

    /// A cursor from `start` to at most `end`, or to the end of the source.
    pub fn over(source: &Arc<Source>, start: u64, end: u64) -> Self {
        Self { source: Arc::clone(source), position: start, end: end.min(source.len()) }
    }
}

impl Read for SourceCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let (target, _) = buffer.split_at_mut(wanted);
        if wanted == 0 {
            return Ok(0);
        }
        self.source.read_exact_at(target, self.position)?;
        self.position += wanted as u64;
        Ok(wanted)
    }
}

impl Seek for SourceCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.end.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_beyond_the_end_is_refused_before_it_is_allocated() {
        let source = Source::Bytes(vec![1, 2, 3]);
        assert_eq!(source.read_vec(1, 2).unwrap(), [2, 3]);
        assert!(source.read_vec(1, 3).is_err());
        assert!(source.read_vec(u64::MAX, 2).is_err());
        assert!(source.read_vec(0, 1 << 60).is_err());
    }

    #[test]
    fn a_cursor_stops_at_its_end() {
        let source = Arc::new(Source::Bytes((0..10).collect()));
        let mut read = Vec::new();
        SourceCursor::over(&source, 4, 7).read_to_end(&mut read).unwrap();
        assert_eq!(read, [4, 5, 6]);
        let mut cursor = SourceCursor::new(&source);
        cursor.seek(SeekFrom::Start(99)).unwrap();
        assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    }
}
