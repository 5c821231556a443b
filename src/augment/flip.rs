//! Mirror images.

use super::Rgb;

/// Exchanges left and right.
pub fn horizontally(image: &mut Rgb) {
    for row in image.pixels.chunks_exact_mut((image.width * 3).max(1)) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

/// Exchanges top and bottom.
pub fn vertically(image: &mut Rgb) {
    let pitch = (image.width * 3).max(1);
    let (upper, rest) = image.pixels.split_at_mut(image.height / 2 * pitch);
    for (one, other) in upper.chunks_exact_mut(pitch).zip(rest.chunks_exact_mut(pitch).rev()) {
        one.swap_with_slice(other);
    }
}
