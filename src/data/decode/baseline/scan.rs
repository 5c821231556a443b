//! The entropy-coded part: every unit up to the last that is needed is read, what is needed of it is transformed.

use super::huffman::{Block, Pair};
use super::idct::{self, Samples};
use super::markers::Header;
use super::plane::Plane;
use super::stream::{Bits, Stream};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// The work on a block, as a processor does it.
pub trait Machine {
    /// Reads a block.
    fn read(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()>;
    /// Reads over a block.
    fn skip(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()>;
    /// See [`idct::transform`].
    fn transform(block: &[i16; 64], quantisation: &[i16; 64]) -> Samples;
}

/// Any processor.
pub struct Plain;

impl Machine for Plain {
    fn read(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
        pair.read::<true>(bytes, bits, last, block)
    }
    fn skip(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
        pair.read::<false>(bytes, bits, last, block)
    }
    fn transform(block: &[i16; 64], quantisation: &[i16; 64]) -> Samples {
        idct::transform(block, quantisation)
    }
}

/// A component on its way through the scan.
struct Course<'a> {
    across: usize,
    down: usize,
    pair: &'a Pair,
    quantisation: &'a [i16; 64],
    plane: &'a mut Plane,
    /// The first coefficient of the block before.
    last: i32,
}

/// Decodes into `planes` the blocks that they keep, by the tables `pairs[numbers[n]]` of each component; none where
/// the data are not as they should be up to there.
pub fn decode(
    header: &Header,
    stream: &Stream,
    pairs: &[Pair; 3],
    numbers: [usize; 3],
    planes: &mut [Plane; 3],
) -> Option<()> {
    #[cfg(target_arch = "x86_64")]
    if x86::Avx2::detected() {
        return decode_by::<x86::Avx2>(header, stream, pairs, numbers, planes);
    }
    decode_by::<Plain>(header, stream, pairs, numbers, planes)
}

/// The same on a given machine.
fn decode_by<M: Machine>(
    header: &Header,
    stream: &Stream,
    pairs: &[Pair; 3],
    numbers: [usize; 3],
    planes: &mut [Plane; 3],
) -> Option<()> {
    let most = |factor: fn(&(usize, usize)) -> usize| {
        header.components().map(|c| factor(&(c.across, c.down))).max().unwrap_or(1)
    };
    let columns = header.width.div_ceil(8 * most(|factors| factors.0));
    let rows = header.height.div_ceil(8 * most(|factors| factors.1));
    let segments = if header.restart == 0 { 1 } else { (columns * rows).div_ceil(header.restart) };
    if stream.segments() != segments {
        return None;
    }
    let mut courses: [Option<Course>; 3] = [None, None, None];
    let parts = header.components().zip(planes).zip(numbers);
    for (course, ((component, plane), number)) in courses.iter_mut().zip(parts) {
        let (across, down) = (component.across, component.down);
        let (pair, quantisation) = (&pairs[number], &component.quantisation);
        *course = Some(Course { across, down, pair, quantisation, plane, last: 0 });
    }
    let needed = courses.iter().flatten().map(|course| course.plane.rows.end.div_ceil(course.down)).max()?;

    let mut segment = 0;
    let (mut bits, mut end) = stream.segment(segment)?;
    let mut until_restart = header.restart;
    let mut block = [0; 256];
    for row in 0..needed {
        for column in 0..columns {
            if header.restart > 0 {
                if until_restart == 0 {
                    bits.within(end).then_some(())?;
                    segment += 1;
                    (bits, end) = stream.segment(segment)?;
                    courses.iter_mut().flatten().for_each(|course| course.last = 0);
                    until_restart = header.restart;
                }
                until_restart -= 1;
            }
            for course in courses.iter_mut().flatten() {
                course.unit::<M>(stream.bytes(), &mut bits, row, column, &mut block)?;
            }
        }
        bits.within(end).then_some(())?;
    }
    Some(())
}

impl Course<'_> {
    /// Reads the component's blocks of one unit.
    #[inline(always)]
    fn unit<M: Machine>(
        &mut self,
        bytes: &[u8],
        bits: &mut Bits,
        row: usize,
        column: usize,
        block: &mut Block,
    ) -> Option<()> {
        for y in 0..self.down {
            let row = row * self.down + y;
            let kept = self.plane.rows.contains(&row);
            for x in 0..self.across {
                let column = column * self.across + x;
                if kept && self.plane.columns.contains(&column) {
                    M::read(self.pair, bytes, bits, &mut self.last, block)?;
                    let samples = M::transform(block.first_chunk()?, self.quantisation);
                    self.plane.set(column, row, &samples);
                } else {
                    M::skip(self.pair, bytes, bits, &mut self.last, block)?;
                }
            }
        }
        Some(())
    }
}
