//! Writes checkpoints: `.safetensors` files that PyTorch's libraries load unchanged, straight from the memory that the
//! training works on, so that a save needs no second copy of the weights.
//!
//! A file is written beside its place, brought to the disk, renamed into its place, and the folder is brought to the
//! disk as well: whatever happens in between, the file that stood there before still stands.

pub(super) mod disk;
mod history;
pub(super) mod layout;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};

use self::disk::{Disk, LocalDisk};
pub use self::history::{Best, History, Recorded};
use self::layout::{Floats, Plan};
use crate::nn::{NORM_EPSILON, Parameter};

/// What a checkpoint file is to hold: notes, tensors of numbers, and the counters of batch norms.
#[derive(Clone, Debug, Default)]
pub struct TensorFile<'a> {
    notes: BTreeMap<String, String>,
    counters: Vec<(String, i64)>,
    floats: Vec<Floats<'a>>,
}

impl<'a> TensorFile<'a> {
    /// A network's weights as its PyTorch counterpart saves them: under the canonical names, each batch norm with its
    /// `num_batches_tracked`, which is `batches` for all. `values` are in the order of `parameters`.
    ///
    /// timm loads such a file as `--initial-checkpoint`, and `load_state_dict(strict=True)` takes what
    /// `safetensors.torch.load_file` reads.
    ///
    /// # Errors
    ///
    /// Where values and parameters do not agree in number or size.
    pub fn weights(parameters: &[Parameter], values: &'a [Vec<f32>], batches: u64) -> Result<Self> {
        // What Hugging Face's libraries look for: the file's tensors are PyTorch's.
        let mut file = Self::default().note("format", "pt");
        file.section("", parameters, values)?;
        let norms = parameters.iter().filter_map(|parameter| parameter.name.strip_suffix("running_var"));
        let batches = i64::try_from(batches).unwrap_or(i64::MAX);
        file.counters = norms.map(|norm| (format!("{norm}num_batches_tracked"), batches)).collect();
        Ok(file)
    }

    /// Adds a note, text under a key, to the file's metadata.
    #[must_use]
    pub fn note(mut self, key: &str, text: impl ToString) -> Self {
        self.notes.insert(key.to_owned(), text.to_string());
        self
    }

    /// Adds what the network's norms add to a variance, where it is not what readers assume.
    #[must_use]
    pub fn norm_epsilon(self, epsilon: f32) -> Self {
        if epsilon == NORM_EPSILON { self } else { self.note(super::NORM_EPSILON_NOTE, epsilon) }
    }

    /// Adds a tensor for every parameter whose values are not empty, each name after `prefix`.
    ///
    /// # Errors
    ///
    /// Where values and parameters do not agree in number or size.
    pub(super) fn section<V: AsRef<[f32]>>(
        &mut self,
        prefix: &str,
        parameters: &[Parameter],
        values: &'a [V],
    ) -> Result<()> {
        let (named, given) = (parameters.len(), values.len());
        ensure!(named == given, "{given} tensors were given for the {named} parameters of the network");
        for (parameter, values) in parameters.iter().zip(values.iter().map(V::as_ref)) {
            if values.is_empty() {
                continue;
            }
            let name = format!("{prefix}{}", parameter.name);
            let expected: usize = parameter.shape.iter().product();
            ensure!(values.len() == expected, "`{name}` has {} numbers; its shape takes {expected}", values.len());
            self.floats.push(Floats { name, shape: parameter.shape.clone(), values });
        }
        Ok(())
    }

    /// Writes the file in the place of whatever is at `path`.
    ///
    /// # Errors
    ///
    /// Where the disk is full or the folder gone or read-only: the message names the file and the remedy, and what was
    /// at `path` is still there.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.save_on(&LocalDisk, path, || Ok(()))
    }

    /// As [`TensorFile::save`], with `make_room` called between the write and the rename.
    pub(super) fn save_on<D: Disk>(
        &self,
        disk: &D,
        path: &Path,
        make_room: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<()> {
        let plan = Plan::new(&self.notes, &self.counters, &self.floats)?;
        disk::replace(disk, path, |file| plan.write(file), make_room)
    }
}
