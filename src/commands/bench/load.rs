//! Decoding and preprocessing alone.

use anyhow::Result;

use super::images::Endless;
use super::trial::Trial;

/// Batches to a measurement: of a single one some threads may have been ready before it was asked for.
const BATCHES: usize = 8;

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    let source = trial.images()?;
    let mut batches = Endless::new(trial, &source)?;
    trial.time(|| (0..BATCHES).map(|_| Ok(batches.next()?.size)).sum())
}
