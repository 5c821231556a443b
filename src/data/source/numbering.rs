//! Two splits of a data set number their classes alike.

use std::collections::HashMap;

use anyhow::{Result, bail};

use super::Source;
use crate::data::enumerate;

impl Source {
    /// Gives this source, what a network is validated on, the classes of `train` and labels by their numbers. Classes
    /// of `train` that have no image here become a remark.
    ///
    /// # Errors
    ///
    /// When an image here has a class that `train` lacks.
    pub fn number_as(&mut self, train: &Self) -> Result<()> {
        let mut present = vec![false; self.classes.len()];
        for sample in &self.samples {
            present[sample.label] = true;
        }
        let labels = self.labels_of(train, &present)?;
        let mut missing = vec![true; train.classes.len()];
        for sample in &mut self.samples {
            sample.label = labels[sample.label];
            missing[sample.label] = false;
        }
        let missing: Vec<&str> = train.names(&missing).collect();
        if !missing.is_empty() {
            let of = train.path.display();
            let (count, list) = (missing.len(), enumerate(&missing));
            self.remarks.push(format!("no images of {count} of the {} classes of {of}: {list}", train.classes.len()));
        }
        self.classes.clone_from(&train.classes);
        Ok(())
    }

    /// For each class here its number in `train`; of no meaning where `present` says that no image has it.
    fn labels_of(&self, train: &Self, present: &[bool]) -> Result<Vec<usize>> {
        if self.classes == train.classes {
            return Ok((0..self.classes.len()).collect());
        }
        let numbers: HashMap<&str, usize> = train.classes.iter().map(String::as_str).zip(0..).collect();
        let known = |name: &str| numbers.contains_key(name);
        let strange: Vec<&str> = self.names(present).filter(|name| !known(name)).collect();
        if !strange.is_empty() {
            bail!(
                "{}: holds images of classes that {} lacks: {}; are both splits of one data set?",
                self.path.display(),
                train.path.display(),
                enumerate(&strange)
            );
        }
        Ok(self.classes.iter().map(|name| numbers.get(name.as_str()).copied().unwrap_or(0)).collect())
    }

    /// Names of the classes that are marked.
    fn names<'a>(&'a self, marked: &'a [bool]) -> impl Iterator<Item = &'a str> {
        self.classes.iter().zip(marked).filter(|(_, marked)| **marked).map(|(name, _)| name.as_str())
    }
}
