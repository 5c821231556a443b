//! Passes over the data in an order that is given: repeats, a start within, an end left out.

use std::fs;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tresnet::augment::{Place, Rgb, Transform};
use tresnet::data::loader::{Batch, Loader, Options, Order};
use tresnet::data::source::{Source, open};

/// One pixel: the image's red, its number and its position. Keeps a list of what it was asked for.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Place>>>);

impl Transform for Witness {
    type Room = ();

    fn side(&self) -> usize {
        1
    }

    fn apply(&self, image: &Rgb, place: Place, (): &mut (), out: &mut [u8]) {
        self.0.lock().unwrap().push(place);
        out.copy_from_slice(&[image.pixels[0], place.sample as u8, place.position as u8]);
    }
}

/// Ten images of one class; the red of each is ten times its number. Number 4 cannot be read.
fn ten() -> (TempDir, Arc<Source>) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    for number in 0..10u8 {
        let path = root.path().join(format!("a/{number}.png"));
        image::RgbImage::from_pixel(1, 1, image::Rgb([number * 10, 0, 0])).save(path).unwrap();
    }
    fs::write(root.path().join("a/4.png"), "no image").unwrap();
    let source = open(root.path(), None).unwrap();
    (root, source.into())
}

fn given(samples: &[u32], start: usize, workers: usize) -> Options {
    Options { order: Order::Given(samples.into()), start, ..Options::new(3, workers) }
}

fn load(source: &Arc<Source>, options: Options) -> Vec<Batch> {
    Loader::new(source.clone(), Witness::default(), options).unwrap().collect()
}

fn pixels(batches: &[Batch]) -> Vec<[u8; 3]> {
    batches.iter().flat_map(|batch| batch.pixels.chunks(3)).map(|pixel| pixel.try_into().unwrap()).collect()
}

#[test]
fn images_come_in_the_order_given_and_each_repeat_has_a_position_of_its_own() {
    let (_root, source) = ten();
    let order = [7, 7, 2, 9, 7, 0, 3];
    let expected: Vec<[u8; 3]> =
        order.iter().enumerate().map(|(at, &sample)| [sample as u8 * 10, sample as u8, at as u8]).collect();
    for workers in 1..=4 {
        let batches = load(&source, given(&order, 0, workers));
        assert_eq!(pixels(&batches), expected, "{workers} threads");
        assert_eq!(batches.iter().map(|batch| batch.covers.clone()).collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
        assert_eq!(batches[1].indices, [9, 7, 0]);
    }
}

#[test]
fn a_pass_begun_within_delivers_what_is_left_and_touches_nothing_else() {
    let (_root, source) = ten();
    // The unreadable one stands before the start: nobody may notice.
    let order = [4, 1, 2, 8, 5, 6, 0, 9];
    let whole = load(&source, given(&order, 0, 2));
    let witness = Witness::default();
    let mut loader = Loader::new(source, witness.clone(), given(&order, 3, 2)).unwrap();
    assert_eq!((loader.images(), loader.batches()), (5, 2));
    let rest: Vec<Batch> = loader.by_ref().collect();
    assert_eq!(pixels(&rest), pixels(&whole[1..]));
    assert_eq!(rest.iter().map(|batch| batch.covers.clone()).collect::<Vec<_>>(), [3..6, 6..8]);
    assert!(rest.iter().all(|batch| batch.skipped.is_empty()));
    let mut positions: Vec<usize> = witness.0.lock().unwrap().iter().map(|place| place.position).collect();
    positions.sort_unstable();
    assert_eq!(positions, [3, 4, 5, 6, 7]);
}

#[test]
fn an_unreadable_image_leaves_the_positions_of_the_others() {
    let (_root, source) = ten();
    let batches = load(&source, given(&[3, 4, 5, 4], 0, 2));
    let first = &batches[0];
    assert_eq!((first.covers.clone(), &first.positions[..], &first.indices[..]), (0..3, &[0, 2][..], &[3, 5][..]));
    assert_eq!(pixels(&batches), [[30, 3, 0], [50, 5, 2]]);
    assert_eq!(batches.iter().map(|batch| batch.skipped.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_incomplete_batch_is_left_out_where_that_was_asked_for() {
    let (_root, source) = ten();
    let sizes = |start, limit| {
        let options = Options { start, limit, drop_last: true, ..Options::new(3, 2) };
        load(&source, options).iter().map(|batch| batch.covers.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(0, None), [0..3, 3..6, 6..9]);
    assert_eq!(sizes(6, None), vec![6..9]);
    assert!(sizes(9, None).is_empty());
    assert_eq!(sizes(0, Some(6)), [0..3, 3..6]);
}

#[test]
fn a_pass_that_cannot_be_says_why() {
    let (_root, source) = ten();
    let refusal = |options| Loader::new(source.clone(), Witness::default(), options).unwrap_err().to_string();
    assert!(refusal(given(&[1, 10], 0, 1)).contains("names image 10 of a data set that has 10"));
    assert!(refusal(given(&[1, 2], 3, 1)).contains("cannot begin behind image 3"));
    let large = refusal(Options { drop_last: true, ..Options::new(11, 1) });
    assert!(large.starts_with("--batch-size 11: more than the 10 images"), "{large}");
}

#[test]
fn a_transform_that_fails_costs_one_image() {
    struct Fragile;
    impl Transform for Fragile {
        type Room = ();
        fn side(&self) -> usize {
            1
        }
        fn apply(&self, image: &Rgb, place: Place, (): &mut (), out: &mut [u8]) {
            assert_ne!(place.position, 1, "on purpose");
            out.copy_from_slice(&image.pixels);
        }
    }
    let (_root, source) = ten();
    let batches: Vec<Batch> = Loader::new(source, Fragile, given(&[0, 1, 2], 0, 1)).unwrap().collect();
    assert_eq!((batches[0].size, &batches[0].skipped[0].path[..]), (2, "a/1.png"));
}
