//! JPEGs decoded by nvJPEG on a GPU: how far from the exact pixels, and at what speed. Not yet run on a GPU.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tresnet::augment::evaluation::Evaluation;
use tresnet::data::loader::{Loader, Options};
use tresnet::data::source::open;
use tresnet::models::find;
use tresnet::ops::Shape;
use tresnet::ops::nvjpeg::Library;
use tresnet::ops::squares::{Squares, load};
use tresnet::runtime::libraries::Surroundings;

use crate::behaviour::{Behaviour, teach};
use crate::deviation::{digits, digits_model, measure, photographs};
use crate::place;

/// Enough for the speed to settle.
const PHOTOGRAPHS: usize = 1024;

/// Whether there is an nvJPEG; says so where not.
fn is_there() -> bool {
    let found = || Library::find(&Surroundings::of_process());
    place::is_there() && found().map_err(|missing| println!("no nvJPEG: skipped ({missing:#})")).is_ok()
}

/// Whether it is the stand-in, which is then taught to decode exactly.
fn is_exact() -> bool {
    static TAUGHT: OnceLock<Option<libloading::Library>> = OnceLock::new();
    let stand_in = || std::env::var_os("STAND_IN").map(|folder| Path::new(&folder).join("libnvjpeg.so.13"));
    TAUGHT.get_or_init(|| stand_in().map(|path| teach(&path, Behaviour::default()))).is_some()
}

fn squares() -> Squares {
    load(0, tresnet::runtime::available_cores()).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn nvjpegs_pixels_are_within_a_few_levels_and_change_hardly_any_answer() {
    if !is_there() {
        return;
    }
    let exact = is_exact();
    println!("{}", squares().decoder());
    let count = if exact { 100 } else { PHOTOGRAPHS };
    let figures = measure(&photographs(count), squares, &digits_model(Some(0)));
    println!("figure decoding {figures}");
    for which in ["photographs", "digits"] {
        let mean = figures[which]["mean"].as_f64().unwrap();
        assert!(!exact || figures[which]["largest"] == 0, "{which}: the stand-in is exact: {figures}");
        assert!(mean <= 2.0, "{which}: {mean} levels off on average");
    }
    // One of a hundred.
    assert!(figures["changed_top1"].as_u64().unwrap() <= 3, "{figures}");
}

#[test]
fn batches_that_are_submitted_before_any_is_answered_get_the_answers_of_those_one_by_one() {
    if !is_there() {
        return;
    }
    is_exact();
    let (folder, model) = (digits(), digits_model(Some(0)));
    let source = Arc::new(open(folder.path(), None).unwrap());
    let variant = find("resnet20").unwrap();
    let own = variant.preprocessing(variant.preset, variant.input_size);
    let (network, value) = model.on_device().unwrap();
    let answers = |one_by_one: bool| {
        let transform = Evaluation::new(&own).unwrap();
        let loader = Loader::on_device(source.clone(), transform, squares(), Options::new(16, 2)).unwrap();
        let (mut verdicts, mut submitted) = (Vec::new(), 0);
        // A batch is gone as soon as it is submitted, its memory free for another.
        for batch in loader {
            assert!(batch.squares.is_some());
            let shape = Shape::new(batch.size, own.input_size, own.input_size, 3);
            network.submit(batch.images().unwrap(), shape, value, &batch.labels, 3).unwrap();
            drop(batch);
            submitted += 1;
            while one_by_one && submitted > 0 {
                verdicts.extend(network.collect().unwrap());
                submitted -= 1;
            }
        }
        (0..submitted).for_each(|_| verdicts.extend(network.collect().unwrap()));
        verdicts
    };
    let [expected, ours] = [true, false].map(answers);
    assert_eq!(expected.len(), source.samples().len());
    assert!(ours == expected, "other answers");
}
