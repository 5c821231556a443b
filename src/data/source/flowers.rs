//! Oxford Flowers-102 (Nilsback and Zisserman 2008) as its authors distribute it: images in `jpg`, beside them
//! `imagelabels.mat` and `setid.mat`. Splits and labels are torchvision's `Flowers102`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Sample;
use super::annotated;
use super::listing::Labelled;
use crate::data::Part;
use crate::data::mat::{Array, Variables, whole};

const LABELS: &str = "imagelabels.mat";
const SPLITS: &str = "setid.mat";
const IMAGES: &str = "jpg";

/// The files, found but not yet read.
#[derive(Debug)]
pub struct Found {
    folder: PathBuf,
}

/// Looks for the data set in `path`, or in its folder `flowers-102`.
pub fn find(path: &Path) -> Option<Found> {
    let folders = [path.to_owned(), path.join("flowers-102")];
    let holds = |folder: &PathBuf| [LABELS, SPLITS].iter().all(|name| folder.join(name).is_file());
    folders.into_iter().find(holds).map(|folder| Found { folder })
}

impl Found {
    /// Lists the images of a part, with the folder that their paths begin in.
    ///
    /// # Errors
    ///
    /// Files that are missing, damaged or do not fit together.
    pub fn open(&self, part: Part) -> Result<(PathBuf, Labelled)> {
        let file = self.folder.join(LABELS);
        let labels = Variables::read(&file)?.get("labels").and_then(labels);
        let labels = labels.with_context(|| file.display().to_string())?;
        let classes = labels.iter().max().map_or(0, |most| most + 1);
        // The files know no names: a class is called as the authors number it.
        let classes = (1..=classes).map(|number| number.to_string()).collect();

        let file = self.folder.join(SPLITS);
        let splits = Variables::read(&file)?;
        let sets: &[&str] = match part {
            Part::Train => &["trnid"],
            Part::Val => &["valid"],
            Part::TrainVal => &["trnid", "valid"],
            Part::Test => &["tstid"],
        };
        let mut samples = Vec::new();
        for name in sets {
            let read = splits.get(name).and_then(|ids| sample_of_each(name, ids, &labels));
            samples.extend(read.with_context(|| file.display().to_string())?);
        }
        Ok((self.folder.clone(), annotated::labelled(&file, &self.folder, classes, samples)?))
    }
}

/// The labels, from 0, of all images in their order.
fn labels(array: &Array) -> Result<Vec<usize>> {
    let numbers = array.numbers().context("`labels` are no numbers")?;
    let label = |(at, &number): (usize, &f64)| {
        // There cannot be more classes than images.
        let class = whole(number).filter(|class| (1..=numbers.len()).contains(class));
        class.map(|class| class - 1).with_context(|| format!("image {}: there is no class {number}", at + 1))
    };
    numbers.iter().enumerate().map(label).collect()
}

fn sample_of_each(name: &str, ids: &Array, labels: &[usize]) -> Result<Vec<Sample>> {
    let sample = |&number: &f64| {
        let image = whole(number).filter(|&image| image > 0);
        let label = image.and_then(|image| labels.get(image - 1));
        let (image, &label) = image.zip(label).with_context(|| {
            format!("`{name}` names image {number}, and {LABELS} has labels for images 1 to {}", labels.len())
        })?;
        Ok(Sample { path: Path::new(IMAGES).join(format!("image_{image:05}.jpg")), label })
    };
    ids.numbers().with_context(|| format!("`{name}` are no numbers"))?.iter().map(sample).collect()
}
