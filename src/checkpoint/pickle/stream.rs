//! The bytes of one pickle, read forwards and never past their end.

use std::io::{BufReader, Read};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::checkpoint::source::{Source, SourceCursor};

/// A pickle describes tensors, it does not hold them: 1202 layers with optimiser state and averaged weights take a
/// few MiB. More than this is no state dict.
const MAX_PICKLE: u64 = 64 << 20;

/// Longest module or class name.
const MAX_LINE: usize = 512;

pub(super) struct Stream {
    reader: BufReader<SourceCursor>,
    position: u64,
    end: u64,
}

impl Stream {
    pub fn new(source: &Arc<Source>, start: u64) -> Self {
        let end = source.len().min(start.saturating_add(MAX_PICKLE));
        Self { reader: BufReader::new(SourceCursor::over(source, start, end)), position: start, end }
    }

    /// Offset in the source of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.reserve(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// The next `len` bytes; nothing is allocated before they are known to be there.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.reserve(len)?;
        let mut bytes = vec![0; usize::try_from(len)?];
        self.reader.read_exact(&mut bytes)?;
        self.position += len;
        Ok(bytes)
    }

    /// Text of `len` bytes. PyTorch writes UTF-8; lone surrogates, which Python allows, are replaced.
    pub fn text(&mut self, len: u64) -> Result<Box<str>> {
        Ok(match String::from_utf8(self.bytes(len)?) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
        .into_boxed_str())
    }

    /// Text up to the end of the line, which is taken too.
    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                byte => line.push(byte),
            }
            ensure!(line.len() <= MAX_LINE, "its pickle holds a name of more than {MAX_LINE} bytes");
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn reserve(&self, len: u64) -> Result<()> {
        let left = self.end.saturating_sub(self.position);
        if len > left {
            bail!(
                "its pickle ends too early: {len} bytes are expected at byte {}, {left} are there; is the download \
                 complete?",
                self.position
            );
        }
        Ok(())
    }
}
