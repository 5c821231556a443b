//! What PyTorch's optimisers save: buffers by the number of the parameter, and the numbers of each group.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

use super::pickle::{Id, Pickle, Value};
use super::storage::{Reader, Storage, View};
use super::tensor::{self, StorageId};

/// The key under which training scripts keep it.
const KEY: &str = "optimizer";
/// The count of steps, which is a tensor in some optimisers, and of a group instead of a parameter in others.
const STEP: &str = "step";

/// An optimiser's state where it lies in a file.
#[derive(Debug)]
pub(super) struct OptimizerState {
    /// The parameters' numbers, group by group.
    groups: Vec<Vec<i64>>,
    buffers: HashMap<i64, Vec<(String, View)>>,
    /// Steps, where they are a plain number.
    steps: Option<i64>,
}

impl OptimizerState {
    /// Finds it in a training script's outermost object. None where there is none of that form.
    ///
    /// # Errors
    ///
    /// Where a tensor lies outside its storage or is of a kind that is not read.
    pub fn find(
        pickle: &Pickle,
        file_bytes: u64,
        mut locate: impl FnMut(&StorageId) -> Result<Storage>,
    ) -> Result<Option<Self>> {
        let whole = field(pickle, pickle.root(), KEY);
        let part = |key| whole.and_then(|whole| field(pickle, whole, key));
        let (Some(state), Some(groups)) = (part("state"), part("param_groups")) else { return Ok(None) };
        let (Some(state), Some(groups)) = (pickle.mapping(state), pickle.sequence(groups)) else { return Ok(None) };
        let mut steps = groups.iter().find_map(|&group| pickle.int(field(pickle, group, STEP)?));
        let numbers = |&group: &Id| {
            let members = pickle.sequence(field(pickle, group, "params")?)?;
            members.iter().map(|&member| pickle.int(member)).collect::<Option<Vec<i64>>>()
        };
        let Some(groups) = groups.iter().map(numbers).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut buffers: HashMap<i64, Vec<(String, View)>> = HashMap::new();
        for (number, parameter) in state {
            let (Some(number), Some(parameter)) = (pickle.int(number), pickle.mapping(parameter)) else { continue };
            let own = buffers.entry(number).or_default();
            for (name, value) in parameter {
                let Some(name) = pickle.text(name) else { continue };
                if tensor::is_described(pickle, value) {
                    let described = tensor::read(pickle, value)?;
                    let storage = locate(&described.storage)?;
                    let place = (described.first, described.shape.as_slice(), described.strides.as_slice());
                    own.push((name.to_owned(), View::new(&storage, described.element, place, file_bytes)?));
                } else if name == STEP
                    && let Value::Int(value) = pickle.get(value)
                {
                    steps = Some(*value);
                }
            }
        }
        Ok(Some(Self { groups, buffers, steps }))
    }

    /// Parameters in each group.
    pub fn group_sizes(&self) -> Vec<usize> {
        self.groups.iter().map(Vec::len).collect()
    }

    /// Reads all buffers, `<buffer>.<parameter>`, and the count of steps. `names` are the parameters, group by group.
    ///
    /// # Errors
    ///
    /// Where the names are not as many as the parameters, or a buffer cannot be read.
    pub fn read(&self, names: &[&str], reader: &Reader) -> Result<(u64, HashMap<String, Vec<f32>>)> {
        let numbers: Vec<i64> = self.groups.iter().flatten().copied().collect();
        ensure!(numbers.len() == names.len(), "it is of {} parameters, the weights are {}", numbers.len(), names.len());
        let mut steps = self.steps;
        let mut read = HashMap::new();
        for (number, parameter) in numbers.iter().zip(names) {
            for (buffer, view) in self.buffers.get(number).into_iter().flatten() {
                let values = reader.read(view).with_context(|| format!("the {buffer} of {parameter}"))?;
                match (buffer.as_str(), values.as_slice()) {
                    (STEP, &[step]) => steps = Some(step as i64),
                    _ => drop(read.insert(format!("{buffer}.{parameter}"), values)),
                }
            }
        }
        Ok((steps.and_then(|steps| u64::try_from(steps).ok()).unwrap_or_default(), read))
    }
}

/// The value of a key.
fn field(pickle: &Pickle, id: Id, key: &str) -> Option<Id> {
    // As in Python, the last of a repeated key counts.
    pickle.mapping(id)?.filter(|(name, _)| pickle.text(*name) == Some(key)).map(|(_, value)| value).last()
}
