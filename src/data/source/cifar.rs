//! CIFAR-10 and CIFAR-100 in their binary form (<https://www.cs.toronto.edu/~kriz/cifar.html>): records of a label and
//! three planes of 32 x 32 bytes, read by offset from the files, or out of memory where they come compressed.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::Sample;
use super::listing::Labelled;
use super::packed::{self, Member};
use crate::augment::Rgb;
use crate::data::Part;

/// Side of the images, in pixels.
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// Bytes of an image.
pub const PIXELS: usize = 3 * PLANE;

/// One of the two data sets, as its files are named.
struct Form {
    name: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// The file with the classes' names, one a line.
    names: &'static str,
    classes: usize,
    /// Bytes before the pixels; the last of them is the label. (CIFAR-100 has the coarse label before the fine one.)
    label_bytes: usize,
    /// What the archive unpacks to.
    folder: &'static str,
    archive: &'static str,
}

const FORMS: [Form; 2] = [
    Form {
        name: "CIFAR-10",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: &["test_batch.bin"],
        names: "batches.meta.txt",
        classes: 10,
        label_bytes: 1,
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
    },
    Form {
        name: "CIFAR-100",
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
        classes: 100,
        label_bytes: 2,
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
    },
];

/// Where the records of a split lie.
#[derive(Debug)]
pub struct Records {
    files: Vec<RecordFile>,
    label_bytes: usize,
}

#[derive(Debug)]
struct RecordFile {
    bytes: Bytes,
    /// Number of the first image in the split.
    first: usize,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

/// The files of one of the data sets, found but not yet read.
pub struct Found {
    form: &'static Form,
    place: Place,
}

enum Place {
    Folder(PathBuf),
    Archive(PathBuf),
}

/// Looks for either data set at `path`: a folder that holds the files, the folder or the archive around them; or the
/// archive itself.
pub fn find(path: &Path) -> Option<Found> {
    let found = |form, place| Some(Found { form, place });
    FORMS.iter().find_map(|form| {
        let unpacked = [path.to_owned(), path.join(form.folder)];
        // Both, since `test.bin` alone may be anything.
        let holds = |folder: &PathBuf| {
            let mut records = form.train.iter().chain(form.test);
            folder.join(form.names).is_file() && records.any(|name| folder.join(name).is_file())
        };
        if let Some(folder) = unpacked.into_iter().find(holds) {
            return found(form, Place::Folder(folder));
        }
        let archives = [path.to_owned(), path.join(form.archive)];
        let named = |file: &PathBuf| file.file_name().is_some_and(|name| name == form.archive) && file.is_file();
        found(form, Place::Archive(archives.into_iter().find(named)?))
    })
}

impl Found {
    pub fn name(&self) -> &'static str {
        self.form.name
    }

    /// Lists the records of a part: all but the training images are for the test.
    ///
    /// # Errors
    ///
    /// A file that is missing, cut off, or holds a label that there is not.
    pub fn open(&self, part: Part) -> Result<(Labelled, Records)> {
        let form = self.form;
        let records = if part == Part::Train { form.train } else { form.test };
        // One pass over an archive finds them all.
        let mut found = self.files(&[records, &[form.names]].concat())?;
        let (_, shown, names) = found.pop().context("no file of names")?;
        let classes = names.classes(form).with_context(|| shown)?;
        let mut samples = Vec::new();
        let mut files = Vec::new();
        for (name, shown, bytes) in found {
            let first = samples.len();
            let labels = bytes.labels(form).with_context(|| shown.clone())?;
            for (number, label) in labels.into_iter().enumerate() {
                let label = usize::from(label);
                ensure!(
                    label < form.classes,
                    "{shown}: record {number} has the label {label}, and {} has {} classes; is the file whole?",
                    form.name,
                    form.classes
                );
                samples.push(Sample { path: Path::new(name).join(format!("{number:05}")), label });
            }
            files.push(RecordFile { bytes, first });
        }
        let labelled = Labelled { classes, samples, skipped: Vec::new(), remarks: Vec::new() };
        Ok((labelled, Records { files, label_bytes: form.label_bytes }))
    }

    /// The files of these names: name, how a message calls it, content.
    fn files(&self, names: &[&'static str]) -> Result<Vec<(&'static str, String, Bytes)>> {
        let missing = |name: &str, place: &Path| {
            format!("{}: {name} of {} is not there; fetch the data set again", place.display(), self.form.name)
        };
        match &self.place {
            Place::Folder(folder) => {
                let open = |&name: &&'static str| {
                    let path = folder.join(name);
                    let file = File::open(&path).with_context(|| missing(name, folder))?;
                    Ok((name, path.display().to_string(), Bytes::File(file)))
                };
                names.iter().map(open).collect()
            }
            Place::Archive(archive) => {
                let members = packed::members(archive, names)?;
                let take = |(&name, member): (&&'static str, Member)| {
                    let bytes = member.with_context(|| missing(name, archive))?;
                    Ok((name, format!("{} in {}", name, archive.display()), Bytes::Memory(bytes)))
                };
                names.iter().zip(members).map(take).collect()
            }
        }
    }
}

impl Bytes {
    /// Names of the classes, one a line.
    fn classes(self, form: &Form) -> Result<Vec<String>> {
        let mut text = String::new();
        match self {
            Self::File(mut file) => file.read_to_string(&mut text),
            Self::Memory(bytes) => (&bytes[..]).read_to_string(&mut text),
        }
        .context("cannot be read as text")?;
        let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        ensure!(names.len() == form.classes, "names {} classes, and {} has {}", names.len(), form.name, form.classes);
        Ok(names)
    }

    /// The labels of all records.
    fn labels(&self, form: &Form) -> Result<Vec<u8>> {
        let record = form.label_bytes + PIXELS;
        let length = match self {
            Self::File(file) => file.metadata().context("cannot be read")?.len(),
            Self::Memory(bytes) => bytes.len() as u64,
        };
        let (count, rest) = (length / record as u64, length % record as u64);
        if rest != 0 || count == 0 {
            bail!("cut off: {length} bytes are {count} records of {record} and {rest} bytes; fetch the file again");
        }
        let mut reader: Box<dyn Read> = match self {
            Self::File(file) => Box::new(BufReader::with_capacity(1 << 18, file)),
            Self::Memory(bytes) => Box::new(&bytes[..]),
        };
        let mut buffer = vec![0; record];
        let mut labels = Vec::new();
        for _ in 0..count {
            reader.read_exact(&mut buffer).context("cannot be read to its end")?;
            labels.push(buffer[form.label_bytes - 1]);
        }
        Ok(labels)
    }
}

impl Records {
    /// Reads the planes of image number `index`, 3 x 1024 bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, index: usize, planes: &mut Vec<u8>) -> Result<()> {
        planes.resize(PIXELS, 0);
        // The first file begins with image 0, so at least one begins at or before any image.
        let file = &self.files[self.files.partition_point(|file| file.first <= index) - 1];
        let start = (index - file.first) * (self.label_bytes + PIXELS) + self.label_bytes;
        match &file.bytes {
            Bytes::File(file) => file.read_exact_at(planes, start as u64).context("cannot be read")?,
            Bytes::Memory(bytes) => planes.copy_from_slice(&bytes[start..start + PIXELS]),
        }
        Ok(())
    }
}

/// From three planes to a picture.
pub fn interleave(planes: &[u8], image: &mut Rgb) {
    (image.width, image.height) = (SIDE, SIDE);
    image.pixels.clear();
    let (red, others) = planes.split_at(PLANE);
    let (green, blue) = others.split_at(PLANE);
    image.pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
}
