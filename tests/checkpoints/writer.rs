//! Writes checkpoints byte by byte, the wrong ones too.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Pickles of protocol 2 in the making.
#[derive(Clone, Default)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        let len = u32::try_from(text.len()).unwrap().to_le_bytes();
        self.raw(b"X").raw(&len).raw(text.as_bytes())
    }

    pub fn int(self, value: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn ints(mut self, values: &[i64]) -> Self {
        self = self.raw(b"(");
        for &value in values {
            self = self.int(value);
        }
        self.raw(b"t")
    }

    /// A float tensor in the storage `key` of `count` elements.
    pub fn tensor(self, (key, count): (&str, i64), first: i64, shape: &[i64], strides: &[i64]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(count)
            .raw(b"tQ")
            .int(first)
            .ints(shape)
            .ints(strides)
            .raw(b"\x89NtR")
    }

    /// The pickle of `{"weight": <the tensor>}`.
    pub fn one_tensor(storage: (&str, i64), first: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
        Self::new().raw(b"}").text("weight").tensor(storage, first, shape, strides).raw(b"s.").0
    }
}

/// A file of the serialization before PyTorch 1.6 around an object's pickle.
pub fn legacy(object: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut file = Pickle::new().raw(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.").0;
    file.extend(Pickle::new().raw(b"M\xe9\x03.").0);
    file.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s.").0);
    file.extend_from_slice(object);
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |pickle, (key, _)| pickle.text(key));
    file.extend(keys.raw(b"e.").0);
    for (_, numbers) in storages {
        file.extend(u64::try_from(numbers.len()).unwrap().to_le_bytes());
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    file
}

/// A zip archive of these entries.
pub fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A stored archive of one pickle and a storage of three numbers under the key 0.
pub fn zipped(pickle: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = [1f32, 2., 3.].iter().flat_map(|number| number.to_le_bytes()).collect();
    archive(&[("a/data.pkl", pickle), ("a/data/0", &numbers)], CompressionMethod::Stored)
}

pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}
