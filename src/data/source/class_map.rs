//! timm's class map: a text file with one class a line, whose number (from 0) is the label.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Labels by the names of class folders.
#[derive(Debug)]
pub struct ClassMap {
    names: Vec<String>,
    labels: HashMap<String, usize>,
}

impl ClassMap {
    /// Reads a class map. Blanks around a name do not count, nor do blank lines at the end.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is not text, is empty, or names a class twice.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = fs::read(path).with_context(|| format!("--class-map {shown}: cannot be read"))?;
        let Ok(text) = String::from_utf8(bytes) else {
            bail!("--class-map {shown}: not a text file; give one class folder's name a line");
        };
        // Windows's editors begin a file with a mark, and blank lines at its end are no classes.
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let mut labels = HashMap::with_capacity(names.len());
        for (label, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(earlier) = labels.insert(name.clone(), label) {
                bail!("--class-map {shown}: lines {} and {} both name {name}; remove one", earlier + 1, label + 1);
            }
        }
        ensure!(!labels.is_empty(), "--class-map {shown}: the file names no class");
        Ok(Self { names, labels })
    }

    /// The label of a class folder.
    pub fn label(&self, name: &str) -> Option<usize> {
        self.labels.get(name).copied()
    }

    /// All names, by label.
    pub fn into_names(self) -> Vec<String> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.txt");
        fs::write(&path, text).unwrap();
        let map = ClassMap::read(&path).unwrap();
        assert_eq!(map.label("cat"), Some(0));
        map.into_names()
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert_eq!(names("\u{feff}cat\r\ndog\r\n"), ["cat", "dog"]);
    }

    #[test]
    fn blank_lines_count_as_classes_but_at_the_end() {
        assert_eq!(names("cat\n\ndog\n\n \n"), ["cat", "", "dog"]);
    }
}
