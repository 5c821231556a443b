//! Whole files out of a tar that was compressed by gzip.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::bufread::MultiGzDecoder;
use tar::Archive;

/// The content of a file, if the archive holds it.
pub type Member = Option<Vec<u8>>;

/// Larger members are not read into memory.
const MOST_BYTES: u64 = 1 << 30;

/// Reads the members with these file names, in whichever folder they lie, in the order of `names`.
///
/// # Errors
///
/// When the archive cannot be read or is damaged before the last of them was found.
pub fn members(path: &Path, names: &[&str]) -> Result<Vec<Member>> {
    let damaged = || format!("{}: not a whole tar.gz; fetch it again", path.display());
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file)));
    let mut members = vec![None; names.len()];
    for entry in archive.entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path_bytes();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let Some(place) = names.iter().position(|wanted| wanted.as_bytes() == name) else { continue };
        let size = entry.size();
        ensure!(size <= MOST_BYTES, "{}: {} is too large: {size} bytes", path.display(), names[place]);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(damaged)?;
        ensure!(bytes.len() as u64 == size, damaged());
        members[place] = Some(bytes);
        if members.iter().all(Option::is_some) {
            break;
        }
    }
    Ok(members)
}
