//! `tresnet` evaluates and trains image classifiers: TResNet, the networks its paper compares with, and the ResNets
//! of torch-resnet.
//!
//! The modules stand in floor order: each may use those above it in this list.

pub mod atomic_file;
pub mod cli;
pub mod flat_yaml;
pub mod interrupt;
pub mod metrics;
pub mod preprocessing;
pub mod random;
pub mod runtime;

pub mod ops;

pub mod augment;
pub mod nn;

pub mod data;
pub mod loss;
pub mod models;
pub mod optim;

pub mod checkpoint;
pub mod config;
pub mod evaluate;
pub mod report;

mod create;

pub mod commands;

pub use create::{ModelOptions, create_model, from_weights};
