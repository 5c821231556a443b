//! Which of a file's objects are weights: training scripts save a state dict bare, or beside an optimiser, the epoch
//! and averaged (EMA) weights, under one of a few customary names.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};

use super::element::ElementType;
use super::pickle::{Id, Pickle};
use super::storage::{Storage, View};
use super::tensor::{self, StorageId};
use super::{layouts, shown};

/// Names under which scripts keep plain weights, the preferred first. timm prefers `state_dict` to `model`.
const CUSTOMARY: [&str; 6] = ["state_dict", "model", "model_state_dict", "net", "network", "weights"];

/// More tensors than any network has.
const MAX_TENSORS: usize = 1 << 18;

/// A tensor in a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key, as the file has it.
    pub name: String,
    pub(super) view: View,
}

impl Entry {
    /// Sizes, outermost first; for convolutions [output channels, input channels, height, width].
    pub fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    /// The type that the file stores.
    pub fn element(&self) -> ElementType {
        self.view.element()
    }
}

/// A mapping from names to tensors that a file holds.
#[derive(Clone, Debug)]
pub struct StateDict {
    /// The keys that lead to it from the file's outermost object; empty where it is that object.
    pub path: String,
    /// Its tensors, in the order of the file.
    pub entries: Vec<Entry>,
}

impl StateDict {
    /// Whether its name says that these are averaged weights.
    pub fn is_ema(&self) -> bool {
        self.path.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "ema")
    }

    /// How the tensors are named.
    pub fn layout(&self) -> layouts::Layout {
        layouts::Layout::recognise(self.entries.iter().map(|entry| entry.name.as_str()))
    }

    /// The sets of a file whose every tensor is named `<set>/<tensor>`, as the state of a run is, without its
    /// optimizer's; of any other file, the one set that it is.
    pub(super) fn by_section(self) -> Vec<Self> {
        if !self.entries.iter().all(|entry| entry.name.contains('/')) {
            return vec![self];
        }
        let mut sections: Vec<Self> = Vec::new();
        for Entry { name, view } in self.entries {
            let Some((path, name)) = name.split_once('/').filter(|(path, _)| !path.starts_with("optim")) else {
                continue;
            };
            let entry = Entry { name: name.to_owned(), view };
            match sections.iter_mut().find(|section| section.path == path) {
                Some(section) => section.entries.push(entry),
                None => sections.push(Self { path: path.to_owned(), entries: vec![entry] }),
            }
        }
        sections
    }

    /// The path in words.
    pub(super) fn title(&self) -> String {
        if self.path.is_empty() { "the outermost object".to_owned() } else { format!("`{}`", shown(&self.path)) }
    }
}

/// Finds the state dicts of a pickle: its outermost object, what is one key inside, and two.
///
/// # Errors
///
/// Where a tensor lies outside its storage or is of a kind that is not read, and where there is no tensor at all.
pub(super) fn find(
    pickle: &Pickle,
    file_bytes: u64,
    mut locate: impl FnMut(&StorageId) -> Result<Storage>,
) -> Result<Vec<StateDict>> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([pickle.root()]);
    let mut level = vec![(String::new(), pickle.root())];
    for _ in 0..3 {
        let mut inside = Vec::new();
        for (path, id) in level {
            let Some(items) = pickle.mapping(id) else {
                continue;
            };
            let mut tensors: HashMap<&str, usize> = HashMap::new();
            let mut entries: Vec<(&str, Id)> = Vec::new();
            for (key, value) in items {
                let Some(key) = pickle.text(key) else {
                    continue;
                };
                if tensor::is_described(pickle, value) {
                    // As in Python, a repeated key keeps its place and takes the new value.
                    let place = *tensors.entry(key).or_insert(entries.len());
                    match entries.get_mut(place) {
                        Some(entry) => entry.1 = value,
                        None => entries.push((key, value)),
                    }
                } else if !key.starts_with("optim") && seen.insert(value) {
                    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                    inside.push((path, value));
                }
            }
            if entries.is_empty() {
                continue;
            }
            ensure!(entries.len() <= MAX_TENSORS, "it holds more than {MAX_TENSORS} tensors");
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|(name, id)| {
                    entry(pickle, name, id, file_bytes, &mut locate)
                        .with_context(|| format!("tensor `{}`", shown(name)))
                })
                .collect::<Result<_>>()?;
            // The state of a random generator is a tensor too.
            if entries.iter().any(|entry| entry.element().is_float()) {
                found.push(StateDict { path, entries });
            }
        }
        level = inside;
    }
    if found.is_empty() {
        bail!("it holds {}, but no state dict: nothing in it maps names to tensors", contents(pickle));
    }
    Ok(found)
}

fn entry(
    pickle: &Pickle,
    name: &str,
    id: Id,
    file_bytes: u64,
    locate: &mut impl FnMut(&StorageId) -> Result<Storage>,
) -> Result<Entry> {
    let described = tensor::read(pickle, id)?;
    let storage = locate(&described.storage)?;
    let place = (described.first, described.shape.as_slice(), described.strides.as_slice());
    let view = View::new(&storage, described.element, place, file_bytes)?;
    Ok(Entry { name: name.to_owned(), view })
}

/// The outermost object in words.
fn contents(pickle: &Pickle) -> String {
    let root = pickle.root();
    match pickle.mapping(root) {
        Some(items) => {
            let keys = items.filter_map(|(key, _)| pickle.text(key)).take(8);
            format!("a dict ({})", keys.map(shown).collect::<Vec<_>>().join(", "))
        }
        None if tensor::is_described(pickle, root) => "a single tensor".to_owned(),
        None => pickle.kind(root).to_owned(),
    }
}

/// The state dict to use.
///
/// # Errors
///
/// Where the file holds averaged weights alone and they are not asked for, or the other way round, or several that
/// no custom tells apart.
pub(super) fn choose(found: &[StateDict], use_ema: bool) -> Result<&StateDict> {
    let titles = || found.iter().map(StateDict::title).collect::<Vec<_>>().join(", ");
    let mut candidates: Vec<&StateDict> = found.iter().filter(|dict| dict.is_ema() == use_ema).collect();
    // Stable: of equals, the first in the file stays first.
    candidates.sort_by_key(|dict| rank(&dict.path));
    match candidates.as_slice() {
        [] if use_ema => bail!("it holds no averaged (EMA) weights, only {}; leave --use-ema out", titles()),
        [] => bail!("it holds averaged (EMA) weights alone ({}); pass --use-ema to take them", titles()),
        [first, second, ..] if rank(&first.path) == UNCUSTOMARY && rank(&second.path) == UNCUSTOMARY => {
            bail!("it holds several sets of weights ({}); save the wanted one alone", titles())
        }
        [first, ..] => Ok(first),
    }
}

const UNCUSTOMARY: usize = CUSTOMARY.len() + 1;

fn rank(path: &str) -> usize {
    match CUSTOMARY.iter().position(|&name| name == path) {
        Some(place) => place,
        None if path.is_empty() => CUSTOMARY.len(),
        None => UNCUSTOMARY,
    }
}
