//! The inverse cosine transform of a block: the accurate integer method of Loeffler, Ligtenberg and Moschytz (1989)
//! with 13 fractional bits, two of them kept between the passes, as libjpeg-turbo's vector code carries it out on x86:
//! products of coefficients and quantisation wrap at 16 bits, and what a pass leaves is cut off there. Only corrupt data
//! comes so far.

/// Fractional bits of the constants.
pub const FRACTION: i32 = 13;

/// Fractional bits that the first pass leaves.
pub const KEPT: i32 = 2;

/// What the first and the second pass shift down by; the transform is 8 times too large in the end.
pub const DOWN: [i32; 2] = [FRACTION - KEPT, FRACTION + KEPT + 3];

/// Cosines and their sums, each as libjpeg rounds it (`jidctint.c`): a pair for a pair of inputs.
pub mod turns {
    pub const EVEN_2: [i16; 2] = [4433 + 6270, 4433];
    pub const EVEN_6: [i16; 2] = [4433, 4433 - 15137];
    pub const SUM_3: [i16; 2] = [9633 - 16069, 9633];
    pub const SUM_4: [i16; 2] = [9633, 9633 - 3196];
    pub const ODD_7: [i16; 2] = [2446 - 7373, -7373];
    pub const ODD_1: [i16; 2] = [-7373, 12299 - 7373];
    pub const ODD_5: [i16; 2] = [16819 - 20995, -20995];
    pub const ODD_3: [i16; 2] = [-20995, 25172 - 20995];
}

/// Eight rows of eight.
pub type Samples = [[u8; 8]; 8];

/// The sample of a block that has but a first coefficient.
pub fn flat(first: i16) -> u8 {
    let sample = (i32::from(first.wrapping_shl(KEPT as u32)) + 16) >> 5;
    (sample.clamp(-128, 127) + 128) as u8
}

/// The samples of a block of coefficients in rows, times `quantisation`.
pub fn transform(block: &[i16; 64], quantisation: &[i16; 64]) -> Samples {
    if block[1..].iter().all(|&coefficient| coefficient == 0) {
        return [[flat(block[0].wrapping_mul(quantisation[0])); 8]; 8];
    }
    let mut rows = [[0; 8]; 8];
    for (row, (values, factors)) in rows.iter_mut().zip(block.chunks_exact(8).zip(quantisation.chunks_exact(8))) {
        for (value, (&coefficient, &factor)) in row.iter_mut().zip(values.iter().zip(factors)) {
            *value = coefficient.wrapping_mul(factor);
        }
    }
    let transposed = |rows: [[i16; 8]; 8]| std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x]));
    let columns: [[i16; 8]; 8] = transposed(rows);
    let columns = if rows[1..].iter().all(|row| *row == [0; 8]) {
        // No sums: this wraps where the pass would cut off.
        columns.map(|column| [column[0].wrapping_shl(KEPT as u32); 8])
    } else {
        columns.map(|column| pass(column, DOWN[0]))
    };
    transposed(columns).map(|row| pass(row, DOWN[1]).map(|value| (value.clamp(-128, 127) + 128) as u8))
}

/// One line.
fn pass(values: [i16; 8], down: i32) -> [i16; 8] {
    let [in0, in1, in2, in3, in4, in5, in6, in7] = values;
    let dot =
        |a: i16, b: i16, by: [i16; 2]| (i32::from(a) * i32::from(by[0])).wrapping_add(i32::from(b) * i32::from(by[1]));
    let (sum, difference) =
        (i32::from(in0.wrapping_add(in4)) << FRACTION, i32::from(in0.wrapping_sub(in4)) << FRACTION);
    let (even2, even6) = (dot(in2, in6, turns::EVEN_2), dot(in2, in6, turns::EVEN_6));
    let even = [
        sum.wrapping_add(even2),
        difference.wrapping_add(even6),
        difference.wrapping_sub(even6),
        sum.wrapping_sub(even2),
    ];
    let (third, fourth) = (in7.wrapping_add(in3), in5.wrapping_add(in1));
    let (third, fourth) = (dot(third, fourth, turns::SUM_3), dot(third, fourth, turns::SUM_4));
    let odd = [
        dot(in7, in1, turns::ODD_1).wrapping_add(fourth),
        dot(in5, in3, turns::ODD_3).wrapping_add(third),
        dot(in5, in3, turns::ODD_5).wrapping_add(fourth),
        dot(in7, in1, turns::ODD_7).wrapping_add(third),
    ];
    let rounded =
        |value: i32| (value.wrapping_add(1 << (down - 1)) >> down).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    std::array::from_fn(|n| {
        rounded(if n < 4 { even[n].wrapping_add(odd[n]) } else { even[7 - n].wrapping_sub(odd[7 - n]) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_coefficient_alone_is_one_gray() {
        for (first, expected) in [(0, 128), (8, 129), (-8, 127), (1016, 255), (3000, 255), (-1024, 0), (-3000, 0)] {
            let mut block = [0; 64];
            block[0] = first;
            assert_eq!(transform(&block, &[1; 64]), [[expected; 8]; 8], "{first}");
            assert_eq!(flat(first), expected, "{first}");
        }
    }
}
