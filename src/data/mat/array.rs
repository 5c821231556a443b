//! Arrays: numbers, text, cells and structs, which hold arrays again.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::ZlibDecoder;

use super::element::{Element, Elements, Endian, Kind};

/// Arrays within arrays.
const DEEPEST: usize = 16;

/// Arrays in a file, those within others included. (Stanford Cars has 16,185 structs of seven.)
const MOST_ARRAYS: usize = 1 << 20;

/// Fields of a struct.
const MOST_FIELDS: usize = 1 << 12;

/// An array of any shape; values lie in the order of its first index.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each axis.
    pub dims: Vec<usize>,
    pub content: Content,
}

/// What an array holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Of any type of number: integers up to 2^53 are exact.
    Numbers(Vec<f64>),
    /// One row of characters.
    Text(String),
    Cells(Vec<Array>),
    /// Structs of the same fields; `values` has those of the first, then those of the second.
    Structs {
        fields: Vec<String>,
        values: Vec<Array>,
    },
    /// Something that is not read here: its name.
    Other(&'static str),
}

impl Array {
    fn empty() -> Self {
        Self { dims: vec![0, 0], content: Content::Numbers(Vec::new()) }
    }

    /// All numbers.
    pub fn numbers(&self) -> Option<&[f64]> {
        match &self.content {
            Content::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The only number, where it is a whole one from 0 on.
    pub fn whole(&self) -> Option<usize> {
        match self.numbers()? {
            &[number] => whole(number),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn cells(&self) -> Option<&[Self]> {
        match &self.content {
            Content::Cells(cells) => Some(cells),
            _ => None,
        }
    }

    /// This field of every struct.
    pub fn field(&self, name: &str) -> Option<impl Iterator<Item = &Self> + use<'_>> {
        let Content::Structs { fields, values } = &self.content else { return None };
        let at = fields.iter().position(|field| field == name)?;
        Some(values.iter().skip(at).step_by(fields.len()))
    }
}

/// The number as an index, where it is one.
pub fn whole(number: f64) -> Option<usize> {
    /// Up to here f64 holds every integer.
    const MOST: f64 = (1u64 << 53) as f64;
    (number.fract() == 0.0 && (0.0..=MOST).contains(&number)).then_some(number as usize)
}

/// Reads arrays, within bounds for the whole file.
pub struct Parser {
    endian: Endian,
    /// Bytes that compressed parts may still become.
    inflatable: u64,
    /// Arrays that there may still be.
    arrays: usize,
}

impl Parser {
    pub fn new(endian: Endian, inflatable: u64) -> Self {
        Self { endian, inflatable, arrays: MOST_ARRAYS }
    }

    /// The array of a top-level element with its name; none where the element is something else.
    pub fn variable(&mut self, element: Element) -> Result<Option<(String, Array)>> {
        match element.kind {
            Kind::Matrix => self.matrix(element.bytes, 0).map(Some),
            Kind::Compressed => {
                let bytes = self.inflate(element.bytes)?;
                let inner = Elements::new(&bytes, self.endian).expect("what was compressed")?;
                if inner.kind == Kind::Matrix { self.matrix(inner.bytes, 0).map(Some) } else { Ok(None) }
            }
            _ => Ok(None),
        }
    }

    fn inflate(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let inflated = ZlibDecoder::new(bytes).take(self.inflatable + 1).read_to_end(&mut out);
        inflated.context("damaged: a compressed part cannot be unpacked")?;
        let left = self.inflatable.checked_sub(out.len() as u64);
        self.inflatable = left.context("its compressed parts are larger than any annotations")?;
        Ok(out)
    }

    /// Name and array of a matrix element's bytes.
    fn matrix(&mut self, bytes: &[u8], depth: usize) -> Result<(String, Array)> {
        self.arrays = self.arrays.checked_sub(1).context("more arrays than any annotations have")?;
        ensure!(depth < DEEPEST, "damaged: arrays within arrays, more than {DEEPEST} deep");
        if bytes.is_empty() {
            return Ok((String::new(), Array::empty()));
        }
        let mut parts = Elements::new(bytes, self.endian);
        let flags = parts.expect("an array's kind")?.numbers().unwrap_or_default();
        let class = flags.first().map(|&flags| flags as u32 & 0xff).context("damaged: an array without a kind")?;
        if let Some(other) = unread(class) {
            return Ok((String::new(), Array { dims: Vec::new(), content: Content::Other(other) }));
        }
        let dims = parts.expect("an array's shape")?.numbers().unwrap_or_default();
        let dims: Option<Vec<usize>> = dims.into_iter().map(whole).collect();
        let dims = dims.context("damaged: an array's shape is negative")?;
        let count = dims.iter().try_fold(1usize, |count, &length| count.checked_mul(length));
        let count = count.context("damaged: an array's shape is beyond any memory")?;
        let name = parts.expect("an array's name")?.text().unwrap_or_default();
        let content = match class {
            CELL => Content::Cells(self.arrays(&mut parts, count, depth)?),
            STRUCT => self.structs(&mut parts, count, depth)?,
            CHAR => text(&mut parts, &dims, count)?,
            NUMBERS_FROM..=NUMBERS_TO => numbers(&mut parts, count)?,
            _ => bail!("damaged: there is no kind of array {class}"),
        };
        Ok((name, Array { dims, content }))
    }

    fn structs(&mut self, parts: &mut Elements, count: usize, depth: usize) -> Result<Content> {
        let damaged = "damaged: the names of a struct's fields";
        let length = parts.expect("the length of a struct's names")?.numbers().unwrap_or_default();
        let length = length.first().copied().and_then(whole).filter(|&length| length > 0).context(damaged)?;
        let names = parts.expect("a struct's names")?.bytes;
        ensure!(names.len().is_multiple_of(length) && names.len() / length <= MOST_FIELDS, damaged);
        // Each is filled up with zeros.
        let name = |name: &[u8]| {
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            String::from_utf8_lossy(&name[..end]).into_owned()
        };
        let fields: Vec<String> = names.chunks_exact(length).map(name).collect();
        let values = count.checked_mul(fields.len()).context("damaged: too many structs")?;
        Ok(Content::Structs { values: self.arrays(parts, values, depth)?, fields })
    }

    /// So many arrays, one after another.
    fn arrays(&mut self, parts: &mut Elements, count: usize, depth: usize) -> Result<Vec<Array>> {
        // Each has a tag of eight bytes at least.
        ensure!(count <= parts.left() / 8, "cut off or damaged: fewer arrays than a cell or struct array says");
        let mut arrays = Vec::new();
        for _ in 0..count {
            let element = parts.expect("an array")?;
            ensure!(element.kind == Kind::Matrix, "damaged: something else where an array should be");
            arrays.push(self.matrix(element.bytes, depth + 1)?.1);
        }
        Ok(arrays)
    }
}

/// Kinds of arrays (the format's table 1-3).
const CELL: u32 = 1;
const STRUCT: u32 = 2;
const CHAR: u32 = 4;
const NUMBERS_FROM: u32 = 6;
const NUMBERS_TO: u32 = 15;

/// What a kind is called that is not read here. MATLAB's newer ones lack even a shape.
fn unread(class: u32) -> Option<&'static str> {
    Some(match class {
        3 => "an object",
        5 => "a sparse array",
        16 => "a function",
        17 => "an object of a class",
        _ => return None,
    })
}

fn numbers(parts: &mut Elements, count: usize) -> Result<Content> {
    let numbers = parts.expect("an array's numbers")?.numbers().context("damaged: an array's numbers are none")?;
    ensure!(numbers.len() == count, "damaged: {} numbers in an array of {count}", numbers.len());
    Ok(Content::Numbers(numbers))
}

fn text(parts: &mut Elements, dims: &[usize], count: usize) -> Result<Content> {
    let text = match parts.next() {
        // Some writers leave out what is empty.
        None if count == 0 => String::new(),
        element => element.context("cut off or damaged: a text is not there")??.text().context("damaged: a text")?,
    };
    Ok(match dims.first() {
        Some(0 | 1) => Content::Text(text),
        _ if count == 0 => Content::Text(text),
        _ => Content::Other("a text of several rows"),
    })
}
