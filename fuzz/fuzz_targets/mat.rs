//! Any bytes as a MAT file: nothing may panic, hang or fill the memory; `scripts/fuzz.sh` says how it is run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tresnet::data::mat::{Array, Content, Variables};

/// Numbers that an array holds, those within others included.
fn numbers(array: &Array) -> usize {
    let _ = (array.whole(), array.text());
    match &array.content {
        Content::Numbers(numbers) => {
            // As many as the shape says.
            assert_eq!(numbers.len(), array.dims.iter().product::<usize>());
            numbers.len()
        }
        Content::Cells(arrays) => arrays.iter().map(numbers).sum(),
        Content::Structs { fields, values } => {
            let firsts = fields.first().and_then(|first| array.field(first)).map_or(0, Iterator::count);
            assert_eq!(firsts * fields.len(), values.len());
            values.iter().map(numbers).sum()
        }
        Content::Text(_) | Content::Other(_) => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(variables) = Variables::from_bytes(bytes) else { return };
    for (name, array) in variables.iter() {
        assert!(variables.get(name).is_ok());
        std::hint::black_box(numbers(array));
    }
});
