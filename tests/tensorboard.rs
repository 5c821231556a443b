//! Event files, read back by a reader of the framing and the messages that shares nothing with the writer.
//! `scripts/checks/event-files.py` reads the same kind of file with TensorBoard itself.

use std::fs;
use std::path::Path;

use tresnet::report::EventFile;

/// Bits one by one, as RFC 3720 defines CRC-32C; then the mask of TFRecord.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes
        .iter()
        .fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1))));
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// The data of each record, its checksums compared.
fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let (data, rest) = file[12..].split_at(length);
        assert_eq!(file[8..12], masked_crc(&file[..8]).to_le_bytes());
        assert_eq!(rest[..4], masked_crc(data).to_le_bytes());
        records.push(data);
        file = &rest[4..];
    }
    records
}

/// A field of a message: a number, or the bytes of any other kind.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// The fields of a message by number, in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let size = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (field, rest) = bytes.split_at(size);
        fields.push((key >> 3, Field::Bytes(field)));
        bytes = rest;
    }
    fields
}

fn bytes_of(message: &[u8], number: u64) -> Vec<&[u8]> {
    let all = fields(message).into_iter();
    all.filter_map(|(field, value)| match value {
        Field::Bytes(bytes) if field == number => Some(bytes),
        _ => None,
    })
    .collect()
}

fn number_of(message: &[u8], number: u64) -> Option<u64> {
    fields(message).into_iter().find_map(|(field, value)| match value {
        Field::Number(value) if field == number => Some(value),
        _ => None,
    })
}

fn written(folder: &Path, from: u64, write: impl FnOnce(&mut EventFile)) -> Vec<u8> {
    let mut events = EventFile::create(folder, from).unwrap();
    write(&mut events);
    fs::read(events.path()).unwrap()
}

#[test]
fn scalars_come_back_with_their_step_and_tag() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), 0, |events| {
        events.scalars(70_000, &[("train/loss", 2.5), ("lr", 1e-5)]).unwrap();
    });
    let records = records(&file);
    assert_eq!(records.len(), 2);
    assert_eq!(bytes_of(records[0], 3), [b"brain.Event:2"]);
    let time = f64::from_le_bytes(bytes_of(records[1], 1)[0].try_into().unwrap());
    assert!(time > 1.7e9, "{time}");
    assert_eq!(number_of(records[1], 2), Some(70_000));
    let values = bytes_of(bytes_of(records[1], 5)[0], 1);
    let read: Vec<(&[u8], f32)> = values
        .iter()
        .map(|value| (bytes_of(value, 1)[0], f32::from_le_bytes(bytes_of(value, 2)[0].try_into().unwrap())))
        .collect();
    assert_eq!(read, [(&b"train/loss"[..], 2.5), (&b"lr"[..], 1e-5)]);
}

#[test]
fn a_batch_of_images_comes_back_as_one_picture() {
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<u8> = (0..5 * 4 * 6 * 3).map(|n| (n % 251) as u8).collect();
    let file = written(folder.path(), 0, |events| events.images(3, "batch", &images, [5, 4, 6]).unwrap());
    let event = records(&file)[1];
    let value = bytes_of(bytes_of(event, 5)[0], 1)[0];
    let image = bytes_of(value, 4)[0];
    let picture = image::load_from_memory(bytes_of(image, 4)[0]).unwrap().to_rgb8();
    // Three columns and two rows with two pixels between.
    assert_eq!(picture.dimensions(), (3 * 6 + 4, 2 * 4 + 2));
    assert_eq!((number_of(image, 1), number_of(image, 2), number_of(image, 3)), (Some(10), Some(22), Some(3)));
    // The second pixel of the first line of the fifth image.
    let at = (4 * 4 * 6 + 1) * 3;
    assert_eq!(picture.get_pixel(8 + 1, 6).0[..], images[at..at + 3]);
}

#[test]
fn a_resumed_run_takes_back_the_steps_that_it_repeats_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 0, |events| events.scalars(0, &[("a", 1.0)]).unwrap());
    let second = written(folder.path(), 40, |_| ());
    let restart = records(&second)[1];
    assert_eq!(number_of(restart, 2), Some(40));
    assert_eq!(number_of(bytes_of(restart, 7)[0], 1), Some(1), "SessionLog.START");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
