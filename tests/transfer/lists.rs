//! CSV lists of path and label.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tresnet::data::source::{self, Source};
use tresnet::data::{Split, locate};

/// A folder of these files: lists as they are, and four images.
fn folder(lists: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for image in ["a/1.jpg", "a/2.jpg", "b/3.jpg", "4.jpg"] {
        fs::create_dir_all(root.path().join(image).parent().unwrap()).unwrap();
        fs::write(root.path().join(image), image).unwrap();
    }
    for (name, text) in lists {
        fs::write(root.path().join(name), text).unwrap();
    }
    root
}

fn rows(source: &Source) -> Vec<(String, usize)> {
    source.samples().iter().map(|sample| (sample.path.display().to_string(), sample.label)).collect()
}

fn opened(text: &str) -> Source {
    source::open(&folder(&[("l.csv", text)]).path().join("l.csv"), None).unwrap()
}

fn refusal(text: &str) -> String {
    format!("{:#}", source::open(&folder(&[("l.csv", text)]).path().join("l.csv"), None).unwrap_err())
}

#[test]
fn numbers_are_labels_as_they_stand_with_or_without_a_header() {
    let expected = [("b/3.jpg".to_owned(), 10), ("a/1.jpg".to_owned(), 2)];
    for text in [
        "b/3.jpg,10\na/1.jpg,2\n",
        "path,label\nb/3.jpg,10\na/1.jpg,2",
        "\u{feff}Class, id ,FileName\r\n10,x,b/3.jpg\r\n2,\"y,z\",a/1.jpg\r\n",
    ] {
        let source = opened(text);
        assert_eq!(rows(&source), expected, "{text}");
        assert_eq!((source.classes().len(), source.classes()[10].as_str()), (11, "10"), "{text}");
    }
}

#[test]
fn names_are_numbered_in_byte_order_as_folders_are() {
    let source = opened("a/1.jpg,tabby cat\na/2.jpg,Zebra\nb/3.jpg,tabby cat\n4.jpg,10\n");
    assert_eq!(source.classes(), ["10", "Zebra", "tabby cat"]);
    assert_eq!(source.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(), [2, 1, 2, 0]);
}

#[test]
fn a_list_is_known_by_its_content_and_its_images_lie_beside_it() {
    let root = folder(&[("val.txt", "4.jpg,x"), ("no-tar.tar", "b/3.jpg,ä")]);
    for (name, image) in [("val.txt", "4.jpg"), ("no-tar.tar", "b/3.jpg")] {
        let mut bytes = Vec::new();
        source::open(&root.path().join(name), None).unwrap().read(0, &mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), image);
    }
    let absolute = format!("{},0\n", root.path().join("a/1.jpg").display());
    assert_eq!(opened(&absolute).len(), 1);
}

#[test]
fn a_class_map_numbers_the_names_and_must_know_them_all() {
    let root = folder(&[("l.csv", "a/1.jpg,cat\nb/3.jpg,dog\n"), ("map", "dog\nfox\ncat\n"), ("short", "dog\n")]);
    let list = root.path().join("l.csv");
    let source = source::open(&list, Some(&root.path().join("map"))).unwrap();
    assert_eq!(rows(&source), [("a/1.jpg".to_owned(), 2), ("b/3.jpg".to_owned(), 0)]);
    assert_eq!(source.classes(), ["dog", "fox", "cat"]);
    let error = source::open(&list, Some(&root.path().join("short"))).unwrap_err().to_string();
    assert!(error.ends_with("l.csv: line 1: the class map has no \"cat\""), "{error}");
}

fn found(root: &Path, split: Split, name: &str) -> Result<Vec<(String, usize)>, String> {
    let open = || locate(root, split, Some(name))?.open(None);
    open().map(|source| rows(&source)).map_err(|error| format!("{error:#}"))
}

#[test]
fn lists_are_splits_by_their_names_and_a_list_stands_for_its_folder() {
    let root = folder(&[("train.csv", "a/1.jpg,0\na/2.jpg,1"), ("my_val.csv", "b/3.jpg,1"), ("rest.csv", "4.jpg,0")]);
    let row = |path: &str, label| (path.to_owned(), label);
    for data in [root.path().to_owned(), root.path().join("train.csv")] {
        let train = found(&data, Split::Train, "train").unwrap();
        assert_eq!(train, [row("a/1.jpg", 0), row("a/2.jpg", 1)], "{}", data.display());
        assert_eq!(found(&data, Split::Val, "validation").unwrap(), [row("b/3.jpg", 1)], "{}", data.display());
        assert_eq!(found(&data, Split::Val, "rest.csv").unwrap(), [row("4.jpg", 0)], "{}", data.display());
        let error = found(&data, Split::Val, "test").unwrap_err();
        assert!(error.contains("no test split") && error.contains("my_val.csv, rest.csv, train.csv"), "{error}");
    }
}

#[test]
fn what_a_line_lacks_is_said_with_its_number() {
    assert!(refusal("a/1.jpg,0\na/2.jpg\n").ends_with("l.csv: line 2 has no path or no label; give both"));
    assert!(refusal("a/1.jpg,0\n,1\n").contains("line 2 has no path"));
    assert!(refusal("a/1.jpg 0\n").contains("line 1 has 1 columns; give a path and a label a line"));
    assert!(refusal("a/1.jpg,0,1\n").contains("line 1 has 3 columns"));
    assert!(refusal("path,label\n").contains("l.csv: lists no images"));
    assert!(refusal("a/1.jpg,0\na/2.jpg,4000000000\n").contains("line 2: there is no class 4000000000"));
    assert!(refusal("image name,kind\na/1.jpg,cat\n").contains("images are not in"), "a header of other words");
    let message = refusal("a/1.jpg,0\nno/such.jpg,1\na/no.jpg,1\n");
    assert!(
        message.contains("2 of its 3 images are not in") && message.contains("no/such.jpg, a/no.jpg;"),
        "{message}"
    );
}

#[test]
fn a_validation_list_has_the_classes_of_the_training_list() {
    let root =
        folder(&[("train.csv", "a/1.jpg,cat\na/2.jpg,ant"), ("val.csv", "b/3.jpg,cat"), ("other.csv", "4.jpg,bee")]);
    let open = |name: &str| locate(root.path(), Split::Val, Some(name)).unwrap().open(None).unwrap();
    let train = open("train");
    let mut val = open("val");
    val.number_as(&train).unwrap();
    assert_eq!(rows(&val), [("b/3.jpg".to_owned(), 1)]);
    let error = open("other.csv").number_as(&train).unwrap_err().to_string();
    assert!(error.contains("other.csv: holds images of classes that") && error.contains("lacks: bee"), "{error}");
}
