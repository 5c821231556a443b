//! How the weights are changed: optimizer, learning rate, loss.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::at_least_one;

/// The optimizer and what it does to gradients and averages.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Optimizer")]
pub struct OptimizerArgs {
    /// sgd (with Nesterov's momentum, as timm's), momentum (without), adam, adamw, lamb or lion
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    pub opt: String,
    /// Momentum of sgd and momentum
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub momentum: f64,
    /// Decay of every weight; biases and the parameters of norms have none
    #[arg(long, value_name = "RATE", default_value_t = 2e-5)]
    pub weight_decay: f64,
    /// Added to the divisor of Adam and its kin [default: 1e-8, lamb's 1e-6]
    #[arg(long, value_name = "NUMBER")]
    pub opt_eps: Option<f64>,
    /// Shares that the moving averages of Adam and its kin keep: two numbers [default: 0.9 0.999, lion's 0.9 0.99]
    #[arg(long, value_name = "SHARE", num_args = 1..=2, value_delimiter = ',')]
    pub opt_betas: Option<Vec<f64>>,
    /// Each layer learns this much more slowly than the one after it [default: all alike]
    #[arg(long, value_name = "FACTOR")]
    pub layer_decay: Option<f64>,
    /// But none more slowly than this
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    pub layer_decay_min_scale: f64,
    /// Clip gradients at this [default: no clipping]
    #[arg(long, value_name = "LIMIT")]
    pub clip_grad: Option<f64>,
    /// What --clip-grad limits: the norm of all, each value, or each unit's share of its weights (agc)
    #[arg(long, value_name = "MODE", default_value = "norm")]
    pub clip_mode: ClipModeFlag,
    /// Keep a moving average of the weights; it is what validation and checkpoints are then about
    #[arg(long)]
    pub model_ema: bool,
    /// The share of the average that stays in a step
    #[arg(long, value_name = "SHARE", default_value_t = 0.9998)]
    pub model_ema_decay: f64,
    /// Let that share rise from 0 over the first steps
    #[arg(long)]
    pub model_ema_warmup: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClipModeFlag {
    Norm,
    Value,
    Agc,
}

/// The learning rate over the run.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Learning rate")]
pub struct ScheduleArgs {
    /// Highest learning rate, as it is [default: --lr-base in proportion to the batch]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Highest learning rate of a batch of --lr-base-size, accumulated batches counted together [default: 0.1]
    #[arg(long, value_name = "RATE")]
    pub lr_base: Option<f64>,
    /// The batch that --lr-base is meant for
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    pub lr_base_size: usize,
    /// How the rate grows with the batch [default: sqrt for names with ada or lamb, else linear]
    #[arg(long, value_name = "SCALE")]
    pub lr_base_scale: Option<LrScaleFlag>,
    /// cosine, tanh, poly, step, multistep, plateau, or torch-resnet (that project's for CIFAR)
    #[arg(long, value_name = "NAME", default_value = "cosine")]
    pub sched: String,
    /// Change the rate with each step instead of each epoch
    #[arg(long)]
    pub sched_on_updates: bool,
    /// Epochs to train
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub epochs: u64,
    /// Epochs in which the rate rises from --warmup-lr; they count among --epochs
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub warmup_epochs: u64,
    /// Rate of the first epoch of the warm-up
    #[arg(long, value_name = "RATE", default_value_t = 1e-5)]
    pub warmup_lr: f64,
    /// Let the warm-up come before --epochs
    #[arg(long)]
    pub warmup_prefix: bool,
    /// Lowest rate
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub min_lr: f64,
    /// Epochs at --min-lr after --epochs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cooldown_epochs: u64,
    /// Epochs from fall to fall, of step
    #[arg(long, value_name = "N", default_value_t = 90.0)]
    pub decay_epochs: f64,
    /// Factor of a fall; power of poly
    #[arg(long, visible_alias = "dr", value_name = "FACTOR", default_value_t = 0.1)]
    pub decay_rate: f64,
    /// Epochs of the falls, of multistep
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',', default_values_t = [90, 180, 270])]
    pub decay_milestones: Vec<u64>,
    /// Epochs without improvement before a fall, of plateau
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub patience_epochs: u32,
    /// Length of a cycle in terms of the one before it
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub lr_cycle_mul: f64,
    /// Highest rate of a cycle in terms of the one before it
    #[arg(long, value_name = "FACTOR", default_value_t = 0.5)]
    pub lr_cycle_decay: f64,
    /// Number of cycles
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub lr_cycle_limit: u64,
    /// Bends the time of cosine and poly
    #[arg(long, value_name = "POWER", default_value_t = 1.0)]
    pub lr_k_decay: f64,
    /// Share of the run where noise on the rate begins, and where it ends [default: no noise]
    #[arg(long, value_name = "SHARE", num_args = 1..=2, value_delimiter = ',')]
    pub lr_noise: Option<Vec<f64>>,
    /// Greatest relative noise
    #[arg(long, value_name = "SHARE", default_value_t = 0.67)]
    pub lr_noise_pct: f64,
    /// Deviation of the noise
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub lr_noise_std: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LrScaleFlag {
    Linear,
    Sqrt,
}

/// What is minimised.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Loss")]
pub struct LossArgs {
    /// Share of each label that is spread over all classes
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub smoothing: f64,
    /// Binary cross-entropy of each class on its own
    #[arg(long)]
    pub bce_loss: bool,
    /// Sum it over the classes instead of averaging
    #[arg(long)]
    pub bce_sum: bool,
    /// Make its targets above this 1 and the others 0
    #[arg(long, value_name = "NUMBER")]
    pub bce_target_thresh: Option<f64>,
    /// What a positive counts more than a negative in it
    #[arg(long, value_name = "FACTOR")]
    pub bce_pos_weight: Option<f64>,
    /// Cross-entropy and the Jensen-Shannon divergence between the copies of --aug-splits
    #[arg(long, alias = "jsd")]
    pub jsd_loss: bool,
}
