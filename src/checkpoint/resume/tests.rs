//! A disk that stops at any byte and any step, as a kill, a power cut or a full disk do.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Write};
use std::rc::Rc;

use candle_nn::Init;
use tempfile::TempDir;

use super::*;
use crate::nn::Parameter;

/// What is left of a disk's life: a byte written costs one, and so does every other step.
#[derive(Clone)]
struct Life(Rc<Cell<usize>>);

impl Life {
    fn spend(&self, wanted: usize) -> usize {
        let granted = wanted.min(self.0.get());
        self.0.set(self.0.get() - granted);
        granted
    }

    fn step(&self) -> io::Result<()> {
        if self.spend(1) == 1 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

/// A disk with a life. When it has ended, a killed one does nothing more; a full one still removes files.
struct MortalDisk {
    life: Life,
    killed: bool,
    /// Files whose bytes the machine has not brought to the disk: a power cut loses them.
    unsynced: RefCell<Vec<PathBuf>>,
}

struct MortalFile {
    file: fs::File,
    path: PathBuf,
    life: Life,
}

impl Write for MortalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let granted = self.life.spend(bytes.len());
        self.file.write_all(&bytes[..granted])?;
        if granted == 0 && !bytes.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(granted) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MortalDisk {
    fn new(life: usize, killed: bool) -> Self {
        Self { life: Life(Rc::new(Cell::new(life))), killed, unsynced: RefCell::default() }
    }

    /// What was not brought to the disk is not on it.
    fn lose_power(&self) {
        for path in self.unsynced.borrow().iter().filter(|path| path.exists()) {
            fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        }
    }
}

impl Disk for MortalDisk {
    type File = MortalFile;

    fn create(&self, path: &Path) -> io::Result<MortalFile> {
        self.life.step()?;
        self.unsynced.borrow_mut().push(path.to_owned());
        Ok(MortalFile { file: fs::File::create(path)?, path: path.to_owned(), life: self.life.clone() })
    }

    fn sync(&self, file: MortalFile) -> io::Result<()> {
        self.life.step()?;
        self.unsynced.borrow_mut().retain(|path| *path != file.path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.life.step()?;
        for path in self.unsynced.borrow_mut().iter_mut().filter(|path| *path == from) {
            *path = to.to_owned();
        }
        fs::rename(from, to)
    }

    fn duplicate(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.life.step()?;
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.killed {
            self.life.step()?;
        }
        fs::remove_file(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.life.step()
    }
}

fn parameters() -> Vec<Parameter> {
    let parameter = |name: &str, shape: &[usize], trainable| Parameter {
        name: name.to_owned(),
        shape: shape.to_vec(),
        init: Init::Const(0.0),
        trainable,
    };
    vec![parameter("conv.weight", &[2, 3, 1, 1], true), parameter("bn.running_var", &[2], false)]
}

/// A state in which every number tells which save it is of.
fn save_on<D: Disk>(files: &mut ResumeFiles, disk: &D, updates: u64) -> Result<()> {
    let number = updates as f32;
    let model = vec![vec![number; 6], vec![number; 2]];
    let momentum = [vec![number; 6], Vec::new()];
    let progress = RunProgress { updates, ..RunProgress::default() };
    files.save_on(
        disk,
        &ResumeState {
            progress: &progress,
            parameters: &parameters(),
            model: &model,
            ema: None,
            optimizer: &[("momentum", momentum.iter().map(Vec::as_slice).collect())],
        },
    )
}

/// The number of the save that the folder resumes from, after all its tensors were seen to be of that save.
fn resumes_from(folder: &Path) -> u64 {
    let resumed = ResumeFiles::new(folder).newest().unwrap_or_else(|error| panic!("{error:#}"));
    let resumed = resumed.expect("two states were saved before");
    let updates = resumed.progress.updates;
    let number = updates as f32;
    assert_eq!(resumed.model(&parameters()).unwrap(), [vec![number; 6], vec![number; 2]]);
    assert_eq!(resumed.slot("momentum", &parameters()).unwrap(), [vec![number; 6], Vec::new()]);
    updates
}

/// A folder with the states 1 and 2.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut files = ResumeFiles::new(folder.path());
    // No limit, and no time spent on waiting for the real disk.
    let disk = MortalDisk::new(usize::MAX, false);
    save_on(&mut files, &disk, 1).unwrap();
    save_on(&mut files, &disk, 2).unwrap();
    folder
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

/// Saves state 3 into copies of `folder()` with every length of life, until one is long enough.
fn at_every_point(mut prepare: impl FnMut(&Path), mut check: impl FnMut(&Path, &MortalDisk, Result<()>)) {
    for life in 0.. {
        let folder = folder();
        prepare(folder.path());
        let mut files = ResumeFiles::new(folder.path());
        files.newest().unwrap();
        let disk = MortalDisk::new(life, life % 2 == 0);
        let saved = save_on(&mut files, &disk, 3);
        let done = saved.is_ok();
        check(folder.path(), &disk, saved);
        if done {
            assert!(life > 600, "the whole save took {life} steps");
            return;
        }
    }
}

#[test]
fn a_save_that_ends_anywhere_leaves_the_state_before_it_or_its_own() {
    let mut seen = [0; 4];
    at_every_point(
        |_| (),
        |folder, disk, saved| {
            disk.lose_power();
            let found = resumes_from(folder);
            assert!(if saved.is_ok() { found == 3 } else { found == 2 || found == 3 }, "{found}");
            seen[found as usize] += 1;
        },
    );
    assert!(seen[2] > 600 && seen[3] >= 2, "{seen:?}");
}

#[test]
fn a_damaged_generation_never_takes_the_place_of_a_good_one() {
    let damage = |folder: &Path| flip(&folder.join(ResumeFiles::LAST), 300, 3);
    at_every_point(damage, |folder, disk, saved| {
        disk.lose_power();
        let found = resumes_from(folder);
        assert!(if saved.is_ok() { found == 3 } else { found == 1 || found == 3 }, "{found}");
    });
}

#[test]
fn a_full_disk_is_said_with_the_file_and_the_remedy_and_nothing_is_left_lying() {
    let folder = folder();
    let mut files = ResumeFiles::new(folder.path());
    files.newest().unwrap();
    let error = save_on(&mut files, &MortalDisk::new(500, false), 3).unwrap_err().to_string();
    let path = folder.path().join(ResumeFiles::LAST);
    assert!(error.starts_with(&format!("cannot save {}: ", path.display())), "{error}");
    assert!(error.contains("free some space") && error.ends_with("what was saved before still stands"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    save_on(&mut files, &LocalDisk, 4).unwrap();
    assert_eq!(resumes_from(folder.path()), 4);
}

#[test]
fn what_a_killed_save_left_is_swept_by_the_next_run() {
    let folder = folder();
    let mut files = ResumeFiles::new(folder.path());
    save_on(&mut files, &MortalDisk::new(500, true), 3).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    ResumeFiles::new(folder.path());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
