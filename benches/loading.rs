//! Times the loader on a folder: `cargo bench --bench loading -- FOLDER [WORKERS [REPEATS]]`. Prints the images a
//! second of each repeat, one a line; `scripts/bench-loading.py` runs it beside torchvision's loader.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tresnet::augment::evaluation::Evaluation;
use tresnet::data::loader::{Loader, Options};
use tresnet::data::source;
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(folder) = arguments.next() else {
        println!("nothing timed: give a folder of class folders (scripts/bench-loading.sh makes one)");
        return Ok(());
    };
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse()).context("not a number");
    let (workers, repeats) = (number(1)?, number(1)?);

    let source = Arc::new(source::open(Path::new(&folder), None)?);
    let transform = Evaluation::new(&Preprocessing {
        input_size: 224,
        crop_pct: 0.875,
        resize_mode: ResizeMode::Crop,
        interpolation: Interpolation::Bilinear,
        mean: [0.0; 3],
        std: [1.0; 3],
    })?;
    for _ in 0..repeats {
        let begun = Instant::now();
        let mut loader = Loader::new(source.clone(), transform, Options::new(50, workers))?;
        let images: usize = loader.by_ref().map(|batch| batch.size).sum();
        ensure!(images == source.len(), "{} images could not be read", source.len() - images);
        println!("{:.1}", images as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(())
}
