//! `infer --decode gpu` whole on the stand-in: what its nvJPEG decodes exactly never leaves the device, and what comes out
//! is what the processor's decoding gives.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tresnet::augment::{Region, Rgb};
use tresnet::data::decode::{Decoder, decode};
use tresnet::data::source::{Reader, open};
use turbojpeg::Subsamp;

use crate::commands::{Finished, on_stand_in_alone, tresnet};
use crate::deviation::write_jpeg;
use crate::random::fnv1a64;

const BATCH: usize = 16;
/// What the network sees.
const SIDE: usize = 32;
/// Of the digits, one of so many.
const EVERY: usize = 7;
/// Files of other kinds, which no device is given, and one large picture that it is.
const FIXTURES: [&str; 6] =
    ["progressive.jpg", "cmyk.jpg", "gray-progressive.jpg", "rgb.bmp", "lossy.webp", "baseline-large.jpg"];
/// A file that nvJPEG refuses, though there is nothing wrong with it.
const REFUSED: &str = "1/refused.jpg";

/// Pictures of all kinds, and what the stand-in makes of those that it is given.
struct Folder {
    root: TempDir,
    /// Files that the device decodes.
    on_device: usize,
}

impl Folder {
    /// Digits as JPEGs and as they are, in turn with files that are not for the device or for nobody.
    fn new() -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap(), on_device: 0 };
        fs::create_dir(folder.pictures()).unwrap();
        let source = open(Path::new("samples/digits-val.tar"), None).unwrap();
        let (mut reader, mut picture) = (Reader::default(), Rgb::default());
        let whole = |width, height| Region { left: 0, top: 0, width, height };
        for (number, index) in (0..source.samples().len()).step_by(EVERY).enumerate() {
            source.load(index, whole, &mut reader, &mut picture).unwrap();
            let path = folder.images().join(&source.samples()[index].path);
            match number % 5 {
                0 => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    let Rgb { width, height, ref pixels } = picture;
                    image::save_buffer(path, pixels, width as u32, height as u32, image::ColorType::Rgb8).unwrap();
                }
                1 => write_jpeg(&path.with_extension("jpg"), &picture, Subsamp::None),
                _ => write_jpeg(&path.with_extension("jpg"), &picture, Subsamp::Sub2x2),
            }
        }
        write_jpeg(&folder.images().join(REFUSED), &picture, Subsamp::Sub2x2);
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocessing");
        for (class, name) in FIXTURES.iter().enumerate() {
            fs::copy(fixtures.join(name), folder.images().join(class.to_string()).join(name)).unwrap();
        }
        let whole = fs::read(fixtures.join("baseline-420.jpg")).unwrap();
        for (path, bytes) in [("0/0.jpg", &whole[..whole.len() / 2]), ("3/a.png", b"text"), ("9/z.jpg", b"")] {
            fs::write(folder.images().join(path), bytes).unwrap();
        }
        folder.decoded()
    }

    /// Decodes for the stand-in what the device will be given.
    fn decoded(mut self) -> Self {
        let mut decoder = Decoder::default();
        for class in self.images().read_dir().unwrap() {
            for file in class.unwrap().path().read_dir().unwrap() {
                let path = file.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                if decoder.plain_jpeg(&bytes).is_none() || path.ends_with(REFUSED) {
                    continue;
                }
                let mut picture = Rgb::default();
                decode(&bytes, &mut picture).unwrap();
                let size = [picture.width, picture.height].map(|side| (side as i32).to_ne_bytes());
                let file = self.pictures().join(format!("{:016x}", fnv1a64(&bytes)));
                fs::write(file, [size.as_flattened(), &picture.pixels].concat()).unwrap();
                self.on_device += 1;
            }
        }
        self
    }

    fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    fn pictures(&self) -> PathBuf {
        self.root.path().join("pictures")
    }

    fn start(&self, more: &str, settings: &[(&str, &str)]) -> (Finished, PathBuf) {
        let predictions = self.root.path().join("predictions.csv");
        let line = format!(
            "infer --val-dir {} --model-path samples/resnet20-digits.safetensors --model-name resnet20 --batch-size {BATCH} \
             --device cuda --json --predictions {} {more}",
            self.images().display(),
            predictions.display()
        );
        let pictures = self.pictures();
        // Single operations alone: kernels are chosen by their time, and those that fuse round otherwise.
        let own = [("STAND_IN_PICTURES", pictures.to_str().unwrap()), ("STAND_IN_CUDNN", "bare")];
        (tresnet(&line, &[&own[..], settings].concat()), predictions)
    }

    fn run(&self, more: &str, settings: &[(&str, &str)]) -> Run {
        let (finished, predictions) = self.start(more, settings);
        // Some images cannot be read.
        assert_eq!(finished.status, Some(3), "{}{}", finished.stdout, finished.stderr);
        let report = serde_json::from_str(&finished.stdout).unwrap();
        Run { finished, report, predictions: fs::read_to_string(predictions).unwrap() }
    }
}

struct Run {
    finished: Finished,
    report: Value,
    predictions: String,
}

impl Run {
    #[track_caller]
    fn assert_same(&self, expected: &Self) {
        for key in ["images", "correct1", "correct5", "loss", "skipped", "non_finite"] {
            assert_eq!(self.report[key], expected.report[key], "{key}: {}", self.finished.stderr);
        }
        assert!(self.predictions == expected.predictions, "other predictions: {}", self.finished.stderr);
    }

    fn on_gpu(&self) -> u64 {
        self.report["decoded_on_gpu"].as_u64().unwrap()
    }

    fn seconds(&self, what: &str) -> f64 {
        self.report[format!("{what}_seconds")].as_f64().unwrap()
    }
}

const ON_GPU: &str = "--decode gpu --workers 2";

#[test]
fn squares_that_stay_on_the_device_change_no_prediction_in_any_order_of_its_streams() {
    if !on_stand_in_alone() {
        return;
    }
    let folder = Folder::new();
    let expected = folder.run("", &[]);
    assert_eq!((expected.on_gpu(), expected.report["skipped"].as_array().unwrap().len()), (0, 3));
    assert!(expected.report["images"].as_u64().unwrap() as usize > folder.on_device + FIXTURES.len());
    for order in ["late", "early", "copies", "7", "19"] {
        let ours = folder.run(ON_GPU, &[("STAND_IN_ORDER", order)]);
        ours.assert_same(&expected);
        assert_eq!(ours.on_gpu() as usize, folder.on_device, "{order}: {}", ours.finished.stderr);
        for trouble in ["decodes no more", "nvJPEG fails"] {
            assert!(!ours.finished.stderr.contains(trouble), "{}", ours.finished.stderr);
        }
    }
}

#[test]
fn files_with_which_nvjpeg_fails_are_the_processors_and_the_others_stay_the_devices() {
    if !on_stand_in_alone() {
        return;
    }
    let folder = Folder::new();
    let expected = folder.run("", &[]);
    let run = |failing: &str| {
        let run = folder.run(ON_GPU, &[("STAND_IN_FAILING", failing)]);
        run.assert_same(&expected);
        run
    };
    let refused = run("3:3");
    assert!(!refused.finished.stderr.contains("nvJPEG fails"), "{}", refused.finished.stderr);
    assert!(refused.on_gpu() > 0 && (refused.on_gpu() as usize) < folder.on_device);
    // The execution failed, an internal error: the same files, said once.
    for status in [6, 8] {
        let failed = run(&format!("{status}:3"));
        let said = &failed.finished.stderr;
        assert_eq!(said.matches("nvJPEG fails with a file").count(), 1, "{said}");
        assert!(!said.contains("decodes no more"), "{said}");
        assert_eq!(failed.on_gpu(), refused.on_gpu(), "{said}");
    }
    let all = run("6:1");
    let given_up = "decodes no more, from here on the processor does: nvJPEG fails with 16 files in a row: ";
    assert!(all.finished.stderr.contains(given_up), "{}", all.finished.stderr);
    assert_eq!(all.on_gpu(), 0);
}

#[test]
fn a_device_that_is_lost_while_it_decodes_ends_the_run() {
    if !on_stand_in_alone() {
        return;
    }
    let folder = Folder::new();
    // By a kernel behind the decoding, and by the decoding, after which nvJPEG says what it says of a damaged file.
    let by_kernel = (("STAND_IN_LOSE", "resize:3"), "LAUNCH_FAILED", "the GPU ");
    let by_file =
        (("STAND_IN_FAILING", "0:3"), "ILLEGAL_ADDRESS", "nvJPEG fails: the execution failed: the GPU failed");
    for (setting, code, first) in [by_kernel, by_file] {
        let (lost, _) = folder.start(ON_GPU, &[setting, ("STAND_IN_ORDER", "early")]);
        assert_eq!(lost.status, Some(1), "{}{}", lost.stdout, lost.stderr);
        let errors: Vec<&str> = lost.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(code), "{}", lost.stderr);
        let said = format!("decodes no more, from here on the processor does: {first}");
        assert!(lost.stderr.contains(&said), "{}", lost.stderr);
    }
}

#[test]
fn mirror_images_are_made_of_squares_that_are_fetched() {
    if on_stand_in_alone() {
        let folder = Folder::new();
        let ours = folder.run(&format!("{ON_GPU} --tta hflip"), &[]);
        ours.assert_same(&folder.run("--tta hflip", &[]));
        assert_eq!(ours.on_gpu() as usize, folder.on_device);
    }
}

#[test]
fn memory_that_squares_take_is_not_the_networks_and_where_it_runs_out_the_processor_decodes() {
    if !on_stand_in_alone() {
        return;
    }
    let folder = Folder::new();
    let expected = folder.run("", &[]);
    let run = |more: &str, memory: usize| {
        let run = folder.run(more, &[("STAND_IN_MEMORY", &memory.to_string())]);
        run.assert_same(&expected);
        let in_parts = run.finished.stderr.contains("images go through ");
        (run, in_parts)
    };
    // cuDNN's workspace takes 256 MiB of it. The least that a whole batch goes through with, within half of what two
    // batches of squares take.
    let (mut short, mut enough) = (269_500_000, 300_000_000);
    assert!(run("", short).1 && !run("", enough).1);
    while enough - short > BATCH * SIDE * SIDE * 3 {
        let middle = (short + enough) / 2;
        *(if run("", middle).1 { &mut short } else { &mut enough }) = middle;
    }
    let (parts, in_parts) = run(ON_GPU, enough);
    assert!(in_parts && parts.on_gpu() > 0, "{}", parts.finished.stderr);
    // The large picture finds no room, once the network has taken its own.
    let (given_up, in_parts) = run(ON_GPU, enough + 500_000);
    assert!(!in_parts && given_up.finished.stderr.contains("decodes no more"), "{}", given_up.finished.stderr);
    assert!(given_up.on_gpu() > 0 && (given_up.on_gpu() as usize) < folder.on_device);
}

#[test]
fn the_slowest_of_decoding_and_computing_is_named_though_nobody_waits_for_either() {
    if on_stand_in_alone() {
        let folder = Folder::new();
        let usual = folder.run(ON_GPU, &[]);
        assert_eq!(usual.report["bottleneck"], "computing", "{}", usual.finished.stdout);
        let slow = folder.run(ON_GPU, &[("STAND_IN_DECODING", "100")]);
        slow.assert_same(&usual);
        assert_eq!(slow.report["bottleneck"], "loading", "{}", slow.finished.stdout);
        let least = 0.1 * folder.on_device as f64;
        assert!(slow.seconds("gpu_decoding") >= least, "{}", slow.finished.stdout);
        assert!(slow.seconds("waiting") >= least, "{}", slow.finished.stdout);
        assert!(
            slow.seconds("computing") < slow.seconds("gpu_decoding"),
            "decoding passes for computing: {}",
            slow.finished.stdout
        );
    }
}
