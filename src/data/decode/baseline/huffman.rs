//! Huffman codes, two at a time: one look at the next bits gives a code, the run of zeros before its number and how
//! long both are, and mostly the same of the code behind it.

use super::markers::{Code, ZIGZAG};
use super::stream::Bits;

/// Bits that are looked at.
const LOOK: u32 = 10;

/// Looks after one refill, and bits that each may take so that they suffice.
const LOOKS: u32 = 3;
const MOST: u8 = (Bits::REFILLED / LOOKS) as u8;

/// The largest number of bits of a coefficient of 8-bit samples: of the others, and of a difference of first ones.
const LARGEST: [u8; 2] = [10, 11];

/// Where numbers go that belong nowhere, counted from any coefficient.
const NOWHERE: u8 = 128;

/// Steps past the last coefficient of a block, from any.
const END_OF_BLOCK: u8 = 129;

/// Steps that are none: the code is a long one, or none.
const LONGER: u8 = 193;

/// The coefficients of a block in rows; behind them a place for numbers that belong nowhere.
pub type Block = [i16; 256];

/// Place in a [`Block`] of the coefficients in the zigzag order.
const PLACES: [u8; 256] = {
    let mut places = [64; 256];
    let mut k = 0;
    while k < 64 {
        places[k] = ZIGZAG[k];
        k += 1;
    }
    places
};

/// What the next bits stand for: eight numbers of a byte each, in one word, so that one load gets them all and a shift
/// by the lowest needs nothing else. From the lowest: the bits of all of it; for each of two coefficients where its
/// number begins, what to shift that down by, and which coefficient it is, counted from the next; how many coefficients
/// that covers, or [`LONGER`], or [`END_OF_BLOCK`] and those before it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry(u64);

/// One of the two numbers of an entry.
#[derive(Clone, Copy)]
struct Number {
    offset: u8,
    down: u8,
    at: u8,
}

/// No number at all.
const NONE: Number = Number { offset: 0, down: 0, at: NOWHERE };

impl Entry {
    const LONGER: Self = Self::of(0, [NONE; 2], LONGER);

    const fn of(total: u8, [first, second]: [Number; 2], steps: u8) -> Self {
        let bytes = [total, first.offset, first.down, first.at, second.offset, second.down, second.at, steps];
        Self(u64::from_le_bytes(bytes))
    }

    fn new(length: u8, symbol: u8, dc: bool) -> Self {
        let size = symbol & 15;
        let (at, steps) = match symbol {
            _ if dc => (0, 1),
            0xf0 => (NOWHERE, 16),
            _ if size == 0 => (NOWHERE, END_OF_BLOCK),
            _ => (symbol >> 4, (symbol >> 4) + 1),
        };
        Self::of(length + size, [Number { offset: length, down: (64 - size) & 63, at }, NONE], steps)
    }

    #[inline(always)]
    fn byte(self, n: u32) -> u8 {
        (self.0 >> (8 * n)) as u8
    }

    #[inline(always)]
    fn total(self) -> u8 {
        self.byte(0)
    }

    #[inline(always)]
    fn steps(self) -> u8 {
        self.byte(7)
    }

    #[inline(always)]
    fn first(self) -> Number {
        Number { offset: self.byte(1), down: self.byte(2), at: self.byte(3) }
    }

    #[inline(always)]
    fn second(self) -> Number {
        Number { offset: self.byte(4), down: self.byte(5), at: self.byte(6) }
    }

    /// This and what follows it, where both are within reach.
    fn followed_by(self, next: Self) -> Self {
        let (total, first, code) = (self.total() + next.total(), self.first(), next.first());
        // A code that is looked at in part is longer, so that it has no bits here. What has no number ends a block, or
        // is so rare that it stands alone.
        let known = next.total() > 0 && u32::from(self.total() + code.offset) <= LOOK && total <= MOST;
        if first.at == NOWHERE || !known {
            return self;
        }
        let at = if code.at == NOWHERE { NOWHERE } else { self.steps() + code.at };
        let second = Number { offset: self.total() + code.offset, down: code.down, at };
        Self::of(total, [first, second], self.steps() + next.steps())
    }
}

impl Number {
    /// The number (T.81, figure F.12); without meaning where there is none.
    #[inline(always)]
    fn of(self, bits: u64) -> i32 {
        let number = bits << (self.offset & 63);
        // One that begins with 0 is negative, and less by all its bits.
        let negative = !((number as i64) >> 63) as u64;
        let down = self.down & 63;
        (number >> down).wrapping_sub(negative >> down) as i32
    }

    /// Bits from the code on, the number's included.
    fn bits(self) -> u8 {
        self.offset + ((64 - self.down) & 63)
    }
}

/// A table in the form that decodes fast.
#[derive(Debug)]
pub struct Table {
    entries: Box<[Entry; 1 << LOOK]>,
    /// For each length the end of its codes, from the top of 16 bits, and the symbol of a code less the code.
    lengths: [(u32, i32); 17],
    symbols: [u8; 256],
    /// What it is made of: the codes of each length, and whether they are of first coefficients.
    made_of: Option<([u8; 16], bool)>,
}

impl Default for Table {
    fn default() -> Self {
        let entries = Box::new([Entry::default(); 1 << LOOK]);
        Self { entries, lengths: [(0, 0); 17], symbols: [0; 256], made_of: None }
    }
}

impl Table {
    /// Becomes the table of `code`, unless it is already; none for one that is no code, or that has numbers larger than
    /// a picture of 8 bits can.
    pub fn become_of(&mut self, code: Code, dc: bool) -> Option<()> {
        if self.made_of == Some((*code.counts, dc)) && self.symbols.starts_with(code.symbols) {
            return Some(());
        }
        self.made_of = None;
        let largest = LARGEST[usize::from(dc)];
        let fits = |&symbol: &u8| symbol & 15 <= largest && (!dc || symbol <= largest);
        code.symbols.iter().all(fits).then_some(())?;
        self.symbols[..code.symbols.len()].copy_from_slice(code.symbols);
        self.entries.fill(Entry::LONGER);

        let (mut next, mut index) = (0u32, 0);
        for length in 1..=16 {
            let count = usize::from(code.counts[length as usize - 1]);
            self.lengths[length as usize] = ((next + count as u32) << (16 - length), index as i32 - next as i32);
            for &symbol in code.symbols.get(index..index + count)? {
                let entry = Entry::new(length as u8, symbol, dc);
                if length <= LOOK && entry.total() <= MOST {
                    let first = (next as usize) << (LOOK - length);
                    self.entries.get_mut(first..first + (1 << (LOOK - length)))?.fill(entry);
                }
                next += 1;
            }
            index += count;
            // No code may be all ones, nor may there be more than there are.
            if next >= 1 << length && count > 0 {
                return None;
            }
            next <<= 1;
        }
        if !dc {
            let alone = self.entries.clone();
            for (bits, entry) in self.entries.iter_mut().enumerate() {
                *entry = entry.followed_by(alone[(bits << entry.total()) % alone.len()]);
            }
        }
        self.made_of = Some((*code.counts, dc));
        Some(())
    }

    #[inline(always)]
    fn look(&self, bits: u64) -> Entry {
        self.entries[(bits >> (64 - LOOK)) as usize]
    }

    /// One code of any length; none for bits that are no code.
    #[cold]
    fn look_longer(&self, bits: u64) -> Option<Entry> {
        let sixteen = (bits >> 48) as u32;
        let length = (1..=16).find(|&length| sixteen < self.lengths[length].0)?;
        let index = (sixteen >> (16 - length)) as i32 + self.lengths[length].1;
        let symbol = *self.symbols.get(usize::try_from(index).ok()?)?;
        Some(Entry::new(length as u8, symbol, self.made_of?.1))
    }
}

/// The tables of a component.
#[derive(Debug, Default)]
pub struct Pair {
    pub dc: Table,
    pub ac: Table,
}

impl Pair {
    /// Reads a block into `block`, or over it where that is not to be `KEPT`; `last` is the first coefficient of the
    /// block before. None where libjpeg-turbo would warn.
    #[inline(always)]
    pub fn read<const KEPT: bool>(
        &self,
        bytes: &[u8],
        from: &mut Bits,
        last: &mut i32,
        block: &mut Block,
    ) -> Option<()> {
        let mut bits = *from;
        bits.refill(bytes)?;
        let mut entry = self.dc.look(bits.buffer);
        if entry.steps() == LONGER {
            entry = self.dc.look_longer(bits.buffer)?;
        }
        // A number of no bits is not shifted down.
        let difference = if entry.first().down == 0 { 0 } else { entry.first().of(bits.buffer) };
        *last = last.wrapping_add(difference);
        bits.take(entry.total());
        if KEPT {
            block[..64].fill(0);
            block[0] = *last as i16;
        }
        let mut k = 1;
        loop {
            bits.refill(bytes)?;
            for _ in 0..LOOKS {
                entry = self.ac.look(bits.buffer);
                if KEPT {
                    set(block, k, entry.first(), bits.buffer);
                    set(block, k, entry.second(), bits.buffer);
                }
                bits.take(entry.total());
                k += u32::from(entry.steps());
                if k >= 64 {
                    break;
                }
            }
            if k < 64 {
                continue;
            }
            let mut start = k - u32::from(entry.steps());
            if entry.steps() == LONGER {
                bits.refill(bytes)?;
                entry = self.ac.look_longer(bits.buffer)?;
                if KEPT {
                    set(block, start, entry.first(), bits.buffer);
                }
                bits.take(entry.total());
                k = start + u32::from(entry.steps());
                if k < 64 {
                    continue;
                }
            }
            let first = entry.first();
            start += u32::from(first.at);
            // The last coefficient ends a block: what follows is the next one's.
            if start == 63 {
                bits = bits.before(entry.total() - first.bits(), bytes)?;
                k = 64;
            }
            let overrun = start > 63 && first.at != NOWHERE;
            *from = bits;
            return (!overrun && (k == 64 || k > END_OF_BLOCK.into())).then_some(());
        }
    }
}

/// Sets the coefficient of the zigzag order that a number is, counted from `k`.
#[inline(always)]
fn set(block: &mut Block, k: u32, number: Number, bits: u64) {
    let place = PLACES[(k + u32::from(number.at)) as usize & 255];
    block[usize::from(place)] = number.of(bits) as i16;
}
