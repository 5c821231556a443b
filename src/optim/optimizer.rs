//! What all optimisers have in common: state for each parameter, a step over all of them, and saving and loading.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;

use super::groups::Groups;

/// One parameter in one step. All slices are of the parameter's length.
pub struct Update<'a> {
    pub values: &'a mut [f32],
    pub gradient: &'a [f32],
    /// The rule's first buffer.
    pub first: &'a mut [f32],
    /// The rule's second buffer; empty where it has but one.
    pub second: &'a mut [f32],
    /// The parameter's learning rate.
    pub lr: f64,
    pub weight_decay: f64,
    /// The number of this step, from 1.
    pub step: u64,
    /// What [`Rule::gradient_divisor`] returned.
    pub divisor: f32,
}

/// How one optimiser moves a parameter.
pub trait Rule: Send + Sync {
    /// Names of the one or two buffers that it keeps for each parameter, PyTorch's; all start at 0.
    fn buffers(&self) -> &'static [&'static str];

    /// What every gradient is to be divided by, given all of them.
    fn gradient_divisor(&self, _gradients: &[&[f32]]) -> f32 {
        1.0
    }

    fn update(&self, update: Update);
}

/// A rule with the state of every parameter that it steps.
pub struct Optimizer {
    rule: Box<dyn Rule>,
    groups: Groups,
    /// The buffers of each member.
    state: Vec<[Vec<f32>; 2]>,
    steps: u64,
}

impl Optimizer {
    pub fn new(rule: Box<dyn Rule>, groups: Groups) -> Self {
        let buffers = rule.buffers().len();
        let zeros = |len: usize, at: usize| if at < buffers { vec![0.0; len] } else { Vec::new() };
        let state = groups.members().iter().map(|member| {
            let len = member.shape.iter().product();
            [zeros(len, 0), zeros(len, 1)]
        });
        Self { rule, state: state.collect(), groups, steps: 0 }
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Moves the groups' parameters. `values` and `gradients` hold every parameter of the graph; `lr` is the
    /// schedule's.
    pub fn step(&mut self, values: &mut [Vec<f32>], gradients: &[Vec<f32>], lr: f64) -> Result<()> {
        let members = self.groups.members();
        let own = members.iter().filter_map(|member| gradients.get(member.parameter).map(Vec::as_slice));
        let divisor = self.rule.gradient_divisor(&own.collect::<Vec<_>>());
        // Members stand in the graph's order, so that one pass hands out each parameter once.
        let mut all = values.iter_mut().zip(gradients).enumerate();
        let mut updates = Vec::with_capacity(members.len());
        for (member, [first, second]) in members.iter().zip(&mut self.state) {
            let (_, (values, gradient)) = all
                .find(|(at, _)| *at == member.parameter)
                .with_context(|| format!("{} has no values or no gradient", member.name))?;
            ensure!(
                values.len() == first.len() && gradient.len() == first.len(),
                "{} has {} values and {} gradients, the optimiser knows {}",
                member.name,
                values.len(),
                gradient.len(),
                first.len()
            );
            updates.push(Update {
                values,
                gradient,
                first,
                second,
                lr: lr * member.lr_scale,
                weight_decay: member.weight_decay,
                step: self.steps + 1,
                divisor,
            });
        }
        updates.into_par_iter().for_each(|update| self.rule.update(update));
        self.steps += 1;
        Ok(())
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Every buffer under `<buffer>.<parameter>`.
    pub fn state(&self) -> Vec<(String, &[f32])> {
        let members = self.groups.members().iter().zip(&self.state);
        members
            .flat_map(|(member, state)| {
                let named = self.rule.buffers().iter().zip(state);
                named.map(|(buffer, values)| (format!("{buffer}.{}", member.name), &values[..]))
            })
            .collect()
    }

    /// Takes up the state that [`Self::state`] and [`Self::steps`] gave.
    ///
    /// # Errors
    ///
    /// If a buffer is missing, has another length or is unknown: the state is then as it was before.
    pub fn load_state(&mut self, steps: u64, mut saved: HashMap<String, Vec<f32>>) -> Result<()> {
        let mut loaded = Vec::with_capacity(self.state.len());
        for (member, state) in self.groups.members().iter().zip(&self.state) {
            let mut buffers = [Vec::new(), Vec::new()];
            for ((buffer, now), into) in self.rule.buffers().iter().zip(state).zip(&mut buffers) {
                let name = format!("{buffer}.{}", member.name);
                *into = saved.remove(&name).with_context(|| {
                    format!("the saved optimiser has no {name}: it is another --opt's or another network's")
                })?;
                ensure!(into.len() == now.len(), "the saved {name} has {} values, not {}", into.len(), now.len());
            }
            loaded.push(buffers);
        }
        if let Some(name) = saved.keys().min() {
            bail!("the saved optimiser's {name} belongs to nothing that is trained: another --opt, or more is frozen");
        }
        self.state = loaded;
        self.steps = steps;
        Ok(())
    }
}
