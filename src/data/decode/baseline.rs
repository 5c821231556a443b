//! The JPEGs that data sets consist of, decoded here: sequential, of 8 bits, one scan, gray or three components, the
//! colour ones at full or half size. The pixels are those of libjpeg-turbo with its defaults, which are Pillow's; only
//! what a rectangle of them needs is computed. Everything else is left to libjpeg-turbo: other kinds, and whatever is
//! odd, so that what it says of a file is said.
//!
//! A file whose scan ends with the end marker is never refused there, whatever the scan holds: bad codes and missing
//! data give warnings and gray. So rows below the rectangle need not be read, only the marker be found.

mod colour;
mod huffman;
mod idct;
mod markers;
mod plane;
mod scan;
mod stream;
mod upsample;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

use self::huffman::Pair;
use self::markers::{Colour, Header};
use self::plane::Plane;
use self::stream::Stream;
use self::upsample::{Room, Upsampling};
use crate::augment::{Region, Rgb};

/// Decodes one picture after another; what it keeps between them is room, and tables of which most files have the same.
#[derive(Debug, Default)]
pub struct Baseline {
    stream: Stream,
    pairs: [Pair; 3],
    planes: [Plane; 3],
    rooms: [Room; 3],
}

/// Most bytes of a file, and most samples of its components, that are decoded here: room is kept, and beyond this
/// libjpeg-turbo needs less of it.
const MOST: usize = 64 << 20;

impl Baseline {
    /// Width and height of a picture that is decoded here and whose colours are the usual ones. Its scan is not looked
    /// into.
    pub fn plain(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let (header, _) = self.prepare(bytes).filter(|(header, _)| header.colour != Colour::Rgb)?;
        Some((header.width, header.height))
    }

    /// Reads everything but the scan's codes; what it says of each component is which tables it uses.
    fn prepare<'a>(&mut self, bytes: &'a [u8]) -> Option<(Header<'a>, [usize; 3])> {
        let header = markers::read(bytes).filter(|_| bytes.len() <= MOST)?;
        self.stream.fill(header.data)?;
        let numbers = self.prepare_tables(&header)?;
        Some((header, numbers))
    }

    /// Decodes the rectangle that `wanted` names for the picture's width and height into its place in `image`; what
    /// lies around it there has no meaning. None where the picture is for libjpeg-turbo.
    ///
    /// # Panics
    ///
    /// When the rectangle leaves the picture: the caller's mistake.
    pub fn decode(&mut self, bytes: &[u8], wanted: impl Fn(usize, usize) -> Region, image: &mut Rgb) -> Option<()> {
        let (header, numbers) = self.prepare(bytes)?;
        let (width, height) = (header.width, header.height);
        let Region { left, top, width: columns, height: rows } = wanted(width, height);
        let (columns, rows) = (left..left + columns, top..top + rows);
        assert!(columns.end <= width && rows.end <= height, "{columns:?} x {rows:?} leaves the picture");

        let most = header.components().fold((1, 1), |most, c| (c.across.max(most.0), c.down.max(most.1)));
        let mut ways = [Upsampling::new(width, height, 1, 1); 3];
        for ((way, component), plane) in ways.iter_mut().zip(header.components()).zip(&mut self.planes) {
            *way = Upsampling::new(width, height, most.0 / component.across, most.1 / component.down);
            plane.prepare(way.columns(&columns), way.rows(&rows), MOST)?;
        }
        scan::decode(&header, &self.stream, &self.pairs, numbers, &mut self.planes)?;

        (image.width, image.height) = (width, height);
        image.pixels.resize(width * height * 3, 0);
        for y in rows {
            let to = &mut image.pixels[(y * width + columns.start) * 3..][..columns.len() * 3];
            let to = to.as_chunks_mut().0;
            let [first, second, third] = &mut self.rooms;
            let first = ways[0].row(&self.planes[0], y, &columns, first);
            if header.colour == Colour::Gray {
                colour::from_gray(first, to);
                continue;
            }
            let second = ways[1].row(&self.planes[1], y, &columns, second);
            let third = ways[2].row(&self.planes[2], y, &columns, third);
            match header.colour {
                Colour::Rgb => colour::from_rgb(first, second, third, to),
                _ => colour::from_ycbcr(first, second, third, to),
            }
        }
        Some(())
    }

    /// Makes the tables, and says which of them each component uses.
    fn prepare_tables(&mut self, header: &Header) -> Option<[usize; 3]> {
        let mut numbers = [0; 3];
        for (n, component) in header.components().enumerate() {
            let same = |other: &markers::Component| other.dc == component.dc && other.ac == component.ac;
            numbers[n] = header.components().position(same)?;
            if numbers[n] == n {
                self.pairs[n].dc.become_of(component.dc, true)?;
                self.pairs[n].ac.become_of(component.ac, false)?;
            }
        }
        Some(numbers)
    }
}
