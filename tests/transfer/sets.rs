//! Stanford Cars and Oxford Flowers-102: the splits and labels of torchvision's own classes, and what is said of files
//! that do not fit together.

use std::fs;
use std::path::Path;

use tresnet::augment::{Region, Rgb};
use tresnet::data::source::{self, Reader, Source};
use tresnet::data::{Split, locate, open_split};

use super::{copy, fixture, json};

fn listed(source: &Source) -> serde_json::Value {
    let rows = source.samples().iter().map(|sample| serde_json::json!([sample.path.to_str().unwrap(), sample.label]));
    rows.collect()
}

fn opened(path: &Path, name: &str) -> Source {
    locate(path, Split::Val, Some(name)).unwrap().open(None).unwrap()
}

fn refusal(path: &Path, split: Split) -> String {
    format!("{:#}", open_split(path, split, None).unwrap_err())
}

#[test]
fn splits_and_labels_are_torchvisions() {
    let expected = json("splits.json");
    for (name, rows) in expected["splits"].as_object().unwrap() {
        let (set, part) = name.split_once('/').unwrap();
        assert_eq!(listed(&opened(&fixture(set), part)), *rows, "{name}");
        // torchvision is given the folder around.
        if set == "stanford_cars" {
            assert_eq!(listed(&opened(&fixture(""), part)), *rows, "{name}");
        }
    }
    let cars = opened(&fixture("stanford_cars"), "train");
    assert_eq!(serde_json::json!(cars.classes()), expected["classes"]["stanford_cars"]);
    assert_eq!(opened(&fixture("flowers-102"), "val").classes(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn flowers_learn_from_both_other_splits_before_the_test() {
    let splits = &json("splits.json")["splits"];
    let both: Vec<_> =
        ["train", "val"].iter().flat_map(|part| splits[format!("flowers-102/{part}")].as_array().unwrap()).collect();
    for name in ["train+val", "training+validation"] {
        assert_eq!(listed(&opened(&fixture("flowers-102"), name)), serde_json::json!(both));
    }
}

#[test]
fn a_set_without_images_for_validation_is_validated_on_its_test() {
    for (set, part) in [("stanford_cars", "test"), ("flowers-102", "val")] {
        let expected = &json("splits.json")["splits"][format!("{set}/{part}")];
        assert_eq!(listed(&source::open(&fixture(set), None).unwrap()), *expected, "{set}");
        assert_eq!(listed(&open_split(&fixture(set), Split::Val, None).unwrap()), *expected, "{set}");
    }
    let error = locate(&fixture("stanford_cars"), Split::Train, Some("train+val")).unwrap_err().to_string();
    assert!(error.ends_with("Stanford Cars has no split \"train+val\"; name one of train, test"), "{error}");
}

#[test]
fn the_older_form_of_cars_tells_the_test_by_a_mark() {
    let train = open_split(&fixture("cars-in-one"), Split::Train, None).unwrap();
    let test = open_split(&fixture("cars-in-one"), Split::Val, None).unwrap();
    let paths = |source: &Source| -> Vec<String> {
        source.samples().iter().map(|sample| sample.path.display().to_string()).collect()
    };
    assert_eq!(paths(&train).len(), 8);
    assert_eq!(paths(&test), [9, 10, 11, 12].map(|number| format!("car_ims/{number:06}.jpg")));
    assert_eq!(test.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(train.classes()[3], "smart fortwo Convertible 2012");
}

#[test]
fn pictures_are_read_from_where_the_annotations_say() {
    let test = opened(&fixture("flowers-102"), "test");
    let (mut reader, mut image) = (Reader::default(), Rgb::default());
    for (index, sample) in test.samples().iter().enumerate() {
        test.load(index, |width, height| Region { left: 0, top: 0, width, height }, &mut reader, &mut image).unwrap();
        // The stand-in's pictures are as much wider as their class says.
        assert_eq!((image.width, image.height), (24 + 4 * sample.label, 24), "{}", sample.path.display());
    }
}

#[test]
fn images_that_are_annotated_but_missing_are_named() {
    let root = copy("stanford_cars");
    fs::remove_file(root.path().join("cars_train/00003.jpg")).unwrap();
    let message = refusal(root.path(), Split::Train);
    assert!(message.contains("cars_train_annos.mat: 1 of its 16 images are not in"), "{message}");
    assert!(message.contains("cars_train/00003.jpg; unpack the images there"), "{message}");
    let root = copy("flowers-102");
    fs::remove_dir_all(root.path().join("jpg")).unwrap();
    let message = refusal(root.path(), Split::Val);
    assert!(message.contains("setid.mat: 5 of its 5 images") && message.contains("jpg/image_000"), "{message}");
}

#[test]
fn annotations_of_another_data_set_are_refused() {
    // Fewer class names than the annotations have classes.
    let root = copy("stanford_cars");
    let meta = root.path().join("devkit/cars_meta.mat");
    fs::copy(fixture("arrays.mat"), &meta).unwrap();
    assert!(refusal(root.path(), Split::Train).contains("cars_meta.mat: holds no variable \"class_names\""));
    fs::remove_file(&meta).unwrap();
    assert!(
        refusal(root.path(), Split::Train).contains("cars_meta.mat of Stanford Cars is neither there nor in devkit")
    );
    fs::remove_file(root.path().join("cars_test_annos_withlabels.mat")).unwrap();
    fs::copy(fixture("stanford_cars/devkit/cars_meta.mat"), &meta).unwrap();
    assert!(refusal(root.path(), Split::Val).contains("cars_test_annos_withlabels.mat of Stanford Cars is neither"));
    let root = copy("flowers-102");
    fs::copy(fixture("flowers-102/imagelabels.mat"), root.path().join("setid.mat")).unwrap();
    assert!(refusal(root.path(), Split::Train).contains("setid.mat: holds no variable \"trnid\", but labels"));
}

#[test]
fn files_of_other_versions_and_damaged_ones_are_named_with_the_remedy() {
    let root = copy("flowers-102");
    let labels = root.path().join("imagelabels.mat");
    let whole = fs::read(&labels).unwrap();
    let mut newer = whole[..128].to_vec();
    newer.resize(512, 0);
    newer.extend(b"\x89HDF\r\n\x1a\n");
    for (bytes, word) in [
        (&newer[..], "version 7.3, which is HDF5 and is not read here; in MATLAB save it again with `save -v7`"),
        (&fs::read(fixture("arrays-4.mat")).unwrap(), "perhaps of version 4"),
        (&whole[..whole.len() - 9], "imagelabels.mat: cut off or damaged"),
        (b"", "imagelabels.mat: the file is empty"),
    ] {
        fs::write(&labels, bytes).unwrap();
        let message = refusal(root.path(), Split::Train);
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn a_class_map_has_no_say() {
    for set in ["stanford_cars", "flowers-102"] {
        let error = source::open(&fixture(set), Some(Path::new("map.txt"))).unwrap_err().to_string();
        assert!(error.starts_with("--class-map map.txt: the files of "), "{error}");
    }
}
