//! What the file of a run's state holds: its progress as a note, and under `model/`, `ema/` and `optimizer/<slot>/`
//! one tensor for each parameter.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::super::source::Source;
use super::super::storage::{Reader, View};
use super::super::{TensorFile, checksum, safetensors, shown};
use super::RunProgress;
use crate::nn::Parameter;

/// The note that holds the progress.
const PROGRESS: &str = "tresnet.progress";

const MODEL: &str = "model/";
const EMA: &str = "ema/";
const OPTIMIZER: &str = "optimizer/";

/// A run between two of its optimizer steps. All tensors are in the order of `parameters`.
#[derive(Clone, Copy, Debug)]
pub struct ResumeState<'a> {
    pub progress: &'a RunProgress,
    pub parameters: &'a [Parameter],
    /// Weights and running statistics.
    pub model: &'a [Vec<f32>],
    /// Their moving average, where there is one.
    pub ema: Option<&'a [Vec<f32>]>,
    /// The optimizer's tensors by slot, such as `momentum`; empty ones where a parameter has none.
    pub optimizer: &'a [(&'a str, Vec<&'a [f32]>)],
}

impl<'a> ResumeState<'a> {
    pub(super) fn file(&self) -> Result<TensorFile<'a>> {
        let mut file = TensorFile::default().note(PROGRESS, self.progress.to_json()?);
        file.section(MODEL, self.parameters, self.model)?;
        if let Some(ema) = self.ema {
            file.section(EMA, self.parameters, ema)?;
        }
        for (slot, tensors) in self.optimizer {
            file.section(&format!("{OPTIMIZER}{slot}/"), self.parameters, tensors)?;
        }
        Ok(file)
    }
}

/// A state that was read and found whole. Its tensors stay in the file until they are asked for.
#[derive(Debug)]
pub struct Resumed {
    pub progress: RunProgress,
    file: PathBuf,
    warning: Option<String>,
    reader: Reader,
    tensors: HashMap<String, View>,
}

impl Resumed {
    /// Opens a file and reads all of it once, for its checksum.
    ///
    /// # Errors
    ///
    /// Where it is missing, damaged or incomplete, or holds no state of a run.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("cannot resume from {}", path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let source = Arc::new(Source::open(path)?);
        let file = safetensors::open(&source)?;
        let note = file.metadata.iter().find(|(key, _)| key == PROGRESS);
        let (_, progress) = note.context("it holds no state of a run; give weights as --initial-checkpoint")?;
        ensure!(checksum::verify(&source)?, "it is damaged: its checksum is missing");
        let progress = RunProgress::from_json(progress)?;
        let tensors = file.tensors.entries.into_iter().map(|entry| (entry.name, entry.view)).collect();
        let reader = Reader { source, archive: None };
        Ok(Self { progress, file: path.to_owned(), warning: None, reader, tensors })
    }

    pub(super) fn with_warning(self, warning: String) -> Self {
        Self { warning: Some(warning), ..self }
    }

    /// The file that the state was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Why this is not the state that was saved last.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The weights, in the order of `parameters`.
    ///
    /// # Errors
    ///
    /// Where they are another network's, or hold NaN or infinity.
    pub fn model(&self, parameters: &[Parameter]) -> Result<Vec<Vec<f32>>> {
        self.finite(MODEL, parameters)
    }

    /// Their moving average, where the run kept one.
    ///
    /// # Errors
    ///
    /// As [`Resumed::model`].
    pub fn ema(&self, parameters: &[Parameter]) -> Result<Option<Vec<Vec<f32>>>> {
        self.has(EMA).then(|| self.finite(EMA, parameters)).transpose()
    }

    /// The names of the optimizer's slots.
    pub fn slots(&self) -> BTreeSet<&str> {
        let names = self.tensors.keys().filter_map(|name| name.strip_prefix(OPTIMIZER)?.split_once('/'));
        names.map(|(slot, _)| slot).collect()
    }

    /// A slot of the optimizer, in the order of `parameters`; empty where a parameter has nothing in it.
    ///
    /// # Errors
    ///
    /// Where a tensor is of another size than its parameter, or cannot be read.
    pub fn slot(&self, slot: &str, parameters: &[Parameter]) -> Result<Vec<Vec<f32>>> {
        let prefix = format!("{OPTIMIZER}{slot}/");
        let read = |parameter: &Parameter| Ok(self.tensor(&prefix, parameter)?.unwrap_or_default());
        parameters.iter().map(read).collect()
    }

    fn has(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|name| name.starts_with(prefix))
    }

    fn finite(&self, prefix: &str, parameters: &[Parameter]) -> Result<Vec<Vec<f32>>> {
        let file = self.file.display();
        let held = self.tensors.keys().filter(|name| name.starts_with(prefix)).count();
        let wanted = parameters.len();
        ensure!(held == wanted, "{file} is of another network: it has {held} tensors of weights, the model {wanted}");
        let read = |parameter: &Parameter| {
            let values = self.tensor(prefix, parameter)?;
            let name = &parameter.name;
            let values = values.with_context(|| format!("{file} is of another network: it has no `{name}`"))?;
            let finite = values.iter().all(|value| value.is_finite());
            ensure!(
                finite,
                "`{name}` in {file} holds NaN or infinity: the training had diverged before; go back to \
                an earlier checkpoint with --initial-checkpoint"
            );
            Ok(values)
        };
        parameters.iter().map(read).collect()
    }

    fn tensor(&self, prefix: &str, parameter: &Parameter) -> Result<Option<Vec<f32>>> {
        let name = format!("{prefix}{}", parameter.name);
        let Some(view) = self.tensors.get(&name) else { return Ok(None) };
        let (held, wanted) = (view.shape(), parameter.shape.as_slice());
        let file = self.file.display();
        ensure!(
            held == wanted,
            "`{}` in {file} is {held:?}, the model's {wanted:?}: resume with the model and --num-classes of the run",
            shown(&name)
        );
        let read = self.reader.read(view).with_context(|| format!("cannot read `{}` from {file}", shown(&name)))?;
        Ok(Some(read))
    }
}
