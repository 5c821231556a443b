//! The flat arrays that hold all parameters on a device, and how they are divided.

use anyhow::{Result, ensure};

use super::Place;
use crate::ops::cuda::optimizer::SEGMENT;

/// All parameters one after another: first those that an optimiser steps, then frozen ones, then running statistics.
/// Each starts a segment, zeros fill up to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlatLayout {
    /// A parameter's elements, by its number; channels padded.
    pub places: Vec<Place>,
    /// Those that are stepped, in the order of their places.
    pub stepped: Vec<usize>,
    /// Of each parameter, by its number, the elements of an output unit; all of them where it is one as a whole.
    pub units: Vec<usize>,
    /// Elements up to the end of the stepped parameters.
    pub stepped_len: usize,
    /// Elements up to the end of all that have a gradient.
    pub gradient_len: usize,
    /// Elements of all.
    pub len: usize,
}

impl FlatLayout {
    /// Places parameters of `lens` elements. `stepped` and `frozen` are the numbers of those that have a gradient;
    /// all others are running statistics.
    ///
    /// # Errors
    /// If a number is none of a parameter.
    pub fn new(lens: &[usize], stepped: Vec<usize>, frozen: &[usize]) -> Result<Self> {
        let known = stepped.iter().chain(frozen).all(|&at| at < lens.len());
        ensure!(known, "{} parameters are fewer than those to be trained", lens.len());
        let mut places = vec![None; lens.len()];
        let mut end = 0;
        let mut take = |at: usize, end: &mut usize| {
            places[at] = Some(Place { start: *end, len: lens[at] });
            *end += lens[at].next_multiple_of(SEGMENT);
        };
        stepped.iter().for_each(|&at| take(at, &mut end));
        let stepped_len = end;
        frozen.iter().for_each(|&at| take(at, &mut end));
        let gradient_len = end;
        let trained = |at: &usize| stepped.contains(at) || frozen.contains(at);
        (0..lens.len()).filter(|at| !trained(at)).for_each(|at| take(at, &mut end));
        let places = places.into_iter().flatten().collect();
        Ok(Self { places, stepped, units: lens.to_vec(), stepped_len, gradient_len, len: end })
    }

    /// Elements of running statistics, which come last.
    pub fn running_len(&self) -> usize {
        self.len - self.gradient_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stepped_comes_first_and_running_statistics_last() {
        let layout = FlatLayout::new(&[10, 300, 7, 256], vec![1, 3], &[0]).unwrap();
        let starts: Vec<usize> = layout.places.iter().map(|place| place.start).collect();
        assert_eq!(starts, [768, 0, 1024, 512]);
        assert_eq!((layout.stepped_len, layout.gradient_len, layout.len), (768, 1024, 1280));
        assert_eq!(layout.running_len(), 256);
    }

    #[test]
    fn unknown_parameters_are_refused() {
        assert!(FlatLayout::new(&[10], vec![1], &[]).is_err());
    }
}
