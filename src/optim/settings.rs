//! An optimiser by its name.

use anyhow::{Result, bail, ensure};

use super::adam::Adam;
use super::groups::Groups;
use super::lamb::{Lamb, MAX_GRADIENT_NORM};
use super::lion::Lion;
use super::optimizer::{Optimizer, Rule};
use super::sgd::Sgd;
use crate::ops::cuda::optimizer::AdamRules;
use crate::ops::training::{LambRules, Stepper};

/// timm's flags of an optimiser.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSettings {
    /// `--opt`: `sgd` or `nesterov` (both with Nesterov's momentum, as for timm), `momentum` (without), `adam`,
    /// `adamw`, `lamb`, `lion`.
    pub name: String,
    /// `--momentum`, of the SGD family.
    pub momentum: f64,
    /// `--opt-eps`, of the Adam family. Default: 1e-8, LAMB's 1e-6.
    pub epsilon: Option<f64>,
    /// `--opt-betas`. Default: 0.9 and 0.999, Lion's 0.9 and 0.99.
    pub betas: Option<[f64; 2]>,
}

const NAMES: &str = "sgd, nesterov, momentum, adam, adamw, lamb, lion";

impl OptimizerSettings {
    /// # Errors
    ///
    /// If there is no optimiser of that name, or a number is out of its range.
    fn method(&self) -> Result<Method> {
        ensure!((0.0..1.0).contains(&self.momentum), "--momentum must lie in [0, 1), got {}", self.momentum);
        if let Some(betas) = self.betas {
            let valid = betas.iter().all(|beta| (0.0..1.0).contains(beta));
            ensure!(valid, "--opt-betas must lie in [0, 1), got {} {}", betas[0], betas[1]);
        }
        if let Some(epsilon) = self.epsilon {
            ensure!(epsilon >= 0.0, "--opt-eps must not be negative, got {epsilon}");
        }
        let betas = self.betas.unwrap_or([0.9, 0.999]);
        let epsilon = |default: f64| self.epsilon.unwrap_or(default) as f32;
        let sgd = |nesterov| Method::Sgd { momentum: self.momentum as f32, nesterov };
        let adam = |decoupled| Method::Adam { betas, epsilon: epsilon(1e-8), decoupled };
        Ok(match self.name.as_str() {
            "sgd" | "nesterov" => sgd(true),
            "momentum" => sgd(false),
            "adam" => adam(false),
            "adamw" => adam(true),
            "lamb" => Method::Lamb { betas, epsilon: epsilon(1e-6) },
            "lion" => Method::Lion { betas: self.betas.unwrap_or([0.9, 0.99]) },
            name => bail!("there is no optimiser {name:?}; --opt takes one of {NAMES}"),
        })
    }

    /// The CPU's.
    ///
    /// # Errors
    ///
    /// If there is no optimiser of that name, or a number is out of its range.
    pub fn build(&self, groups: Groups) -> Result<Optimizer> {
        let rule: Box<dyn Rule> = match self.method()? {
            Method::Sgd { momentum, nesterov } => Box::new(Sgd { momentum, nesterov }),
            Method::Adam { betas, epsilon, decoupled } => Box::new(Adam { betas, epsilon, decoupled }),
            Method::Lamb { betas, epsilon } => Box::new(Lamb { betas, epsilon }),
            Method::Lion { betas } => Box::new(Lion { betas }),
        };
        Ok(Optimizer::new(rule, groups))
    }

    /// The same on a device.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn stepper(&self) -> Result<Stepper> {
        let single = |betas: [f64; 2]| betas.map(|beta| beta as f32);
        Ok(match self.method()? {
            Method::Sgd { momentum, nesterov } => Stepper::Sgd { momentum, nesterov },
            Method::Adam { betas, epsilon, decoupled } => {
                Stepper::Adam(AdamRules { betas: single(betas), epsilon, decoupled })
            }
            Method::Lamb { betas, epsilon } => {
                Stepper::Lamb(LambRules { betas: single(betas), epsilon, max_norm: MAX_GRADIENT_NORM as f32 })
            }
            Method::Lion { betas } => Stepper::Lion { betas: single(betas) },
        })
    }
}

/// An optimiser with its numbers.
enum Method {
    Sgd { momentum: f32, nesterov: bool },
    Adam { betas: [f64; 2], epsilon: f32, decoupled: bool },
    Lamb { betas: [f64; 2], epsilon: f32 },
    Lion { betas: [f64; 2] },
}
