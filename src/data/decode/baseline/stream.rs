//! Entropy-coded data without what is stuffed between: pure bits, cut at the restart markers.

/// Zeros behind the data, so that eight bytes can be loaded wherever a block may end.
const PADDING: usize = 64;

const END: u8 = 0xd9;
const FIRST_RESTART: u8 = 0xd0;

/// The data of a scan; its room is used again.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Where each segment ends.
    ends: Vec<usize>,
}

impl Stream {
    /// Takes what follows a scan's header, up to the end marker; none where there is none, where another marker comes
    /// before it, or where the restarts are not numbered as they should be.
    pub fn fill(&mut self, data: &[u8]) -> Option<()> {
        self.ends.clear();
        if self.bytes.len() < data.len() + PADDING {
            self.bytes.resize(data.len() + PADDING, 0);
        }
        let (mut from, mut to) = (0, 0);
        loop {
            let plain = copy_plain(&data[from..], &mut self.bytes[to..])?;
            to += plain;
            from += plain + 1;
            let mut marker = *data.get(from)?;
            if marker == 0 {
                self.bytes[to] = 0xff;
                to += 1;
                from += 1;
                continue;
            }
            // A marker may have any number of these before it, but a stuffed zero behind them is odd.
            while marker == 0xff {
                from += 1;
                marker = *data.get(from)?;
            }
            from += 1;
            let restart = FIRST_RESTART + (self.ends.len() % 8) as u8;
            self.ends.push(to);
            if marker == END {
                self.bytes[to..to + PADDING].fill(0);
                return Some(());
            } else if marker != restart {
                return None;
            }
        }
    }

    /// Number of segments: one more than there are restart markers.
    pub fn segments(&self) -> usize {
        self.ends.len()
    }

    /// Where segment `number` begins, and which byte it ends before.
    pub fn segment(&self, number: usize) -> Option<(Bits, usize)> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some((Bits { next: start, ..Bits::default() }, end))
    }

    /// What [`Bits`] read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Copies the bytes before the first 0xff and returns their number; none where there is none.
fn copy_plain(from: &[u8], to: &mut [u8]) -> Option<usize> {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut done = 0;
    for (eight, to) in from.as_chunks::<8>().0.iter().zip(to.as_chunks_mut::<8>().0) {
        // The bytes behind the first 0xff are overwritten by what comes next.
        *to = *eight;
        let word = u64::from_le_bytes(*eight);
        let full = ((word & LOW) + ONES) & word & !LOW;
        if full != 0 {
            return Some(done + full.trailing_zeros() as usize / 8);
        }
        done += 8;
    }
    let rest = from[done..].iter().position(|&byte| byte == 0xff)?;
    to[done..done + rest].copy_from_slice(&from[done..done + rest]);
    Some(done + rest)
}

/// A reader of bits. Reading past the end of a segment gives what follows, or zeros, and is noticed afterwards.
///
/// What it reads is not in it, so that all of it fits registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bits {
    /// The first byte that is not yet counted.
    next: usize,
    /// The bits to come, from the top; `count` of them count.
    pub buffer: u64,
    count: u32,
}

impl Bits {
    /// Bits that there are after [`Bits::refill`].
    pub const REFILLED: u32 = 56;

    /// Sees to it that there are [`Bits::REFILLED`] bits; none far behind the end.
    #[inline(always)]
    pub fn refill(&mut self, bytes: &[u8]) -> Option<()> {
        let word = u64::from_be_bytes(*bytes.get(self.next..)?.first_chunk()?);
        // Bits beyond those that count are the same the next time.
        self.buffer |= word >> (self.count & 63);
        self.next += (63 - self.count as usize) / 8;
        self.count |= Self::REFILLED;
        Some(())
    }

    /// Takes so many bits, at most those that there are.
    #[inline(always)]
    pub fn take(&mut self, bits: u8) {
        self.buffer <<= bits & 63;
        self.count = self.count.wrapping_sub(bits.into());
    }

    /// Itself before it took the last `bits`; to be refilled.
    #[inline(always)]
    pub fn before(self, bits: u8, bytes: &[u8]) -> Option<Self> {
        let position = self.position().checked_sub(bits.into())?;
        let mut before = Self { next: position / 8, buffer: 0, count: 0 };
        before.refill(bytes)?;
        before.take((position % 8) as u8);
        Some(before)
    }

    /// Bits taken, and before.
    #[inline(always)]
    fn position(self) -> usize {
        8 * self.next - self.count as usize
    }

    /// Whether nothing from byte `end` on was taken.
    pub fn within(self, end: usize) -> bool {
        self.position() <= 8 * end
    }
}
