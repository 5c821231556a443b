//! The floors of the house, held: imports go downward, never sideways; `unsafe` keeps to its rooms; files stay short.

#[path = "common/source.rs"]
mod source;

use source::{Source, sources, words};

/// Which room stands on which floor. A room is a module of the crate's root, with all the files of its folder.
const FLOORS: &[(usize, &[&str])] = &[
    (7, &["main"]),
    (6, &["commands"]),
    (5, &["create"]),
    (4, &["checkpoint", "config", "evaluate", "report"]),
    (3, &["data", "loss", "models", "optim"]),
    (2, &["augment", "nn"]),
    (1, &["ops"]),
    (0, &["atomic_file", "cli", "flat_yaml", "interrupt", "metrics", "preprocessing", "random", "runtime", "world"]),
];

/// Files, or folders of them, where `unsafe` may stand; everywhere else it is refused.
const MAY_BE_UNSAFE: &[&str] = &[
    "ops/",
    "augment/resize",
    "augment/affine/lanes.rs",
    "data/decode/jpeg.rs",
    "data/decode/baseline/x86.rs",
    "runtime/cuda.rs",
];

/// Rooms that may know of CUDA; to all others a device is a value.
const MAY_KNOW_CUDA: &[&str] = &["ops", "runtime", "world"];

const LONGEST_FILE: usize = 300;

#[test]
fn imports_go_downward_and_never_sideways() {
    let mut wrong = Vec::new();
    for file in sources() {
        let room = file.room();
        let own = floor(&room);
        for (line, import) in file.imports() {
            // What the crate's root re-exports (`crate::Model`) is for users of the library.
            let lower = import == room || rank(&import).is_some_and(|other| other < own);
            if !lower {
                wrong.push(format!("{}:{line}: `{room}` (floor {own}) may not use `{import}`", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_stands_on_a_floor() {
    let lost: Vec<String> =
        sources().iter().map(Source::room).filter(|room| rank(room).is_none() && room != "lib").collect();
    assert!(lost.is_empty(), "add them to FLOORS: {lost:?}");
}

#[test]
fn the_library_lists_its_rooms_in_floor_order() {
    let library = sources().into_iter().find(|file| file.name == "lib.rs").expect("src/lib.rs is there");
    let rooms: Vec<String> = library.code.lines().filter_map(declared_module).collect();
    let floors: Vec<usize> = rooms.iter().map(|room| floor(room)).collect();
    assert!(floors.is_sorted(), "{rooms:?} stand on {floors:?}");
    let mut expected: Vec<String> = sources().iter().map(Source::room).filter(|r| r != "lib" && r != "main").collect();
    expected.dedup();
    let mut listed = rooms;
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn unsafe_keeps_to_its_rooms_and_says_why() {
    let mut wrong = Vec::new();
    for file in sources() {
        let allowed = MAY_BE_UNSAFE.iter().any(|place| file.name.starts_with(place));
        let uses = file.code.lines().enumerate().filter(|(_, line)| words(line).any(|word| word == "unsafe"));
        let uses: Vec<usize> = uses.map(|(index, _)| index + 1).collect();
        if !allowed && !uses.is_empty() {
            wrong.push(format!("{}: `unsafe` on lines {uses:?}", file.name));
        }
        let reasons = file.text.matches("SAFETY").count() + file.text.matches("# Safety").count();
        if allowed && !uses.is_empty() && reasons == 0 {
            wrong.push(format!("{}: `unsafe` without a SAFETY comment", file.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cuda_keeps_to_its_rooms() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !MAY_KNOW_CUDA.contains(&file.room().as_str())) {
        let conditional = file.text.contains("feature = \"cuda\"");
        if conditional || words(&file.code).any(|word| word == "cudarc" || word == "libloading") {
            wrong.push(file.name.clone());
        }
    }
    assert!(wrong.is_empty(), "only {MAY_KNOW_CUDA:?} may know of CUDA: {wrong:?}");
}

#[test]
fn files_stay_short() {
    let lengths = sources().into_iter().map(|file| (file.text.lines().count(), file.name));
    let long: Vec<_> = lengths.filter(|(lines, _)| *lines > LONGEST_FILE).collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines: {long:?}");
}

#[test]
fn nothing_is_left_for_later() {
    for file in sources() {
        for unfinished in ["todo!", "unimplemented!", "dbg!"] {
            assert!(!file.code.contains(unfinished), "{} holds {unfinished}", file.name);
        }
    }
}

fn rank(room: &str) -> Option<usize> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The library's root stands above all: it names every room.
fn floor(room: &str) -> usize {
    rank(room).unwrap_or(usize::MAX)
}

/// `x` of `pub mod x;`.
fn declared_module(line: &str) -> Option<String> {
    let name = line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?;
    Some(name.to_owned())
}
