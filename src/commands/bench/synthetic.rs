//! Photographs enough for a decoder: JPEGs of ImageNet's mean size with structure at several scales and a little grain.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use turbojpeg::{Image, PixelFormat, Subsamp};

use super::infer::noise;

/// In words, for those who read figures made with them.
pub const WHAT: &str = "256 synthetic JPEGs of 500x375";

const IMAGES: usize = 256;
const CLASSES: usize = 4;
const WIDTH: usize = 500;
const HEIGHT: usize = 375;
/// ImageNet's files have about 110 kB at this size; grain of this strength comes near it.
const QUALITY: i32 = 90;
const GRAIN: i32 = 12;

/// A folder of class folders in the system's place for temporary files, removed when it is dropped.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the images.
    ///
    /// # Errors
    /// Where they cannot be written; the message names the folder.
    pub fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("tresnet-bench-{}", std::process::id()));
        // `create_dir` refuses a place that somebody else has prepared.
        fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let folder = Self { path };
        for class in 0..CLASSES {
            let class = folder.path.join(class.to_string());
            fs::create_dir(&class).with_context(|| format!("cannot make the folder {}", class.display()))?;
        }
        (0..IMAGES).into_par_iter().try_for_each(|number| {
            let file = folder.path.join(format!("{}/{number:03}.jpg", number % CLASSES));
            fs::write(&file, jpeg(number)?).with_context(|| format!("cannot write {}", file.display()))
        })?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies where temporary files are removed anyway.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn jpeg(number: usize) -> Result<Vec<u8>> {
    let pixels = picture(number);
    let format = PixelFormat::RGB;
    let image = Image { pixels: pixels.as_slice(), width: WIDTH, pitch: WIDTH * 3, height: HEIGHT, format };
    Ok(turbojpeg::compress(image, QUALITY, Subsamp::Sub2x2)?.to_vec())
}

/// Sums of smooth waves of different lengths, another mixture for each image, and grain.
fn picture(number: usize) -> Vec<u8> {
    let grain = noise(WIDTH * HEIGHT);
    let phase = number as f32;
    let wave = |x: f32, y: f32, channel: f32| {
        let slow = (x / 97.0 + phase + channel).sin() + (y / 71.0 - phase).cos();
        let fast = (x / 7.0 + y / 11.0 * (phase * 0.37).sin() + channel).sin();
        128.0 + 45.0 * slow + 25.0 * fast
    };
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for (at, &byte) in grain.iter().enumerate() {
        let (x, y) = ((at % WIDTH) as f32, (at / WIDTH) as f32);
        let grain = (i32::from(byte) % (2 * GRAIN + 1) - GRAIN) as f32;
        pixels.extend([0.0, 1.0, 2.0].map(|channel| (wave(x, y, channel) + grain) as u8));
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_as_heavy_as_photographs_and_differ() {
        let (one, other) = (jpeg(0).unwrap(), jpeg(1).unwrap());
        assert_ne!(one, other);
        assert!((60_000..160_000).contains(&one.len()), "{} bytes", one.len());
    }

    #[test]
    fn the_folder_goes_when_it_is_dropped() {
        let folder = Folder::make().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::read_dir(path.join("3")).unwrap().count(), IMAGES / CLASSES);
        drop(folder);
        assert!(!path.exists());
    }
}
