//! What an annotation file says about images that lie beside it becomes labelled samples.

use std::path::Path;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::Sample;
use super::listing::Labelled;
use crate::data::enumerate;

/// The samples that `annotations` lists, whose paths begin in `root`.
///
/// # Errors
///
/// No samples, or images that are not there: the annotations would be about other images.
pub fn labelled(annotations: &Path, root: &Path, classes: Vec<String>, samples: Vec<Sample>) -> Result<Labelled> {
    let shown = annotations.display();
    ensure!(!samples.is_empty(), "{shown}: lists no images");
    let gone = |sample: &&Sample| !root.join(&sample.path).is_file();
    let lost: Vec<&Sample> = samples.par_iter().filter(gone).collect();
    let folder = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let names: Vec<_> = lost.iter().map(|sample| sample.path.to_string_lossy()).collect();
    ensure!(
        lost.is_empty(),
        "{shown}: {} of its {} images are not in {}: {}; unpack the images there, or correct the list",
        lost.len(),
        samples.len(),
        folder.display(),
        enumerate(&names)
    );
    Ok(Labelled { classes, samples, skipped: Vec::new(), remarks: Vec::new() })
}
