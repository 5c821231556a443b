//! CIFAR's binary files: what a record means, where the files may lie, and what is said of damaged ones.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tresnet::augment::{Region, Rgb};
use tresnet::data::source::{self, Reader, Source};
use tresnet::data::{Split, open_split};

const PLANE: usize = 32 * 32;

/// Label bytes and three planes: red is the number of the pixel, green the label, blue a number of the record.
fn record(labels: &[u8], number: u8) -> Vec<u8> {
    let red = (0..PLANE).map(|pixel| pixel as u8);
    let green = [labels[labels.len() - 1]; PLANE];
    labels.iter().copied().chain(red).chain(green).chain([number; PLANE]).collect()
}

/// CIFAR-10 of two records a training file and three of test.
fn cifar10() -> Vec<(String, Vec<u8>)> {
    let batch = |labels: &[u8], from: u8| -> Vec<u8> {
        labels.iter().zip(from..).flat_map(|(&label, number)| record(&[label], number)).collect()
    };
    let mut files: Vec<(String, Vec<u8>)> =
        (0..5).map(|n| (format!("data_batch_{}.bin", n + 1), batch(&[n, 9 - n], 2 * n))).collect();
    files.push(("test_batch.bin".into(), batch(&[3, 3, 8], 100)));
    let names = "airplane automobile bird cat deer dog frog horse ship truck";
    files.push(("batches.meta.txt".into(), (names.replace(' ', "\n") + "\n\n").into_bytes()));
    files
}

fn written(files: &[(String, Vec<u8>)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(root.path().join(name), bytes).unwrap();
    }
    root
}

fn archive(files: &[(String, Vec<u8>)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let file = fs::File::create(root.path().join("cifar-10-binary.tar.gz")).unwrap();
    let mut builder = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap().flush().unwrap();
    root
}

fn picture(source: &Source, index: usize) -> Rgb {
    let mut image = Rgb::default();
    let whole = |width, height| Region { left: 0, top: 0, width, height };
    source.load(index, whole, &mut Reader::default(), &mut image).unwrap();
    image
}

fn refusal(path: &Path, split: Split) -> String {
    format!("{:#}", open_split(path, split, None).unwrap_err())
}

#[test]
fn records_of_all_files_become_labelled_pictures_in_order() {
    let root = written(&cifar10());
    let train = open_split(root.path(), Split::Train, None).unwrap();
    let labels: Vec<usize> = train.samples().iter().map(|sample| sample.label).collect();
    assert_eq!(labels, [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]);
    assert_eq!((train.classes().len(), train.classes()[9].as_str()), (10, "truck"));
    assert_eq!(train.samples()[7].path, Path::new("data_batch_4.bin/00001"));
    for (index, &label) in labels.iter().enumerate() {
        let image = picture(&train, index);
        assert_eq!((image.width, image.height), (32, 32));
        assert_eq!(image.pixels[..6], [0, label as u8, index as u8, 1, label as u8, index as u8]);
        assert_eq!(image.pixels[3 * 1023..], [255, label as u8, index as u8]);
    }
    let test = open_split(root.path(), Split::Val, None).unwrap();
    assert_eq!((test.len(), picture(&test, 2).pixels[2]), (3, 102));
    // For an evaluation alone the folder means its test images.
    assert_eq!(source::open(root.path(), None).unwrap().samples(), test.samples());
}

#[test]
fn the_archive_is_the_same_data_set_as_its_folder() {
    let (folder, packed) = (written(&cifar10()), archive(&cifar10()));
    for split in [Split::Train, Split::Val] {
        let unpacked = open_split(folder.path(), split, None).unwrap();
        for path in [packed.path().to_owned(), packed.path().join("cifar-10-binary.tar.gz")] {
            let source = open_split(&path, split, None).unwrap();
            assert_eq!((source.samples(), source.classes()), (unpacked.samples(), unpacked.classes()));
            assert!((0..source.len()).all(|index| picture(&source, index) == picture(&unpacked, index)));
        }
    }
}

#[test]
fn the_fine_label_of_cifar_100_counts() {
    let names: String = (0..100).map(|label| format!("class{label:02}\n")).collect();
    let files = [
        ("train.bin".to_owned(), [record(&[19, 99], 0), record(&[0, 42], 1)].concat()),
        ("test.bin".to_owned(), record(&[1, 7], 2)),
        ("fine_label_names.txt".to_owned(), names.into_bytes()),
    ];
    let root = written(&files);
    let parent = tempfile::tempdir().unwrap();
    fs::rename(root.path(), parent.path().join("cifar-100-binary")).unwrap();
    let train = open_split(parent.path(), Split::Train, None).unwrap();
    assert_eq!(train.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(), [99, 42]);
    assert_eq!((train.classes()[42].as_str(), &picture(&train, 1).pixels[3..6]), ("class42", &[1, 42, 1][..]));
}

#[test]
fn a_damaged_file_is_named() {
    let root = written(&cifar10());
    let at = |name: &str| root.path().join(name);
    let whole = fs::read(at("data_batch_2.bin")).unwrap();
    fs::write(at("data_batch_2.bin"), &whole[..whole.len() - 1]).unwrap();
    let torn = refusal(root.path(), Split::Train);
    assert!(torn.contains("data_batch_2.bin: cut off: 6145 bytes are 1 records of 3073 and 3072 bytes"), "{torn}");
    let mut odd = whole;
    odd[3073] = 10;
    fs::write(at("data_batch_2.bin"), odd).unwrap();
    let label = refusal(root.path(), Split::Train);
    assert!(label.contains("data_batch_2.bin: record 1 has the label 10, and CIFAR-10 has 10 classes"), "{label}");
    fs::remove_file(at("data_batch_2.bin")).unwrap();
    assert!(refusal(root.path(), Split::Train).contains("data_batch_2.bin of CIFAR-10 is not there"));
    fs::write(at("test_batch.bin"), "").unwrap();
    assert!(refusal(root.path(), Split::Val).contains("test_batch.bin: cut off: 0 bytes"));
    fs::write(at("batches.meta.txt"), "cat\ndog\n").unwrap();
    assert!(refusal(root.path(), Split::Val).contains("batches.meta.txt: names 2 classes, and CIFAR-10 has 10"));
}

#[test]
fn an_archive_cut_short_is_refused() {
    let root = archive(&cifar10());
    let path = root.path().join("cifar-10-binary.tar.gz");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let message = refusal(root.path(), Split::Val);
    assert!(message.contains("cifar-10-binary.tar.gz: not a whole tar.gz; fetch it again"), "{message}");
}

#[test]
fn a_class_map_has_no_say() {
    let root = written(&cifar10());
    let error = open_split(root.path(), Split::Val, Some(Path::new("map.txt"))).unwrap_err();
    assert!(error.to_string().starts_with("--class-map map.txt: "), "{error}");
}
