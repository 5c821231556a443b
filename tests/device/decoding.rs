//! JPEGs decoded by nvJPEG on a GPU: how far from the exact pixels, and at what speed. Not yet run on a GPU.

use std::path::Path;

use tresnet::ops::nvjpeg::Library;
use tresnet::ops::squares::load;
use tresnet::runtime::libraries::Surroundings;

use crate::behaviour::{Behaviour, teach};
use crate::deviation::{digits_model, measure, photographs};
use crate::place;

/// Enough for the speed to settle.
const PHOTOGRAPHS: usize = 1024;

#[test]
fn nvjpegs_pixels_are_within_a_few_levels_and_change_hardly_any_answer() {
    if !place::is_there() {
        return;
    }
    if let Err(missing) = Library::find(&Surroundings::of_process()) {
        println!("no nvJPEG: skipped ({missing:#})");
        return;
    }
    let stand_in = std::env::var_os("STAND_IN").map(|folder| Path::new(&folder).join("libnvjpeg.so.13"));
    let exact = stand_in.map(|path| teach(&path, Behaviour::default()));
    let cores = tresnet::runtime::available_cores();
    let squares = || load(0, cores).unwrap_or_else(|error| panic!("{error:#}"));
    println!("{}", squares().decoder());
    let count = if exact.is_some() { 100 } else { PHOTOGRAPHS };
    let figures = measure(&photographs(count), squares, &digits_model(Some(0)));
    println!("figure decoding {figures}");
    for which in ["photographs", "digits"] {
        let mean = figures[which]["mean"].as_f64().unwrap();
        assert!(exact.is_none() || figures[which]["largest"] == 0, "{which}: the stand-in is exact: {figures}");
        assert!(mean <= 2.0, "{which}: {mean} levels off on average");
    }
    // One of a hundred.
    assert!(figures["changed_top1"].as_u64().unwrap() <= 3, "{figures}");
}
