//! The loader: order, content, what cannot be read, and leaving early.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tresnet::augment::evaluation::Evaluation;
use tresnet::data::loader::{Batch, Loader, Options};
use tresnet::data::source::{Source, open};
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

use super::crops::fixtures;
use super::sources::folder;

const SIDE: usize = 24;

fn small_crop() -> Evaluation {
    Evaluation::new(&Preprocessing {
        input_size: SIDE,
        crop_pct: 0.875,
        resize_mode: ResizeMode::Crop,
        interpolation: Interpolation::Bilinear,
        mean: [0.0; 3],
        std: [1.0; 3],
    })
    .unwrap()
}

fn options(batch_size: usize, workers: usize) -> Options {
    Options::new(batch_size, workers)
}

/// Fixture images in three classes, six of each class; of a fourth, `bad`, none can be read.
fn data_set() -> TempDir {
    let root = folder(&["bad/empty.jpg", "bad/text.jpg", "bad/short.jpg", "bad/huge.jpg", "bad/sixteen.tif"]);
    let images = ["baseline-420.jpg", "gray.jpg", "rgba.png", "cmyk.jpg", "lossy.webp", "tiny.jpg"];
    for class in ["a", "b", "c"] {
        fs::create_dir(root.path().join(class)).unwrap();
        for (number, image) in images.iter().enumerate() {
            let to = root.path().join(class).join(format!("{number}.jpg"));
            fs::copy(fixtures().join(image), to).unwrap();
        }
    }
    let whole = fs::read(fixtures().join("baseline-420.jpg")).unwrap();
    let mut huge = whole.clone();
    let frame = whole.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    for (name, bytes) in [("empty", &[][..]), ("short", &whole[..900]), ("huge", &huge)] {
        fs::write(root.path().join("bad").join(name).with_extension("jpg"), bytes).unwrap();
    }
    fs::write(root.path().join("bad/sixteen.tif"), b"II*\0").unwrap();
    root
}

fn batches(source: &Arc<Source>, options: Options) -> Vec<Batch> {
    Loader::new(source.clone(), small_crop(), options).unwrap().collect()
}

/// Everything that the batches deliver, one after the other.
fn joined(batches: &[Batch]) -> (Vec<u8>, Vec<usize>, Vec<usize>, Vec<String>) {
    let skipped = batches.iter().flat_map(|b| &b.skipped).map(|s| format!("{}: {}", s.path, s.reason));
    (
        batches.iter().flat_map(|b| b.pixels.clone()).collect(),
        batches.iter().flat_map(|b| b.indices.clone()).collect(),
        batches.iter().flat_map(|b| b.labels.clone()).collect(),
        skipped.collect(),
    )
}

fn open_folder(path: &Path) -> Arc<Source> {
    open(path, None).unwrap().into()
}

#[test]
fn order_and_content_do_not_depend_on_threads() {
    let root = data_set();
    let source = open_folder(root.path());
    let reference = batches(&source, options(4, 1));
    let expected = joined(&reference);
    assert_eq!(expected.1.len(), 18);
    assert!(expected.1.is_sorted());
    for workers in 2..=4 {
        for repeat in 0..5 {
            let got = batches(&source, options(4, workers));
            let sizes = |batches: &[Batch]| batches.iter().map(|b| b.size).collect::<Vec<_>>();
            assert_eq!(sizes(&got), sizes(&reference));
            assert!(joined(&got) == expected, "{workers} threads, repeat {repeat}");
        }
    }
    // Nor on the batch size.
    for batch_size in [1, 3, 100] {
        assert!(joined(&batches(&source, options(batch_size, 2))) == expected, "batches of {batch_size}");
    }
}

#[test]
fn unreadable_images_are_named_and_left_out() {
    let root = data_set();
    let source = open_folder(root.path());
    let loaded = batches(&source, options(7, 2));
    let (pixels, indices, labels, skipped) = joined(&loaded);
    assert_eq!(pixels.len(), 18 * SIDE * SIDE * 3);
    assert_eq!(labels.iter().filter(|&&label| label == 2).count(), 0, "`bad` is class 2");
    assert_eq!(indices, (0..12).chain(17..23).collect::<Vec<_>>());
    assert_eq!(
        skipped,
        [
            "bad/empty.jpg: the file is empty",
            "bad/huge.jpg: too large: the header says 65500 x 65500 pixels, the most is 178956970",
            "bad/short.jpg: the file is cut off",
            "bad/sixteen.tif: a TIFF image; JPEG, PNG, BMP, GIF and WebP are read",
            "bad/text.jpg: not an image",
        ]
    );
    for batch in &loaded {
        assert_eq!(batch.size, batch.indices.len());
        assert_eq!(batch.pixels.len(), batch.size * SIDE * SIDE * 3);
    }
}

#[test]
fn an_image_after_an_unreadable_one_keeps_its_own_pixels() {
    let root = data_set();
    let source = open_folder(root.path());
    let loaded = batches(&source, options(100, 2));
    let bytes = SIDE * SIDE * 3;
    // `c/0.jpg` (number 17) stands behind the unreadable ones and is the same file as `a/0.jpg`.
    let place = loaded[0].indices.iter().position(|&index| index == 17).unwrap();
    assert_eq!(place, 12);
    assert!(loaded[0].pixels[place * bytes..][..bytes] == loaded[0].pixels[..bytes]);
}

#[test]
fn a_batch_of_nothing_readable_is_empty_and_says_why() {
    let root = folder(&["a/1.jpg", "a/2.jpg", "a/3.jpg"]);
    let loaded = batches(&open_folder(root.path()), options(2, 2));
    assert_eq!(loaded.iter().map(|b| (b.size, b.skipped.len())).collect::<Vec<_>>(), [(0, 2), (0, 1)]);
}

#[test]
fn a_tar_loads_as_its_folder_does() {
    let root = data_set();
    let path = root.path().with_extension("tar");
    let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
    builder.append_dir_all("val", root.path()).unwrap();
    builder.finish().unwrap();
    let packed = Arc::new(open(&path, None).unwrap());
    fs::remove_file(&path).unwrap();
    let from_folder = joined(&batches(&open_folder(root.path()), options(5, 2)));
    let from_tar = joined(&batches(&packed, options(5, 2)));
    assert_eq!(packed.classes(), ["a", "b", "bad", "c"]);
    assert!(from_tar.0 == from_folder.0 && from_tar.1 == from_folder.1 && from_tar.2 == from_folder.2);
    assert_eq!(from_tar.3.len(), 5);
}

#[test]
fn leaving_early_ends_the_threads() {
    let root = data_set();
    let source = open_folder(root.path());
    for taken in 0..3 {
        let (done, waiting) = std::sync::mpsc::channel();
        let source = source.clone();
        thread::spawn(move || {
            let mut loader = Loader::new(source, small_crop(), options(2, 3)).unwrap();
            for _ in 0..taken {
                loader.next().unwrap();
            }
            drop(loader);
            done.send(()).unwrap();
        });
        assert!(waiting.recv_timeout(Duration::from_secs(20)).is_ok(), "still not ended after {taken} batches");
    }
    // Only this test's own handle is left: no thread holds another.
    assert_eq!(Arc::strong_count(&source), 1);
}

#[test]
fn a_limit_takes_the_first_images() {
    let root = data_set();
    let source = open_folder(root.path());
    let mut loader = Loader::new(source, small_crop(), Options { limit: Some(5), ..options(3, 2) }).unwrap();
    assert_eq!((loader.images(), loader.batches()), (5, 2));
    let loaded: Vec<_> = loader.by_ref().collect();
    assert_eq!(joined(&loaded).1, [0, 1, 2, 3, 4]);
    let statistics = loader.statistics();
    assert_eq!((statistics.images, statistics.workers), (5, 2));
    assert!(statistics.busy > Duration::ZERO && statistics.images_per_busy_second() > 0.0);
}

#[test]
fn a_number_of_nothing_names_its_flag() {
    let root = data_set();
    let source = open_folder(root.path());
    let refusal = |options| Loader::new(source.clone(), small_crop(), options).unwrap_err().to_string();
    assert!(refusal(options(0, 1)).contains("--batch-size"));
    assert!(refusal(options(1, 0)).contains("--workers"));
    assert!(refusal(Options { limit: Some(0), ..options(1, 1) }).contains("--limit"));
}
