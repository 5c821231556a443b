//! The parts that a file consists of: a type, a length, and so many bytes.

use anyhow::{Context, Result, bail};

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    Little,
    Big,
}

impl Endian {
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// What an element's bytes are (the format's table 1-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Single,
    Double,
    Int64,
    UInt64,
    Matrix,
    Compressed,
    Utf8,
    Utf16,
    Utf32,
}

impl Kind {
    fn of(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Int8,
            2 => Self::UInt8,
            3 => Self::Int16,
            4 => Self::UInt16,
            5 => Self::Int32,
            6 => Self::UInt32,
            7 => Self::Single,
            9 => Self::Double,
            12 => Self::Int64,
            13 => Self::UInt64,
            14 => Self::Matrix,
            15 => Self::Compressed,
            16 => Self::Utf8,
            17 => Self::Utf16,
            18 => Self::Utf32,
            _ => return None,
        })
    }
}

/// A part of the file.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    pub kind: Kind,
    pub bytes: &'a [u8],
    pub endian: Endian,
}

/// Elements one after another. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    endian: Endian,
}

impl<'a> Elements<'a> {
    pub fn new(bytes: &'a [u8], endian: Endian) -> Self {
        Self { rest: bytes, endian }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next element, which must be there.
    pub fn expect(&mut self, what: &str) -> Result<Element<'a>> {
        self.next().with_context(|| format!("cut off or damaged: {what} is not there"))?
    }

    fn take(&mut self) -> Result<Element<'a>> {
        let rest = std::mem::take(&mut self.rest);
        let cut = || "cut off or damaged: a part is longer than what is left of the file";
        let (&tag, data) = rest.split_first_chunk::<4>().with_context(cut)?;
        let tag = self.endian.u32(tag);
        // Where the upper half holds a length, up to four bytes stand in place of the other length.
        let (code, bytes, after) = match tag >> 16 {
            0 => {
                let (&length, data) = data.split_first_chunk::<4>().with_context(cut)?;
                let (bytes, after) = data.split_at_checked(self.endian.u32(length) as usize).with_context(cut)?;
                // Everything begins at a multiple of eight, but for what follows something compressed.
                let padding = if tag == 15 { 0 } else { bytes.len().wrapping_neg() % 8 };
                (tag, bytes, after.get(padding..).unwrap_or_default())
            }
            length => {
                let (word, after) = data.split_at_checked(4).with_context(cut)?;
                (tag & 0xffff, word.get(..length as usize).with_context(cut)?, after)
            }
        };
        let Some(kind) = Kind::of(code) else { bail!("damaged: there is no type of data {code}") };
        self.rest = after;
        Ok(Element { kind, bytes, endian: self.endian })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.take())
    }
}

impl Element<'_> {
    /// Its values as f64, which holds integers up to 2^53; none where it is no list of numbers.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        Some(match self.kind {
            Kind::Int8 => self.each(|[byte]| i8::from_le_bytes([byte]).into()),
            Kind::UInt8 => self.each(|[byte]| byte.into()),
            Kind::Int16 => self.each(|bytes| i16::from_le_bytes(bytes).into()),
            Kind::UInt16 => self.each(|bytes| u16::from_le_bytes(bytes).into()),
            Kind::Int32 => self.each(|bytes| i32::from_le_bytes(bytes).into()),
            Kind::UInt32 => self.each(|bytes| u32::from_le_bytes(bytes).into()),
            Kind::Single => self.each(|bytes| f32::from_le_bytes(bytes).into()),
            Kind::Double => self.each(f64::from_le_bytes),
            Kind::Int64 => self.each(|bytes| i64::from_le_bytes(bytes) as f64),
            Kind::UInt64 => self.each(|bytes| u64::from_le_bytes(bytes) as f64),
            Kind::Matrix | Kind::Compressed | Kind::Utf8 | Kind::Utf16 | Kind::Utf32 => return None,
        })
    }

    /// Its characters; none where it is none of the types that text is kept in.
    pub fn text(&self) -> Option<String> {
        let wide = || self.each(u16::from_le_bytes);
        Some(match self.kind {
            Kind::Utf8 | Kind::Int8 => String::from_utf8_lossy(self.bytes).into_owned(),
            // MATLAB's own bytes are numbers of characters.
            Kind::UInt8 => self.bytes.iter().map(|&byte| char::from(byte)).collect(),
            Kind::UInt16 | Kind::Utf16 => String::from_utf16_lossy(&wide()),
            Kind::Utf32 => {
                let characters = self.each(u32::from_le_bytes).into_iter();
                characters.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            _ => return None,
        })
    }

    /// One value for every `N` bytes, which are given with the lowest first.
    fn each<const N: usize, T>(&self, value: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (values, _) = self.bytes.as_chunks::<N>();
        let ordered = values.iter().map(|&(mut bytes)| {
            if self.endian == Endian::Big {
                bytes.reverse();
            }
            value(bytes)
        });
        ordered.collect()
    }
}
