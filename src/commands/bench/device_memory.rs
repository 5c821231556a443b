//! The largest batch that a GPU has room for, by computation. Not yet run on a GPU.

use anyhow::{Context, Result, bail};

use super::device_infer::DeviceInference;
use super::device_step::training;
use super::trial::Trial;
use crate::config::Mode;
use crate::nn::{DeviceTraining, Graph, NormMode, Use, largest_fitting};
use crate::ops::{ConvPass, Shape, convolution_workspace, free_device_memory};

/// Bytes that are left to what nobody here takes (compiled kernels, cuDNN's handles and recorded graphs), and the part of
/// the whole that they are at most.
const LEFT_TO_THE_DRIVER: usize = 512 << 20;
const PART_LEFT: usize = 16;
/// Kernels count the values of a map with as many bits as an i32 has.
const MOST_VALUES: usize = i32::MAX as usize;

/// Images of the largest batch that the row's network should have room for, in one piece; `None` where it has none for one.
///
/// # Errors
/// Where there is no such device, it has less memory than the limit, or the network does not run there.
pub fn largest_batch(trial: &Trial<'_>, mode: Mode, number: usize) -> Result<Option<usize>> {
    let free = free_device_memory(number)?;
    let room = room(free, trial.settings.memory_limit)?;
    let variant = trial.subject.variant;
    let (architecture, image) = (variant.architecture(&trial.request())?, |batch| trial.image(batch));
    match mode {
        Mode::Train => {
            let training = training(variant, architecture, trial.element())?;
            let most = countable(&training.graph, image(1), Use::Training)?;
            largest_fitting(most, room, |batch| training_bytes(&training, image(batch)))
        }
        Mode::Infer => {
            let most = countable(&architecture.graph, image(1), Use::Evaluation)?;
            let network = DeviceInference::new(variant, architecture, number, trial.element())?;
            largest_fitting(most, room, |batch| network.bytes(image(batch)))
        }
        Mode::Load | Mode::EndToEnd => bail!("{} has no largest batch", mode.name()),
    }
}

/// Bytes on the device that training on a batch of `image` takes at least: batch norms work in place where memory is short.
pub fn training_bytes(training: &DeviceTraining, image: Shape) -> Result<usize> {
    Ok(training.training_bytes(image, NormMode::InPlace)? + convolution_workspace())
}

/// Bytes that may be computed with: of what is free, or of the limit.
fn room(free: usize, limit: Option<u64>) -> Result<usize> {
    let limit = limit.map(usize::try_from).transpose().context("--memory-limit is beyond this machine's addresses")?;
    match limit {
        Some(limit) if limit > free => {
            bail!("--memory-limit of {limit} bytes: only {free} are free on the GPU; give less")
        }
        limit => {
            let whole = limit.unwrap_or(free);
            Ok(whole - LEFT_TO_THE_DRIVER.min(whole / PART_LEFT))
        }
    }
}

/// Images of the largest batch whose maps kernels can count, by an image's.
fn countable(graph: &Graph, image: Shape, purpose: Use) -> Result<usize> {
    let mut largest = image.len();
    for problem in graph.conv_problems(image, purpose)? {
        // A gradient's problem has the same maps as the product that it is of.
        if !matches!(problem.pass, ConvPass::WeightGradient) {
            largest = largest.max(problem.input.len()).max(problem.output()?.len());
        }
    }
    Ok(MOST_VALUES / largest.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Request, variants};
    use crate::ops::cuda::Element;

    fn step(name: &str) -> DeviceTraining {
        let variant = variants().find(|variant| variant.name == name).unwrap();
        let architecture = variant.architecture(&Request::new(variant.num_classes, 3)).unwrap();
        training(variant, architecture, Element::F16).unwrap()
    }

    fn image(batch: usize) -> Shape {
        Shape::new(batch, 224, 224, 3)
    }

    #[test]
    fn the_largest_training_batch_fills_the_room_to_the_image() {
        let training = step("tresnet_m");
        let bytes = |batch: usize| training_bytes(&training, image(batch)).unwrap();
        for gib in [8, 16, 24] {
            let room = room(gib << 30, None).unwrap();
            let found = largest_fitting(4096, room, |batch| Ok(bytes(batch))).unwrap().unwrap();
            assert!(bytes(found) <= room && room < bytes(found + 1), "{found} in {gib} GiB");
        }
        // In place a batch norm keeps one map where it would else keep two, and so half as many images more fit.
        let stored = |batch| training.training_bytes(image(batch), NormMode::Stored).unwrap();
        assert!(bytes(64) < stored(64), "{} and {}", bytes(64), stored(64));
    }

    #[test]
    fn a_limit_counts_in_place_of_what_is_free() {
        assert_eq!(room(16 << 30, None).unwrap(), (16 << 30) - LEFT_TO_THE_DRIVER);
        assert_eq!(room(16 << 30, Some(8 << 30)).unwrap(), (8 << 30) - LEFT_TO_THE_DRIVER);
        assert_eq!(room(1 << 20, None).unwrap(), (1 << 20) - (1 << 16));
        let error = room(1 << 30, Some(2 << 30)).unwrap_err().to_string();
        assert!(error.contains("only 1073741824 are free on the GPU"), "{error}");
    }

    #[test]
    fn maps_stay_within_what_kernels_count() {
        let training = step("tresnet_m");
        let most = countable(&training.graph, image(1), Use::Training).unwrap();
        // Its largest map is what the second stage's first convolution gives its blur.
        assert_eq!(most, MOST_VALUES / (56 * 56 * 128));
        let over = training.graph.conv_problems(image(most), Use::Training).unwrap();
        assert!(over.iter().all(|problem| problem.input.len() <= MOST_VALUES));
    }
}
