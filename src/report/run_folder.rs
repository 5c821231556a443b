//! The folder of a training run, `<output>/<experiment>/`: one run at a time writes there.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use super::date;
use crate::atomic_file::AtomicFile;
use crate::flat_yaml::{self, Settings};

/// A run's folder. While it lives, no other run of this program takes the folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for the lock on it. `None` where the file system has no locks.
    _lock: Option<File>,
}

impl RunFolder {
    /// The settings of the run, in a form that `-c` accepts.
    pub const SETTINGS: &str = "args.yaml";

    const LOCK: &str = ".lock";

    /// Makes the folder where there is none, and takes it.
    ///
    /// # Errors
    ///
    /// Where it cannot be made or written to, or another run is writing there; the message names the folder.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| {
            format!("cannot make the folder {shown}: give another --output, or make its parent writable")
        })?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(Self::LOCK));
        let lock = lock.with_context(|| {
            format!("cannot write to the folder {shown}: make it writable or give another --output or --experiment")
        })?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => {
                bail!("another run is writing to {shown}: wait for its end or give another --experiment")
            }
            Err(TryLockError::Error(error)) => {
                tracing::debug!("{shown} cannot be locked ({error}); nothing keeps a second run out");
                None
            }
        };
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes [`Self::SETTINGS`].
    ///
    /// # Errors
    ///
    /// Where the disk refuses; the message names the file.
    pub fn write_settings(&self, settings: &Settings) -> Result<()> {
        let path = self.path.join(Self::SETTINGS);
        let mut file = AtomicFile::create(&path)?;
        let text = flat_yaml::render(settings)?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        file.commit()
    }

    /// timm's name for an experiment that has none: `20260131-235959-tresnet_m-224`, here in UTC.
    pub fn default_experiment(model: &str, input_size: usize, now: SystemTime) -> String {
        let name: String = model.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let time: String = date::utc(now).chars().filter(|c| *c != '-' && *c != ':').collect();
        let time = time.replace('T', "-");
        format!("{}-{}-{input_size}", time.trim_end_matches('Z'), name.trim_end_matches('_'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_folder_is_one_runs_until_the_run_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("output/run");
        let first = RunFolder::open(&path).unwrap();
        let error = RunFolder::open(&path).unwrap_err().to_string();
        assert!(error.contains("another run") && error.contains("--experiment"), "{error}");
        drop(first);
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn a_place_that_is_no_folder_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::open(&file.join("run")).unwrap_err().to_string();
        assert!(error.contains("file/run: give another --output"), "{error}");
    }

    #[test]
    fn the_settings_are_read_back() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(parent.path()).unwrap();
        let settings = Settings::from([("lr".to_owned(), 0.1.into()), ("model".to_owned(), "resnet20".into())]);
        folder.write_settings(&settings).unwrap();
        let text = fs::read_to_string(parent.path().join(RunFolder::SETTINGS)).unwrap();
        assert_eq!(flat_yaml::parse(&text).unwrap(), settings);
    }

    #[test]
    fn an_experiment_without_a_name_is_called_by_time_model_and_size() {
        let name =
            |model, seconds| RunFolder::default_experiment(model, 224, UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(name("tresnet_m.miil_in1k", 1_582_979_696), "20200229-123456-tresnet_m_miil_in1k-224");
        assert_eq!(name("a/b..", 0), "19700101-000000-a_b-224");
        assert_eq!(name("m", 4_102_444_799), "20991231-235959-m-224");
    }
}
