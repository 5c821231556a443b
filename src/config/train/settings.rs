//! What a training run does, with everything decided: nothing here is a flag, and no `None` stands for a default.

use std::path::PathBuf;

use crate::augment::erase::RandomErasing;
use crate::augment::mixing::Mixing;
use crate::augment::training::TrainingSettings;
use crate::data::Location;
use crate::flat_yaml::Settings;
use crate::loss::Criterion;
use crate::models::{ModelKwargs, Request, Variant};
use crate::nn::NormChoice;
use crate::optim::{Clip, Goal, GroupOptions, OptimizerSettings, ScheduleOptions};
use crate::preprocessing::Preprocessing;
use crate::runtime::Runtime;

/// Everything that `tresnet train` needs to know.
#[derive(Clone)]
pub struct TrainSettings {
    pub model: ModelSettings,
    pub data: DataSettings,
    /// How validation prepares its images. Its input size, mean and deviation are training's too.
    pub evaluation: Preprocessing,
    pub augmentation: AugmentationSettings,
    pub criterion: Criterion,
    /// Smoothing of labels, in [0, 1): what the soft targets of mixed images are smoothed by. `criterion` holds it too,
    /// where it is the one to smooth.
    pub smoothing: f64,
    pub optimization: OptimizationSettings,
    pub schedule: ScheduleOptions,
    /// The moving average of the weights, where one is kept; validation and checkpoints are then about the average.
    pub ema: Option<EmaSettings>,
    pub runtime: Runtime,
    /// Whether the network computes in a half type: `runtime.dtype` is then not f32. Weights are f32 in any case.
    pub amp: bool,
    pub seed: u64,
    /// On CUDA: only kernels whose sums have one order. All others have.
    pub deterministic: bool,
    pub output: OutputSettings,
    pub start: StartSettings,
    /// All of this by timm's names, as a file that `-c` reads back to the same settings.
    pub record: Settings,
    /// What the user should hear before the run: flags that do nothing, and settings that contradict a habit.
    pub warnings: Vec<String>,
}

/// The network and what it starts from.
#[derive(Clone)]
pub struct ModelSettings {
    pub variant: &'static Variant,
    /// `None`: as many as the training data has.
    pub num_classes: Option<usize>,
    /// Channels of an image.
    pub in_chans: usize,
    /// What else the network is told.
    pub kwargs: ModelKwargs,
    pub weights: InitialWeights,
    /// One flag for each parameter of the graph, running statistics included: whether it keeps its values. Not all
    /// trainable ones are set.
    pub frozen: Vec<bool>,
    /// Forget the activations within blocks and compute them again in the backward pass.
    pub grad_checkpointing: bool,
    /// How batch norms go forward on CUDA.
    pub norms: NormChoice,
    /// Share of the embedding that is dropped before the classifier, in [0, 1).
    pub drop: f64,
    /// Share of the last block's branches that are dropped, in [0, 1).
    pub drop_path: f64,
}

impl ModelSettings {
    /// What the network is made for when it tells `num_classes` apart.
    pub fn request(&self, num_classes: usize) -> Request {
        Request { num_classes, in_chans: self.in_chans, kwargs: self.kwargs }
    }
}

/// Where the weights come from when no run is resumed. `use_ema`: from the moving average, where the file holds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialWeights {
    /// The network's own initialisation, from the run's seed.
    Random,
    /// `--initial-checkpoint`: every tensor must fit.
    Exact { file: PathBuf, use_ema: bool },
    /// `--pretrained-path`: where the file's head tells another number of classes apart, the head starts afresh.
    Pretrained { file: PathBuf, use_ema: bool },
}

/// Which images are read, and how they are batched.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSettings {
    pub train: Location,
    pub val: Location,
    pub class_map: Option<PathBuf>,
    /// Threads that decode and augment.
    pub workers: usize,
    /// Images read for a training batch; the network sees `aug_splits` times as many. An incomplete last batch is left
    /// out, as by timm.
    pub batch_size: usize,
    pub validation_batch_size: usize,
    /// Batches whose gradients are averaged for one step of the optimiser.
    pub grad_accum_steps: usize,
    /// Times that an image comes in a row, augmented differently each time (Hoffer et al., arXiv 1901.09335); 1 is once.
    /// An epoch has as many images as without: it sees fewer different ones.
    pub aug_repeats: usize,
    /// Copies of each image in a batch, 1 for none: the first copy of every image, then the second of every one. The
    /// first is cropped and flipped only, the others augmented as well.
    pub aug_splits: usize,
}

/// What happens to training images alone.
#[derive(Clone, Debug, PartialEq)]
pub struct AugmentationSettings {
    pub transform: TrainingSettings,
    pub erasing: Option<RandomErasing>,
    /// Whether nothing is erased in the first copies of `aug_splits`.
    pub spare_first: bool,
    pub mixing: Option<Mixing>,
}

/// How a step changes the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizationSettings {
    pub optimizer: OptimizerSettings,
    pub groups: GroupOptions,
    /// The schedule's highest rate.
    pub lr: f64,
    pub clip: Option<Clip>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmaSettings {
    /// The share of the average that stays in an update.
    pub decay: f64,
    /// Whether the decay rises to that from 0.
    pub warmup: bool,
}

/// What is written where, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// Where the folders of experiments lie.
    pub root: PathBuf,
    /// The folder's name under `root`; `None` asks for one of time, model and input size.
    pub experiment: Option<String>,
    /// Epochs whose weights are kept, the best ones.
    pub checkpoint_hist: usize,
    /// Steps between saves of the run's state within an epoch; `None` saves at its end alone.
    pub recovery_interval: Option<u64>,
    /// Steps between plain lines of progress.
    pub log_interval: u64,
    /// Epochs between validations; the last epoch always has one.
    pub val_interval: u64,
    pub eval_metric: EvalMetric,
    /// Whether event files for TensorBoard are written.
    pub tensorboard: bool,
    /// Images of an augmented batch that TensorBoard is shown each epoch; 0 shows none.
    pub sample_images: usize,
}

/// What decides which epoch is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalMetric {
    Top1,
    Top5,
    Loss,
}

impl EvalMetric {
    /// Which way it improves.
    pub fn goal(self) -> Goal {
        match self {
            Self::Top1 | Self::Top5 => Goal::Highest,
            Self::Loss => Goal::Lowest,
        }
    }
}

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSettings {
    pub resume: Resume,
    /// The epoch to begin with, whatever the resumed state says; `None` leaves it to that, or to 0.
    pub epoch: Option<u64>,
    /// Whether a resumed run starts with a new optimiser (`--no-resume-opt`).
    pub new_optimizer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// A new run.
    No,
    /// From the experiment's own folder where it holds a state, else a new run.
    Auto,
    /// From a state, or from timm's `.pth.tar`.
    From(PathBuf),
}
