//! How far a decoder's pixels are from the exact ones, in levels, and what that changes of a network's answers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tresnet::augment::Rgb;
use tresnet::augment::evaluation::Evaluation;
use tresnet::data::loader::{Loader, Options};
use tresnet::data::source::{Reader, Source, open};
use tresnet::models::{Model, find};
use tresnet::ops::squares::Squares;
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::random::splitmix64;

/// Images that are decoded together: enough for nvJPEG to read their codes on the GPU.
const BATCH: usize = 64;
const QUALITY: i32 = 90;

pub fn write_jpeg(path: &Path, picture: &Rgb, sampling: Subsamp) {
    let Rgb { width, height, ref pixels } = *picture;
    let image = Image { pixels: &pixels[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, &turbojpeg::compress(image, QUALITY, sampling).unwrap()[..]).unwrap();
}

/// Waves of several lengths with a little grain, of ImageNet's mean size: three of four with halved colours.
pub fn photographs(count: usize) -> TempDir {
    let (folder, width, height) = (tempfile::tempdir().unwrap(), 500, 375);
    (0..count).into_par_iter().for_each(|number| {
        let value = |at: usize| {
            let (x, y, colour) = ((at / 3 % width) as f32, (at / 3 / width) as f32, (at % 3) as f32);
            let phase = number as f32 + colour;
            let grain = (splitmix64((number << 32 | at) as u64) % 17) as f32 - 8.0;
            let waves =
                45.0 * (x / 97.0 + phase).sin() + 45.0 * (y / 71.0 - phase).cos() + 25.0 * (x / 7.0 + y / 11.0).sin();
            (128.0 + waves + grain) as u8
        };
        let picture = Rgb { width, height, pixels: (0..width * height * 3).map(value).collect() };
        let sampling = if number % 4 == 0 { Subsamp::None } else { Subsamp::Sub2x2 };
        write_jpeg(&folder.path().join(format!("a/{number:04}.jpg")), &picture, sampling);
    });
    folder
}

/// The shipped digits as JPEGs.
pub fn digits() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = open(Path::new("samples/digits-val.tar"), None).unwrap();
    let (mut reader, mut picture) = (Reader::default(), Rgb::default());
    for (index, sample) in source.samples().iter().enumerate() {
        let whole = |width, height| tresnet::augment::Region { left: 0, top: 0, width, height };
        source.load(index, whole, &mut reader, &mut picture).unwrap();
        write_jpeg(&folder.path().join(&sample.path).with_extension("jpg"), &picture, Subsamp::Sub2x2);
    }
    folder
}

/// All squares, and images a second.
fn load(loader: Loader) -> (Vec<u8>, f64) {
    let begun = Instant::now();
    let pixels: Vec<u8> = loader.flat_map(|batch| batch.host_pixels().unwrap().into_owned()).collect();
    (pixels, begun.elapsed().as_secs_f64())
}

struct Loaded {
    exact: Vec<u8>,
    ours: Vec<u8>,
    figures: Value,
}

fn compare(folder: &TempDir, transform: Evaluation, squares: Squares) -> Loaded {
    let source: Arc<Source> = Arc::new(open(folder.path(), None).unwrap());
    let options = Options::new(BATCH, tresnet::runtime::available_cores());
    let (exact, exact_seconds) = load(Loader::new(source.clone(), transform, options.clone()).unwrap());
    let (ours, seconds) = load(Loader::on_device(source.clone(), transform, squares, options).unwrap());
    assert_eq!((ours.len(), exact.len() % source.len()), (exact.len(), 0));
    let levels: Vec<u8> = ours.iter().zip(&exact).map(|(ours, exact)| ours.abs_diff(*exact)).collect();
    let share = |least: u8| levels.iter().filter(|&&level| level >= least).count() as f64 / levels.len() as f64;
    let figures = json!({
        "images": source.len(),
        "largest": levels.iter().max(),
        "mean": levels.iter().map(|&level| f64::from(level)).sum::<f64>() / levels.len() as f64,
        "differing": share(1),
        "by_more_than_two": share(3),
        "img_per_sec": source.len() as f64 / seconds,
        "exact_img_per_sec": source.len() as f64 / exact_seconds,
    });
    Loaded { exact, ours, figures }
}

/// Best classes of squares `[images, side, side, 3]`.
fn best(model: &Model, squares: &[u8], side: usize) -> Vec<u32> {
    let count = squares.len() / (side * side * 3);
    let squares = candle_core::Tensor::from_slice(squares, (count, side, side, 3), &candle_core::Device::Cpu).unwrap();
    model.forward(&squares).unwrap().argmax(1).unwrap().to_vec1().unwrap()
}

/// Photographs' and digits' deviation in levels, and of the digits the answers that change, as one object.
pub fn measure(photographs: &TempDir, squares: impl Fn() -> Squares, model: &Model) -> Value {
    let (mean, std, interpolation) = ([0.0; 3], [1.0; 3], Interpolation::Bilinear);
    let resize_mode = ResizeMode::Crop;
    let usual = Preprocessing { input_size: 224, crop_pct: 0.875, resize_mode, interpolation, mean, std };
    let photographs = compare(photographs, Evaluation::new(&usual).unwrap(), squares());
    let variant = find("resnet20").unwrap();
    let own = variant.preprocessing(variant.preset, variant.input_size);
    let digits = compare(&digits(), Evaluation::new(&own).unwrap(), squares());
    let [exact, ours] = [&digits.exact, &digits.ours].map(|squares| best(model, squares, own.input_size));
    let changed = exact.iter().zip(&ours).filter(|(exact, ours)| exact != ours).count();
    json!({ "photographs": photographs.figures, "digits": digits.figures, "changed_top1": changed })
}

/// The shipped network of the digits, on a CUDA device where one is named.
pub fn digits_model(cuda: Option<usize>) -> Model {
    let weights = "samples/resnet20-digits.safetensors".into();
    let options = tresnet::ModelOptions { pretrained: Some(weights), cuda, ..Default::default() };
    tresnet::create_model("resnet20", &options).unwrap()
}
