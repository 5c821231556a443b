//! Plans on disk: which engine a problem runs best on, found once for a device and a version of cuDNN.
//!
//! One JSON file a problem, written whole or not at all. A file that is torn, foreign or of another version is passed
//! over with a line, and written anew.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::engine::EngineChoice;
use crate::atomic_file::AtomicFile;
use crate::ops::Fusion;
use crate::random::fnv1a;

/// Raised when the meaning of an entry changes.
const FORMAT: u32 = 1;

/// A folder of plans.
#[derive(Clone, Debug)]
pub struct PlanCache {
    folder: PathBuf,
}

/// A choice that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    format: u32,
    /// Problem, device, cuDNN version and what was asked of the engines.
    key: String,
    pub fusion: Fusion,
    /// Which of the graphs for that fusion.
    pub graph: usize,
    pub choice: EngineChoice,
    /// Time of a run, where it was measured.
    pub milliseconds: Option<f32>,
    /// Whether its results were those of our own kernels. Entries from before anything was verified do not say so.
    #[serde(default)]
    pub verified: bool,
    /// The plan as cuDNN writes it.
    pub plan: String,
}

impl Entry {
    pub fn new(key: String, fusion: Fusion, graph: usize, choice: EngineChoice, plan: String) -> Self {
        Self { format: FORMAT, key, fusion, graph, choice, milliseconds: None, verified: false, plan }
    }
}

impl PlanCache {
    /// Plans in `folder`, which is made when the first one is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The user's own: the folder that `TRESNET_CUDNN_CACHE` names, else `tresnet/cudnn` in `XDG_CACHE_HOME` or
    /// `~/.cache`. `None` where `TRESNET_CUDNN_CACHE` is empty, or there is no home.
    pub fn of_the_user() -> Option<Self> {
        Self::chosen(|name| std::env::var_os(name).map(PathBuf::from))
    }

    fn chosen(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        if let Some(folder) = variable("TRESNET_CUDNN_CACHE") {
            return (!folder.as_os_str().is_empty()).then(|| Self::new(folder));
        }
        let caches = variable("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
        let caches = caches.or_else(|| Some(variable("HOME")?.join(".cache")))?;
        Some(Self::new(caches.join("tresnet/cudnn")))
    }

    /// What is kept under `key`.
    pub fn get(&self, key: &str) -> Option<Entry> {
        let path = self.path(key);
        match self.read(&path, key) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::warn!("passing over the plan in {}: {error:#}", path.display());
                None
            }
        }
    }

    fn read(&self, path: &Path, key: &str) -> Result<Option<Entry>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.context("it cannot be read")?,
        };
        let entry: Entry = serde_json::from_str(&text).context("it is no whole plan")?;
        anyhow::ensure!(entry.format == FORMAT, "its format is {}, not {FORMAT}", entry.format);
        anyhow::ensure!(entry.key == key, "it is for {}", entry.key);
        Ok(Some(entry))
    }

    /// Keeps an entry under its key.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn put(&self, entry: &Entry) -> Result<()> {
        let shown = self.folder.display();
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make the folder of plans {shown}"))?;
        let mut file = AtomicFile::create(&self.path(&entry.key))?;
        serde_json::to_writer(&mut file, entry)?;
        file.write_all(b"\n")?;
        file.commit()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{:016x}.json", fnv1a(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> Entry {
        let choice = EngineChoice { engine: 41, knobs: vec![(25, 3), (30, 1)] };
        Entry::new(key.into(), Fusion::Whole, 0, choice, "{}".into())
    }

    fn cache() -> (tempfile::TempDir, PlanCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = PlanCache::new(folder.path().join("plans"));
        (folder, cache)
    }

    #[test]
    fn what_was_kept_is_found_under_its_key_alone() {
        let (_folder, cache) = cache();
        assert_eq!(cache.get("a"), None);
        let kept = Entry { milliseconds: Some(0.125), ..entry("a") };
        cache.put(&kept).unwrap();
        assert_eq!(cache.get("a"), Some(kept));
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn an_entry_that_does_not_say_so_was_not_verified() {
        let (_folder, cache) = cache();
        cache.put(&Entry { verified: true, ..entry("a") }).unwrap();
        assert!(cache.get("a").unwrap().verified);
        let path = cache.path("a");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(r#""verified":true,"#, "")).unwrap();
        assert_eq!(cache.get("a"), Some(entry("a")));
    }

    #[test]
    fn a_torn_file_is_passed_over_and_replaced() {
        let (_folder, cache) = cache();
        cache.put(&entry("a")).unwrap();
        let path = cache.path("a");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert_eq!(cache.get("a"), None);
        cache.put(&entry("a")).unwrap();
        assert_eq!(cache.get("a"), Some(entry("a")));
    }

    #[test]
    fn a_foreign_file_is_passed_over() {
        let (_folder, cache) = cache();
        cache.put(&entry("a")).unwrap();
        fs::copy(cache.path("a"), cache.path("b")).unwrap();
        assert_eq!(cache.get("b"), None, "the entry of another key");
        fs::write(cache.path("a"), r#"{"format": 1, "plans": []}"#).unwrap();
        assert_eq!(cache.get("a"), None, "another program's JSON");
        let newer = Entry { format: FORMAT + 1, ..entry("a") };
        cache.put(&newer).unwrap();
        assert_eq!(cache.get("a"), None, "another format");
    }

    #[test]
    fn the_folder_is_the_variables_else_the_caches() {
        let folder = |set: &'static [(&str, &str)]| {
            let value =
                move |name: &str| set.iter().find(|(own, _)| *own == name).map(|(_, value)| PathBuf::from(value));
            PlanCache::chosen(value).map(|cache| cache.folder)
        };
        assert_eq!(folder(&[("TRESNET_CUDNN_CACHE", "/p"), ("HOME", "/h")]), Some("/p".into()));
        assert_eq!(folder(&[("TRESNET_CUDNN_CACHE", ""), ("HOME", "/h")]), None);
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/tresnet/cudnn".into()));
        assert_eq!(folder(&[("HOME", "/h")]), Some("/h/.cache/tresnet/cudnn".into()));
        assert_eq!(folder(&[]), None);
    }
}
