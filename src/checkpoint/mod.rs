//! Checkpoints: what PyTorch and its libraries saved, read without PyTorch and without trust; and what a training run
//! saves, for them ([`TensorFile`], [`History`]) and to go on from ([`ResumeFiles`]).
//!
//! A file is opened by reading its structure alone; each tensor is read when it is asked for, so that loading a
//! network takes little more memory than its weights. No byte of a file is believed before it is checked against the
//! file's size, and nothing in it is ever run.
//!
//! ```no_run
//! use tresnet::checkpoint::Checkpoint;
//!
//! let weights = Checkpoint::open("tresnet_m.pth")?.weights(false)?;
//! println!("{} layout, {:?} classes", weights.layout(), weights.num_classes());
//! let stem = weights.tensor("body.conv1.conv.weight")?; // [64, 48, 3, 3]
//! # Ok::<(), anyhow::Error>(())
//! ```

mod bind;
mod checksum;
mod element;
mod layouts;
mod metadata;
mod optimizer_state;
mod pickle;
mod pth_legacy;
mod pth_zip;
mod resume;
mod safetensors;
mod save;
mod sniff;
mod source;
mod state_dict;
mod storage;
mod tensor;
mod weights;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

pub use bind::{Binding, Fresh};
pub use element::ElementType;
pub use layouts::Layout;
use optimizer_state::OptimizerState;
pub use resume::{ResumeFiles, ResumeState, Resumed, RunProgress, Scaler, TimmState, Unfinished};
pub use save::{Best, History, Recorded, TensorFile};
use sniff::Kind;
use source::Source;
pub use state_dict::{Entry, StateDict};
use storage::Reader;
pub use weights::Weights;

/// The note in which [`TensorFile`] says what a network's norms add to a variance: timm's name for it.
const NORM_EPSILON_NOTE: &str = "bn_eps";

/// A checkpoint file whose structure is known.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file's name, for messages.
    name: String,
    format: Format,
    dicts: Vec<StateDict>,
    metadata: Vec<(String, String)>,
    optimizer: Option<OptimizerState>,
    reader: Arc<Reader>,
}

/// The form of a checkpoint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.pth` since PyTorch 1.6.
    PytorchZip,
    /// `.pth` before PyTorch 1.6.
    PytorchLegacy,
    Safetensors,
}

impl Checkpoint {
    /// Opens a checkpoint; its form is read from its bytes, not its name. No tensor is read.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened, is something else (with what it seems to be), is cut off or damaged, names
    /// code to run, or holds no tensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let open = || Self::parse(&name, Source::open(path)?);
        open().with_context(|| format!("cannot read the checkpoint {name}"))
    }

    /// Reads a checkpoint that is in memory, as [`Checkpoint::open`] does one on disk.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse("in memory", Source::Bytes(bytes)).context("cannot read the checkpoint in memory")
    }

    fn parse(name: &str, source: Source) -> Result<Self> {
        let source = Arc::new(source);
        let len = source.len();
        let (format, dicts, metadata, optimizer, reader) = match sniff::kind(&source)? {
            Kind::Zip => {
                let mut archive = pth_zip::Archive::open(&source)?;
                let pickle = archive.pickle()?;
                let dicts = state_dict::find(&pickle, len, |id| archive.storage(id))?;
                let optimizer = OptimizerState::find(&pickle, len, |id| archive.storage(id))?;
                (Format::PytorchZip, dicts, metadata::scalars(&pickle), optimizer, archive.into_reader())
            }
            Kind::Legacy => {
                let legacy = pth_legacy::Legacy::open(&source)?;
                let dicts = state_dict::find(&legacy.pickle, len, |id| legacy.storage(id))?;
                let optimizer = OptimizerState::find(&legacy.pickle, len, |id| legacy.storage(id))?;
                (Format::PytorchLegacy, dicts, metadata::scalars(&legacy.pickle), optimizer, legacy.into_reader())
            }
            Kind::Safetensors => {
                let file = safetensors::open(&source)?;
                let reader = Reader { source, archive: None };
                (Format::Safetensors, file.tensors.by_section(), file.metadata, None, reader)
            }
        };
        Ok(Self { name: name.to_owned(), format, dicts, metadata, optimizer, reader: Arc::new(reader) })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// All sets of tensors in the file, in its order; optimiser state is none.
    pub fn state_dicts(&self) -> &[StateDict] {
        &self.dicts
    }

    /// The scalars that stand beside the weights, such as the epoch, and the training's arguments as `args.lr`.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// Reads the whole file and compares it with its checksum. False where it has none, as files of other writers do.
    ///
    /// # Errors
    ///
    /// Where the file is not what was written.
    pub fn verify(&self) -> Result<bool> {
        let verified =
            if self.format == Format::Safetensors { checksum::verify(&self.reader.source) } else { Ok(false) };
        verified.with_context(|| format!("cannot use the checkpoint {}", self.name))
    }

    /// The state dict that [`Checkpoint::weights`] would take.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::weights`].
    pub fn state_dict(&self, use_ema: bool) -> Result<&StateDict> {
        state_dict::choose(&self.dicts, use_ema).with_context(|| format!("cannot use the checkpoint {}", self.name))
    }

    /// The file's weights under canonical names, or its averaged (EMA) weights.
    ///
    /// # Errors
    ///
    /// Where the file holds no such weights, or several that cannot be told apart.
    pub fn weights(&self, use_ema: bool) -> Result<Weights> {
        let dict = self.state_dict(use_ema)?;
        // Others may have changed the file on purpose and kept its notes, so this refuses nothing.
        if let (Format::Safetensors, Err(error)) = (self.format, checksum::verify(&self.reader.source)) {
            tracing::warn!("{}: {error:#}; what comes of it is not to be relied on", self.name);
        }
        let weights = Weights::new(&self.name, dict, &self.metadata, &self.reader);
        weights.with_context(|| format!("cannot use the checkpoint {}", self.name))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PytorchZip => "PyTorch (zip)",
            Self::PytorchLegacy => "PyTorch (before 1.6)",
            Self::Safetensors => "safetensors",
        })
    }
}

/// A name from a file as a terminal may show it: no control characters, no more than a line.
fn shown(name: &str) -> String {
    const LONGEST: usize = 160;
    let mut chars = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = chars.by_ref().take(LONGEST).collect();
    if chars.next().is_some() {
        shown.push_str("...");
    }
    shown
}
