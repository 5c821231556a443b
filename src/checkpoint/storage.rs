//! Where the numbers of tensors lie in a file, and how one tensor's numbers are read: never more than that tensor,
//! and nothing before its place was checked.

use std::io::{self, Read};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;
use zip::read::ZipReadOptions;

use super::element::ElementType;
use super::source::{Source, SourceCursor};

/// Bytes that are decoded at a time.
const CHUNK: usize = 1 << 16;

/// More dimensions than any layer's weights have.
const MAX_DIMS: usize = 16;

/// A run of elements of one type; tensors are views of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub place: Place,
    /// Size, checked against the file.
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file as it is, from this offset on.
    Stored { offset: u64 },
    /// Deflated, in the archive's entry of this index, from this offset of the unpacked bytes on.
    Deflated { entry: usize, offset: u64 },
}

impl Storage {
    /// A part of this storage.
    pub fn part(&self, start: u64, bytes: u64) -> Result<Self> {
        ensure!(
            start.checked_add(bytes).is_some_and(|end| end <= self.bytes),
            "a storage of {} bytes has no {bytes} bytes from byte {start} on",
            self.bytes
        );
        let place = match self.place {
            Place::Stored { offset } => Place::Stored { offset: offset + start },
            Place::Deflated { entry, offset } => Place::Deflated { entry, offset: offset + start },
        };
        Ok(Self { place, bytes })
    }
}

/// A tensor's place in a storage: checked, so that reading it stays inside and allocates no more than the larger of
/// the file and the storage hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// Just the bytes from the tensor's first element to its last.
    span: Storage,
    element: ElementType,
    shape: Vec<usize>,
    /// In elements; one for each dimension.
    strides: Vec<usize>,
    count: usize,
}

impl View {
    /// A tensor of `shape` that starts at element `first` of the storage and steps by `strides` elements, as
    /// PyTorch describes it. `file_bytes` bounds tensors whose elements overlap.
    pub fn new(
        storage: &Storage,
        element: ElementType,
        (first, shape, strides): (i64, &[i64], &[i64]),
        file_bytes: u64,
    ) -> Result<Self> {
        ensure!(shape.len() <= MAX_DIMS, "it has {} dimensions; at most {MAX_DIMS} are read", shape.len());
        ensure!(shape.len() == strides.len(), "it has {} dimensions and {} strides", shape.len(), strides.len());
        let unsigned = |numbers: &[i64]| numbers.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<Vec<_>>>();
        let (Some(shape), Some(strides), Ok(first)) = (unsigned(shape), unsigned(strides), u64::try_from(first)) else {
            bail!("a negative size, stride or offset: shape {shape:?}, strides {strides:?}, offset {first}");
        };
        let size = element.size() as u64;
        let count = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let count = count
            .filter(|&n| n as u64 <= storage.bytes.max(file_bytes))
            .with_context(|| format!("its shape {shape:?} promises more elements than the file could hold"))?;
        // Elements from the first to the last, both included.
        let extent = if count == 0 {
            Some(0)
        } else {
            shape.iter().zip(&strides).try_fold(1u64, |extent, (&n, &stride)| {
                (n as u64 - 1).checked_mul(stride as u64).and_then(|steps| extent.checked_add(steps))
            })
        };
        let span = extent
            .and_then(|elements| Some((first.checked_mul(size)?, elements.checked_mul(size)?)))
            .and_then(|(start, bytes)| storage.part(if count == 0 { 0 } else { start }, bytes).ok())
            .with_context(|| {
                format!(
                    "its shape {shape:?} with strides {strides:?} from element {first} on lies outside its storage of \
                     {} elements",
                    storage.bytes / size
                )
            })?;
        Ok(Self { span, element, shape, strides, count })
    }

    /// A tensor in C order that fills its storage.
    pub fn contiguous(storage: &Storage, element: ElementType, shape: &[usize], file_bytes: u64) -> Result<Self> {
        let shape = shape.iter().map(|&n| i64::try_from(n)).collect::<Result<Vec<_>, _>>()?;
        let mut strides = vec![1i64; shape.len()];
        let mut step = 1i64;
        for (stride, &n) in strides.iter_mut().zip(&shape).rev() {
            *stride = step;
            step = step.saturating_mul(n.max(1));
        }
        Self::new(storage, element, (0, &shape, &strides), file_bytes)
    }

    pub fn element(&self) -> ElementType {
        self.element
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n <= 1 || stride == step;
            step *= n;
            fits
        })
    }
}

/// Reads views out of a source and the archive that it may be.
#[derive(Debug)]
pub(super) struct Reader {
    pub source: Arc<Source>,
    pub archive: Option<ZipArchive<SourceCursor>>,
}

impl Reader {
    /// The tensor's elements in C order, as f32; f64 is rounded. Memory: the result, plus the bytes of the view if
    /// it is strided.
    ///
    /// # Errors
    ///
    /// Where the tensor holds no floating-point numbers, or the file cannot be read.
    pub fn read(&self, view: &View) -> Result<Vec<f32>> {
        ensure!(view.element.is_float(), "it holds {} numbers, no floating-point weights", view.element);
        if view.count == 0 {
            return Ok(Vec::new());
        }
        match view.span.place {
            Place::Stored { offset } => {
                let bytes = SourceCursor::over(&self.source, offset, offset + view.span.bytes);
                gather(bytes, view)
            }
            Place::Deflated { entry, offset } => {
                let mut archive = self.archive.clone().context("only a zip archive holds deflated tensors")?;
                let options = ZipReadOptions::new().ignore_crc32(true);
                let mut unpacked = archive.by_index_with_options(entry, options)?;
                io::copy(&mut unpacked.by_ref().take(offset), &mut io::sink())?;
                gather(unpacked.take(view.span.bytes), view)
            }
        }
    }
}

/// Decodes the bytes of the view's span and brings the elements into C order.
fn gather(mut bytes: impl Read, view: &View) -> Result<Vec<f32>> {
    let (size, elements) = (view.element.size(), usize::try_from(view.span.bytes)? / view.element.size());
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(elements).context("there is not enough memory for it")?;
    let mut chunk = vec![0; CHUNK.min(elements * size)];
    while numbers.len() < elements {
        let wanted = chunk.len().min((elements - numbers.len()) * size);
        let (part, _) = chunk.split_at_mut(wanted);
        bytes.read_exact(part).context("the file ends inside it, or is damaged there")?;
        ensure!(view.element.decode(part, &mut numbers), "it holds no floating-point numbers");
    }
    if view.is_contiguous() {
        return Ok(numbers);
    }
    let mut ordered = Vec::new();
    ordered.try_reserve_exact(view.count).context("there is not enough memory for it")?;
    let mut index = vec![0usize; view.shape.len()];
    let mut at = 0usize;
    for _ in 0..view.count {
        ordered.push(numbers.get(at).copied().context("its strides lead outside its storage")?);
        // Step the last dimension; where it is through, start it again and step the one before.
        for ((i, &n), &stride) in index.iter_mut().zip(&view.shape).zip(&view.strides).rev() {
            *i += 1;
            at += stride;
            if *i < n {
                break;
            }
            at -= stride * n;
            *i = 0;
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: u8) -> (Reader, Storage) {
        let bytes: Vec<u8> = (0..count).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        let storage = Storage { place: Place::Stored { offset: 0 }, bytes: bytes.len() as u64 };
        (Reader { source: Arc::new(Source::Bytes(bytes)), archive: None }, storage)
    }

    fn read(first: i64, shape: &[i64], strides: &[i64]) -> Result<Vec<f32>> {
        let (reader, storage) = ramp(12);
        reader.read(&View::new(&storage, ElementType::F32, (first, shape, strides), storage.bytes)?)
    }

    #[test]
    fn views_of_any_stride_come_out_in_c_order() {
        assert_eq!(read(2, &[2, 3], &[3, 1]).unwrap(), [2., 3., 4., 5., 6., 7.]);
        assert_eq!(read(0, &[3, 2], &[1, 3]).unwrap(), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(read(1, &[2, 1, 2], &[5, 99, 2]).unwrap(), [1., 3., 6., 8.]);
        assert_eq!(read(7, &[3], &[0]).unwrap(), [7., 7., 7.]);
        assert_eq!(read(11, &[], &[]).unwrap(), [11.]);
        assert!(read(99, &[0, 5], &[5, 1]).unwrap().is_empty());
    }

    #[test]
    fn a_view_that_leaves_its_storage_is_refused() {
        let huge = i64::MAX;
        for (first, shape, strides) in [
            (0, &[13][..], &[1][..]),
            (12, &[1], &[1]),
            (huge, &[1], &[1]),
            (0, &[2], &[huge]),
            (0, &[2, 2], &[huge, huge]),
            (0, &[huge, huge], &[0, 0]),
            (0, &[1 << 32, 1 << 32], &[1, 1]),
            (0, &[49], &[0]),
            (-1, &[1], &[1]),
            (0, &[-1], &[1]),
            (0, &[2], &[-1]),
            (0, &[2, 2], &[1]),
            (0, &[1; 17], &[1; 17]),
        ] {
            assert!(read(first, shape, strides).is_err(), "{first} {shape:?} {strides:?}");
        }
    }
}
