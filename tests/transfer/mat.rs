//! MATLAB's files: what scipy writes is read as scipy reads it, MATLAB's own habits are known, and no file makes the
//! reader panic or fill the memory.

use serde_json::Value;
use tresnet::data::mat::{Array, Content, Variables};

use super::{fixture, json};

#[test]
fn every_kind_of_array_is_read_as_by_scipy_compressed_or_not() {
    for file in ["arrays.mat", "arrays-flat.mat"] {
        let variables = Variables::read(&fixture(file)).unwrap();
        let expected = json("arrays.json");
        for (name, expected) in expected.as_object().unwrap() {
            let array = variables.get(name).unwrap();
            if let Some(text) = expected["text"].as_str() {
                assert_eq!(array.text(), Some(text), "{file}: {name}");
                continue;
            }
            let numbers: Vec<f64> = expected["numbers"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            let dims: Vec<u64> = array.dims.iter().map(|&length| length as u64).collect();
            assert_eq!(array.numbers(), Some(&numbers[..]), "{file}: {name}");
            assert_eq!(serde_json::json!(dims), expected["dims"], "{file}: {name}");
        }
        let cells = variables.get("cells").unwrap().cells().unwrap();
        assert_eq!((cells[0].text(), cells[1].whole()), (Some("one"), Some(2)), "{file}");
        assert_eq!(cells[2].cells().unwrap()[0].text(), Some("three"), "{file}");
        let structs = variables.get("structs").unwrap();
        let texts: Vec<_> = structs.field("a").unwrap().filter_map(Array::text).collect();
        assert_eq!(texts, ["x", "yz"], "{file}");
        let numbers: Vec<_> = structs.field("longer_name").unwrap().map(|array| array.numbers().unwrap()).collect();
        assert_eq!(numbers, [&[1.0][..], &[1.0, 2.0]], "{file}");
        assert!(structs.field("b").is_none(), "{file}");
        let error = variables.get("labels").unwrap_err().to_string();
        assert!(error.contains("no variable \"labels\", but double, single"), "{error}");
    }
}

/// Writes elements as MATLAB does, in either byte order.
struct Writer {
    big: bool,
}

impl Writer {
    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn element(&self, kind: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = [self.u32(kind), self.u32(bytes.len() as u32)].concat();
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    /// Up to four bytes in the room of a length.
    fn small(&self, kind: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.u32((bytes.len() as u32) << 16 | kind).to_vec();
        out.extend(bytes);
        out.resize(8, 0);
        out
    }

    fn matrix(&self, class: u32, dims: [u32; 2], name: &str, data: &[u8]) -> Vec<u8> {
        let flags = self.element(6, &[self.u32(class), self.u32(0)].concat());
        let dims = self.element(5, &dims.map(|length| self.u32(length)).concat());
        self.element(14, &[&flags[..], &dims, &self.small(1, name.as_bytes()), data].concat())
    }

    fn file(&self, elements: &[u8]) -> Vec<u8> {
        let mut out = b"MATLAB 5.0 MAT-file, Platform: GLNX86".to_vec();
        out.resize(124, b' ');
        out.extend(if self.big { b"\x01\x00MI" } else { b"\x00\x01IM" });
        out.extend(elements);
        out
    }
}

#[test]
fn matlabs_wide_characters_and_small_elements_are_read_in_either_byte_order() {
    for big in [false, true] {
        let writer = Writer { big };
        let wide = "Vóór".encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
        let text = writer.matrix(4, [1, 4], "t", &writer.element(4, &wide.collect::<Vec<_>>()));
        // MATLAB keeps a double in the smallest type that holds it.
        let numbers = writer.matrix(6, [1, 3], "n", &writer.small(2, &[7, 0, 255]));
        let object = writer.matrix(17, [1, 1], "o", &[]);
        let variables = Variables::from_bytes(&writer.file(&[text, numbers, object].concat())).unwrap();
        assert_eq!(variables.get("t").unwrap().text(), Some("Vóór"));
        assert_eq!(variables.get("n").unwrap().numbers(), Some(&[7.0, 0.0, 255.0][..]));
        let (_, last) = variables.iter().last().unwrap();
        assert_eq!(last.content, Content::Other("an object of a class"));
    }
}

fn refusal(elements: &[u8]) -> String {
    let writer = Writer { big: false };
    format!("{:#}", Variables::from_bytes(&writer.file(elements)).unwrap_err())
}

#[test]
fn shapes_that_the_file_does_not_bear_out_are_refused_before_memory_is_taken() {
    let writer = Writer { big: false };
    let most = u32::MAX >> 1;
    assert!(refusal(&writer.matrix(1, [most, most], "c", &[])).contains("fewer arrays than"));
    assert!(refusal(&writer.matrix(6, [most, most], "n", &writer.small(2, &[1]))).contains("1 numbers in an array of"));
    let names = [writer.small(5, &[1, 0, 0, 0]), writer.element(1, &[b'a'; 5000])].concat();
    assert!(refusal(&writer.matrix(2, [1, 1], "s", &names)).contains("struct's fields"));
    let mut longer = writer.matrix(6, [1, 1], "n", &writer.small(2, &[1]));
    longer[4] = 255;
    assert!(refusal(&longer).contains("longer than what is left"));
    let nested = (0..40).fold(Vec::new(), |inner, _| writer.matrix(1, [1, u32::from(!inner.is_empty())], "", &inner));
    assert!(refusal(&nested).contains("more than 16 deep"));
    assert!(refusal(&writer.element(99, &[])).contains("no type of data 99"));
}

#[test]
fn a_small_file_that_unpacks_to_a_huge_one_is_refused() {
    use std::io::Write;
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..40).for_each(|_| packer.write_all(&zeros).unwrap());
    let writer = Writer { big: false };
    assert!(refusal(&writer.element(15, &packer.finish().unwrap())).contains("larger than any annotations"));
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let mut refused = 0;
    for file in ["arrays.mat", "arrays-flat.mat", "stanford_cars/devkit/cars_meta.mat", "flowers-102/setid.mat"] {
        let whole = std::fs::read(fixture(file)).unwrap();
        for length in (0..whole.len()).step_by(3) {
            refused += usize::from(Variables::from_bytes(&whole[..length]).is_err());
        }
        for at in (0..whole.len()).step_by(2) {
            for value in [0, 0x0e, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                refused += usize::from(Variables::from_bytes(&damaged).is_err());
            }
        }
    }
    assert!(refused > 3000, "{refused}");
}
