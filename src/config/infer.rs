//! The settings of an evaluation.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    as_usage, default_batch_size, in_chans, interpolation, model_kwargs, numbers, place, runtime, split, usage,
    variant, workers,
};
use crate::cli::{DecodeFlag, InferArgs, PreprocessingArgs, PresetFlag, ResizeModeFlag, ResultArgs, ScoresFlag};
use crate::data::{Location, Split};
use crate::metrics::ScoreKind;
use crate::models::{ModelKwargs, Request, Variant};
use crate::preprocessing::{Preprocessing, Preset, ResizeMode};
use crate::runtime::Runtime;

/// Everything that `tresnet infer` needs to know.
pub struct InferSettings {
    pub variant: &'static Variant,
    /// What else the network is told.
    pub kwargs: ModelKwargs,
    pub preset: Preset,
    pub preprocessing: Preprocessing,
    /// As it was typed.
    pub val_dir: PathBuf,
    /// Which of its images.
    pub images: Location,
    pub class_map: Option<PathBuf>,
    pub model_path: PathBuf,
    /// `None`: the checkpoint knows.
    pub num_classes: Option<usize>,
    pub use_ema: bool,
    /// At most so many images, from the first.
    pub limit: usize,
    pub batch_size: usize,
    pub workers: usize,
    /// The CUDA device that decodes JPEGs, where it is not the processor.
    pub decode: Option<usize>,
    /// Average the logits of each image and of its mirror image.
    pub mirror: bool,
    pub results: ResultSettings,
    pub runtime: Runtime,
}

/// What is written where.
pub struct ResultSettings {
    pub predictions: Option<PathBuf>,
    pub topk: usize,
    pub scores: ScoreKind,
    pub results_file: Option<PathBuf>,
    /// JSON on the standard output instead of the summary.
    pub json: bool,
    /// Batches between plain lines of progress.
    pub log_interval: usize,
}

impl InferSettings {
    /// Fills in what the command line leaves out.
    ///
    /// # Errors
    /// Usage errors: an unknown model, a device that is not there, values that contradict each other.
    pub fn resolve(args: InferArgs) -> Result<Self> {
        let runtime = runtime(&args.runtime)?;
        let variant = variant(&args.model_name)?;
        let preset = match args.preprocessing.preset {
            Some(PresetFlag::Paper) => Preset::Paper,
            Some(PresetFlag::Timm) => Preset::Timm,
            None => variant.preset,
        };
        let kwargs = model_kwargs(&args.model_kwargs)?;
        let request = Request { kwargs, ..Request::new(variant.num_classes, in_chans(args.in_chans)?) };
        as_usage(variant.architecture(&request).context("--model-kwargs"))?;
        let images = match &args.split {
            Some(name) => split(&args.val_dir, Split::Val, "--split", name)?,
            None => Location::whole(args.val_dir.clone()),
        };
        let decode = match (args.loading.decode, runtime.cuda) {
            (DecodeFlag::Cpu, _) => None,
            (DecodeFlag::Gpu, Some(number)) => Some(number),
            (DecodeFlag::Gpu, None) => {
                return usage("--decode gpu: images are decoded where the network runs; add --device cuda");
            }
        };
        let results = ResultSettings::resolve(args.results)?;
        results.spare(&[
            ("--val-dir", Some(args.val_dir.as_path())),
            ("--model-path", Some(args.model_path.as_path())),
            ("--class-map", args.loading.class_map.as_deref()),
        ])?;
        Ok(Self {
            variant,
            kwargs,
            preset,
            images,
            preprocessing: preprocessing(&args.preprocessing, variant, preset)?,
            val_dir: args.val_dir,
            class_map: args.loading.class_map,
            model_path: args.model_path,
            num_classes: args.num_classes,
            use_ema: args.use_ema,
            limit: args.loading.limit.unwrap_or(usize::MAX),
            batch_size: args.loading.batch_size.unwrap_or_else(|| default_batch_size(&runtime)),
            workers: workers(args.loading.workers)?,
            decode,
            mirror: args.loading.tta.is_some(),
            results,
            runtime,
        })
    }
}

impl ResultSettings {
    fn resolve(args: ResultArgs) -> Result<Self> {
        let place_of = |path: &Option<PathBuf>| path.as_deref().map(place);
        if args.predictions.is_some() && place_of(&args.predictions) == place_of(&args.results_file) {
            return usage("--predictions and --results-file name the same file: give each its own");
        }
        Ok(Self {
            predictions: args.predictions,
            topk: args.topk,
            scores: match args.scores {
                ScoresFlag::Prob => ScoreKind::Probability,
                ScoresFlag::Logit => ScoreKind::Logit,
            },
            results_file: args.results_file,
            json: args.json,
            log_interval: args.log_interval,
        })
    }
}

impl ResultSettings {
    /// Refuses to write over a file that is read.
    fn spare(&self, inputs: &[(&str, Option<&Path>)]) -> Result<()> {
        let outputs = [("--predictions", &self.predictions), ("--results-file", &self.results_file)];
        for (output, path) in outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))) {
            let read = inputs.iter().find(|(_, input)| input.is_some_and(|input| place(input) == place(path)));
            if let Some((input, _)) = read {
                return usage(format!("{output} {}: it would replace the file of {input}", path.display()));
            }
        }
        Ok(())
    }
}

/// The model's preprocessing under a preset, as the flags alter it.
fn preprocessing(args: &PreprocessingArgs, variant: &Variant, preset: Preset) -> Result<Preprocessing> {
    let input_size = args.input_size.unwrap_or(variant.input_size);
    let mut chosen = variant.preprocessing(preset, input_size);
    if let Some(share) = args.val_zoom_factor {
        chosen.crop_pct = numbers::crop_share("--val-zoom-factor", share)?;
    }
    if let Some(filter) = args.interpolation {
        chosen.interpolation = interpolation(filter);
    }
    if let Some(mode) = args.resize_mode {
        chosen.resize_mode = match mode {
            ResizeModeFlag::Crop => ResizeMode::Crop,
            ResizeModeFlag::Squash => ResizeMode::Squash,
        };
    }
    if let Some(mean) = &args.mean {
        chosen.mean = numbers::three("--mean", mean)?;
    }
    if let Some(std) = &args.std {
        chosen.std = numbers::deviations("--std", std)?;
    }
    if chosen.resize_mode == ResizeMode::Squash && args.val_zoom_factor.is_some() {
        return usage(
            "--val-zoom-factor has no meaning where both sides are squashed; add --resize-mode crop or leave it out",
        );
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command, UsageError};
    use crate::preprocessing::Interpolation;

    fn resolved(flags: &str) -> Result<InferSettings> {
        let line = format!("tresnet infer --val_dir=v --model_path=m.pth {flags}");
        let parsed = cli::parse(line.split_whitespace().map(Into::into))?;
        let Command::Infer(args) = parsed.command else { unreachable!("the line says infer") };
        InferSettings::resolve(*args)
    }

    #[test]
    fn the_originals_command_line_means_the_originals_preprocessing() {
        let settings = resolved(
            "--model_name=tresnet_m --num_classes=1000 --input_size=224 --val_zoom_factor=0.875 --batch_size=48 \
             --num_workers=8 --remove_aa_jit",
        );
        let settings = settings.unwrap();
        assert_eq!(settings.variant.name, "tresnet_m");
        assert_eq!((settings.batch_size, settings.workers, settings.num_classes), (48, 8, Some(1000)));
        let Preprocessing { input_size, crop_pct, resize_mode, interpolation, .. } = settings.preprocessing;
        assert_eq!((input_size, crop_pct), (224, 0.875));
        assert_eq!((resize_mode, interpolation), (ResizeMode::Crop, Interpolation::Bilinear));
    }

    #[test]
    fn the_papers_448_squashes_and_timms_crops() {
        let mode = |flags: &str| resolved(flags).unwrap().preprocessing.resize_mode;
        assert_eq!(mode("--input-size 448"), ResizeMode::Squash);
        assert_eq!(mode("--model-name tresnet_l_448"), ResizeMode::Squash);
        assert_eq!(mode("--model-name tresnet_l_448 --preset timm"), ResizeMode::Crop);
        assert_eq!(mode("--model-name tresnet_m.miil_in1k_448"), ResizeMode::Crop);
        assert_eq!(mode("--model-name tresnet_m_448 --input-size 224"), ResizeMode::Crop);
        assert_eq!(mode("--input-size 448 --resize-mode crop"), ResizeMode::Crop);
    }

    #[test]
    fn flags_win_over_the_models_row() {
        let flags = "--mean 0.485,0.456,0.406 --std 0.229 0.224 0.225 --interpolation bicubic --crop-pct 0.95 -b=190";
        let settings = resolved(flags).unwrap();
        assert_eq!(settings.preprocessing.mean, [0.485, 0.456, 0.406]);
        assert_eq!(settings.preprocessing.std, [0.229, 0.224, 0.225]);
        assert_eq!(settings.preprocessing.interpolation, Interpolation::Bicubic);
        assert_eq!((settings.preprocessing.crop_pct, settings.batch_size), (0.95, 190));
    }

    #[test]
    fn a_networks_arguments_are_read() {
        let settings = resolved("--model ResNet18 --model-kwargs small_images=True width=2").unwrap();
        let expected = ModelKwargs { small_images: Some(true), width: Some(2), ..ModelKwargs::default() };
        assert_eq!(settings.kwargs, expected);
    }

    #[test]
    fn contradictions_are_wrong_usage() {
        for flags in [
            "--model-name tresnet_q",
            "--std 0,1,1",
            "--mean 1,2",
            "--crop-pct 1.5",
            "--input-size 448 --crop-pct 0.9",
            "--in-chans 1",
            "--model-kwargs width=2",
            "--model-name resnet20 --model-kwargs width=two",
            "--predictions a.csv --results-file a.csv",
            "--predictions a.csv --results-file src/../a.csv",
            "--predictions v.csv --val-dir ./v.csv",
            "--results-file m.pth",
            "--results-file ./m.json --class-map m.json",
            "--device cuda:0",
            "--decode gpu",
        ] {
            let error = resolved(flags).err().unwrap();
            assert!(error.is::<UsageError>(), "{flags}: {error}");
        }
    }

    #[test]
    fn numbers_that_must_not_be_zero_are_refused_while_parsing() {
        for flag in ["--limit", "--batch-size", "--topk", "--input-size", "--log-interval", "--num-classes"] {
            let error = resolved(&format!("{flag} 0")).err().unwrap();
            assert!(error.to_string().contains(flag), "{flag}: {error}");
        }
    }
}
