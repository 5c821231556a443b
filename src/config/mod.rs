//! What was typed becomes what is meant: every default filled in from the model's row, every contradiction found.
//! Below this floor nobody sees a flag, or an `Option` that means "default".

mod bench;
mod infer;
mod numbers;
mod train;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::cli::{InterpolationFlag, RuntimeArgs, UsageError};
use crate::data::{Location, Split, locate};
use crate::models::{self, ModelKwargs, Variant};
use crate::ops::Isa;
use crate::preprocessing::Interpolation;
use crate::runtime::{DeviceRequest, DtypeRequest, Runtime, available_cores};

pub use bench::{BatchSize, BenchSettings, Mode, Subject};
pub use infer::{InferSettings, ResultSettings};
pub use train::{
    AugmentationSettings, DataSettings, EmaSettings, EvalMetric, InitialWeights, ModelSettings, OptimizationSettings,
    OutputSettings, Resume, StartSettings, TrainSettings,
};

/// Images in a batch on the CPU where nobody says otherwise. Larger batches make it no faster and take memory.
const CPU_BATCH_SIZE: usize = 32;

/// Images in a batch where nobody says otherwise; a GPU wants many.
pub fn default_batch_size(runtime: &Runtime) -> usize {
    if runtime.cuda.is_some() { 256 } else { CPU_BATCH_SIZE }
}

/// Device and compute type from `--device`, `--dtype` and `--amp`.
fn runtime(args: &RuntimeArgs) -> Result<Runtime> {
    let device = as_usage(DeviceRequest::from_str(&args.device))?;
    let dtype = match (as_usage(DtypeRequest::from_str(&args.dtype))?, args.amp) {
        (DtypeRequest::Auto, true) => DtypeRequest::AutoHalf,
        (DtypeRequest::F32, true) => {
            return usage("--amp means a half type and --dtype f32 none: leave one of them out");
        }
        (dtype, _) => dtype,
    };
    as_usage(Runtime::choose(device, dtype, Isa::bf16().map(Isa::name)))
}

/// Channels of a decoded image.
const RGB: usize = 3;

/// What `--in-chans` may say: the channels of a decoded image.
fn in_chans(flag: Option<usize>) -> Result<usize> {
    match flag {
        Some(channels) if channels != RGB => {
            usage(format!("--in-chans {channels}: images are decoded to {RGB} channels; leave --in-chans out"))
        }
        _ => Ok(RGB),
    }
}

fn interpolation(flag: InterpolationFlag) -> Interpolation {
    match flag {
        InterpolationFlag::Bilinear => Interpolation::Bilinear,
        InterpolationFlag::Bicubic => Interpolation::Bicubic,
    }
}

/// The row of a model's name.
fn variant(name: &str) -> Result<&'static Variant> {
    as_usage(models::find(name))
}

/// What `--model-kwargs` says.
///
/// # Errors
/// A usage error where it cannot be meant.
pub fn model_kwargs(words: &[String]) -> Result<ModelKwargs> {
    as_usage(ModelKwargs::parse(words.iter().map(String::as_str)).context("--model-kwargs"))
}

/// Threads of the loader. `0`, PyTorch's word for "no worker process", is one thread here.
fn workers(flag: Option<usize>) -> Result<usize> {
    const MOST: usize = 1024;
    match flag {
        Some(workers) if workers > MOST => usage(format!("--workers {workers}: use at most {MOST}")),
        Some(workers) => Ok(workers.max(1)),
        None => Ok(available_cores()),
    }
}

/// Where the split that `flag` names lies.
fn split(path: &Path, split: Split, flag: &str, name: &str) -> Result<Location> {
    as_usage(locate(path, split, Some(name)).with_context(|| format!("{flag} {name}")))
}

/// Where a path leads, whichever way it is written; its file need not be there.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(named).unwrap_or_else(|| path.to_owned())
}

/// A command line that contradicts itself.
fn usage<T>(message: impl Into<String>) -> Result<T> {
    Err(UsageError(message.into()).into())
}

/// An error that is the command line's fault.
fn as_usage<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| UsageError(format!("{error:#}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(device: &str, dtype: &str, amp: bool) -> RuntimeArgs {
        RuntimeArgs { device: device.into(), dtype: dtype.into(), amp }
    }

    #[test]
    fn what_this_build_or_the_flags_rule_out_is_wrong_usage() {
        for (device, dtype, amp) in
            [("cuda", "auto", false), ("tpu", "auto", false), ("cpu", "f16", false), ("cpu", "f32", true)]
        {
            let error = runtime(&args(device, dtype, amp)).unwrap_err();
            assert!(error.is::<UsageError>(), "{device} {dtype} {amp}: {error}");
        }
        assert_eq!(runtime(&args("auto", "auto", false)).unwrap().device_name(), "cpu");
    }

    #[test]
    fn no_workers_means_one_and_a_million_is_refused() {
        assert_eq!(workers(Some(0)).unwrap(), 1);
        assert!(workers(None).unwrap() >= 1);
        assert!(workers(Some(1_000_000)).is_err());
    }
}
