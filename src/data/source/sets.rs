//! Data sets that are recognised by the files in which they are distributed, and say themselves what is for training.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::listing::Labelled;
use super::{Storage, cars, cifar, flowers};
use crate::data::Part;

/// One of them, found but not yet read.
pub enum Set {
    Cifar(cifar::Found),
    Cars(cars::Found),
    Flowers(flowers::Found),
}

impl Set {
    /// Looks for one in the folder at `path`, or for an archive of one.
    pub fn find(path: &Path) -> Option<Self> {
        let cars = || cars::find(path).map(Self::Cars);
        let flowers = || flowers::find(path).map(Self::Flowers);
        cifar::find(path).map(Self::Cifar).or_else(cars).or_else(flowers)
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Cifar(found) => found.name(),
            Self::Cars(_) => "Stanford Cars",
            Self::Flowers(_) => "Oxford Flowers-102",
        }
    }

    /// The parts that it has. One that has none for validation is validated on that for the test.
    pub fn parts(&self) -> &'static [Part] {
        match self {
            Self::Cifar(_) | Self::Cars(_) => &[Part::Train, Part::Test],
            Self::Flowers(_) => &[Part::Train, Part::Val, Part::TrainVal, Part::Test],
        }
    }

    /// What the asked part is here, if there is one.
    pub fn part(&self, asked: Part) -> Option<Part> {
        let alike = if asked == Part::Val { Part::Test } else { asked };
        [asked, alike].into_iter().find(|part| self.parts().contains(part))
    }

    /// Lists the images of a part that it has.
    pub(super) fn open(&self, part: Part) -> Result<(Labelled, Storage)> {
        let files = |(root, labelled): (PathBuf, Labelled)| (labelled, Storage::Files(root));
        match self {
            Self::Cifar(found) => found.open(part).map(|(labelled, records)| (labelled, Storage::Cifar(records))),
            Self::Cars(found) => found.open(part).map(files),
            Self::Flowers(found) => found.open(part).map(files),
        }
    }
}
