//! What a batch brings to a device: one block of bytes, sent as a whole.

use anyhow::{Result, bail, ensure};

use crate::ops::{Dropout, Shape, Slot};

/// Where things are in the block.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchLayout {
    pub image: Shape,
    /// Whether pixels are bytes; else f32, normalised already.
    pub bytes_of_pixels: bool,
    pub pixels: Slot,
    pub target_kind: TargetKind,
    pub classes: usize,
    pub targets: Slot,
    /// f32: [`Control`].
    pub control: Slot,
    /// f32, by the number that steps give.
    pub scales: Vec<Slot>,
    /// Two u64 each, a stream and a bound, by the number that steps give.
    pub dropouts: Vec<Slot>,
    pub bytes: usize,
}

/// What targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A class an image, i32.
    Classes,
    /// A weight for each class, f32.
    Soft,
}

/// A batch's pixels, `[batch, height, width, colours]`.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

/// A batch's targets.
#[derive(Clone, Copy)]
pub enum TargetValues<'a> {
    Classes(&'a [usize]),
    Soft(&'a [f32]),
}

/// Numbers that the step is told: `CONTROL` of training.cu.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    /// The batch's share of the update.
    pub share: f32,
    pub lr: f32,
    /// What the moving average takes of the values: see `ema` of the optimiser's launches.
    pub ema_weight: f32,
}

/// One batch.
pub struct Batch<'a> {
    pub pixels: Pixels<'a>,
    pub targets: TargetValues<'a>,
    /// By the numbers of the layout.
    pub scales: &'a [Vec<f32>],
    /// By the numbers of the layout.
    pub dropouts: &'a [Dropout],
    pub control: Control,
}

/// Where parts of the block start.
const ALIGNMENT: usize = 256;

impl BatchLayout {
    /// For images of `image`; with one run of `scales` values for each length named, and so many `dropouts` within the
    /// network.
    pub fn new(
        image: Shape,
        bytes_of_pixels: bool,
        target_kind: TargetKind,
        classes: usize,
        scales: &[usize],
        dropouts: usize,
    ) -> Self {
        let mut bytes: usize = 0;
        let mut take = |len: usize| {
            let slot = Slot { offset: bytes, bytes: len };
            bytes = (bytes + len).next_multiple_of(ALIGNMENT);
            slot
        };
        let word = size_of::<f32>();
        let pixels = take(image.len() * if bytes_of_pixels { 1 } else { word });
        let targets = take(match target_kind {
            TargetKind::Classes => image.batch * word,
            TargetKind::Soft => image.batch * classes * word,
        });
        let control = take(4 * word);
        let scales = scales.iter().map(|len| take(len * word)).collect();
        let dropouts = (0..dropouts).map(|_| take(2 * size_of::<u64>())).collect();
        Self { image, bytes_of_pixels, pixels, target_kind, classes, targets, control, scales, dropouts, bytes }
    }

    /// Writes a batch into a block of [`Self::bytes`].
    ///
    /// # Errors
    /// If the batch is not of this layout, or a class is out of range.
    pub fn fill(&self, block: &mut [u8], batch: &Batch) -> Result<()> {
        ensure!(block.len() == self.bytes, "a block of {} bytes, not {}", block.len(), self.bytes);
        let Batch { pixels, targets, scales, dropouts, control } = batch;
        match (pixels, self.bytes_of_pixels) {
            (Pixels::Bytes(bytes), true) => put(block, self.pixels, bytes.iter().map(|byte| [*byte]))?,
            (Pixels::Floats(floats), false) => put_floats(block, self.pixels, floats)?,
            _ => bail!("a batch of other pixels than it was prepared for"),
        }
        match (targets, self.target_kind) {
            (TargetValues::Classes(labels), TargetKind::Classes) => {
                if let Some(label) = labels.iter().find(|&&label| label >= self.classes) {
                    let classes = self.classes;
                    bail!("class {label} is out of range: the network tells {classes} classes apart, from 0");
                }
                put(block, self.targets, labels.iter().map(|&label| (label as i32).to_le_bytes()))?;
            }
            (TargetValues::Soft(weights), TargetKind::Soft) => put_floats(block, self.targets, weights)?,
            _ => bail!("a batch of other targets than it was prepared for"),
        }
        put_floats(block, self.control, &[control.share, control.lr, control.ema_weight, 0.0])?;
        ensure!(scales.len() == self.scales.len(), "{} runs of scales, not {}", scales.len(), self.scales.len());
        self.scales.iter().zip(*scales).try_for_each(|(&slot, scales)| put_floats(block, slot, scales))?;
        ensure!(dropouts.len() == self.dropouts.len(), "{} dropouts, not {}", dropouts.len(), self.dropouts.len());
        let draw = |dropout: &Dropout| [dropout.stream, dropout.bound()].into_iter().map(u64::to_le_bytes);
        self.dropouts.iter().zip(*dropouts).try_for_each(|(&slot, dropout)| put(block, slot, draw(dropout)))
    }
}

fn put_floats(block: &mut [u8], slot: Slot, values: &[f32]) -> Result<()> {
    put(block, slot, values.iter().map(|value| value.to_le_bytes()))
}

fn put<const N: usize>(block: &mut [u8], slot: Slot, values: impl ExactSizeIterator<Item = [u8; N]>) -> Result<()> {
    ensure!(values.len() * N == slot.bytes, "{} values for {} bytes of a batch", values.len(), slot.bytes);
    let (places, _) = block[slot.offset..slot.offset + slot.bytes].as_chunks_mut();
    places.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: Control = Control { share: 0.5, lr: 0.1, ema_weight: 0.25 };

    #[test]
    fn a_batch_lies_where_the_layout_says() {
        let layout = BatchLayout::new(Shape::new(2, 1, 1, 3), true, TargetKind::Classes, 4, &[2], 1);
        let scales = [vec![0.0, 2.0]];
        let (pixels, targets) = (Pixels::Bytes(&[1, 2, 3, 4, 5, 6]), TargetValues::Classes(&[3, 0]));
        let mut block = vec![0; layout.bytes];
        let dropouts = [Dropout { rate: 0.5, stream: 77 }];
        let batch = Batch { pixels, targets, scales: &scales, dropouts: &dropouts, control: CONTROL };
        layout.fill(&mut block, &batch).unwrap();
        let float = |slot: Slot, at: usize| f32::from_le_bytes(block[slot.offset + 4 * at..][..4].try_into().unwrap());
        assert_eq!(block[layout.pixels.offset..][..6], [1, 2, 3, 4, 5, 6]);
        assert_eq!(block[layout.targets.offset], 3);
        assert_eq!([0, 1, 2].map(|at| float(layout.control, at)), [0.5, 0.1, 0.25]);
        assert_eq!([0, 1].map(|at| float(layout.scales[0], at)), [0.0, 2.0]);
        let draw = [77, 1 << 63].map(u64::to_le_bytes).concat();
        assert_eq!(block[layout.dropouts[0].offset..][..16], draw);
    }

    #[test]
    fn another_batch_than_the_layouts_is_refused() {
        let layout = BatchLayout::new(Shape::new(2, 1, 1, 1), true, TargetKind::Classes, 4, &[], 0);
        let mut block = vec![0; layout.bytes];
        let mut refused = |pixels, targets| {
            let batch = Batch { pixels, targets, scales: &[], dropouts: &[], control: CONTROL };
            layout.fill(&mut block, &batch).unwrap_err().to_string()
        };
        let range = refused(Pixels::Bytes(&[1, 2]), TargetValues::Classes(&[4, 0]));
        assert!(range.starts_with("class 4 is out of range"), "{range}");
        refused(Pixels::Bytes(&[1, 2, 3]), TargetValues::Classes(&[0, 0]));
        refused(Pixels::Floats(&[1.0, 2.0]), TargetValues::Classes(&[0, 0]));
        refused(Pixels::Bytes(&[1, 2]), TargetValues::Soft(&[0.0; 8]));
    }
}
