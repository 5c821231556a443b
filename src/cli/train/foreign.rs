//! timm's flags that have nothing to do here, so that its command lines and its args.yaml are understood.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// A flag of timm's, present or past.
#[derive(Debug)]
pub struct Foreign {
    /// With hyphens.
    pub flag: &'static str,
    takes: Takes,
    pub meaning: Meaning,
}

/// What a flag is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    /// One, or none.
    Perhaps,
    Many,
}

#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// It changes no result: why.
    Nothing(&'static str),
    /// It would change what is trained. Only these values do not; for others, what to do instead.
    Missing { unless: &'static [&'static str], remedy: &'static str },
}

impl Foreign {
    /// The flag of this name, with hyphens or underscores.
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = name.replace('_', "-");
        FOREIGN.iter().find(|foreign| foreign.flag == name)
    }

    /// Why these values cannot be ignored, if they cannot.
    pub fn refusal(&self, values: &[String]) -> Option<String> {
        let Meaning::Missing { unless, remedy } = self.meaning else { return None };
        let same = |value: &str, other: &str| match (value.parse::<f64>(), other.parse::<f64>()) {
            (Ok(value), Ok(other)) => value == other,
            _ => value == other,
        };
        let neutral = |value: &String| unless.iter().any(|other| same(value, other));
        let ignorable = !values.is_empty() && values.iter().all(neutral);
        let flag = self.flag;
        (!ignorable).then(|| format!("--{flag} {}is not to be had here: {remedy}", spaced(values)))
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.flag).long(self.flag).hide(true).help(self.flag);
        let values = |count: std::ops::RangeInclusive<usize>| {
            arg.clone().action(ArgAction::Append).num_args(count).allow_hyphen_values(false)
        };
        match self.takes {
            Takes::Nothing => arg.action(ArgAction::SetTrue),
            Takes::One => values(1..=1),
            Takes::Perhaps => values(0..=1),
            Takes::Many => values(0..=usize::MAX),
        }
    }
}

/// Values with a space after each.
fn spaced(values: &[String]) -> String {
    values.iter().map(|value| format!("{value} ")).collect()
}

/// The foreign flags that were typed, with their values.
#[derive(Clone, Debug, Default)]
pub struct ForeignArgs(pub Vec<(&'static Foreign, Vec<String>)>);

impl Args for ForeignArgs {
    fn augment_args(command: Command) -> Command {
        FOREIGN.iter().fold(command, |command, foreign| command.arg(foreign.arg()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ForeignArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed =
            |foreign: &&Foreign| matches.value_source(foreign.flag) == Some(clap::parser::ValueSource::CommandLine);
        let values = |foreign: &Foreign| match foreign.takes {
            Takes::Nothing => Vec::new(),
            _ => matches.get_many::<String>(foreign.flag).into_iter().flatten().cloned().collect(),
        };
        Ok(Self(FOREIGN.iter().filter(typed).map(|foreign| (foreign, values(foreign))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const ONE_DEVICE: &str = "one process trains on one device";
const OWN_LOADER: &str = "the loader is another";
const OWN_KERNELS: &str = "the kernels are this program's own";
const WANDB: &str = "use --log tensorboard; Weights & Biases can sync its files";
const NAFLEX: &str = "it belongs to --naflex-loader";
const SIZES: &str = "it belongs to --train-img-sizes";
const DISTILLATION: &str = "it belongs to --kd-model-name";
const ONE_SIZE: &str = "images have one size, --input-size";
const OWN_NORMS: &str = "the networks' norms have their own constants";

/// Of `train.py` in April 2020, in the years between, and today (1.0.29).
#[rustfmt::skip]
static FOREIGN: &[Foreign] = &[
    nothing("num-gpu", Takes::One, ONE_DEVICE),
    nothing("local-rank", Takes::One, ONE_DEVICE),
    nothing("dist-bn", Takes::One, ONE_DEVICE),
    nothing("sync-bn", Takes::Nothing, ONE_DEVICE),
    nothing("no-ddp-bb", Takes::Nothing, ONE_DEVICE),
    nothing("synchronize-step", Takes::Nothing, ONE_DEVICE),
    nothing("device-modules", Takes::Many, OWN_KERNELS),
    nothing("channels-last", Takes::Nothing, "it is the only layout here"),
    nothing("fuser", Takes::One, OWN_KERNELS),
    nothing("torchscript", Takes::Nothing, OWN_KERNELS),
    nothing("torchcompile", Takes::Perhaps, OWN_KERNELS),
    nothing("torchcompile-mode", Takes::One, OWN_KERNELS),
    nothing("aot-autograd", Takes::Nothing, OWN_KERNELS),
    nothing("fast-norm", Takes::Nothing, OWN_KERNELS),
    nothing("native-amp", Takes::Nothing, "--amp alone turns half precision on"),
    nothing("apex-amp", Takes::Nothing, "--amp alone turns half precision on"),
    nothing("amp-impl", Takes::One, "--amp alone turns half precision on"),
    nothing("pin-mem", Takes::Nothing, OWN_LOADER),
    nothing("no-prefetcher", Takes::Nothing, OWN_LOADER),
    nothing("use-multi-epochs-loader", Takes::Nothing, OWN_LOADER),
    nothing("worker-seeding", Takes::One, "no random number depends on the thread"),
    nothing("model-ema-force-cpu", Takes::Nothing, "the average lies where the weights are"),
    nothing("dataset-download", Takes::Nothing, "nothing is downloaded"),
    nothing("dataset-trust-remote-code", Takes::Nothing, "nothing is downloaded"),
    nothing("input-key", Takes::One, "a list's header names its columns"),
    nothing("target-key", Takes::One, "a list's header names its columns"),
    nothing("tta", Takes::One, "timm's trainer has not used it for years either"),
    nothing("save-images", Takes::Nothing, "--log tensorboard shows images of the augmented batches"),
    nothing("log-wandb", Takes::Nothing, WANDB),
    nothing("wandb-project", Takes::One, WANDB),
    nothing("wandb-tags", Takes::Many, WANDB),
    nothing("wandb-resume-id", Takes::One, WANDB),
    nothing("naflex-train-seq-lens", Takes::Many, NAFLEX),
    nothing("naflex-max-seq-len", Takes::One, NAFLEX),
    nothing("naflex-patch-sizes", Takes::Many, NAFLEX),
    nothing("naflex-patch-size-probs", Takes::Many, NAFLEX),
    nothing("naflex-loss-scale", Takes::One, NAFLEX),
    nothing("naflex-patchify-channels-first", Takes::Nothing, NAFLEX),
    nothing("train-batch-sizes", Takes::Many, SIZES),
    nothing("train-size-probs", Takes::Many, SIZES),
    nothing("train-size-schedule", Takes::One, SIZES),
    nothing("train-size-schedule-spread", Takes::One, SIZES),
    nothing("train-size-random-mix", Takes::One, SIZES),
    nothing("variable-batch-loss-scale", Takes::One, SIZES),
    nothing("kd-distill-type", Takes::One, DISTILLATION),
    nothing("kd-loss-type", Takes::One, DISTILLATION),
    nothing("distill-loss-weight", Takes::One, DISTILLATION),
    nothing("task-loss-weight", Takes::One, DISTILLATION),
    nothing("kd-temperature", Takes::One, DISTILLATION),
    nothing("kd-student-feature-dim", Takes::One, DISTILLATION),
    nothing("kd-teacher-feature-dim", Takes::One, DISTILLATION),
    nothing("kd-token-distill-type", Takes::One, DISTILLATION),
    missing("kd-model-name", Takes::One, &[], "train without a teacher"),
    missing("naflex-loader", Takes::Nothing, &[], ONE_SIZE),
    missing("train-img-sizes", Takes::Many, &[], ONE_SIZE),
    missing("train-batches-per-epoch", Takes::One, &[], "an epoch is the whole training data"),
    missing("train-steps-per-epoch", Takes::One, &[], "an epoch is the whole training data"),
    missing("train-num-samples", Takes::One, &[], "an epoch is the whole training data"),
    missing("val-num-samples", Takes::One, &[], "validation is on the whole split"),
    missing("epoch-repeats", Takes::One, &["0", "1"], "raise --epochs instead"),
    missing("dataset", Takes::One, &["folder", "ImageFolder"], "DATA_DIR says by its files what it is"),
    missing("input-img-mode", Takes::One, &["RGB"], "images are decoded to RGB"),
    missing("pretrained", Takes::Nothing, &[], "nothing is downloaded; give the file as --pretrained-path"),
    missing("gp", Takes::One, &["fast", "avg"], "the networks pool by the average"),
    missing("opt-kwargs", Takes::Many, &[], "--momentum, --opt-eps and --opt-betas are the optimizers' options"),
    missing("head-init-scale", Takes::One, &["1"], "the head starts as the network's own"),
    missing("head-init-bias", Takes::One, &[], "the head starts as the network's own"),
    missing("model-dtype", Takes::One, &["float32"], "weights are f32; --amp computes in a half type"),
    missing("layer-decay-no-opt-scale", Takes::One, &[], "--freeze keeps layers as they are"),
    missing("color-jitter-prob", Takes::One, &["1"], "--color-jitter is for every image"),
    missing("grayscale-prob", Takes::One, &["0"], "--aa 3a has gray images among its operations"),
    missing("gaussian-blur-prob", Takes::One, &["0"], "--aa 3a has blur among its operations"),
    missing("split-bn", Takes::Nothing, &[], "all copies of --aug-splits share the norms"),
    missing("drop-connect", Takes::One, &["0"], "the networks have no stochastic depth"),
    missing("drop-block", Takes::One, &["0"], "the networks have no DropBlock"),
    missing("bn-tf", Takes::Nothing, &[], OWN_NORMS),
    missing("bn-momentum", Takes::One, &["0.1"], OWN_NORMS),
    missing("bn-eps", Takes::One, &["1e-5"], "--model-kwargs bn_eps tells it to an EfficientNet; others have their own"),
];

const fn nothing(flag: &'static str, takes: Takes, why: &'static str) -> Foreign {
    Foreign { flag, takes, meaning: Meaning::Nothing(why) }
}

const fn missing(flag: &'static str, takes: Takes, unless: &'static [&'static str], remedy: &'static str) -> Foreign {
    Foreign { flag, takes, meaning: Meaning::Missing { unless, remedy } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_training_is_refused_unless_it_says_the_default() {
        let refusal = |flag: &str, values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Foreign::find(flag).unwrap().refusal(&values)
        };
        assert_eq!(refusal("drop_connect", &["0.0"]), None);
        assert_eq!(refusal("bn_eps", &["0.00001"]), None);
        assert_eq!(refusal("num_gpu", &["8"]), None);
        let dropped = refusal("drop-connect", &["0.2"]).unwrap();
        assert_eq!(dropped, "--drop-connect 0.2 is not to be had here: the networks have no stochastic depth");
        let pretrained = refusal("pretrained", &[]).unwrap();
        assert!(pretrained.starts_with("--pretrained is not") && pretrained.contains("--pretrained-path"));
    }
}
