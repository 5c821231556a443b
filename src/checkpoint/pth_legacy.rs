//! `.pth` files from before PyTorch 1.6, as the official TResNet weights are: five pickles (magic number, protocol,
//! system, object, list of storage keys) and then each storage: its number of elements as i64, and its bytes.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::element::ElementType;
use super::pickle::{self, Pickle, Value};
use super::shown;
use super::source::Source;
use super::storage::{Place, Reader, Storage};
use super::tensor::StorageId;

/// The magic number 0x1950a86a20f9469cfc6c of `torch/serialization.py`, as a pickled integer's bytes.
pub(super) const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const PROTOCOL: i64 = 1001;

/// A legacy file's object and the places of its storages.
pub(super) struct Legacy {
    pub pickle: Pickle,
    storages: HashMap<String, Storage>,
    source: Arc<Source>,
}

impl Legacy {
    /// Reads the pickles and walks over the storages without reading them.
    pub fn open(source: &Arc<Source>) -> Result<Self> {
        let magic = pickle::read(source, 0)?;
        ensure!(
            matches!(magic.get(magic.root()), Value::Bytes(bytes) if **bytes == MAGIC),
            "it is a pickle, but not one that torch.save wrote"
        );
        let protocol = pickle::read(source, magic.end())?;
        ensure!(protocol.int(protocol.root()) == Some(PROTOCOL), "it is of an unknown version of torch.save");
        let system = pickle::read(source, protocol.end())?;
        ensure!(
            !says_big_endian(&system),
            "it was saved on a big-endian machine; load and save it once on another one with PyTorch"
        );
        let object = pickle::read(source, system.end())?;
        let keys = pickle::read(source, object.end())?;
        let storages = storages(source, &object, &keys)?;
        Ok(Self { pickle: object, storages, source: Arc::clone(source) })
    }

    /// Where a storage lies.
    pub fn storage(&self, id: &StorageId) -> Result<Storage> {
        let whole = self
            .storages
            .get(id.key)
            .with_context(|| format!("its storage `{}` is not in the file", shown(id.key)))?
            .part(0, id.bytes()?)?;
        let size = id.element.size() as u64;
        match id.part {
            None => Ok(whole),
            Some((first, count)) => match (first.checked_mul(size), count.checked_mul(size)) {
                (Some(start), Some(bytes)) => whole.part(start, bytes),
                _ => bail!("a part of its storage `{}` overflows", shown(id.key)),
            },
        }
    }

    pub fn into_reader(self) -> Reader {
        Reader { source: self.source, archive: None }
    }
}

fn says_big_endian(system: &Pickle) -> bool {
    system.mapping(system.root()).into_iter().flatten().any(|(key, value)| {
        system.text(key) == Some("little_endian") && matches!(system.get(value), Value::Bool(false))
    })
}

/// Walks over the storages in the order of `keys`. Their element types stand in the object's pickle.
fn storages(source: &Source, object: &Pickle, keys: &Pickle) -> Result<HashMap<String, Storage>> {
    let mut elements: HashMap<&str, ElementType> = HashMap::new();
    for &description in object.persistent() {
        let id = StorageId::read(object, description)?;
        elements.entry(id.key).or_insert(id.element);
    }
    let mut storages = HashMap::new();
    let mut offset = keys.end();
    for &key in keys.sequence(keys.root()).context("its list of storages is missing")? {
        let key = keys.text(key).context("a storage's key is no text")?;
        let element = elements.get(key).with_context(|| format!("no tensor uses its storage `{}`", shown(key)))?;
        let mut count = [0; 8];
        source
            .read_exact_at(&mut count, offset)
            .with_context(|| format!("it ends before its storage `{}`; is the download complete?", shown(key)))?;
        let start = offset + 8;
        let bytes = u64::try_from(i64::from_le_bytes(count))
            .ok()
            .and_then(|count| count.checked_mul(element.size() as u64))
            .filter(|bytes| start.checked_add(*bytes).is_some_and(|end| end <= source.len()))
            .with_context(|| {
                format!("its storage `{}` reaches beyond the end of the file; is the download complete?", shown(key))
            })?;
        offset = start + bytes;
        if storages.insert(key.to_owned(), Storage { place: Place::Stored { offset: start }, bytes }).is_some() {
            bail!("its storage `{}` is listed twice", shown(key));
        }
    }
    Ok(storages)
}
