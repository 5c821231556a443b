//! Stanford Cars (Krause et al. 2013) as its authors distributed it: images in `cars_train` and `cars_test`, MATLAB files
//! beside them; or all images in `car_ims` under one `cars_annos.mat`. Splits and labels are torchvision's
//! `StanfordCars`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Sample;
use super::annotated;
use super::listing::Labelled;
use crate::data::Part;
use crate::data::mat::{Array, Variables};

/// The annotations of each part, and the folder of its images.
const TRAIN: [&str; 2] = ["cars_train_annos.mat", "cars_train"];
const TEST: [&str; 2] = ["cars_test_annos_withlabels.mat", "cars_test"];
/// The names of the classes.
const META: &str = "cars_meta.mat";
/// All of it, in the older form.
const WHOLE: &str = "cars_annos.mat";

/// The files, found but not yet read.
#[derive(Debug)]
pub struct Found {
    folder: PathBuf,
    /// The file of the older form.
    whole: Option<PathBuf>,
}

/// Looks for the data set in `path`, or in its folder `stanford_cars`.
pub fn find(path: &Path) -> Option<Found> {
    [path.to_owned(), path.join("stanford_cars")].into_iter().find_map(|folder| {
        let parted = [TRAIN[0], TEST[0]].iter().any(|name| within(&folder, name).is_some());
        let whole = within(&folder, WHOLE).filter(|_| !parted);
        (parted || whole.is_some()).then_some(Found { folder, whole })
    })
}

/// A file of annotations: in the `devkit` that they came in, or beside it.
fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join("devkit").join(name), folder.join(name)].into_iter().find(|file| file.is_file())
}

impl Found {
    /// Lists the images of a part: all but the training images are for the test. With the folder that their paths
    /// begin in.
    ///
    /// # Errors
    ///
    /// Files that are missing, damaged or do not fit together.
    pub fn open(&self, part: Part) -> Result<(PathBuf, Labelled)> {
        let [annotations, folder] = if part == Part::Train { TRAIN } else { TEST };
        let (file, classes, samples) = match &self.whole {
            Some(file) => {
                let variables = Variables::read(file)?;
                let read = || -> Result<_> {
                    let classes = names(variables.get("class_names")?)?;
                    let wanted = usize::from(part != Part::Train);
                    Ok((
                        samples(variables.get("annotations")?, "relative_im_path", classes.len(), Some(wanted))?,
                        classes,
                    ))
                };
                let (samples, classes) = read().with_context(|| file.display().to_string())?;
                (file.clone(), classes, samples)
            }
            None => {
                let meta = self.file(META)?;
                let classes = Variables::read(&meta)?.get("class_names").and_then(names);
                let classes = classes.with_context(|| meta.display().to_string())?;
                let file = self.file(annotations)?;
                let samples = Variables::read(&file)?
                    .get("annotations")
                    .and_then(|all| samples(all, "fname", classes.len(), None));
                let mut samples = samples.with_context(|| file.display().to_string())?;
                for sample in &mut samples {
                    sample.path = Path::new(folder).join(&sample.path);
                }
                (file, classes, samples)
            }
        };
        Ok((self.folder.clone(), annotated::labelled(&file, &self.folder, classes, samples)?))
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        within(&self.folder, name).with_context(|| {
            let folder = self.folder.display();
            format!("{folder}: {name} of Stanford Cars is neither there nor in devkit; fetch it and put it there")
        })
    }
}

fn names(cells: &Array) -> Result<Vec<String>> {
    let names = cells.cells().and_then(|cells| cells.iter().map(|name| name.text().map(str::to_owned)).collect());
    names.context("`class_names` are no cell array of texts")
}

/// The images of `annotations`, by the field that has their `path`; of those with a mark `test`, the ones that have it
/// `wanted`.
fn samples(annotations: &Array, path: &str, classes: usize, wanted: Option<usize>) -> Result<Vec<Sample>> {
    let field = |name: &str| {
        let values = annotations.field(name);
        values.with_context(|| format!("`annotations` has no field {name:?}; is this the file with the labels?"))
    };
    let marks: Vec<Option<usize>> = match wanted {
        Some(_) => field("test")?.map(Array::whole).collect(),
        None => Vec::new(),
    };
    let mut samples = Vec::new();
    for (at, (path, class)) in field(path)?.zip(field("class")?).enumerate() {
        let path = path.text().with_context(|| format!("annotation {} has no text for its image's path", at + 1))?;
        let label = class.whole().and_then(|class| class.checked_sub(1)).filter(|&label| label < classes);
        let label = label.with_context(|| {
            let says = class.numbers().unwrap_or_default();
            format!("annotation {}, {path}: the class is {says:?}, and classes are 1 to {classes}", at + 1)
        })?;
        if marks.get(at).copied().flatten() == wanted {
            samples.push(Sample { path: PathBuf::from(path), label });
        }
    }
    ensure!(wanted.is_none() || marks.iter().all(Option::is_some), "`annotations` has images without a mark `test`");
    Ok(samples)
}
