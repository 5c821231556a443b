//! What is said of nvJPEG where it is missing, too old or something else, and of the real one where it is there.

use std::ffi::OsString;
use std::fs;

use tresnet::ops::nvjpeg::{Decoder, Library};
use tresnet::runtime::libraries::Surroundings;

use crate::behaviour::{Behaviour, build};
use crate::stand_in::{Processor, StandIn};

fn refusal(surroundings: &Surroundings) -> String {
    let error = format!("{:#}", Library::find(surroundings).err().unwrap());
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn a_machine_without_nvjpeg_is_told_where_it_was_sought() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&Surroundings::new([], vec![folder.path().to_owned(), folder.path().join("absent")]));
    let expected = format!(
        "libnvjpeg.so.13 is missing: sought in {}; `pip install nvidia-nvjpeg` brings it",
        folder.path().display()
    );
    assert_eq!(error, expected);
}

#[test]
fn nvjpeg_is_found_in_a_python_environment() {
    let folder = tempfile::tempdir().unwrap();
    let lib = folder.path().join("lib/python3.12/site-packages/nvidia/cu13/lib");
    fs::create_dir_all(&lib).unwrap();
    build(&lib, 13, &[]);
    let surroundings = Surroundings::new([("VIRTUAL_ENV", OsString::from(folder.path()))], Vec::new());
    assert_eq!(Library::find(&surroundings).unwrap().version(), "13.1.2");
}

#[test]
fn a_version_whose_pictures_are_described_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), 12, &[]);
    let error = refusal(&Surroundings::new([], vec![folder.path().to_owned()]));
    let expected = format!("{} is nvJPEG 12.1.2, and 13.0 is needed: update nvidia-nvjpeg", path.display());
    assert_eq!(error, expected);
}

#[test]
fn a_library_that_lacks_a_function_is_told_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), 13, &["-DnvjpegDecodeBatched=nvjpegSomethingElse"]);
    let error = refusal(&Surroundings::new([], vec![folder.path().to_owned()]));
    assert!(error.starts_with(&format!("{} is no nvJPEG 13: ", path.display())), "{error}");
    assert!(error.contains("nvjpegDecodeBatched"), "{error}");
    fs::write(&path, "no library").unwrap();
    let error = refusal(&Surroundings::new([], vec![folder.path().to_owned()]));
    assert!(error.starts_with(&format!("cannot open nvJPEG as {}: ", path.display())), "{error}");
}

#[test]
fn what_decodes_is_said() {
    let decoder = |has_hardware| {
        let stand_in = StandIn::new(Behaviour { has_hardware, ..Behaviour::default() });
        let library = Library::open(&stand_in.path).unwrap();
        Decoder::new(&library, &Processor, 1).unwrap().to_string()
    };
    assert_eq!(decoder(1), "nvJPEG 13.1.2 with the GPU's hardware decoders");
    assert_eq!(decoder(0), "nvJPEG 13.1.2 on the GPU's cores");
}

#[test]
fn the_real_nvjpeg_has_every_function_and_its_version() {
    match Library::find(&Surroundings::of_process()) {
        Ok(library) => assert!(library.version().starts_with("13."), "{}", library.version()),
        Err(missing) => println!("skipped: {missing:#}"),
    }
}
