//! Squares for a network, made on a device of JPEG files: decoded there, cropped and resized there, and kept
//! there for a network.

mod batch;
mod load;
mod pixels;
mod plan;
mod room;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

pub use self::batch::Batch;
use self::batch::Slot;
pub use self::load::load;
pub use self::pixels::Pixels;
pub use self::plan::{Pass, SquarePlan};
use self::room::Room;
use super::cuda::resize::{self, Job};
use super::cuda::{ALIGNMENT, Event, Machine, Outbox, Region};
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

/// Batches that there is memory for from the start: one is made while another one is read.
const BATCHES: usize = 2;

/// Files with the places of their squares.
pub type Files = Arc<Vec<(usize, Encoded)>>;

/// Makes squares, batch after batch, in memory that it keeps.
pub struct Squares {
    machine: Arc<dyn Machine>,
    decoder: Decoder,
    pictures: Room,
    between: Room,
    numbers: Room,
    outbox: Box<dyn Outbox>,
    /// nvJPEG has done what it was last given.
    decoded: Event,
    /// The one that was used last stands last.
    seats: Vec<Seat>,
    /// Time that the device took for batches whose seats were taken by later ones.
    took: Duration,
}

/// Memory for a batch, with the files that are read until its squares are there.
struct Seat {
    slot: Arc<Slot>,
    files: Option<Files>,
}

/// A part of a batch: which of its files, and where their pictures begin.
type Part = Vec<(usize, usize)>;

impl Squares {
    /// # Errors
    /// What the device says.
    pub fn new(machine: Arc<dyn Machine>, decoder: Decoder) -> Result<Self> {
        let [pictures, between, numbers] = [(); 3].map(|()| Room::default());
        let (outbox, decoded) = (machine.outbox()?, machine.event()?);
        let (seats, took) = (Vec::new(), Duration::ZERO);
        Ok(Self { machine, decoder, pictures, between, numbers, outbox, decoded, seats, took })
    }

    /// What decodes, for people.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Takes the memory for batches of at most so many bytes of squares, so that it is taken before a network looks for
    /// the room that is left.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.seats = (0..BATCHES).map(|_| Seat::new(&self.machine, bytes)).collect::<Result<_>>()?;
        Ok(())
    }

    /// Has the squares of files made, each in its place among `places` squares of `square_bytes`. Returns before they are
    /// there; what reads them on the device waits there.
    ///
    /// # Errors
    /// Where it is not the files that are at fault.
    pub fn make(&mut self, files: &Files, places: usize, square_bytes: usize) -> Result<Batch> {
        let mut seat = self.seat(places * square_bytes)?;
        let mut batch = Batch::new(seat.slot.clone(), square_bytes, files.len());
        batch.slot().begin()?;
        seat.files = Some(files.clone());
        self.seats.push(seat);
        let made = parts(files).iter().try_for_each(|part| self.make_part(files, part, &mut batch));
        let finished = batch.slot().finish();
        // What went wrong first is what is said.
        made.and(finished).map(|()| batch)
    }

    /// Time that the device took so far; waits for what it is at.
    pub fn took(&self) -> Duration {
        self.seats.iter().map(Seat::took).sum::<Duration>() + self.took
    }

    /// A seat of at least so many bytes whose batch nobody holds any more, a new one where there is none.
    fn seat(&mut self, bytes: usize) -> Result<Seat> {
        let is_free = |seat: &Seat| Arc::strong_count(&seat.slot) == 1;
        let Some(at) = self.seats.iter().position(is_free) else { return Seat::new(&self.machine, bytes) };
        let mut seat = self.seats.remove(at);
        if seat.files.is_some() {
            seat.slot.wait()?;
            self.took += seat.took();
            seat.files = None;
        }
        if seat.slot.squares.bytes() >= bytes {
            return Ok(seat);
        }
        // The memory of the smaller one goes first.
        drop(seat);
        Seat::new(&self.machine, bytes)
    }

    fn make_part(&mut self, files: &[(usize, Encoded)], part: &Part, batch: &mut Batch) -> Result<()> {
        let machine = &*self.machine;
        let bytes = part.last().map_or(0, |&(at, start)| start + files[at].1.plan.picture_bytes());
        let pictures = self.pictures.of(machine, bytes)?;
        let decode = |&(at, start): &(usize, usize)| {
            let Encoded { bytes, plan } = &files[at].1;
            Picture::new(bytes, [plan.width, plan.height], pictures.part(start, plan.picture_bytes())?)
        };
        let wanted = part.iter().map(decode).collect::<Result<Vec<_>>>()?;
        // What nvJPEG keeps on the host for a batch is the next one's, too.
        machine.reach(&self.decoded)?;
        let decoded = self.decoder.decode(&wanted, machine)?;
        machine.mark(&self.decoded)?;

        let (mut jobs, mut taps, mut left_between) = ([Vec::new(), Vec::new()], Vec::new(), 0);
        for (&(at, start), _) in part.iter().zip(decoded).filter(|(_, decoded)| *decoded) {
            let (place, Encoded { plan, .. }) = &files[at];
            let [first, second] = plan.jobs([start, left_between, place * batch.square_bytes()], &mut taps);
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
        batch.slot().overwrite()?;
        machine.launch(&resize::pass(&jobs[1], &second, &taps, &taps_at, &between, &batch.slot().squares)?)
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
        self.outbox.send(&region, &bytes)?;
        let [first, second, taps] = spans.map(|(start, length)| region.part(start, length));
        Ok([first?, second?, taps?])
    }
}

impl Drop for Squares {
    fn drop(&mut self) {
        // The files are read until then. A failure is the device's, and shows elsewhere.
        let _ = self.machine.synchronize();
    }
}

impl Seat {
    fn new(machine: &Arc<dyn Machine>, bytes: usize) -> Result<Self> {
        Ok(Self { slot: Arc::new(Slot::new(machine, bytes)?), files: None })
    }

    /// Time that the device took for its batch, where it has one.
    fn took(&self) -> Duration {
        self.files.as_ref().and_then(|_| self.slot.took().ok()).unwrap_or_default()
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
