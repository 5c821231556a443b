//! Decoding and preprocessing alone.

use std::sync::Arc;

use anyhow::Result;

use super::Bench;
use super::images::Endless;
use super::measure::Figure;
use crate::config::Subject;
use crate::data::source::Source;

pub fn measure(bench: &Bench<'_>, subject: &Subject, source: &Arc<Source>) -> Result<Figure> {
    let mut batches = Endless::new(bench, subject, source)?;
    bench.time(|| Ok(batches.next()?.size))
}
