//! Pillow's `ImageFilter.SMOOTH`: 3 x 3, ones around a five, over 13; the pixels at the border stay.

use crate::ops::vectorized;

/// Writes the smoothed `pixels`, rows of `width` pixels, into `to`.
pub(super) fn smooth(pixels: &[u8], width: usize, to: &mut [u8]) {
    let pitch = width * 3;
    to.copy_from_slice(pixels);
    if width < 3 {
        return;
    }
    for top in 0..(pixels.len() / pitch).saturating_sub(2) {
        let rows = &pixels[top * pitch..][..3 * pitch];
        let (above, rest) = rows.split_at(pitch);
        let (here, below) = rest.split_at(pitch);
        smooth_row(above, here, below, &mut to[(top + 1) * pitch + 3..][..pitch - 6]);
    }
}

vectorized! {
    /// All but the first and the last pixel of the middle row.
    fn smooth_row(above: &[u8], here: &[u8], below: &[u8], to: &mut [u8]) {
        let len = to.len();
        let [a, b, c] = [above, here, below].map(|row| (&row[..len], &row[3..3 + len], &row[6..6 + len]));
        for i in 0..len {
            let sum = |row: (&[u8], &[u8], &[u8])| u16::from(row.0[i]) + u16::from(row.1[i]) + u16::from(row.2[i]);
            let total = sum(a) + sum(b) + sum(c) + 4 * u16::from(b.1[i]);
            // Rounded: a thirteenth is never a half, so Pillow's sum in f32 rounds to the same.
            to[i] = ((2 * total + 13) / 26) as u8;
        }
    }
}
