//! The networks: a family is a file, a variant is a row that carries its preprocessing.

pub mod efficientnet;
mod inverted_residual;
mod kwargs;
pub mod mixnet;
mod model;
mod paper;
pub mod resnet;
pub mod torch_resnet;
pub mod tresnet;
mod variant;

pub use kwargs::{ModelKwargs, Shortcut};
pub use model::{Model, Place};
pub use paper::{PaperRow, paper_models, paper_row};
pub use variant::{Architecture, Config, Published, Request, Variant};

use anyhow::{Result, bail};

/// Every variant, family by family.
pub fn variants() -> impl Iterator<Item = &'static Variant> {
    let families =
        [tresnet::VARIANTS, resnet::VARIANTS, efficientnet::VARIANTS, mixnet::VARIANTS, torch_resnet::VARIANTS];
    families.into_iter().flatten()
}

/// The variant of this name or alias, or an error with the nearest names.
pub fn find(name: &str) -> Result<&'static Variant> {
    if let Some(found) = variants().find(|variant| variant.answers_to(name)) {
        return Ok(found);
    }
    // Another case of the letters is nearer than other letters.
    let likeness = |known: &str| {
        let folded = strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
        strsim::jaro_winkler(name, known).max(0.99 * folded)
    };
    let mut near: Vec<(f64, &str)> = variants().map(|variant| (likeness(variant.name), variant.name)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<&str> = near.iter().take(3).map(|&(_, name)| name).collect();
    bail!("there is no model {name:?}; the nearest names are {} (`tresnet models` lists all)", names.join(", "))
}
