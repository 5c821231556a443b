//! `.safetensors` files: the length of a header, the header in JSON, the tensors. The crate checks that the header's
//! offsets are in order, without gaps, and agree with shapes and types; here it is read alone, and bounded.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::element::ElementType;
use super::shown;
use super::source::Source;
use super::state_dict::{Entry, StateDict};
use super::storage::{Place, Storage, View};

/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// A header takes about a hundred bytes for a tensor; a network of a hundred thousand tensors fits.
const MAX_HEADER: u64 = 16 << 20;

/// What the header says.
pub(super) struct Safetensors {
    pub tensors: StateDict,
    /// The file's own notes, by key.
    pub metadata: Vec<(String, String)>,
}

/// Reads the header and checks it against the length of the file.
pub(super) fn open(source: &Arc<Source>) -> Result<Safetensors> {
    let mut length = [0; LENGTH as usize];
    source.read_exact_at(&mut length, 0).context("it is too short for a safetensors file")?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= MAX_HEADER, "its safetensors header claims {length} bytes; at most {MAX_HEADER} are read");
    let header = source.read_vec(LENGTH, length)?;
    let header: Metadata = serde_json::from_slice(&header).context("its safetensors header is damaged")?;
    let start = LENGTH + length;
    let expected = start.saturating_add(header.data_len() as u64);
    if expected != source.len() {
        bail!("its header describes {expected} bytes, the file has {}; is the download complete?", source.len());
    }
    let mut entries = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else {
            continue;
        };
        let (from, to) = info.data_offsets;
        let storage =
            Storage { place: Place::Stored { offset: start + from as u64 }, bytes: to.saturating_sub(from) as u64 };
        let view = element(info.dtype)
            .with_context(|| format!("it holds {}; convert the weights to float32", info.dtype))
            .and_then(|element| View::contiguous(&storage, element, &info.shape, source.len()))
            .with_context(|| format!("tensor `{}`", shown(&name)))?;
        entries.push(Entry { name, view });
    }
    ensure!(!entries.is_empty(), "it holds no tensors");
    let mut metadata: Vec<(String, String)> = header.metadata().clone().unwrap_or_default().into_iter().collect();
    metadata.sort();
    Ok(Safetensors { tensors: StateDict { path: String::new(), entries }, metadata })
}

fn element(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::BF16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        Dtype::I64 => ElementType::I64,
        Dtype::I32 => ElementType::I32,
        Dtype::I16 => ElementType::I16,
        Dtype::I8 => ElementType::I8,
        Dtype::U8 => ElementType::U8,
        Dtype::BOOL => ElementType::Bool,
        _ => return None,
    })
}
