//! Folders and tars: what is listed, in which order, and what is said about the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tresnet::data::source::{Source, open};

/// A folder with these files; each holds its own path.
pub fn folder(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

/// A tar with these files, under the names given by `rename`; each holds its path.
fn tar(files: &[&str], rename: impl Fn(&str) -> String) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(fs::File::create(root.path().join("val.tar")).unwrap());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.len() as u64);
        header.set_mode(0o644);
        // `append_data` would tidy the name up; the header takes it as it is.
        let name = rename(file);
        if name.len() < 100 {
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, file.as_bytes()).unwrap();
        } else {
            builder.append_data(&mut header, name, file.as_bytes()).unwrap();
        }
    }
    builder.finish().unwrap();
    root
}

fn listed(source: &Source) -> Vec<(String, usize)> {
    source.samples().iter().map(|sample| (sample.path.display().to_string(), sample.label)).collect()
}

fn content(source: &Source, index: usize) -> String {
    let mut bytes = Vec::new();
    source.read(index, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn refusal(path: &Path, map: Option<&Path>) -> String {
    format!("{:#}", open(path, map).unwrap_err())
}

fn reasons(source: &Source) -> Vec<(&str, &str)> {
    source.skipped().iter().map(|note| (note.path.as_str(), note.reason.as_str())).collect()
}

/// `-` sorts before `/`, yet the folder `a/z` comes before `a/z-`, whose beginning it is.
const FILES: [&str; 8] =
    ["b/2.jpg", "b/10.JPEG", "b/readme.txt", "B/x.png", "a/y.webp", "a/z/1.jpg", "a/z-/0.jpg", "a/A.bmp"];

/// As `torchvision.datasets.ImageFolder(…).samples` has it for `FILES`.
const ORDER: [(&str, usize); 7] = [
    ("B/x.png", 0),
    ("a/A.bmp", 1),
    ("a/y.webp", 1),
    ("a/z/1.jpg", 1),
    ("a/z-/0.jpg", 1),
    ("b/10.JPEG", 2),
    ("b/2.jpg", 2),
];

fn expected_order() -> Vec<(String, usize)> {
    ORDER.map(|(path, label)| (path.to_owned(), label)).into()
}

#[test]
fn a_folder_has_the_order_of_image_folder() {
    let root = folder(&FILES);
    let source = open(root.path(), None).unwrap();
    assert_eq!(source.classes(), ["B", "a", "b"]);
    assert_eq!(listed(&source), expected_order());
    assert_eq!(content(&source, 5), "b/10.JPEG");
    assert!(source.skipped().is_empty() && source.remarks().is_empty());
}

#[test]
fn a_tar_equals_its_folder_however_it_was_packed() {
    let root = folder(&FILES);
    let unpacked = open(root.path(), None).unwrap();
    let packings: [fn(&str) -> String; 3] = [|f| f.to_owned(), |f| format!("./{f}"), |f| format!("imagenet/{f}")];
    for rename in packings {
        let mut shuffled = FILES;
        shuffled.reverse();
        let root = tar(&shuffled, rename);
        let source = open(&root.path().join("val.tar"), None).unwrap();
        assert_eq!(listed(&source), listed(&unpacked), "a folder around the classes is not part of a path");
        assert_eq!(source.classes(), unpacked.classes());
        for index in 0..source.len() {
            assert_eq!(content(&source, index), content(&unpacked, index));
        }
    }
}

#[test]
fn long_names_in_a_tar_are_read() {
    let long = format!("a/{}.jpg", "x".repeat(180));
    let root = tar(&[&long, "b/1.jpg"], str::to_owned);
    let source = open(&root.path().join("val.tar"), None).unwrap();
    assert_eq!(listed(&source), [(long.clone(), 0), ("b/1.jpg".to_owned(), 1)]);
    assert_eq!(content(&source, 0), long);
}

#[test]
fn a_link_in_a_circle_is_reported_and_not_followed() {
    let root = folder(&["a/1.jpg", "b/deep/2.jpg"]);
    symlink(root.path(), root.path().join("a/up")).unwrap();
    symlink("..", root.path().join("b/deep/back")).unwrap();
    // A link elsewhere is followed, as torchvision does.
    let other = folder(&["3.jpg"]);
    symlink(other.path(), root.path().join("b/linked")).unwrap();
    let source = open(root.path(), None).unwrap();
    let paths: Vec<_> = listed(&source).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["a/1.jpg", "b/deep/2.jpg", "b/linked/3.jpg"]);
    let reason = "a link back to a folder that holds it";
    assert_eq!(reasons(&source), [("a/up", reason), ("b/deep/back", reason)]);
}

#[test]
fn a_link_to_nothing_is_listed_and_fails_when_read() {
    let root = folder(&["a/1.jpg"]);
    symlink("nowhere", root.path().join("a/2.jpg")).unwrap();
    let source = open(root.path(), None).unwrap();
    assert_eq!(source.len(), 2);
    let error = format!("{:#}", source.read(1, &mut Vec::new()).unwrap_err());
    assert!(error.starts_with("cannot be read: No such file"), "{error}");
}

#[test]
fn an_empty_class_keeps_its_number_and_is_worth_a_remark() {
    let root = folder(&["a/1.jpg", "b/notes.txt", "c/2.jpg"]);
    let source = open(root.path(), None).unwrap();
    assert_eq!(listed(&source), [("a/1.jpg".to_owned(), 0), ("c/2.jpg".to_owned(), 2)]);
    assert_eq!(source.remarks(), [format!("{}: class folders without images: b", root.path().display())]);
    assert!(source.skipped().is_empty());
}

#[test]
fn a_class_map_gives_the_labels_and_drops_the_rest() {
    let root = folder(&["a/1.jpg", "b/2.jpg", "c/3.jpg"]);
    let map = root.path().join("map.txt");
    fs::write(&map, "c\nunused\r\n  a \n").unwrap();
    let source = open(root.path(), Some(&map)).unwrap();
    assert_eq!(source.classes(), ["c", "unused", "a"]);
    assert_eq!(listed(&source), [("a/1.jpg".to_owned(), 2), ("c/3.jpg".to_owned(), 0)]);
    let remark = "folders left out, since the class map does not name them: b";
    assert_eq!(source.remarks(), [format!("{}: {remark}", root.path().display())]);
    assert!(source.skipped().is_empty());

    fs::write(&map, "a\nb\na\n").unwrap();
    assert!(refusal(root.path(), Some(&map)).contains("lines 1 and 3 both name a"));
    fs::write(&map, "other\n").unwrap();
    assert!(refusal(root.path(), Some(&map)).contains("none of its 3 folders is named by the class map"));
    fs::write(&map, [0x80, 4, 0x95, 0xff]).unwrap();
    assert!(refusal(root.path(), Some(&map)).contains("not a text file"));
}

#[test]
fn what_cannot_be_a_data_set_says_what_it_is() {
    let root = folder(&["1.jpg", "2.jpg"]);
    assert!(refusal(root.path(), None).contains("holds no class folders, but 2 images directly in it"));
    assert!(refusal(&root.path().join("missing"), None).contains("missing: no data set can be read there"));
    assert!(refusal(&root.path().join("1.jpg"), None).contains("line 1 has 1 columns"), "a text is taken for a list");
    fs::write(root.path().join("1.jpg"), b"\xff\xd8\xff\xe0").unwrap();
    let message = refusal(&root.path().join("1.jpg"), None);
    assert!(message.contains("not a readable tar") && message.contains("a CSV list of path and label"), "{message}");
    assert!(refusal(tempfile::tempdir().unwrap().path(), None).contains("holds no class folders, but nothing of use"));
    let empty = folder(&["a/x.txt", "b/y.txt"]);
    assert!(refusal(empty.path(), None).contains("its 2 class folders hold no images"));
    let gzip = root.path().join("val.tar.gz");
    fs::write(&gzip, b"\x1f\x8b\x08\0").unwrap();
    assert!(refusal(&gzip, None).contains("compressed by gzip"));
}

#[test]
fn a_tar_cut_short_names_the_file_that_is_missing() {
    let root = tar(&["a/1.jpg", "a/2.jpg"], str::to_owned);
    let path = root.path().join("val.tar");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..1024 + 512 + 3]).unwrap();
    assert!(refusal(&path, None).contains("cut off within a/2.jpg"), "{}", refusal(&path, None));
}
