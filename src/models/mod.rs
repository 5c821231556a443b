//! The networks: a family is a file, a variant is a row that carries its preprocessing.

mod model;
pub mod resnet_cifar;
pub mod tresnet;
mod variant;

pub use model::{Model, Place};
pub use variant::{Architecture, Config, Published, Variant};

use anyhow::{Result, bail};

/// Every variant, family by family.
pub fn variants() -> impl Iterator<Item = &'static Variant> {
    [tresnet::VARIANTS, resnet_cifar::VARIANTS].into_iter().flatten()
}

/// The variant of this name or alias, or an error with the nearest names.
pub fn find(name: &str) -> Result<&'static Variant> {
    if let Some(found) = variants().find(|variant| variant.answers_to(name)) {
        return Ok(found);
    }
    let mut near: Vec<(f64, &str)> =
        variants().map(|variant| (strsim::jaro_winkler(name, variant.name), variant.name)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<&str> = near.iter().take(3).map(|&(_, name)| name).collect();
    bail!("there is no model {name:?}; the nearest names are {} (`tresnet models` lists all)", names.join(", "))
}
