//! The segments before the scan: sizes, sampling, tables. Strict, since whatever is odd is left to libjpeg-turbo.

use super::super::MOST_PIXELS;

/// Where a coefficient of the zigzag order stands in a block of rows (ITU-T T.81, figure A.6).
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Longest side that libjpeg-turbo accepts (`JPEG_MAX_DIMENSION`).
const LONGEST: usize = 65_500;

const FRAMES: [u8; 2] = [0xc0, 0xc1];
const HUFFMAN_TABLES: u8 = 0xc4;
const START_OF_SCAN: u8 = 0xda;
const QUANTISATION_TABLES: u8 = 0xdb;
const RESTART_INTERVAL: u8 = 0xdd;
const JFIF: u8 = 0xe0;
const ADOBE: u8 = 0xee;
const COMMENT: u8 = 0xfe;

/// What the components mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Gray,
    YCbCr,
    Rgb,
}

/// A Huffman table as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code<'a> {
    /// Codes of each length, 1 to 16 bits.
    pub counts: &'a [u8; 16],
    /// As many as there are codes.
    pub symbols: &'a [u8],
}

/// One component, with its tables.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Blocks of it in a minimum coded unit, across and down: 1 or 2.
    pub across: usize,
    pub down: usize,
    /// In rows.
    pub quantisation: [i16; 64],
    pub dc: Code<'a>,
    pub ac: Code<'a>,
}

/// All that is known before the scan.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    pub width: usize,
    pub height: usize,
    pub colour: Colour,
    components: [Option<Component<'a>>; 3],
    /// Minimum coded units between restarts; 0 for none.
    pub restart: usize,
    /// What follows the header of the scan.
    pub data: &'a [u8],
}

impl<'a> Header<'a> {
    pub fn components(&self) -> impl Iterator<Item = &Component<'a>> {
        self.components.iter().flatten()
    }
}

/// A component as the frame declares it.
#[derive(Clone, Copy, Default)]
struct Declared {
    id: u8,
    across: usize,
    down: usize,
    quantisation: u8,
}

struct Frame {
    width: usize,
    height: usize,
    declared: [Declared; 3],
    count: usize,
}

/// What was read so far.
#[derive(Default)]
struct Segments<'a> {
    frame: Option<Frame>,
    quantisation: [Option<[i16; 64]>; 4],
    dc: [Option<Code<'a>>; 4],
    ac: [Option<Code<'a>>; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
}

/// Reads up to the scan; none where a picture is not of the kind decoded here, or anything about it is odd.
pub fn read(bytes: &[u8]) -> Option<Header<'_>> {
    let mut segments = Segments::default();
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        let (&[0xff, marker], behind) = rest.split_first_chunk()? else { return None };
        let (&length, _) = behind.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(length));
        let body = behind.get(2..length)?;
        rest = &behind[length..];
        match marker {
            START_OF_SCAN => return segments.header(body, rest),
            QUANTISATION_TABLES => segments.quantisation_tables(body)?,
            HUFFMAN_TABLES => segments.huffman_tables(body)?,
            RESTART_INTERVAL => segments.restart = usize::from(u16::from_be_bytes(body.try_into().ok()?)),
            JFIF => segments.jfif |= body.len() >= 14 && body.starts_with(b"JFIF\0"),
            ADOBE if body.len() >= 12 && body.starts_with(b"Adobe") => segments.adobe = Some(body[11]),
            0xe1..=0xef | COMMENT => {}
            _ if FRAMES.contains(&marker) && segments.frame.is_none() => segments.frame = Some(Frame::read(body)?),
            _ => return None,
        }
    }
}

impl Frame {
    fn read(body: &[u8]) -> Option<Self> {
        let (&[8, h1, h0, w1, w0, count], mut rest) = body.split_first_chunk()? else { return None };
        let (width, height) = (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        let count = usize::from(count);
        let sizes = 1..=LONGEST;
        let fits = sizes.contains(&width) && sizes.contains(&height) && (width * height) as u64 <= MOST_PIXELS;
        if !fits || !matches!(count, 1 | 3) || rest.len() != 3 * count {
            return None;
        }
        let mut declared = [Declared::default(); 3];
        for component in &mut declared[..count] {
            let (&[id, sampling, quantisation], behind) = rest.split_first_chunk()?;
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            *component = Declared { id, across, down, quantisation };
            rest = behind;
        }
        let sampling = declared.map(|component| (component.across, component.down));
        let ids = declared.map(|component| component.id);
        match count {
            // One component alone has one block a unit, whatever it declares.
            1 => {
                (matches!(sampling[0], (1..=2, 1..=2))).then_some(())?;
                (declared[0].across, declared[0].down) = (1, 1);
            }
            _ => {
                let plain = matches!(sampling, [(1..=2, 1..=2), (1, 1), (1, 1)]);
                (plain && ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]).then_some(())?;
            }
        }
        Some(Self { width, height, declared, count })
    }
}

impl<'a> Segments<'a> {
    fn quantisation_tables(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = body.split_first() {
            let table = self.quantisation.get_mut(usize::from(head & 15))?;
            let wide = match head >> 4 {
                0 => false,
                1 => true,
                _ => return None,
            };
            let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
            let mut rows = [0; 64];
            for (k, &place) in ZIGZAG.iter().enumerate() {
                // More than 15 bits wrap, as in libjpeg-turbo, which multiplies 16 bits.
                let value =
                    if wide { u16::from_be_bytes([values[2 * k], values[2 * k + 1]]) } else { values[k].into() };
                rows[usize::from(place)] = value as i16;
            }
            *table = Some(rows);
            body = rest;
        }
        Some(())
    }

    fn huffman_tables(&mut self, mut body: &'a [u8]) -> Option<()> {
        while let Some((&head, rest)) = body.split_first() {
            let tables = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            let (counts, rest) = rest.split_first_chunk()?;
            let total: usize = counts.iter().copied().map(usize::from).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            *tables.get_mut(usize::from(head & 15))? = (total <= 256).then_some(Code { counts, symbols });
            body = rest;
        }
        Some(())
    }

    /// Puts together what the scan needs, whose header is `body`.
    fn header(&self, body: &[u8], data: &'a [u8]) -> Option<Header<'a>> {
        let Frame { width, height, declared, count } = self.frame.as_ref()?;
        let (&scanned, rest) = body.split_first()?;
        // One scan for all components, of all coefficients, at full precision.
        let (selectors, spectrum) = rest.split_at_checked(2 * count)?;
        if usize::from(scanned) != *count || spectrum != [0, 63, 0] {
            return None;
        }
        let mut components = [None; 3];
        for ((component, declared), selector) in components.iter_mut().zip(&declared[..*count]).zip(selectors.chunks(2))
        {
            let table = |tables: &[Option<Code<'a>>; 4], number: u8| *tables.get(usize::from(number))?;
            *component = Some(Component {
                across: declared.across,
                down: declared.down,
                quantisation: (*self.quantisation.get(usize::from(declared.quantisation))?)?,
                dc: table(&self.dc, selector[1] >> 4)?,
                ac: table(&self.ac, selector[1] & 15)?,
            });
            (selector[0] == declared.id).then_some(())?;
        }
        let colour = self.colour(&declared[..*count]);
        Some(Header { width: *width, height: *height, colour, components, restart: self.restart, data })
    }

    /// libjpeg's guess (`default_decompress_parms`).
    fn colour(&self, declared: &[Declared]) -> Colour {
        let [first, second, third] = declared else { return Colour::Gray };
        match self.adobe {
            _ if self.jfif => Colour::YCbCr,
            Some(0) => Colour::Rgb,
            Some(_) => Colour::YCbCr,
            None if [first.id, second.id, third.id] == *b"RGB" => Colour::Rgb,
            None => Colour::YCbCr,
        }
    }
}
