//! Where the images lie: a folder of class folders, a tar of one, a CSV list of them, or the files of a known data set.
//! Listed once, then read by number.
//!
//! Order and labels are those of torchvision's `ImageFolder`: class folders in plain byte order, within each the
//! folders beneath it in the order of their paths, within each of those the files by name. (timm sorts naturally,
//! `2` before `10`; the two agree wherever names have one length, as WordNet's do.)

mod annotated;
mod cars;
mod cifar;
mod class_map;
mod flowers;
mod folder;
mod list;
mod listing;
mod numbering;
mod packed;
mod sets;
mod tar;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::class_map::ClassMap;
use self::listing::Labelled;
use super::decode::{self, Decoder};
use super::{Part, Skipped};
use crate::augment::{Region, Rgb};

pub(super) use self::sets::Set;

/// Larger files are not read: the largest honest picture, uncompressed, is not larger.
const MOST_BYTES: u64 = decode::MOST_PIXELS * 8;

/// One labelled image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From the folder that holds the class folders on, in a tar too; as a list has it.
    pub path: PathBuf,
    /// Index of its class.
    pub label: usize,
}

/// A data set.
#[derive(Debug)]
pub struct Source {
    /// What was opened, for messages.
    path: PathBuf,
    classes: Vec<String>,
    samples: Vec<Sample>,
    skipped: Vec<Skipped>,
    remarks: Vec<String>,
    storage: Storage,
}

/// Room in which pictures are read one after another.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    decoder: Decoder,
}

impl Reader {
    /// Gives the memory of a file back that was longer than `most` bytes.
    pub fn shrink(&mut self, most: usize) {
        if self.bytes.capacity() > most {
            self.bytes = Vec::new();
        }
    }
}

#[derive(Debug)]
enum Storage {
    /// Files, whose paths begin in this folder.
    Files(PathBuf),
    Tar {
        file: File,
        /// Of each sample, in bytes.
        spans: Vec<tar::Span>,
    },
    Cifar(cifar::Records),
}

/// Lists the images of a folder of class folders, of a tar of one, or of a CSV list of path and label, as `path` is; or
/// those that a known data set, whose files lie there, has for validation, or else for the test.
///
/// With a `class_map` (a text file, one class a line) a label is the number of the line that names the folder, and
/// folders that it does not name are left out; in a list it must name every class.
///
/// # Errors
///
/// Nothing at `path`, something else than those, no class folders, no images; a class map that cannot be read or names
/// a class twice; images or files that are listed but not there. What cannot be read but stops nothing is in
/// [`Source::skipped`].
pub fn open(path: &Path, class_map: Option<&Path>) -> Result<Source> {
    if let Some(source) = open_part(path, Part::Val, class_map)? {
        return Ok(source);
    }
    let map = class_map.map(ClassMap::read).transpose()?;
    let metadata = fs::metadata(path).with_context(|| format!("{}: no data set can be read there", path.display()))?;
    if metadata.is_dir() {
        let (labelled, _) = folder::list(path)?.label(path, map)?;
        Ok(Source::new(path, labelled, Storage::Files(path.to_owned())))
    } else if !metadata.is_file() {
        bail!("{}: neither a folder nor a file; give a folder of class folders or a tar of one", path.display());
    } else if list::is_text(path)? {
        let (root, labelled) = list::list(path, map)?;
        Ok(Source::new(path, labelled, Storage::Files(root)))
    } else {
        let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let (labelled, spans) = tar::list(&file, path)?.label(path, map)?;
        Ok(Source::new(path, labelled, Storage::Tar { file, spans }))
    }
}

/// The images of a part where `path` holds the files of a known data set; none where it does not.
pub(super) fn open_part(path: &Path, part: Part, class_map: Option<&Path>) -> Result<Option<Source>> {
    let Some(set) = Set::find(path) else { return Ok(None) };
    let name = set.name();
    if let Some(map) = class_map {
        bail!("--class-map {}: the files of {name} say their classes themselves; leave it out", map.display());
    }
    let Some(own) = set.part(part) else { bail!("{}: {name} has no part {part}", path.display()) };
    let (labelled, storage) = set.open(own)?;
    Ok(Some(Source::new(path, labelled, storage)))
}

impl Source {
    fn new(path: &Path, labelled: Labelled, storage: Storage) -> Self {
        let Labelled { classes, samples, skipped, remarks } = labelled;
        Self { path: path.to_owned(), classes, samples, skipped, remarks, storage }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no image; [`open`] never returns such a source.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Names of the classes, by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// All images, in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Images and folders that could not be listed and so are missing: they count as unreadable.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What is odd but may be as it was meant, a sentence each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Reads of sample number `index` at least the rectangle that `wanted` names for a width and a height into its
    /// place in `image`; what that holds around the rectangle has no meaning.
    ///
    /// # Errors
    ///
    /// A short reason, without the path: those of [`Source::read`] and of [`Decoder::decode`].
    pub fn load(
        &self,
        index: usize,
        wanted: impl Fn(usize, usize) -> Region,
        reader: &mut Reader,
        image: &mut Rgb,
    ) -> Result<()> {
        self.read(index, &mut reader.bytes)?;
        self.decode(reader, wanted, image)
    }

    /// Reads sample number `index` where it is a JPEG that [`Decoder::plain_jpeg`] knows, and returns its file, width and
    /// height. Else `reader` holds what was read, for [`Source::decode`].
    ///
    /// # Errors
    ///
    /// Those of [`Source::read`].
    pub fn read_plain_jpeg(&self, index: usize, reader: &mut Reader) -> Result<Option<(Vec<u8>, usize, usize)>> {
        self.read(index, &mut reader.bytes)?;
        if matches!(self.storage, Storage::Cifar(_)) {
            return Ok(None);
        }
        let size = reader.decoder.plain_jpeg(&reader.bytes);
        Ok(size.map(|(width, height)| (std::mem::take(&mut reader.bytes), width, height)))
    }

    /// Decodes what `reader` has read last, as [`Source::load`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Decoder::decode`].
    pub fn decode(&self, reader: &mut Reader, wanted: impl Fn(usize, usize) -> Region, image: &mut Rgb) -> Result<()> {
        match &self.storage {
            Storage::Files(_) | Storage::Tar { .. } => reader.decoder.decode(&reader.bytes, wanted, image),
            Storage::Cifar(_) => {
                cifar::interleave(&reader.bytes, image);
                Ok(())
            }
        }
    }

    /// Reads the stored bytes of sample number `index` (a file, or three planes of CIFAR's) into `bytes`, whose room is
    /// used again.
    ///
    /// # Errors
    ///
    /// A short reason, without the path: the file is gone, may not be read, is no file or is too large.
    pub fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        match &self.storage {
            Storage::Files(root) => {
                let mut file = File::open(root.join(&self.samples[index].path)).context("cannot be read")?;
                let metadata = file.metadata().context("cannot be read")?;
                ensure!(metadata.is_file(), "not a file");
                check_length(metadata.len())?;
                bytes.reserve_exact(metadata.len() as usize + 1);
                file.read_to_end(bytes).context("cannot be read")?;
            }
            Storage::Tar { file, spans } => {
                let span = spans[index];
                check_length(span.length)?;
                bytes.resize(span.length as usize, 0);
                file.read_exact_at(bytes, span.start).context("cannot be read from the tar")?;
            }
            Storage::Cifar(records) => records.read(index, bytes)?,
        }
        Ok(())
    }
}

fn check_length(length: u64) -> Result<()> {
    ensure!(length <= MOST_BYTES, "too large: a file of {length} bytes");
    Ok(())
}
