//! Hands weights to a network while it is built, and says in one message what did not fit.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use super::shown;
use super::weights::Weights;
use crate::nn::Initializer;

/// How many tensors of a kind an error names.
const NAMED: usize = 5;

/// Tensors to initialise instead of reading them: a head for other classes.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// How their canonical names start.
    pub prefix: String,
    pub seed: u64,
}

/// What a network asked of its weights, to be judged when it is built.
#[derive(Debug)]
pub struct Binding {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    weights: Weights,
    fresh: Option<Fresh>,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    asked: HashSet<String>,
    missing: Vec<String>,
    misshapen: Vec<String>,
    unusable: Vec<String>,
}

impl Weights {
    /// A builder for a network whose layers ask for canonical names, and the binding that judges the whole
    /// afterwards. Each tensor is read when it is asked for and kept by the network alone. What is missing or does
    /// not fit is noted and zeros stand in, so that building goes on and [`Binding::finish`] can name all of it.
    ///
    /// What is `fresh` is initialised as the layer wishes, whatever the file holds.
    pub fn builder(&self, fresh: Option<Fresh>) -> (VarBuilder<'static>, Binding) {
        let shared = Arc::new(Shared { weights: self.clone(), fresh, ledger: Mutex::default() });
        let backend = Box::new(Backend(Arc::clone(&shared)));
        (VarBuilder::from_backend(backend, DType::F32, Device::Cpu), Binding { shared })
    }
}

struct Backend(Arc<Shared>);

impl Shared {
    fn note(&self, write: impl FnOnce(&mut Ledger)) {
        // A poisoned ledger is still a ledger: entries are only ever added.
        write(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn fresh(&self, name: &str) -> Option<&Fresh> {
        self.fresh.as_ref().filter(|fresh| name.starts_with(&fresh.prefix))
    }
}

impl SimpleBackend for Backend {
    fn get(&self, s: Shape, name: &str, h: Init, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        let Self(shared) = self;
        shared.note(|ledger| ledger.asked.extend([name.to_owned()]));
        if let Some(fresh) = shared.fresh(name) {
            return Initializer { seed: fresh.seed }.get(s, name, h, dtype, dev);
        }
        let problem: (fn(&mut Ledger) -> &mut Vec<String>, String) = match shared.weights.shape(name) {
            None => (|ledger| &mut ledger.missing, name.to_owned()),
            Some(found) if found != s.dims() => {
                (|ledger| &mut ledger.misshapen, format!("{name} (file {found:?}, network {:?})", s.dims()))
            }
            Some(_) => match shared.weights.finite(name) {
                Ok(tensor) => return tensor.to_dtype(dtype)?.to_device(dev),
                Err(reason) => (|ledger| &mut ledger.unusable, format!("{name} ({reason:#})")),
            },
        };
        let (list, entry) = problem;
        shared.note(|ledger| list(ledger).push(entry));
        Tensor::zeros(s, dtype, dev)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        let Self(shared) = self;
        shared.note(|ledger| ledger.asked.extend([name.to_owned()]));
        let tensor = shared.weights.tensor(name).map_err(|error| candle_core::Error::Msg(format!("{error:#}")))?;
        tensor.to_dtype(dtype)?.to_device(dev)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let Self(shared) = self;
        shared.fresh(name).is_some() || shared.weights.shape(name).is_some()
    }
}

impl Binding {
    /// Judges the weights after the network `model` was built from them.
    ///
    /// # Errors
    ///
    /// Where tensors were missing, misshapen or unusable, or the file holds weights that the network did not ask
    /// for: one message with the first few of each, and with what was assumed.
    pub fn finish(&self, model: &str) -> Result<()> {
        let Shared { weights, ledger, .. } = &*self.shared;
        let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let unexpected: Vec<String> = weights
            .names()
            .filter(|(name, _)| !ledger.asked.contains(*name) && self.shared.fresh(name).is_none())
            .map(|(name, _)| name.to_owned())
            .collect();
        let kinds = [
            ("missing", &ledger.missing),
            ("misshapen", &ledger.misshapen),
            ("unexpected", &unexpected),
            ("unusable", &ledger.unusable),
        ];
        if kinds.iter().all(|(_, names)| names.is_empty()) {
            return Ok(());
        }
        let mut message = format!(
            "the checkpoint {} does not fit {model} (read as {} layout from {}):",
            weights.file,
            weights.layout(),
            weights.source
        );
        for (kind, names) in kinds.iter().filter(|(_, names)| !names.is_empty()) {
            let some: Vec<String> = names.iter().take(NAMED).map(|name| shown(name)).collect();
            let more = if names.len() > NAMED { ", ..." } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(message, "\n  {} {kind}: {}{more}", names.len(), some.join(", "));
        }
        let only_unusable = kinds.iter().take(3).all(|(_, names)| names.is_empty());
        message += if only_unusable {
            "\nThe file is damaged or its training diverged; use another checkpoint."
        } else {
            "\nGive the network that the file was saved from with --model-name, or check --num-classes and --in-chans."
        };
        bail!(message)
    }
}
