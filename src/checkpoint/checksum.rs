//! The checksum of checkpoints written here: CRC-32 (ISO 3309) of the whole file, header and all, taken with the
//! checksum's own eight digits as zeros. It stands as a note in the header, so that other readers pass over it.

use anyhow::{Context, Result, bail, ensure};
use crc32fast::Hasher;

use super::source::Source;

/// The note's key.
pub(super) const KEY: &str = "tresnet.crc32";

/// What stands in the checksum's place while it is taken.
pub(super) const BLANK: &str = "00000000";

/// Bytes that are read at a time.
const CHUNK: u64 = 1 << 18;

/// Puts the checksum into a header that has [`BLANK`] in its place.
pub(super) fn insert(head: &mut [u8], sum: u32) -> Result<()> {
    let at = find(head).context("the header has no place for its checksum")?;
    let digits = head.get_mut(at..at + BLANK.len()).context("the header ends inside its checksum")?;
    digits.copy_from_slice(format!("{sum:08x}").as_bytes());
    Ok(())
}

/// Reads all of a safetensors file and compares it with its checksum. False where the file has none.
///
/// # Errors
///
/// Where they differ, or the file cannot be read.
pub(super) fn verify(source: &Source) -> Result<bool> {
    let mut length = [0; 8];
    source.read_exact_at(&mut length, 0).context("it is too short for a safetensors file")?;
    let header_end = u64::from_le_bytes(length).checked_add(8).context("its header's length is damaged")?;
    let mut head = source.read_vec(0, header_end)?;
    let Some(at) = find(&head) else {
        return Ok(false);
    };
    let digits = head.get_mut(at..at + BLANK.len()).context("its header ends inside its checksum")?;
    let stated = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(stated) = stated else { bail!("its checksum is damaged") };
    digits.copy_from_slice(BLANK.as_bytes());
    let mut sum = Hasher::new();
    sum.update(&head);
    let mut at = header_end;
    while at < source.len() {
        let bytes = source.read_vec(at, CHUNK.min(source.len() - at))?;
        sum.update(&bytes);
        at += bytes.len() as u64;
    }
    let found = sum.finalize();
    ensure!(found == stated, "it is damaged: its checksum is {found:08x} and was {stated:08x} when it was written");
    Ok(true)
}

/// Where the digits stand. In JSON, where quotes in strings are escaped, nothing else reads like the note.
fn find(head: &[u8]) -> Option<usize> {
    let note = format!("\"{KEY}\":\"");
    head.windows(note.len()).position(|window| window == note.as_bytes()).map(|at| at + note.len())
}
