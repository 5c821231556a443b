//! What a folder or a tar was found to hold, and how that becomes labelled samples.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::class_map::ClassMap;
use super::{Sample, Skipped};
use crate::data::enumerate;

/// What torchvision takes for images, by the end of the name (`IMG_EXTENSIONS`).
const EXTENSIONS: [&str; 9] = [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"];

/// Everything found; `At` is where an image's bytes are, if its path does not say it.
#[derive(Debug)]
pub struct Listing<At> {
    pub folders: Vec<ClassFolder<At>>,
    /// Images that lie in no class folder.
    pub loose: usize,
    /// What could not be listed.
    pub skipped: Vec<Skipped>,
}

/// A class folder and its images.
#[derive(Debug)]
pub struct ClassFolder<At> {
    pub name: OsString,
    /// Paths from the data set's root.
    pub images: Vec<(PathBuf, At)>,
}

/// What a source keeps.
pub struct Labelled {
    pub classes: Vec<String>,
    pub samples: Vec<Sample>,
    pub skipped: Vec<Skipped>,
    pub remarks: Vec<String>,
}

/// Whether torchvision would take a file of this name for an image.
pub fn is_image(name: &[u8]) -> bool {
    let ends_with = |end: &str| {
        let start = name.len().checked_sub(end.len());
        start.is_some_and(|start| name[start..].eq_ignore_ascii_case(end.as_bytes()))
    };
    EXTENSIONS.into_iter().any(ends_with)
}

impl<At> ClassFolder<At> {
    /// Sorts the images as `sorted(os.walk(…))` and sorted names would: by folder as text, then by name.
    fn sort(&mut self) {
        self.images.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)));
    }
}

/// The folder of a file and its name, as bytes.
fn place(path: &Path) -> (&[u8], &[u8]) {
    let path = path.as_os_str().as_bytes();
    let cut = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    path.split_at(cut)
}

impl<At> Listing<At> {
    /// Gives every image its label, by the order of the folders or by the map.
    ///
    /// # Errors
    ///
    /// When no class folder or no image remains; `root` is what the message names.
    pub fn label(mut self, root: &Path, map: Option<ClassMap>) -> Result<(Labelled, Vec<At>)> {
        let root = root.display();
        if self.folders.is_empty() {
            let found = match self.loose {
                0 => "nothing of use".to_owned(),
                1 => "one image directly in it".to_owned(),
                many => format!("{many} images directly in it"),
            };
            bail!("{root}: holds no class folders, but {found}; put the images of each class in a folder of their own");
        }
        self.folders.sort_by(|a, b| a.name.cmp(&b.name));

        let (mut samples, mut places) = (Vec::new(), Vec::new());
        let (mut names, mut unnamed, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        let found = self.folders.len();
        for mut folder in self.folders {
            let name = lossy(&folder.name);
            let label = match &map {
                None => names.len(),
                Some(map) => match map.label(&name) {
                    Some(label) => label,
                    None => {
                        unnamed.push(name);
                        continue;
                    }
                },
            };
            if folder.images.is_empty() {
                empty.push(name.clone());
            }
            names.push(name);
            folder.sort();
            for (path, at) in folder.images {
                samples.push(Sample { path, label });
                places.push(at);
            }
        }
        if names.is_empty() {
            bail!("{root}: none of its {found} folders is named by the class map; is it the map of this data set?");
        }
        if samples.is_empty() {
            let ends = EXTENSIONS.join(" ");
            bail!("{root}: its {} class folders hold no images (files that end in {ends})", names.len());
        }
        let classes = map.map_or(names, ClassMap::into_names);
        let odd = [
            ("folders left out, since the class map does not name them", unnamed),
            ("class folders without images", empty),
        ];
        let odd = odd.into_iter().filter(|(_, folders)| !folders.is_empty());
        let remarks = odd.map(|(what, folders)| format!("{root}: {what}: {}", enumerate(&folders)));
        Ok((Labelled { classes, samples, skipped: self.skipped, remarks: remarks.collect() }, places))
    }
}

fn lossy(name: &OsString) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

/// A path from raw bytes, as a tar stores it.
pub fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_decides_in_any_case() {
        for name in ["a.jpg", "a.JPEG", "a.b.Png", ".webp", "x.TIFF", "y.pgm"] {
            assert!(is_image(name.as_bytes()), "{name}");
        }
        for name in ["a.gif", "jpg", "a.jpg.txt", "", "a.jpe"] {
            assert!(!is_image(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn folders_sort_as_text_before_names() {
        let image = |path: &str| (PathBuf::from(path), ());
        let mut folder = ClassFolder {
            name: "a".into(),
            images: ["a/z.jpg", "a/b/1.jpg", "a/b-c/1.jpg", "a/B.jpg", "a/a.jpg", "a/b/10.jpg", "a/b/2.jpg"]
                .map(image)
                .into(),
        };
        folder.sort();
        let order: Vec<_> = folder.images.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(order, ["a/B.jpg", "a/a.jpg", "a/z.jpg", "a/b/1.jpg", "a/b/10.jpg", "a/b/2.jpg", "a/b-c/1.jpg"]);
    }
}
