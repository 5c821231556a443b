//! MATLAB's files of level 5 (`save -v6` and `-v7`), in which several data sets keep their annotations. The format:
//! <https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf>.
//!
//! A file may be hostile. Nothing is allocated by what a header says, only by bytes that are there; how far compressed
//! parts may grow, how many arrays there may be and how deep they may lie is bounded.

mod array;
mod element;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

pub use array::{Array, Content, whole};

use self::array::Parser;
use self::element::{Elements, Endian};

/// A longer file is no file of annotations; compressed parts may not grow beyond it either.
const MOST_BYTES: u64 = 32 << 20;

/// Bytes before the first variable.
const HEADER: usize = 128;

/// How HDF5 begins, which is what MATLAB writes since version 7.3: after its header of 512 bytes, or at once.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The named variables of a file.
#[derive(Debug)]
pub struct Variables(Vec<(String, Array)>);

impl Variables {
    /// Reads the variables of the file at `path`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and those of [`Variables::from_bytes`]; the message names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut bytes = Vec::new();
        let cannot = || format!("{shown}: cannot be read");
        let read = File::open(path).with_context(cannot)?.take(MOST_BYTES + 1).read_to_end(&mut bytes);
        read.with_context(cannot)?;
        Self::from_bytes(&bytes).with_context(|| shown.to_string())
    }

    /// Reads the variables of a file's bytes.
    ///
    /// # Errors
    ///
    /// Another version of the format, a file that is damaged, cut off or too large.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() as u64 <= MOST_BYTES, "larger than {} MiB, which no annotations are", MOST_BYTES >> 20);
        let endian = header(bytes)?;
        let mut parser = Parser::new(endian, MOST_BYTES);
        let mut variables = Vec::new();
        for element in Elements::new(&bytes[HEADER..], endian) {
            variables.extend(parser.variable(element?)?);
        }
        Ok(Self(variables))
    }

    /// The variable of this name.
    ///
    /// # Errors
    ///
    /// There is none, and the message says what there is.
    pub fn get(&self, name: &str) -> Result<&Array> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, array)| array).with_context(|| {
            let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
            format!("holds no variable {name:?}, but {}", super::enumerate(&names))
        })
    }

    /// All of them, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array))
    }
}

/// The byte order that the header tells, of a file that is of this format.
fn header(bytes: &[u8]) -> Result<Endian> {
    if bytes.starts_with(HDF5) || bytes.get(512..).is_some_and(|rest| rest.starts_with(HDF5)) {
        bail!("MATLAB's version 7.3, which is HDF5 and is not read here; in MATLAB save it again with `save -v7`");
    }
    ensure!(!bytes.is_empty(), "the file is empty");
    // The header is text; where one of its first bytes is zero, they are the type of a matrix of version 4.
    if bytes.len() >= 20 && bytes[..4].contains(&0) {
        bail!("no MAT file of level 5 (perhaps of version 4); in MATLAB save it again with `save -v7`");
    }
    let marks = bytes.get(HEADER - 4..HEADER);
    let (endian, version) = match marks {
        Some(&[low, high, b'I', b'M']) => (Endian::Little, u16::from_le_bytes([low, high])),
        Some(&[high, low, b'M', b'I']) => (Endian::Big, u16::from_be_bytes([high, low])),
        _ => bail!("no MAT file: its header is not MATLAB's"),
    };
    ensure!(version >> 8 == 1, "a MAT file of an unknown version ({version:#06x}); in MATLAB save it with `save -v7`");
    Ok(endian)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        format!("{:#}", Variables::from_bytes(bytes).unwrap_err())
    }

    fn file(marks: &[u8; 4]) -> Vec<u8> {
        let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
        bytes.resize(HEADER - 4, b' ');
        bytes.extend(marks);
        bytes
    }

    #[test]
    fn either_byte_order_is_understood_and_an_empty_file_has_no_variables() {
        for marks in [b"\x00\x01IM", b"\x01\x00MI"] {
            let variables = Variables::from_bytes(&file(marks)).unwrap();
            assert_eq!(variables.iter().count(), 0);
            assert!(variables.get("labels").is_err());
        }
    }

    #[test]
    fn what_is_something_else_is_told_with_the_remedy() {
        let mut newer = file(b"\x00\x02IM");
        assert!(refusal(&newer).contains("unknown version (0x0200)"), "{}", refusal(&newer));
        newer.resize(512, 0);
        newer.extend(HDF5);
        assert!(refusal(&newer).contains("version 7.3") && refusal(&newer).contains("save -v7"));
        assert!(refusal(HDF5).contains("version 7.3"));
        let mut older = [0, 0, 0, 0, 3, 0, 0, 0].to_vec();
        older.resize(100, 0);
        assert!(refusal(&older).contains("version 4"));
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"GIF89a and so on").contains("header"));
        assert!(refusal(&file(b"abcd")).contains("header"));
    }
}
