//! An optimiser by its name.

use anyhow::{Result, bail, ensure};

use super::adam::Adam;
use super::groups::Groups;
use super::lamb::Lamb;
use super::lion::Lion;
use super::optimizer::{Optimizer, Rule};
use super::sgd::Sgd;

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
    pub fn build(&self, groups: Groups) -> Result<Optimizer> {
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
        let sgd = |nesterov| Box::new(Sgd { momentum: self.momentum as f32, nesterov });
        let adam = |decoupled| Box::new(Adam { betas, epsilon: epsilon(1e-8), decoupled });
        let rule: Box<dyn Rule> = match self.name.as_str() {
            "sgd" | "nesterov" => sgd(true),
            "momentum" => sgd(false),
            "adam" => adam(false),
            "adamw" => adam(true),
            "lamb" => Box::new(Lamb { betas, epsilon: epsilon(1e-6) }),
            "lion" => Box::new(Lion { betas: self.betas.unwrap_or([0.9, 0.99]) }),
            name => bail!("there is no optimiser {name:?}; --opt takes one of {NAMES}"),
        };
        Ok(Optimizer::new(rule, groups))
    }
}
