//! `.pth` files since PyTorch 1.6: a zip archive of one pickle, `<name>/data.pkl`, and one entry for each storage,
//! `<name>/data/<key>`, which PyTorch stores and others may have deflated.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use zip::read::{ArchiveOffset, Config, ZipReadOptions};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Pickle};
use super::shown;
use super::source::{Source, SourceCursor};
use super::storage::{Place, Reader, Storage};
use super::tensor::StorageId;

/// Weights deflate by a tenth. An archive that unpacks to this many times its size is made to fill the memory.
const MAX_INFLATION: u64 = 16;

/// What even the smallest archive may unpack to: a pickle deflates well.
const MIN_UNPACKED: u64 = 1 << 20;

/// The archive's entries under its one root.
pub(super) struct Archive {
    root: String,
    entries: HashMap<String, Entry>,
    zip: ZipArchive<SourceCursor>,
    source: Arc<Source>,
}

struct Entry {
    index: usize,
    /// Unpacked.
    bytes: u64,
}

impl Archive {
    /// Reads the archive's directory.
    pub fn open(source: &Arc<Source>) -> Result<Self> {
        // It begins with the file. Looking for where else it may begin, the reader takes the directory's second entry for
        // its first where that is as long as the records behind the directory, which a root of 21 letters makes it.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = ZipArchive::with_config(config, SourceCursor::new(source))
            .context("its zip directory cannot be read; is the download complete?")?;
        ensure!(
            !zip.has_duplicate_names(),
            "it is a zip archive with two entries of one name, which PyTorch never writes"
        );
        let mut entries = HashMap::new();
        let mut unpacked = 0u64;
        for index in 0..zip.len() {
            let data = zip.by_index_data(index)?;
            let name = data.name()?.into_owned();
            ensure!(
                !name.starts_with('/') && name.split(['/', '\\']).all(|part| part != ".."),
                "its entry `{}` points outside the archive, which PyTorch never writes",
                shown(&name)
            );
            ensure!(!data.encrypted(), "it is an encrypted zip archive; unpack it first");
            let method = data.compression();
            ensure!(
                matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated),
                "its entry `{}` is packed by {method}; only stored and deflated entries are read",
                shown(&name)
            );
            unpacked = unpacked.saturating_add(data.size());
            entries.insert(name, Entry { index, bytes: data.size() });
        }
        ensure!(
            unpacked <= source.len().saturating_mul(MAX_INFLATION).max(MIN_UNPACKED),
            "its {} bytes would unpack to {unpacked}, which no weights do",
            source.len()
        );
        let root = root(&entries)?;
        Ok(Self { root, entries, zip, source: Arc::clone(source) })
    }

    /// The pickle that describes everything, after the archive's marks have been checked.
    pub fn pickle(&mut self) -> Result<Pickle> {
        if let Some(order) = self.read("byteorder")? {
            ensure!(
                order == b"little",
                "it was saved on a big-endian machine; load and save it once on another one with PyTorch"
            );
        }
        let bytes = self.read("data.pkl")?.context("it holds no data.pkl")?;
        pickle::read(&Arc::new(Source::Bytes(bytes)), 0)
    }

    /// Where a storage lies.
    pub fn storage(&mut self, id: &StorageId) -> Result<Storage> {
        let name = format!("{}data/{}", self.root, id.key);
        let entry = self
            .entries
            .get(&name)
            .with_context(|| format!("its storage `{}` is missing from the archive", shown(&name)))?;
        let bytes = id.bytes()?;
        ensure!(
            bytes <= entry.bytes,
            "its storage `{}` should have {bytes} bytes, {} are there",
            shown(&name),
            entry.bytes
        );
        let place = match self.zip.by_index_data(entry.index)?.compression() {
            CompressionMethod::Stored => {
                let offset = self.zip.by_index_raw(entry.index)?.data_start().context("its entry has no data")?;
                Place::Stored { offset }
            }
            _ => Place::Deflated { entry: entry.index, offset: 0 },
        };
        if let Place::Stored { offset } = place {
            ensure!(
                offset.checked_add(bytes).is_some_and(|end| end <= self.source.len()),
                "its storage `{}` reaches beyond the end of the file; is the download complete?",
                shown(&name)
            );
        }
        Storage { place, bytes: entry.bytes }.part(0, bytes)
    }

    pub fn into_reader(self) -> Reader {
        Reader { source: self.source, archive: Some(self.zip) }
    }

    /// The bytes of an entry under the root, or `None` where there is none.
    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(&format!("{}{name}", self.root)) else {
            return Ok(None);
        };
        // PyTorch can be told to leave the checksums out, and does not check them itself.
        let options = ZipReadOptions::new().ignore_crc32(true);
        let file = self.zip.by_index_with_options(entry.index, options)?;
        let mut bytes = Vec::new();
        file.take(entry.bytes).read_to_end(&mut bytes).with_context(|| format!("its {name} is damaged"))?;
        Ok(Some(bytes))
    }
}

/// What stands before `data.pkl` in its entry's name.
fn root(entries: &HashMap<String, Entry>) -> Result<String> {
    let mut roots = entries.keys().filter_map(|name| match name.strip_suffix("data.pkl")? {
        "" => Some(""),
        root => (root.strip_suffix('/')?.find('/').is_none()).then_some(root),
    });
    match (roots.next(), roots.next()) {
        (Some(root), None) if entries.contains_key(&format!("{root}constants.pkl")) => {
            bail!("it is a TorchScript program, not weights; load it with torch.jit.load and save its state_dict()")
        }
        (Some(root), None) => Ok(root.to_owned()),
        (Some(_), Some(_)) => {
            bail!("it is a zip archive with several checkpoints inside; unpack the one you want")
        }
        (None, _) if entries.keys().any(|name| name.ends_with(".npy")) => {
            bail!("it is a NumPy archive (.npz), not a PyTorch checkpoint")
        }
        (None, _) => bail!("it is a zip archive without data.pkl, so not a PyTorch checkpoint; perhaps one is inside"),
    }
}
