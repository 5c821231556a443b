//! The bytes of a `.safetensors` file: the header's length, the header in JSON, the tensors one after the other.
//! <https://github.com/huggingface/safetensors#format>

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use anyhow::{Result, ensure};
use crc32fast::Hasher;
use serde_json::{Map, Value, json};

use super::super::checksum;

/// Numbers that are turned into bytes at a time.
const CHUNK: usize = 1 << 14;

/// Tensors start at multiples of this, as the format recommends.
const ALIGNMENT: usize = 8;

/// A tensor of f32 in C order.
#[derive(Clone, Debug)]
pub struct Floats<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: &'a [f32],
}

/// A file of which every byte is decided.
pub struct Plan<'a> {
    /// The header's length and the header, padded and with its checksum.
    head: Vec<u8>,
    /// The counters' bytes, which stand before the floats so that both are aligned.
    counters: Vec<u8>,
    floats: &'a [Floats<'a>],
}

impl<'a> Plan<'a> {
    /// Lays the file out and takes its checksum.
    pub fn new(notes: &BTreeMap<String, String>, counters: &[(String, i64)], floats: &'a [Floats<'a>]) -> Result<Self> {
        let mut names = HashSet::new();
        for name in counters.iter().map(|(name, _)| name).chain(floats.iter().map(|tensor| &tensor.name)) {
            ensure!(names.insert(name), "two tensors of the checkpoint are named `{name}`");
        }
        let head = head(notes, counters, floats)?;
        let counters = counters.iter().flat_map(|(_, count)| count.to_le_bytes()).collect();
        let mut plan = Self { head, counters, floats };
        let mut sum = Hasher::new();
        plan.bytes(|bytes| {
            sum.update(bytes);
            Ok(())
        })?;
        checksum::insert(&mut plan.head, sum.finalize())?;
        Ok(plan)
    }

    /// Writes the whole file.
    pub fn write(&self, file: &mut impl Write) -> io::Result<()> {
        self.bytes(|bytes| file.write_all(bytes))
    }

    /// The file's bytes, piece by piece.
    fn bytes(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        take(&self.head)?;
        take(&self.counters)?;
        let mut bytes = Vec::with_capacity(CHUNK * size_of::<f32>());
        for chunk in self.floats.iter().flat_map(|tensor| tensor.values.chunks(CHUNK)) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|number| number.to_le_bytes()));
            take(&bytes)?;
        }
        Ok(())
    }
}

fn head(notes: &BTreeMap<String, String>, counters: &[(String, i64)], floats: &[Floats]) -> Result<Vec<u8>> {
    let mut metadata: Map<String, Value> =
        notes.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect();
    metadata.insert(checksum::KEY.to_owned(), Value::from(checksum::BLANK));
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(metadata))]);
    let mut end = 0;
    let mut describe = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
        let start = end;
        end += bytes;
        let tensor = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.to_owned(), tensor);
    };
    for (name, count) in counters {
        describe(name, "I64", &[], size_of_val(count));
    }
    for Floats { name, shape, values } in floats {
        describe(name, "F32", shape, size_of_val(*values));
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}
