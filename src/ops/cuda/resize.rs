//! Launches of resize.cu: one pass over many pictures at once.

use anyhow::Result;

use super::launch::{BLOCK, Builder, Launch, Region};

/// Bytes of a pixel.
const PIXEL: usize = 3;

/// Ints of a row of taps before its weights: first pixel, number of weights.
pub const TAP_HEAD: usize = 2;

/// One picture's pass: every computed pixel is a weighted sum of pixels of its line or of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// First byte that is read.
    pub from: usize,
    /// Bytes from a line to the next.
    pub from_pitch: usize,
    /// First byte that is written.
    pub to: usize,
    pub to_pitch: usize,
    /// Whether pixels of a column are summed, not of a line.
    pub is_down: bool,
    /// Of the pass's taps, the first row: an int's number.
    pub taps: usize,
    /// Ints from a row of taps to the next.
    pub tap_row: usize,
    /// Where in what is written the computed pixels begin.
    pub left: usize,
    pub top: usize,
    /// Computed pixels.
    pub columns: usize,
    pub lines: usize,
    /// Written pixels: black around the computed ones.
    pub wide: usize,
    pub high: usize,
}

impl Job {
    /// As the kernel reads it.
    fn numbers(&self) -> [usize; 13] {
        let &Self { from, from_pitch, to, to_pitch, is_down, taps, tap_row, left, top, columns, lines, wide, high } =
            self;
        [from, from_pitch, to, to_pitch, is_down.into(), taps, tap_row, left, top, columns, lines, wide, high]
    }

    /// The bytes that it reads and writes end before these, or what is wrong with it.
    fn reach(&self, taps: &[i32]) -> Result<[usize; 2], &'static str> {
        let rows = if self.is_down { self.lines } else { self.columns };
        let mut beyond = 0;
        for row in 0..rows {
            let start = self.taps + row * self.tap_row;
            let row = taps.get(start..start + self.tap_row).ok_or("its taps are missing")?;
            let (&[first, count], weights) = row.split_first_chunk().ok_or("a row of taps without its head")?;
            let number = |value: i32| usize::try_from(value).map_err(|_| "a tap below zero");
            if number(count)? > weights.len() {
                return Err("a tap without its weight");
            }
            beyond = beyond.max(number(first)? + number(count)?);
        }
        if self.left + self.columns > self.wide || self.top + self.lines > self.high {
            return Err("it computes more than it writes");
        }
        let (across, down) = if self.is_down { (self.columns, beyond) } else { (beyond, self.lines) };
        let end = |first: usize, lines: usize, pitch: usize, pixels: usize| match lines {
            0 => first,
            lines => first + (lines - 1) * pitch + pixels * PIXEL,
        };
        if self.wide * PIXEL > self.to_pitch {
            return Err("its lines overlap");
        }
        Ok([end(self.from, down, self.from_pitch, across), end(self.to, self.high, self.to_pitch, self.wide)])
    }
}

/// The bytes that hold `jobs` on a device, for [`pass`].
pub fn job_bytes(jobs: &[Job]) -> Vec<u8> {
    // A number that no i32 holds is refused by the launch.
    jobs.iter().flat_map(|job| job.numbers()).flat_map(|number| (number as i32).to_le_bytes()).collect()
}

/// Carries out `jobs`, which lie in `jobs_at` as [`job_bytes`] says and whose `taps` lie in `taps_at`: from pictures of
/// three bytes a pixel to such pictures.
pub fn pass(
    jobs: &[Job],
    jobs_at: &Region,
    taps: &[i32],
    taps_at: &Region,
    from: &Region,
    to: &Region,
) -> Result<Launch> {
    let mut builder = Builder::plain("resize_pass", format!("{} pictures", jobs.len()))
        .words(jobs_at, jobs.len() * 13)
        .words(taps_at, taps.len());
    let (mut read, mut written, mut most) = (0, 0, 0);
    for (at, job) in jobs.iter().enumerate() {
        let fits = job.numbers().into_iter().all(|number| i32::try_from(number).is_ok());
        builder = builder.require(fits, || format!("picture {at}: beyond what kernels count to"));
        match job.reach(taps) {
            Ok([from, to]) => (read, written) = (read.max(from), written.max(to)),
            Err(wrong) => builder = builder.require(false, || format!("picture {at}: {wrong}")),
        }
        most = most.max(job.wide * job.high);
    }
    builder = builder.require(most + BLOCK <= i32::MAX as usize, || "a picture of too many pixels".to_owned());
    builder.bytes(from, read).bytes(to, written).grid([most.div_ceil(BLOCK), jobs.len(), 1])
}
