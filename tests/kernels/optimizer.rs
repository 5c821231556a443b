//! Whole training steps on flat parameters against the room `optim`: loss scaling with an overflow, clipping, two kinds
//! of gradients, groups, and the moving average.

use candle_nn::Init;
use tresnet::nn::Parameter;
use tresnet::ops::cuda::Element;
use tresnet::ops::cuda::optimizer::{
    self as device, AdamRules, EMA_WEIGHT, FINITE, Gradients, LR, NORM, Parameters, SCALE, SEGMENT, STATE, STEPS,
    ScaleRules, StepRules, squares_len,
};
use tresnet::optim::{Clip, Ema, GradScaler, GroupOptions, Groups, Optimizer, OptimizerSettings, gradient_norm};

use crate::compare::{assert_near, assert_within, round, values};
use crate::memory::{Memory, run};

const LRS: [f64; 5] = [0.1, 0.05, 0.2, 0.1, 0.01];
/// The step whose gradients overflow.
const OVERFLOWS: usize = 2;
const BETAS: [f64; 2] = [0.9, 0.999];

fn shapes() -> [(&'static str, Vec<usize>); 4] {
    [
        ("conv1.weight", vec![83, 3, 3, 3]),
        ("bn1.weight", vec![83]),
        ("layer1.0.conv1.weight", vec![100, 76]),
        ("fc.bias", vec![7]),
    ]
}

fn groups() -> Groups {
    let parameter = |(name, shape): (&str, Vec<usize>)| Parameter {
        name: name.into(),
        shape,
        init: Init::Const(0.0),
        trainable: true,
    };
    let parameters = shapes().map(parameter);
    let options = GroupOptions { weight_decay: 0.05, layer_decay: Some(0.5), layer_decay_min_scale: 0.0 };
    Groups::new(&parameters, &[false; 4], &options).unwrap()
}

/// All parameters one after another, each at the start of a segment, zeros between.
fn flat(parameters: &[Vec<f32>]) -> Vec<f32> {
    let mut all = Vec::new();
    for parameter in parameters {
        all.extend_from_slice(parameter);
        all.resize(all.len().next_multiple_of(SEGMENT), 0.0);
    }
    all
}

fn of_each(name: &str, element: Element) -> Vec<Vec<f32>> {
    shapes().map(|(own, shape)| values(&format!("{name} of {own}"), shape.iter().product(), element)).into()
}

/// The CPU's run.
struct Cpu {
    optimizer: Optimizer,
    scaler: GradScaler,
    ema: Ema,
    values: Vec<Vec<f32>>,
    norm: f64,
}

impl Cpu {
    fn new(name: &str) -> Self {
        let settings = OptimizerSettings { name: name.into(), momentum: 0.9, epsilon: None, betas: Some(BETAS) };
        let values = of_each("value", Element::F32);
        Self {
            optimizer: settings.build(groups()).unwrap(),
            scaler: GradScaler::new(1024.0, 2).unwrap(),
            ema: Ema::new(values.clone(), 0.9, false).unwrap(),
            values,
            norm: 0.0,
        }
    }

    /// `gradients` are scaled.
    fn step(&mut self, mut gradients: Vec<Vec<f32>>, update: usize, clip: Option<f64>) {
        let finite = self.scaler.unscale(&mut gradients, &groups());
        if finite {
            self.norm = gradient_norm(&gradients, &groups());
            if let Some(max) = clip {
                Clip::Norm(max).apply(&self.values, &mut gradients, &groups());
            }
            self.optimizer.step(&mut self.values, &gradients, LRS[update]).unwrap();
        }
        self.scaler.update(finite);
        self.ema.update(&self.values, update as u64 + 1);
    }
}

/// What steps a flat array, of the CPU's name.
fn check(name: &str, element: Element, full_gradients: bool, clip: Option<f64>) {
    let mut cpu = Cpu::new(name);
    let start = flat(&cpu.values);
    let count = start.len();
    let zeros = vec![0.0; count];
    let [own, first, second] = [&start, &zeros, &zeros].map(|values| Memory::floats(values));
    let (average, copy) = (Memory::floats(&start), Memory::fresh(count * element.size()));
    let members = groups();
    let mut group_bytes = Vec::new();
    for (number, member) in members.members().iter().enumerate() {
        let len = member.shape.iter().product::<usize>();
        group_bytes.extend(std::iter::repeat_n(number as u8, len.div_ceil(SEGMENT)));
    }
    let table = members.members().iter().flat_map(|member| [member.lr_scale as f32, member.weight_decay as f32]);
    let (table, group_bytes) = (Memory::floats(&table.collect::<Vec<_>>()), Memory::of_bytes(&group_bytes));
    let mut state_values = vec![0.0; STATE];
    state_values[SCALE] = cpu.scaler.scale();
    let sums = Memory::fresh(squares_len(count) * 8);
    for (update, lr) in LRS.into_iter().enumerate() {
        let mut gradients = of_each(&format!("gradient {update}"), element);
        for gradient in gradients.iter_mut().flatten() {
            *gradient = round(*gradient * state_values[SCALE] * 0.01, element);
        }
        if update == OVERFLOWS {
            gradients[3][6] = f32::INFINITY;
        }
        state_values[LR] = lr as f32;
        state_values[EMA_WEIGHT] = (1.0 - cpu.ema.decay_at(update as u64 + 1)) as f32;
        let state = Memory::floats(&state_values);
        let flat_gradients = match full_gradients {
            true => Memory::floats(&flat(&gradients)),
            false => Memory::values(element, &flat(&gradients)),
        };
        let parameters = Parameters {
            count,
            values: &own,
            gradients: match full_gradients {
                true => Gradients::F32(&flat_gradients),
                false => Gradients::Half(&flat_gradients),
            },
            copy: Some(&copy),
            groups: &group_bytes,
            table: &table,
            group_count: members.members().len(),
        };
        let rules = StepRules {
            max_norm: clip.map(|max| max as f32),
            lamb_norm: (name == "lamb").then_some(1.0),
            betas: BETAS.map(|beta| beta as f32),
            scaling: Some(ScaleRules { growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2 }),
        };
        run(device::gradient_squares(element, &parameters, &state, &sums));
        run(device::begin_step(squares_len(count), &sums, &state, rules));
        let adam = AdamRules { betas: rules.betas, epsilon: 1e-8, decoupled: name == "adamw" };
        run(match name {
            "adam" | "adamw" => device::adam(element, &parameters, [&first, &second], &state, adam),
            name => device::sgd(element, &parameters, &first, &state, 0.9, name == "nesterov"),
        });
        run(device::ema(count, &average, &own, &state));
        cpu.step(gradients, update, clip);

        state_values = state.read_floats();
        let what = format!("{name} in {element:?}, step {update}");
        assert_eq!(state_values[SCALE], cpu.scaler.scale(), "scale of {what}");
        assert_eq!(state_values[FINITE], f32::from(u8::from(update != OVERFLOWS)), "{what}");
        assert_eq!(state_values[STEPS], cpu.optimizer.steps() as f32, "{what}");
        if update != OVERFLOWS {
            assert_within(&what, &[state_values[NORM]], &[cpu.norm as f32], 1e-6);
        }
        assert_within(&what, &own.read_floats(), &flat(&cpu.values), 1e-5);
        assert_within(&format!("average of {what}"), &average.read_floats(), &flat(cpu.ema.values()), 1e-5);
        assert_near(&format!("copy of {what}"), element, &copy.read_values(element), &flat(&cpu.values));
    }
}

pub fn sgd_steps_as_the_cpus() {
    check("nesterov", Element::F16, false, None);
    check("momentum", Element::Bf16, true, Some(0.5));
}

pub fn adam_steps_as_the_cpus() {
    check("adamw", Element::F32, true, Some(0.5));
    check("adam", Element::F16, true, None);
}

pub fn a_run_without_scaling_and_clipping_leaves_the_gradients_as_they_are() {
    let gradients = values("gradient", SEGMENT, Element::F32);
    let memory = [&gradients, &vec![0.0; SEGMENT], &vec![0.0; SEGMENT]].map(|values| Memory::floats(values));
    let mut start = vec![0.0; STATE];
    (start[SCALE], start[LR]) = (1.0, 1.0);
    let (state, sums) = (Memory::floats(&start), Memory::fresh(8));
    let (groups, table) = (Memory::of_bytes(&[0]), Memory::floats(&[1.0, 0.0]));
    let parameters = Parameters {
        count: SEGMENT,
        values: &memory[1],
        gradients: Gradients::F32(&memory[0]),
        copy: None,
        groups: &groups,
        table: &table,
        group_count: 1,
    };
    let rules = StepRules { max_norm: None, lamb_norm: None, betas: [0.9, 0.999], scaling: None };
    run(device::gradient_squares(Element::F32, &parameters, &state, &sums));
    run(device::begin_step(1, &sums, &state, rules));
    run(device::sgd(Element::F32, &parameters, &memory[2], &state, 0.9, false));
    assert!(memory[1].read_floats().iter().zip(&gradients).all(|(value, gradient)| *value == -gradient));
    assert_eq!(state.read_floats()[SCALE], 1.0);
}
