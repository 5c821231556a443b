//! One set of weights of a checkpoint, under canonical names, read tensor by tensor.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};

use super::layouts::{ABN_EPSILON, Layout, Role};
use super::shown;
use super::state_dict::StateDict;
use super::storage::{Reader, View};
use crate::models::{ModelKwargs, Variant};

/// The note of what a network's norms add to a variance, where it is not the usual: ours, and what timm's trainer leaves
/// of `--bn-eps`.
const NORM_EPSILON_NOTES: [&str; 2] = [super::NORM_EPSILON_NOTE, "args.bn_eps"];

/// The weights of a network: where each tensor lies. Nothing is read before it is asked for.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) file: String,
    pub(super) source: String,
    layout: Layout,
    reader: Arc<Reader>,
    /// In the order of the file.
    tensors: Vec<Weight>,
    places: HashMap<String, usize>,
    norm_epsilon: Option<f32>,
}

#[derive(Clone, Debug)]
struct Weight {
    name: String,
    view: View,
    is_abn: bool,
}

impl Weights {
    /// The weights of `dict` in `file`, whose own `notes` may say what their norms' epsilon was.
    pub(super) fn new(file: &str, dict: &StateDict, notes: &[(String, String)], reader: &Arc<Reader>) -> Result<Self> {
        let layout = dict.layout();
        let mut tensors: Vec<Weight> = Vec::new();
        let mut places = HashMap::new();
        for entry in &dict.entries {
            let (name, is_abn) = match layout.role(&entry.name) {
                Role::Weight(name) => (name, false),
                Role::AbnWeight(name) => (name, true),
                Role::Unused => continue,
            };
            match places.entry(name.clone()) {
                Slot::Occupied(_) => bail!("two of its tensors are `{}` in {layout} layout", shown(&name)),
                Slot::Vacant(slot) => slot.insert(tensors.len()),
            };
            tensors.push(Weight { name, view: entry.view.clone(), is_abn });
        }
        let noted = notes.iter().find(|(key, _)| NORM_EPSILON_NOTES.contains(&key.as_str()));
        let noted = noted.and_then(|(_, text)| ModelKwargs::epsilon(text));
        Ok(Self {
            file: file.to_owned(),
            source: dict.title(),
            layout,
            reader: Arc::clone(reader),
            tensors,
            places,
            norm_epsilon: noted.or(layout.norm_epsilon()),
        })
    }

    /// What a `variant` for these weights is to be told: `asked`, and where that is silent, what the file knows of the
    /// network that its tensors do not say.
    pub fn kwargs(&self, variant: &Variant, asked: ModelKwargs) -> ModelKwargs {
        let heeds = variant.network.kwargs().contains(&"bn_eps");
        ModelKwargs { bn_eps: asked.bn_eps.or(self.norm_epsilon.filter(|_| heeds)), ..asked }
    }

    /// How the file names its tensors.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Canonical names and shapes of the floating-point tensors, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let floats = self.tensors.iter().filter(|weight| weight.view.element().is_float());
        floats.map(|weight| (weight.name.as_str(), weight.view.shape()))
    }

    /// The shape of the tensor of a canonical name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|weight| weight.view.shape())
    }

    /// How many classes the head tells apart, where there is a head.
    pub fn num_classes(&self) -> Option<usize> {
        self.shape(self.layout.head())?.first().copied()
    }

    /// How many channels an input image has, where the first convolution says.
    pub fn in_chans(&self) -> Option<usize> {
        let (stems, channels) = self.layout.stem();
        let inputs = *stems.iter().find_map(|stem| self.shape(stem))?.get(1)?;
        (inputs % channels == 0).then_some(inputs / channels)
    }

    /// Reads one tensor: f32, on the CPU, in its own shape (convolutions OIHW). In-Place ABN weights of the original
    /// layout come as |w| + 1e-5, so that a plain batch norm takes them.
    ///
    /// # Errors
    ///
    /// Where there is no such tensor, it holds no floating-point numbers, or the file cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.read(name).with_context(|| format!("cannot read `{}` from the checkpoint {}", shown(name), self.file))
    }

    /// As [`Weights::tensor`], but only of finite numbers, and with the reason alone as the error.
    pub(super) fn finite(&self, name: &str) -> Result<Tensor> {
        let (numbers, shape) = self.numbers(name)?;
        ensure!(numbers.iter().all(|number| number.is_finite()), "holds NaN or infinity");
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let (numbers, shape) = self.numbers(name)?;
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }

    fn find(&self, name: &str) -> Option<&Weight> {
        self.tensors.get(*self.places.get(name)?)
    }

    /// A tensor's elements in C order, and its shape.
    fn numbers(&self, name: &str) -> Result<(Vec<f32>, &[usize])> {
        let weight = self.find(name).context("there is no such tensor")?;
        let mut numbers = self.reader.read(&weight.view)?;
        if weight.is_abn {
            for number in &mut numbers {
                *number = number.abs() + ABN_EPSILON;
            }
        }
        Ok((numbers, weight.view.shape()))
    }
}
