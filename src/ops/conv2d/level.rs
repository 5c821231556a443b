//! Rows of input as kernels that take tiles want them: evenly apart in memory, and whole steps long.

use crate::ops::scratch::Scratch;

/// Replaces each group of `rows` pointers whose rows of `words` do not lie so by pointers to copies that do.
/// The copies, which the pointers must not outlive, are handed back.
///
/// # Safety
/// Each of `inputs`, a whole number of groups, is valid for `words` values.
pub(super) unsafe fn level(inputs: &mut [*const f32], rows: usize, words: usize, depth: usize) -> Scratch {
    let length = words.next_multiple_of(depth);
    let lies_so = |group: &[*const f32]| {
        let stride = group[1] as isize - group[0] as isize;
        length == words && group.windows(2).all(|pair| pair[1] as isize - pair[0] as isize == stride)
    };
    let copied = inputs.chunks_exact(rows).filter(|group| !lies_so(group)).count();
    let mut copies = Scratch::new(copied * rows * length);
    let groups = inputs.chunks_exact_mut(rows).filter(|group| !lies_so(group));
    for (group, copies) in groups.zip(copies.chunks_exact_mut(rows * length)) {
        for (input, copy) in group.iter_mut().zip(copies.chunks_exact_mut(length)) {
            // SAFETY: as the caller vouches; it is not one of the copies, which nobody pointed to before.
            copy[..words].copy_from_slice(unsafe { std::slice::from_raw_parts(*input, words) });
            copy[words..].fill(0.0);
            *input = copy.as_ptr();
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leveled(values: &[f32], starts: &[usize], words: usize, depth: usize) -> (bool, Vec<Vec<f32>>) {
        let mut inputs: Vec<*const f32> = starts.iter().map(|&start| values[start..][..words].as_ptr()).collect();
        let before = inputs.clone();
        // SAFETY: each input is the start of a slice of `words` values.
        let _copies = unsafe { level(&mut inputs, starts.len(), words, depth) };
        let length = words.next_multiple_of(depth);
        // SAFETY: rows are left where they are only if they are as long as that, else copied with room for it.
        let row = |input: &*const f32| unsafe { std::slice::from_raw_parts(*input, length) }.to_vec();
        (inputs == before, inputs.iter().map(row).collect())
    }

    #[test]
    fn even_rows_stay_where_they_are() {
        let values: Vec<f32> = (0..8).map(|at| at as f32).collect();
        let (stayed, rows) = leveled(&values, &[0, 3, 6], 2, 2);
        assert!(stayed);
        assert_eq!(rows, [[0.0, 1.0], [3.0, 4.0], [6.0, 7.0]]);
    }

    #[test]
    fn uneven_rows_and_rows_of_part_of_a_step_are_copied_with_zeros_behind_them() {
        let values: Vec<f32> = (0..8).map(|at| at as f32).collect();
        let (stayed, rows) = leveled(&values, &[0, 2, 6], 2, 2);
        assert!(!stayed);
        assert_eq!(rows, [[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]]);
        let (stayed, rows) = leveled(&values, &[0, 2, 4], 2, 4);
        assert!(!stayed);
        assert_eq!(rows, [[0.0, 1.0, 0.0, 0.0], [2.0, 3.0, 0.0, 0.0], [4.0, 5.0, 0.0, 0.0]]);
    }
}
