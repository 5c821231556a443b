//! What a file is, told from its first bytes.

use anyhow::{Result, bail};

use super::pth_legacy;
use super::source::Source;

/// The forms of checkpoints that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Legacy,
    Safetensors,
}

/// Where the old tar header has its magic.
const TAR_MAGIC: usize = 257;

const HEAD: usize = 512;

/// Files that are mistaken for checkpoints: how they begin, and what they are.
const STRANGERS: &[(&[u8], &str)] = &[
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"RIFF", "a WebP image or another RIFF file"),
    (b"\x1f\x8b", "gzip-compressed; unpack it first"),
    (b"\xfd7zXZ", "xz-compressed; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it first"),
    (b"BZh", "bzip2-compressed; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a GGUF model"),
];

/// Recognises the form of a checkpoint.
///
/// # Errors
///
/// For anything else, with what it seems to be.
pub(super) fn kind(source: &Source) -> Result<Kind> {
    let len = source.len();
    if len == 0 {
        bail!("it is empty");
    }
    let head = source.read_vec(0, len.min(HEAD as u64))?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Kind::Zip);
    }
    if let [0x80, 2..=5, rest @ ..] = head.as_slice() {
        if rest.windows(pth_legacy::MAGIC.len()).take(16).any(|window| window == pth_legacy::MAGIC) {
            return Ok(Kind::Legacy);
        }
        bail!("it is a pickle, but not one that torch.save wrote; save with torch.save(model.state_dict(), FILE)");
    }
    if let Some((length, b"{")) = head.first_chunk::<8>().zip(head.get(8..9))
        && u64::from_le_bytes(*length) <= len
    {
        return Ok(Kind::Safetensors);
    }
    bail!("it is no checkpoint: it seems to be {}", stranger(&head))
}

fn stranger(head: &[u8]) -> String {
    if let Some((_, what)) = STRANGERS.iter().find(|(start, _)| head.starts_with(start)) {
        return (*what).to_owned();
    }
    if is_tar(head) {
        return "a tar archive: unpack it, or if PyTorch 0.1 wrote it, load and save it once with a newer one"
            .to_owned();
    }
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    if text.starts_with("version https://git-lfs") {
        return "a Git LFS pointer; fetch the file itself with `git lfs pull`".to_owned();
    }
    if text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<?xml") {
        return "a web page; the download was answered with a page instead of the file".to_owned();
    }
    if head.iter().all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        return "text".to_owned();
    }
    format!("unknown data (first bytes {:02x?})", head.get(..8.min(head.len())).unwrap_or(head))
}

/// POSIX archives say `ustar`; older ones, as PyTorch 0.1 wrote, are known by the octal checksum in their header.
fn is_tar(head: &[u8]) -> bool {
    if head.get(TAR_MAGIC..TAR_MAGIC + 5) == Some(b"ustar") {
        return true;
    }
    let Some(field) = head.get(148..156) else {
        return false;
    };
    let digits: String = field.iter().map(|&byte| char::from(byte)).filter(char::is_ascii_digit).collect();
    let sum: u64 = head.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field.iter().map(|&byte| u64::from(byte)).sum();
    head.len() == HEAD && u64::from_str_radix(&digits, 8).is_ok_and(|stated| stated == sum - own + 8 * u64::from(b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        kind(&Source::Bytes(bytes.to_vec())).unwrap_err().to_string()
    }

    #[test]
    fn strangers_are_called_by_name() {
        for (bytes, name) in [
            (&b""[..], "empty"),
            (b"\xff\xd8\xff\xe0JFIF", "JPEG"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"\n<!DOCTYPE html><title>Sign in</title>", "web page"),
            (b"Not found", "text"),
            (b"\x80\x02}q\x00.", "torch.save"),
            (b"\x00\x01\x02", "unknown data"),
        ] {
            assert!(refusal(bytes).contains(name), "{}", refusal(bytes));
        }
    }

    #[test]
    fn tar_archives_of_both_ages_are_refused_with_the_remedy() {
        let mut header = vec![0u8; HEAD];
        header.get_mut(..8).unwrap().copy_from_slice(b"storages");
        let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum::<u64>() + 8 * 32;
        header.get_mut(148..155).unwrap().copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header[155] = b' ';
        assert!(refusal(&header).contains("PyTorch 0.1"), "{}", refusal(&header));
        let mut posix = vec![0u8; HEAD];
        posix.get_mut(TAR_MAGIC..TAR_MAGIC + 5).unwrap().copy_from_slice(b"ustar");
        assert!(refusal(&posix).contains("tar archive"));
    }
}
