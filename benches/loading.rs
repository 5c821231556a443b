//! Times the loader on a folder: `cargo bench --bench loading -- FOLDER [WORKERS [REPEATS]] [--training]`. Prints the
//! images a second of each repeat, one a line; `scripts/bench-loading.py` runs it beside torchvision's loader, and
//! `scripts/bench-training-loading.py` beside timm's: everything that TResNet's recipe does to a training batch.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tresnet::augment::erase::{EraseMode, RandomErasing};
use tresnet::augment::evaluation::Evaluation;
use tresnet::augment::mixing::{Mixing, MixingMode, MixingSettings};
use tresnet::augment::training::{Training, TrainingSettings};
use tresnet::augment::{OfEpoch, mix_batch};
use tresnet::data::loader::{Batch, Loader, Options};
use tresnet::data::sampler::Sampler;
use tresnet::data::source::{self, Source};
use tresnet::ops::{Normalize, Shape};
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};
use tresnet::random::Draws;

const SIDE: usize = 224;
const BATCH: usize = 50;
const SEED: u64 = 42;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let Some(folder) = words.first() else {
        println!("nothing timed: give a folder of class folders (scripts/bench-loading.sh makes one)");
        return Ok(());
    };
    let number = |at: usize| words.get(at).map_or(Ok(1), |text| text.parse()).context("not a number");
    let (workers, repeats) = (number(1)?, number(2)?);
    let training = flags.iter().any(|flag| flag == "--training");

    let source = Arc::new(source::open(Path::new(folder), None)?);
    for epoch in 0..repeats as u64 {
        let begun = Instant::now();
        let images =
            if training { training_pass(&source, workers, epoch)? } else { evaluation_pass(&source, workers)? };
        ensure!(images == source.len(), "{} images could not be read", source.len() - images);
        println!("{:.1}", images as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn evaluation_pass(source: &Arc<Source>, workers: usize) -> Result<usize> {
    let transform = Evaluation::new(&Preprocessing {
        input_size: SIDE,
        crop_pct: 0.875,
        resize_mode: ResizeMode::Crop,
        interpolation: Interpolation::Bilinear,
        mean: [0.0; 3],
        std: [1.0; 3],
    })?;
    let loader = Loader::new(source.clone(), transform, Options::new(BATCH, workers))?;
    Ok(loader.map(|batch| batch.size).sum())
}

/// The recipe of TResNet's authors: `--aa=rand-m9-mstd0.5-inc1 --mixup=0.2 --reprob=0.4 --remode=pixel`.
fn training_pass(source: &Arc<Source>, workers: usize, epoch: u64) -> Result<usize> {
    let settings =
        TrainingSettings { auto_augment: Some("rand-m9-mstd0.5-inc1".into()), ..TrainingSettings::default() };
    let transform = OfEpoch { transform: Training::new(&settings, SIDE, [0.0; 3])?, seed: SEED, epoch, copies: 1 };
    let order = Sampler::new(source.len(), SEED, 1)?.order(epoch);
    let mixing = Mixing::new(MixingSettings {
        mixup: 0.2,
        cutmix: 0.0,
        cutmix_minmax: None,
        probability: 1.0,
        switch_probability: 0.5,
        mode: MixingMode::Batch,
        off_epoch: 0,
    })?;
    let erasing = RandomErasing::new(0.4, EraseMode::Pixel, 1)?;
    let mut floats = Vec::new();
    let mut images = 0;
    for mut batch in Loader::new(source.clone(), transform, Options { order, ..Options::new(BATCH, workers) })? {
        if let Some(mixing) = &mixing {
            mix(mixing, &mut batch, epoch);
        }
        normalize_and_erase(&erasing, &batch, epoch, &mut floats);
        images += batch.size;
    }
    Ok(images)
}

fn mix(mixing: &Mixing, batch: &mut Batch, epoch: u64) {
    let mut draws = Draws::new(SEED, epoch, batch.covers.start as u64, "mixing");
    let mixes = mixing.draw(epoch, batch.size, SIDE, SIDE, &mut draws);
    mix_batch(&mut batch.pixels, &mixes, SIDE, SIDE);
}

fn normalize_and_erase(erasing: &RandomErasing, batch: &Batch, epoch: u64, floats: &mut Vec<f32>) {
    let shape = Shape::new(batch.size, SIDE, SIDE, 3);
    floats.resize(shape.len(), 0.0);
    Normalize::new(&[0.0; 3], &[1.0; 3]).forward(&batch.pixels, shape, 1, floats);
    for (image, &position) in floats.chunks_exact_mut(shape.image_len()).zip(&batch.positions) {
        let mut draws = Draws::new(SEED, epoch, position as u64, "erasing");
        for erase in erasing.draw(SIDE, SIDE, &mut draws) {
            erase.apply(image, SIDE);
        }
    }
}
