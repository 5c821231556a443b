//! The launches around the passes: what begins an update, and what ends it with a step of the optimiser.

use anyhow::{Context, Result};

use super::{FlatLayout, TrainingMemory, UpdateMemory};
use crate::ops::cuda::optimizer::{
    self, AdamRules, Gradients, LambMemory, Parameters, SEGMENT, StepRules, squares_len,
};
use crate::ops::cuda::{Launch, clip, training};

/// How parameters are stepped; the room `optim` defines each.
#[derive(Clone, Copy, Debug)]
pub enum Stepper {
    Sgd { momentum: f32, nesterov: bool },
    Adam(AdamRules),
    Lamb(LambRules),
    Lion { betas: [f32; 2] },
}

/// LAMB's numbers.
#[derive(Clone, Copy, Debug)]
pub struct LambRules {
    pub betas: [f32; 2],
    pub epsilon: f32,
    /// The norm that all gradients are brought down to.
    pub max_norm: f32,
}

/// How gradients are clipped; the room `optim` defines each.
#[derive(Clone, Debug, PartialEq)]
pub enum Clipping {
    /// All together to at most this norm.
    Norm(f32),
    /// Each to at most this magnitude.
    Value(f32),
    /// Each output unit's to at most `factor` of its values' norm. `clipped` says for each stepped parameter how many
    /// units it has; 0 where it is left alone.
    Units { factor: f32, clipped: Vec<usize> },
}

/// What an update does.
#[derive(Clone, Debug)]
pub struct UpdateRules {
    pub stepper: Stepper,
    /// LAMB's own norm is the stepper's.
    pub clip: Option<Clipping>,
    pub scaling: Option<optimizer::ScaleRules>,
    /// For each stepped parameter the factor on the learning rate and the weight decay.
    pub groups: Vec<[f32; 2]>,
    /// Whether a moving average is kept.
    pub averages: bool,
}

/// What an update's memory is made of.
pub struct UpdateSizes {
    /// Each stepped segment's group, and what the groups are.
    pub groups: Vec<u8>,
    pub table: Vec<f32>,
    /// Bytes of the sums of squares.
    pub squares: usize,
    /// For LAMB: first segment and segments of each stepped parameter, and each segment's parameter.
    pub spans: Vec<i32>,
    pub owners: Vec<i32>,
    /// Of each unit that is clipped apart from others: its first element, and how many it has.
    pub units: Vec<i32>,
}

impl Stepper {
    /// PyTorch's names of the buffers that it keeps.
    pub fn buffers(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum_buffer"],
            Self::Adam(_) | Self::Lamb(_) => &["exp_avg", "exp_avg_sq"],
            Self::Lion { .. } => &["exp_avg"],
        }
    }

    fn betas(&self) -> [f32; 2] {
        match self {
            Self::Adam(AdamRules { betas, .. }) | Self::Lamb(LambRules { betas, .. }) => *betas,
            Self::Sgd { .. } | Self::Lion { .. } => [0.0; 2],
        }
    }
}

impl UpdateRules {
    /// # Errors
    /// If there are more different groups than a byte counts.
    pub fn sizes(&self, layout: &FlatLayout) -> Result<UpdateSizes> {
        let mut different: Vec<[f32; 2]> = Vec::new();
        let (mut groups, mut spans, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (&parameter, group)) in layout.stepped.iter().zip(&self.groups).enumerate() {
            let place = layout.places[parameter];
            let segments = place.len.div_ceil(SEGMENT);
            let at = different.iter().position(|other| other == group).unwrap_or_else(|| {
                different.push(*group);
                different.len() - 1
            });
            let byte = u8::try_from(at).context("more than 256 groups of learning rate and weight decay")?;
            groups.extend(std::iter::repeat_n(byte, segments));
            spans.extend([(place.start / SEGMENT) as i32, segments as i32]);
            owners.extend(std::iter::repeat_n(number as i32, segments));
        }
        let table = different.concat();
        let squares = squares_len(layout.stepped_len).max(2 * layout.stepped_len / SEGMENT) * size_of::<f64>();
        Ok(UpdateSizes { groups, table, squares, spans, owners, units: self.units(layout) })
    }
}

impl UpdateRules {
    fn units(&self, layout: &FlatLayout) -> Vec<i32> {
        let Some(Clipping::Units { clipped, .. }) = &self.clip else { return Vec::new() };
        let of_one = |(&parameter, &count): (&usize, &usize)| {
            let (first, len) = (layout.places[parameter].start, layout.units[parameter]);
            (0..count).flat_map(move |unit| [(first + unit * len) as i32, len as i32])
        };
        layout.stepped.iter().zip(clipped).flat_map(of_one).collect()
    }
}

impl UpdateMemory {
    /// What begins an update: no gradient, no loss, and the running statistics kept.
    pub fn begin(&self, layout: &FlatLayout, memory: &TrainingMemory) -> Result<Vec<Launch>> {
        let zero = training::zero(layout.gradient_len, &memory.gradients)?;
        let mut launches = vec![zero, training::begin_update(&memory.state)?];
        if layout.running_len() > 0 {
            let running = memory.values.part(layout.gradient_len * 4, layout.running_len() * 4)?;
            launches.push(training::keep_running(layout.running_len(), [&running, &self.running], None)?);
        }
        Ok(launches)
    }

    /// What ends an update: the step where gradients are finite, else the running statistics as they were; the average.
    pub fn end(&self, layout: &FlatLayout, memory: &TrainingMemory, rules: &UpdateRules) -> Result<Vec<Launch>> {
        let TrainingMemory { element, values, gradients, copies, state, .. } = memory;
        let count = layout.stepped_len;
        let parameters = Parameters {
            count,
            values,
            gradients: Gradients::F32(gradients),
            copy: Some(copies),
            groups: &self.groups,
            table: &self.table,
            group_count: self.table.bytes() / 8,
        };
        let step = StepRules {
            max_norm: if let Some(Clipping::Norm(limit)) = rules.clip { Some(limit) } else { None },
            lamb_norm: match rules.stepper {
                Stepper::Lamb(LambRules { max_norm, .. }) => Some(max_norm),
                _ => None,
            },
            betas: rules.stepper.betas(),
            scaling: rules.scaling,
        };
        let mut launches = self.clip(layout, memory, rules)?;
        launches.extend([
            optimizer::gradient_squares(*element, &parameters, state, &self.squares)?,
            optimizer::begin_step(squares_len(count), &self.squares, state, step)?,
        ]);
        let buffer = |at: usize| self.buffers.get(at).context("the optimiser's buffers are missing");
        match rules.stepper {
            Stepper::Sgd { momentum, nesterov } => {
                launches.push(optimizer::sgd(*element, &parameters, buffer(0)?, state, momentum, nesterov)?);
            }
            Stepper::Adam(adam) => {
                launches.push(optimizer::adam(*element, &parameters, [buffer(0)?, buffer(1)?], state, adam)?);
            }
            Stepper::Lion { betas } => {
                launches.push(optimizer::lion(*element, &parameters, buffer(0)?, state, betas)?);
            }
            Stepper::Lamb(LambRules { betas, epsilon, .. }) => {
                let missing = "LAMB's memory is missing";
                let lamb = LambMemory {
                    sums: &self.squares,
                    spans: self.spans.as_ref().context(missing)?,
                    owners: self.segments.as_ref().context(missing)?,
                    factors: self.norms.as_ref().context(missing)?,
                    parameters: layout.stepped.len(),
                };
                let adam = AdamRules { betas, epsilon, decoupled: false };
                launches.extend(optimizer::lamb(*element, &parameters, [buffer(0)?, buffer(1)?], state, &lamb, adam)?);
            }
        }
        if layout.running_len() > 0 {
            let running = values.part(layout.gradient_len * 4, layout.running_len() * 4)?;
            launches.push(training::keep_running(layout.running_len(), [&self.running, &running], Some(state))?);
        }
        if let Some(average) = &self.average {
            launches.push(optimizer::ema(layout.len, average, values, state)?);
        }
        Ok(launches)
    }

    /// What clips gradients before their norm is known.
    fn clip(&self, layout: &FlatLayout, memory: &TrainingMemory, rules: &UpdateRules) -> Result<Vec<Launch>> {
        let (TrainingMemory { values, gradients, state, .. }, count) = (memory, layout.stepped_len);
        Ok(match &rules.clip {
            None | Some(Clipping::Norm(_)) => Vec::new(),
            Some(Clipping::Value(most)) => vec![clip::clip_values(count, gradients, state, *most)?],
            Some(Clipping::Units { factor, clipped }) => match clipped.iter().sum() {
                0 => Vec::new(),
                units => vec![clip::clip_units(count, [values, gradients], state, (&self.units, units), *factor)?],
            },
        })
    }
}
