//! Whole passes over a folder, with the device and without.

use std::ffi::c_int;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use tempfile::TempDir;
use tresnet::augment::evaluation::Evaluation;
use tresnet::data::loader::{Batch, Loader, Options, Order, Statistics};
use tresnet::data::source::{Source, open};
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

use crate::behaviour::{self, BAD_JPEG, Behaviour, decode_exactly, file};
use crate::fixtures;
use crate::plain::PLAIN;
use crate::stand_in::StandIn;

/// Every picture that the tests have, and three that cannot be read.
pub fn data_set() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let class = root.path().join("a");
    fs::create_dir(&class).unwrap();
    for entry in fixtures().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if ["jpg", "jpeg", "png", "bmp", "gif", "webp"].contains(&&*ending) {
            fs::copy(&path, class.join(path.file_name().unwrap())).unwrap();
        }
    }
    let whole = fs::read(fixtures().join("baseline-420.jpg")).unwrap();
    for (name, bytes) in [("empty.jpg", &[][..]), ("short.jpg", &whole[..whole.len() / 2]), ("text.png", b"text")] {
        fs::write(class.join(name), bytes).unwrap();
    }
    root
}

fn transform(resize_mode: ResizeMode, interpolation: Interpolation) -> Evaluation {
    let (mean, std) = ([0.0; 3], [1.0; 3]);
    Evaluation::new(&Preprocessing { input_size: 24, crop_pct: 0.875, resize_mode, interpolation, mean, std }).unwrap()
}

/// What a batch is told apart by.
type Seen = (Vec<u8>, Vec<usize>, Vec<usize>, Vec<(String, String)>);

fn seen(batch: Batch) -> Seen {
    let skipped = batch.skipped.iter().map(|skipped| (skipped.path.clone(), skipped.reason.clone())).collect();
    (batch.host_pixels().unwrap().into_owned(), batch.indices.clone(), batch.positions.clone(), skipped)
}

fn drain(mut loader: Loader) -> (Vec<Seen>, Statistics) {
    let batches = loader.by_ref().map(seen).collect();
    (batches, loader.statistics())
}

/// Loads everything on the device and here, requires the same, and returns how many files the device decoded.
fn compare(stand_in: &StandIn, source: &Arc<Source>, transform: Evaluation) -> usize {
    compare_in(stand_in, source, transform, Options::new(7, 2))
}

fn compare_in(stand_in: &StandIn, source: &Arc<Source>, transform: Evaluation, options: Options) -> usize {
    let (expected, _) = drain(Loader::new(source.clone(), transform, options.clone()).unwrap());
    let loader = Loader::on_device(source.clone(), transform, stand_in.squares(), options).unwrap();
    let (ours, statistics) = drain(loader);
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(&expected) {
        assert_eq!((&ours.1, &ours.2, &ours.3), (&expected.1, &expected.2, &expected.3));
        assert!(ours.0 == expected.0, "other pixels in the batch of {:?}", ours.1);
    }
    assert!(statistics.device <= statistics.waited);
    assert_eq!(stand_in.count("alive"), 0, "parts of nvJPEG are left over");
    statistics.on_device
}

pub fn opened(root: &TempDir) -> Arc<Source> {
    Arc::new(open(root.path(), None).unwrap())
}

#[test]
fn with_an_exact_decoder_a_device_loads_what_the_processor_loads() {
    let root = data_set();
    let source = opened(&root);
    for mode in [ResizeMode::Crop, ResizeMode::Squash] {
        for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let stand_in = StandIn::new(Behaviour::default());
            assert_eq!(compare(&stand_in, &source, transform(mode, filter)), PLAIN.len());
            let (hardware, cores) = (stand_in.count("by_hardware"), stand_in.count("by_cores"));
            assert_eq!((hardware + cores, stand_in.count("alone")), (PLAIN.len(), 0));
            assert!(hardware > 0 && cores > 0, "{hardware} by the hardware, {cores} by the cores");
        }
    }
}

pub fn usual() -> Evaluation {
    transform(ResizeMode::Crop, Interpolation::Bilinear)
}

#[test]
fn a_gpu_without_hardware_decoders_decodes_on_its_cores() {
    let root = data_set();
    let stand_in = StandIn::new(Behaviour { has_hardware: 0, ..Behaviour::default() });
    assert_eq!(compare(&stand_in, &opened(&root), usual()), PLAIN.len());
    assert_eq!((stand_in.count("by_hardware"), stand_in.count("by_cores")), (0, PLAIN.len()));
}

/// Whether the bytes are a fixture's.
fn is(bytes: &[u8], name: &str) -> bool {
    fs::read(fixtures().join(name)).unwrap() == bytes
}

/// `nvjpegStatus_t`
const ALLOCATOR_FAILURE: c_int = 5;
const EXECUTION_FAILED: c_int = 6;
const ARCH_MISMATCH: c_int = 7;
const INTERNAL_ERROR: c_int = 8;

/// What nvJPEG says of the portrait.
static REFUSAL: AtomicI32 = AtomicI32::new(BAD_JPEG);

extern "C" fn refuse_the_portrait(bytes: *const u8, length: usize, out: *mut u8, pitch: usize) -> c_int {
    match is(file(bytes, length), "portrait.jpg") {
        true => REFUSAL.load(Ordering::SeqCst),
        false => decode_exactly(bytes, length, out, pitch),
    }
}

#[test]
fn a_file_that_spoils_its_batch_costs_the_device_only_itself_whatever_it_fails_with() {
    let root = data_set();
    for status in [BAD_JPEG, ALLOCATOR_FAILURE, EXECUTION_FAILED, INTERNAL_ERROR] {
        REFUSAL.store(status, Ordering::SeqCst);
        let stand_in = StandIn::new(Behaviour { decode: refuse_the_portrait, ..Behaviour::default() });
        assert_eq!(compare(&stand_in, &opened(&root), usual()), PLAIN.len() - 1, "status {status}");
        let batches = stand_in.count("by_hardware") + stand_in.count("by_cores");
        assert_eq!(batches + stand_in.count("alone"), PLAIN.len() - 1, "status {status}");
    }
}

/// What nvJPEG says of every file, and how often it has.
static FAILURE: AtomicI32 = AtomicI32::new(EXECUTION_FAILED);
static FAILED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn fail(_: *const u8, _: usize, _: *mut u8, _: usize) -> c_int {
    FAILED.fetch_add(1, Ordering::SeqCst);
    FAILURE.load(Ordering::SeqCst)
}

#[test]
fn a_device_on_which_nothing_is_decoded_leaves_the_rest_to_the_processor() {
    let root = data_set();
    // Sixteen files, each of which may have been in two batches before; or the very first.
    for (status, most) in [(EXECUTION_FAILED, 48), (INTERNAL_ERROR, 48), (ARCH_MISMATCH, 1)] {
        FAILURE.store(status, Ordering::SeqCst);
        FAILED.store(0, Ordering::SeqCst);
        let stand_in = StandIn::new(Behaviour { decode: fail, ..Behaviour::default() });
        let source = opened(&root);
        let often: Arc<[u32]> = (0..source.len() as u32).cycle().take(4 * source.len()).collect();
        let options = Options { order: Order::Given(often), ..Options::new(7, 2) };
        assert_eq!(compare_in(&stand_in, &source, usual(), options), 0);
        let failed = FAILED.load(Ordering::SeqCst);
        assert!((1..=most).contains(&failed), "status {status}: tried {failed} times");
    }
}

extern "C" fn one_wider(bytes: *const u8, length: usize, width: *mut c_int, height: *mut c_int) -> c_int {
    let status = behaviour::size(bytes, length, width, height);
    if is(file(bytes, length), "tiny.jpg") {
        // SAFETY: the stand-in's caller gives at least one int.
        unsafe { *width += 1 };
    }
    status
}

#[test]
fn a_file_whose_size_nvjpeg_reads_otherwise_never_reaches_its_memory() {
    let root = data_set();
    let stand_in = StandIn::new(Behaviour { size: one_wider, ..Behaviour::default() });
    assert_eq!(compare(&stand_in, &opened(&root), usual()), PLAIN.len() - 1);
}
