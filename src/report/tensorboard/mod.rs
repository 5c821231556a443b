//! Event files for TensorBoard: records of a length, an `Event` message and checksums, as TensorFlow's `events_writer`
//! writes them. <https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto>

mod grid;
mod message;
mod record;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use self::message::{Content, Image};

/// The version of the format; readers of it take steps that are begun again as replacing the old ones.
const VERSION: &str = "brain.Event:2";

/// An event file of one run of the program. TensorBoard joins those of a folder.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a file in `folder`. What earlier files there have of `step` and later steps is taken back.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written; the message names it.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        let seconds = since_epoch().as_secs();
        for number in 0..1000 {
            // TensorBoard knows event files by `tfevents` and reads them in the order of their names.
            let name = format!("events.out.tfevents.{seconds:010}.tresnet.{}.{number}", std::process::id());
            let path = folder.join(name);
            let file = match File::create_new(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file.with_context(|| format!("cannot write {}", path.display()))?,
            };
            let mut events = Self { path, file };
            events.write(0, &Content::Version(VERSION))?;
            if step > 0 {
                events.write(step, &Content::Restart)?;
            }
            return Ok(events);
        }
        bail!("cannot write event files to {}: too many of this second are there", folder.display())
    }

    /// Writes numbers of one step by their tags, such as `train/loss`.
    ///
    /// # Errors
    ///
    /// Where the disk refuses; the message names the file.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        self.write(step, &Content::Scalars(scalars))
    }

    /// Writes images `[batch, height, width, 3]` of RGB bytes as one picture: a grid, nearly square.
    ///
    /// # Errors
    ///
    /// Where the bytes are not of that shape, or the disk refuses; the message names the file.
    pub fn images(&mut self, step: u64, tag: &str, images: &[u8], [batch, height, width]: [usize; 3]) -> Result<()> {
        let grid = grid::Grid::new(images, [batch, height, width])?;
        let png = grid.png()?;
        self.write(step, &Content::Image(tag, Image { height: grid.height, width: grid.width, png: &png }))
    }

    /// Where the events are written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, step: u64, content: &Content) -> Result<()> {
        let event = message::event(since_epoch().as_secs_f64(), step, content);
        let written = self.file.write_all(&record::frame(&event));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
