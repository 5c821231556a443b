//! From components to RGB, in libjpeg's integers (`jdcolor.c`): 16 fractional bits.

use crate::ops::vectorized;

/// 1.402 and 1.772 less their whole parts (one, and two), and what green loses; times 2^16.
const RED: i32 = 26_345;
const BLUE: i32 = -14_942;
const GREEN_OF_BLUE: i32 = -22_554;
const GREEN_OF_RED: i32 = -46_802;

vectorized! {
    /// One row from luma and colour differences.
    pub fn from_ycbcr(luma: &[u8], blue: &[u8], red: &[u8], to: &mut [[u8; 3]]) {
        for (((to, &luma), &blue), &red) in to.iter_mut().zip(luma).zip(blue).zip(red) {
            let (y, cb, cr) = (i16::from(luma), i16::from(blue) - 128, i16::from(red) - 128);
            let r = y + cr + half(high(2 * cr, RED as i16));
            let b = y + 2 * cb + half(high(2 * cb, BLUE as i16));
            let green = GREEN_OF_BLUE * i32::from(cb) + GREEN_OF_RED * i32::from(cr);
            let g = y + ((green + (1 << 15)) >> 16) as i16;
            *to = [byte(r), byte(g), byte(b)];
        }
    }
}

vectorized! {
    /// One row of three components that are red, green and blue.
    pub fn from_rgb(red: &[u8], green: &[u8], blue: &[u8], to: &mut [[u8; 3]]) {
        for (((to, &red), &green), &blue) in to.iter_mut().zip(red).zip(green).zip(blue) {
            *to = [red, green, blue];
        }
    }
}

vectorized! {
    /// One row of grays.
    pub fn from_gray(gray: &[u8], to: &mut [[u8; 3]]) {
        for (to, &gray) in to.iter_mut().zip(gray) {
            *to = [gray; 3];
        }
    }
}

/// The upper half of a product.
#[inline(always)]
fn high(value: i16, factor: i16) -> i16 {
    ((i32::from(value) * i32::from(factor)) >> 16) as i16
}

/// Of a product that was taken of twice the value: rounded as the sum of the product and a half would be.
#[inline(always)]
fn half(value: i16) -> i16 {
    (value + 1) >> 1
}

#[inline(always)]
fn byte(value: i16) -> u8 {
    value.clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_libjpegs() {
        // The tables of `build_ycc_rgb_table`.
        let table = |factor: f64, value: u8, half: i32| {
            let factor = (factor.abs() * 65536.0 + 0.5) as i32 * factor.signum() as i32;
            factor * (i32::from(value) - 128) + half
        };
        let all: Vec<u8> = (0..=255).collect();
        let mut row = vec![[0; 3]; 256];
        for blue in 0..=255 {
            for red in 0..=255 {
                from_ycbcr(&all, &[blue; 256], &[red; 256], &mut row);
                let r = table(1.402, red, 1 << 15) >> 16;
                let g = (table(-0.34414, blue, 1 << 15) + table(-0.71414, red, 0)) >> 16;
                let b = table(1.772, blue, 1 << 15) >> 16;
                for (y, pixel) in (0..256).zip(&row) {
                    assert_eq!(
                        *pixel,
                        [y + r, y + g, y + b].map(|value| value.clamp(0, 255) as u8),
                        "{y} {blue} {red}"
                    );
                }
            }
        }
    }
}
