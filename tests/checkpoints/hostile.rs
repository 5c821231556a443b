//! Files made to run code, to fill the memory or to never end: each is refused, at once and by its fault.

use std::time::{Duration, Instant};

use zip::CompressionMethod;

use crate::refusal;
use crate::writer::{Pickle, archive, legacy, safetensors, zipped};

/// Reading refuses these bytes within a second, and for this reason.
fn refuses(bytes: Vec<u8>, reason: &str) {
    let start = Instant::now();
    let error = refusal(bytes);
    assert!(error.contains(reason), "`{reason}` is not in: {error}");
    assert!(start.elapsed() < Duration::from_secs(1), "{reason}: {:?}", start.elapsed());
}

/// Both serializations refuse this pickle.
fn refuses_pickle(pickle: Pickle, reason: &str) {
    refuses(zipped(&pickle.0), reason);
    refuses(legacy(&pickle.0, &[]), reason);
}

#[test]
fn code_is_refused_by_name_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("touched");
    for (module, name) in [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "exec")] {
        let command = format!("touch {}", touched.display());
        let pickle = Pickle::new().global(module, name).text(&command).raw(b"\x85R.");
        refuses_pickle(pickle, &format!("`{module}.{name}`"));
        // The same name from the stack, as protocol 4 has it, below a state dict.
        let pickle = Pickle::new().raw(b"}").text("x").text(module).text(name).raw(b"\x93").text(&command);
        refuses_pickle(pickle.raw(b"\x85Rs."), &format!("`{module}.{name}`"));
    }
    assert!(!touched.exists());
}

#[test]
fn a_memo_that_doubles_itself_costs_nothing() {
    for (open, close) in [(&b""[..], &b"\x86"[..]), (b"](", b"e"), (b"(", b"t")] {
        let mut pickle = Pickle::new().raw(b"K\x01q\x00");
        for _ in 0..100_000 {
            pickle = pickle.raw(open).raw(b"h\x00h\x00").raw(close).raw(b"q\x00");
        }
        refuses_pickle(pickle.raw(b"."), "no state dict");
    }
}

#[test]
fn a_dict_that_holds_itself_ends() {
    let pickle = Pickle::new().raw(b"}q\x00").text("state_dict").raw(b"h\x00s.");
    refuses_pickle(pickle, "no state dict");
}

#[test]
fn one_dict_under_many_names_is_looked_at_once() {
    let mut inner = Pickle::new().raw(b"}q\x00(");
    for name in 0..30_000 {
        inner = inner.text(&name.to_string()).raw(b"N");
    }
    let mut outer = inner.raw(b"u0}(");
    for name in 0..30_000 {
        outer = outer.text(&name.to_string()).raw(b"h\x00");
    }
    refuses_pickle(outer.raw(b"u."), "no state dict");
}

#[test]
fn deep_nesting_neither_overflows_the_stack_nor_stays() {
    const DEPTH: usize = 1_000_000;
    refuses_pickle(Pickle::new().raw(b"N").raw(&[0x85; DEPTH]).raw(b"."), "a tuple, but no state dict");
    refuses_pickle(Pickle::new().raw(&[b'('; DEPTH]).raw(b"N").raw(&[b't'; DEPTH]).raw(b"."), "no state dict");
    refuses_pickle(Pickle::new().raw(&[b']'; DEPTH]).raw(&[b'a'; DEPTH - 1]).raw(b"."), "a list, but no state dict");
}

#[test]
fn more_values_than_any_state_dict_has_are_refused() {
    let many = Pickle::new().raw(&vec![b']'; 5_000_000]).raw(b".");
    refuses_pickle(many, "more than 4194304 values");
    refuses_pickle(Pickle::new().raw(&vec![b'('; 5_000_000]).raw(b"."), "more than 4194304 values");
    refuses_pickle(Pickle::new().raw(&vec![b'N'; 5_000_000]).raw(b"."), "more than 4194304 values");
    refuses_pickle(Pickle::new().raw(b"N").raw(&vec![0x94; 5_000_000]).raw(b"."), "more than 4194304 values");
}

#[test]
fn lengths_beyond_the_file_are_not_allocated() {
    let four_gib = u32::MAX.to_le_bytes();
    for opcode in [b"X", b"T", b"B", b"\x8b"] {
        refuses_pickle(Pickle::new().raw(opcode).raw(&four_gib).raw(b"short"), "its pickle ends too early");
    }
    for opcode in [b"\x8d", b"\x8e", b"\x96"] {
        refuses_pickle(Pickle::new().raw(opcode).raw(&[0xff; 8]).raw(b"short"), "its pickle ends too early");
    }
}

#[test]
fn damaged_stacks_are_refused() {
    for (pickle, reason) in [
        (&b"."[..], "runs empty"),
        (b"R.", "runs empty"),
        (b"\x87.", "runs empty"),
        (b"N(s.", "runs empty"),
        (b"t.", "mark is missing"),
        (b"h\x07.", "memo 7 was never set"),
        (b"NNa.", "no list"),
        (b"NNNs.", "no dict"),
        (b"}(Nu.", "key without a value"),
        (b"NNb.", "no object"),
        (b"NN\x93.", "not text"),
        (b"i.", "opcode 0x69"),
        (b"\x80\x09.", "protocol 9"),
        (b"\x97.", "opcode 0x97"),
    ] {
        refuses_pickle(Pickle::new().raw(pickle), reason);
    }
    refuses_pickle(Pickle::new().raw(b"c").raw(&[b'x'; 10_000]), "a name of more than");
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    let huge = i64::MAX;
    for (first, shape, strides, reason) in [
        (0, &[4][..], &[1][..], "outside its storage of 3 elements"),
        (3, &[1], &[1], "outside its storage"),
        (huge, &[1], &[1], "outside its storage"),
        (0, &[2], &[huge], "outside its storage"),
        (0, &[1 << 32, 1 << 32], &[1, 1], "more elements than the file"),
        (0, &[huge, huge, huge], &[0, 0, 0], "more elements than the file"),
        (0, &[1 << 40], &[0], "more elements than the file"),
        (0, &[-1], &[1], "negative"),
        (0, &[2], &[-1], "negative"),
        (-1, &[1], &[1], "negative"),
        (0, &[1; 65], &[1; 65], "dimensions"),
        (0, &[1, 1], &[1], "strides"),
    ] {
        let pickle = Pickle::one_tensor(("0", 3), first, shape, strides);
        refuses(zipped(&pickle), reason);
        refuses(legacy(&pickle, &[("0", &[1., 2., 3.])]), reason);
    }
}

#[test]
fn storages_beyond_the_file_are_refused() {
    for (key, count, zip_reason, legacy_reason) in [
        ("0", 4, "should have 16 bytes, 12 are there", "has no 16 bytes"),
        ("0", i64::MAX, "overflows", "overflows"),
        ("0", -1, "no number", "no number"),
        ("1", 3, "missing", "no tensor uses"),
        ("../data.pkl", 1, "missing", "no tensor uses"),
    ] {
        let pickle = Pickle::one_tensor((key, count), 0, &[1], &[1]);
        refuses(zipped(&pickle), zip_reason);
        refuses(legacy(&pickle, &[("0", &[1., 2., 3.])]), legacy_reason);
    }
    let pickle = Pickle::one_tensor(("0", 3), 0, &[3], &[1]);
    let mut file = legacy(&pickle, &[("0", &[1., 2., 3.])]);
    let count = file.len() - 20;
    for lie in [4i64, -1, i64::MAX, i64::MIN] {
        file.splice(count..count + 8, lie.to_le_bytes());
        refuses(file.clone(), "beyond the end of the file");
    }
}

#[test]
fn a_deflated_bomb_is_refused_unread() {
    let zeros = vec![0; 64 << 20];
    let pickle = Pickle::one_tensor(("0", 16 << 20), 0, &[16 << 20], &[1]);
    let bomb = archive(&[("a/data.pkl", &pickle), ("a/data/0", &zeros)], CompressionMethod::Deflated);
    assert!(bomb.len() < 100_000);
    refuses(bomb, "would unpack to");
}

#[test]
fn an_entry_that_unpacks_to_more_than_it_says_is_cut_there() {
    let pickle = Pickle::one_tensor(("0", 3), 0, &[3], &[1]).repeat(1000);
    let honest = archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 12])], CompressionMethod::Deflated);
    let size = u32::try_from(pickle.len()).unwrap().to_le_bytes();
    let mut lying = honest.clone();
    for at in 0..lying.len() - 4 {
        if lying.get(at..at + 4) == Some(&size) {
            lying.splice(at..at + 4, 40u32.to_le_bytes());
        }
    }
    assert_ne!(honest, lying);
    refuses(lying, "its pickle ends too early");
}

#[test]
fn archives_with_doubtful_names_are_refused() {
    let pickle = Pickle::one_tensor(("0", 3), 0, &[3], &[1]);
    let numbers = [0u8; 12];
    let names = [
        ("a/data/0", "two entries of one name"),
        ("../../etc", "outside the archive"),
        ("/etc/pass", "outside the archive"),
        ("a/../../b", "outside the archive"),
    ];
    for (name, reason) in names {
        // The writer would not write such names: they are put in the place of another one.
        let other = "x".repeat(name.len());
        let entries: [(&str, &[u8]); 3] = [("a/data.pkl", &pickle), ("a/data/0", &numbers), (&other, &numbers)];
        let mut file = archive(&entries, CompressionMethod::Stored);
        for at in 0..file.len() - name.len() {
            if file.get(at..at + name.len()) == Some(other.as_bytes()) {
                file.splice(at..at + name.len(), name.bytes());
            }
        }
        refuses(file, reason);
    }
    let several = archive(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)], CompressionMethod::Stored);
    refuses(several, "several checkpoints");
    let other = archive(&[("readme.txt", b"hello")], CompressionMethod::Stored);
    refuses(other, "without data.pkl");
}

#[test]
fn a_big_endian_archive_is_refused_with_the_remedy() {
    let pickle = Pickle::one_tensor(("0", 3), 0, &[3], &[1]);
    let entries: [(&str, &[u8]); 3] = [("a/data.pkl", &pickle), ("a/byteorder", b"big"), ("a/data/0", &[0; 12])];
    refuses(archive(&entries, CompressionMethod::Stored), "big-endian");
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    let entry = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    for (header, reason) in [
        (entry("F32", "[4]", 0, 12), "header is damaged"),
        (entry("F32", "[3]", 4, 16), "header is damaged"),
        (entry("F32", "[3]", 12, 0), "header is damaged"),
        (entry("F32", "[4611686018427387904, 4]", 0, 12), "header is damaged"),
        (entry("U8", "[1152921504606846976]", 0, 1 << 60), "header describes"),
        (entry("F32", "[2]", 0, 8), "header describes"),
        (entry("F8_E4M3", "[12]", 0, 12), "F8_E4M3"),
        (entry("I64", "[-1]", 0, 12), "header is damaged"),
        ("{}".to_owned(), "header describes"),
        ("{".repeat(5000), "header is damaged"),
        ("{\"a\":".to_owned() + &"[".repeat(100_000), "header is damaged"),
    ] {
        refuses(safetensors(&header, &[0; 12]), reason);
    }
    refuses(safetensors("{}", &[]), "no tensors");
    let mut long = safetensors(&"{".repeat(17 << 20), &[]);
    refuses(long.clone(), "at most 16777216");
    long.splice(..8, u64::MAX.to_le_bytes());
    refuses(long, "no checkpoint");
}
