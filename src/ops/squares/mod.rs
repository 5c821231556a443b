//! Squares for a network, made on a device of JPEG files: decoded there, cropped and resized there.

mod load;
mod plan;
mod room;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, ensure};

pub use self::load::load;
pub use self::plan::{Pass, SquarePlan};
use self::room::Room;
use super::cuda::resize::{self, Job};
use super::cuda::{ALIGNMENT, Machine, Region};
use super::nvjpeg::{Decoder, Picture};

/// A JPEG file as it lies on the disk, and what is to become of its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub plan: SquarePlan,
}

/// Most bytes of decoded pictures on the device at a time: some four hundred of ImageNet's.
const MOST_BYTES: usize = 256 << 20;
/// Most pictures at a time.
const MOST_PICTURES: usize = 1024;
/// Pictures start at a multiple of it.
const PICTURE_ALIGNMENT: usize = 256;

/// Makes squares, batch after batch, in memory that it keeps.
pub struct Squares {
    machine: Arc<dyn Machine>,
    decoder: Decoder,
    pictures: Room,
    between: Room,
    numbers: Room,
    squares: Room,
}

/// A batch of squares on the device, until the next one is made.
pub struct Batch {
    squares: Region,
    square_bytes: usize,
    /// Of each file, whether there is its square: what nvJPEG does not take, or is too large, is left to the caller.
    pub made: Vec<bool>,
}

/// A part of a batch: which of its files, and where their pictures begin.
type Part = Vec<(usize, usize)>;

impl Squares {
    pub fn new(machine: Arc<dyn Machine>, decoder: Decoder) -> Self {
        let [pictures, between, numbers, squares] = [(); 4].map(|()| Room::default());
        Self { machine, decoder, pictures, between, numbers, squares }
    }

    /// What decodes, for people.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Makes the squares of files, each in its place among `places` squares of `square_bytes`. Returns when they are
    /// there.
    ///
    /// # Errors
    /// Where it is not the files that are at fault.
    pub fn make(&mut self, files: &[(usize, Encoded)], places: usize, square_bytes: usize) -> Result<Batch> {
        let squares = self.squares.of(&*self.machine, places * square_bytes)?;
        let mut batch = Batch { squares, square_bytes, made: vec![false; files.len()] };
        for part in parts(files) {
            self.make_part(files, &part, &mut batch)?;
        }
        // The files are read until then.
        self.machine.synchronize()?;
        Ok(batch)
    }

    /// Copies the squares in `places` out.
    ///
    /// # Errors
    /// Places that the batch does not have, and what the device says.
    pub fn fetch(&self, batch: &Batch, places: Range<usize>, out: &mut [u8]) -> Result<()> {
        let Batch { squares, square_bytes, .. } = batch;
        let bytes = places.len() * square_bytes;
        ensure!(bytes == out.len(), "{} bytes for {} squares of {square_bytes}", out.len(), places.len());
        self.machine.read(&squares.part(places.start * square_bytes, bytes)?, out)
    }

    fn make_part(&mut self, files: &[(usize, Encoded)], part: &Part, batch: &mut Batch) -> Result<()> {
        let machine = &*self.machine;
        let bytes = part.last().map_or(0, |&(at, start)| start + files[at].1.plan.picture_bytes());
        let pictures = self.pictures.of(machine, bytes)?;
        let decode = |&(at, start): &(usize, usize)| {
            let Encoded { bytes, plan } = &files[at].1;
            Picture::new(bytes, [plan.width, plan.height], pictures.part(start, plan.picture_bytes())?)
        };
        let decoded = self.decoder.decode(&part.iter().map(decode).collect::<Result<Vec<_>>>()?, machine)?;

        let (mut jobs, mut taps, mut left_between) = ([Vec::new(), Vec::new()], Vec::new(), 0);
        for (&(at, start), _) in part.iter().zip(decoded).filter(|(_, decoded)| *decoded) {
            let (place, Encoded { plan, .. }) = &files[at];
            let [first, second] = plan.jobs([start, left_between, place * batch.square_bytes], &mut taps);
            left_between += plan.between_bytes();
            jobs[0].push(first);
            jobs[1].push(second);
            batch.made[at] = true;
        }
        if jobs[0].is_empty() {
            return Ok(());
        }
        let between = self.between.of(machine, left_between)?;
        let [first, second, taps_at] = self.upload(&jobs, &taps)?;
        let machine = &*self.machine;
        machine.launch(&resize::pass(&jobs[0], &first, &taps, &taps_at, &pictures, &between)?)?;
        machine.launch(&resize::pass(&jobs[1], &second, &taps, &taps_at, &between, &batch.squares)?)
    }

    /// Brings the jobs of both passes and their taps to the device, in one copy.
    fn upload(&mut self, jobs: &[Vec<Job>; 2], taps: &[i32]) -> Result<[Region; 3]> {
        let mut bytes = Vec::new();
        let mut add = |part: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            let start = bytes.len();
            bytes.extend(part);
            (start, bytes.len() - start)
        };
        let taps = taps.iter().flat_map(|number| number.to_le_bytes()).collect();
        let spans = [resize::job_bytes(&jobs[0]), resize::job_bytes(&jobs[1]), taps].map(&mut add);
        let region = self.numbers.of(&*self.machine, bytes.len())?;
        self.machine.write(&region, &bytes)?;
        let [first, second, taps] = spans.map(|(start, length)| region.part(start, length));
        Ok([first?, second?, taps?])
    }
}

impl fmt::Debug for Squares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Squares").field("decoder", &format_args!("{}", self.decoder)).finish_non_exhaustive()
    }
}

/// Splits a batch into parts that fit [`MOST_BYTES`]; a picture that does not fit alone is in none.
fn parts(files: &[(usize, Encoded)]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut used = usize::MAX;
    for (at, (_, file)) in files.iter().enumerate() {
        let bytes = file.plan.picture_bytes().next_multiple_of(PICTURE_ALIGNMENT);
        if bytes > MOST_BYTES {
            continue;
        }
        let full = parts.last().is_none_or(|part| part.len() == MOST_PICTURES) || used + bytes > MOST_BYTES;
        if full {
            parts.push(Vec::new());
            used = 0;
        }
        if let Some(part) = parts.last_mut() {
            part.push((at, used));
            used += bytes;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(width: usize, height: usize) -> (usize, Encoded) {
        let nothing = || Pass::new(false, std::iter::empty(), [0, 0]);
        let (first, second) = (nothing(), nothing());
        let plan = SquarePlan { width, height, left: 0, top: 0, first, second, side: 1, inset: [0; 2] };
        (0, Encoded { bytes: Vec::new(), plan })
    }

    fn split(sizes: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let files: Vec<_> = sizes.iter().map(|&(width, height)| file(width, height)).collect();
        let parts = parts(&files);
        for part in &parts {
            for (&(at, start), &(_, next)) in part.iter().zip(&part[1..]) {
                assert!(start + files[at].1.plan.picture_bytes() <= next);
            }
            let &(at, start) = part.last().unwrap();
            assert!(start + files[at].1.plan.picture_bytes() <= MOST_BYTES);
        }
        parts.iter().map(|part| part.iter().map(|(at, _)| *at).collect()).collect()
    }

    #[test]
    fn a_batch_is_cut_where_its_pictures_no_longer_fit() {
        let large = (9_000, 5_000);
        assert_eq!(split(&[(500, 375), large, (1, 1), large, (7, 5)]), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(split(&vec![(1, 1); MOST_PICTURES + 1]).len(), 2);
    }

    #[test]
    fn a_picture_that_never_fits_is_left_out() {
        assert_eq!(split(&[(20_000, 5_000), (3, 3)]), [vec![1]]);
        assert!(split(&[(20_000, 5_000)]).is_empty());
    }
}
