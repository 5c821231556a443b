//! The samples of a component: those blocks that a rectangle of the picture needs.

use std::ops::Range;

use super::idct::Samples;

/// Samples along a side of a block.
const BLOCK: usize = 8;

/// What must be known of one component; its room is used again.
#[derive(Debug, Default)]
pub struct Plane {
    /// Blocks that are kept, of all that the component has.
    pub columns: Range<usize>,
    pub rows: Range<usize>,
    pitch: usize,
    samples: Vec<u8>,
}

/// `samples`, taken up to whole blocks.
fn blocks(samples: Range<usize>) -> Range<usize> {
    samples.start / BLOCK..samples.end.div_ceil(BLOCK)
}

impl Plane {
    /// Makes room for the blocks that hold the samples of these columns and rows; none where they are more than `most`.
    pub fn prepare(&mut self, columns: Range<usize>, rows: Range<usize>, most: usize) -> Option<()> {
        (self.columns, self.rows) = (blocks(columns), blocks(rows));
        self.pitch = self.columns.len() * BLOCK;
        let length = self.pitch * self.rows.len() * BLOCK;
        if length > most {
            return None;
        }
        if self.samples.len() < length {
            self.samples.resize(length, 0);
        }
        Some(())
    }

    /// Sets the block of a column and a row that are kept.
    #[inline(always)]
    pub fn set(&mut self, column: usize, row: usize, block: &Samples) {
        let start = (row - self.rows.start) * BLOCK * self.pitch + (column - self.columns.start) * BLOCK;
        for (line, values) in self.samples[start..].chunks_mut(self.pitch).zip(block) {
            // Never shorter: every block is there to its end.
            if let Some(to) = line.first_chunk_mut() {
                *to = *values;
            }
        }
    }

    /// The samples of a row at these columns, which are kept.
    pub fn row(&self, row: usize, columns: Range<usize>) -> &[u8] {
        let start = (row - self.rows.start * BLOCK) * self.pitch + columns.start - self.columns.start * BLOCK;
        &self.samples[start..][..columns.len()]
    }
}
