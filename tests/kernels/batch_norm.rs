//! Batch norm with activation, for training: every form of its saved values.

use tresnet::ops::cuda::batch_norm::{
    FACTORS, Norm, Running, Saved, apply, finish, finish_sums, gradient_apply, gradient_finish, gradient_finish_sums,
    gradient_sums, moments, partial_sums,
};
use tresnet::ops::cuda::{Element, padded};
use tresnet::ops::{
    Activation, BatchStatistics, Saved as OnCpu, Shape, activation_gradient, batch_norm, batch_norm_gradient,
    batch_norm_into, batch_statistics, silu_gradient,
};

use crate::compare::{ELEMENTS, assert_near, assert_within, pad, padded_shape, round, unpad, values};
use crate::memory::{Memory, run};

const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// One chunk, several and more than rows that join them, whole rows of threads and not, one block of channels and two.
const SHAPES: [Shape; 6] = [
    Shape::new(2, 1, 3, 3),
    Shape::new(1, 7, 13, 76),
    Shape::new(3, 13, 7, 83),
    Shape::new(1, 16, 16, 1),
    Shape::new(5, 9, 7, 100),
    Shape::new(5, 16, 17, 3),
];

struct Case {
    shape: Shape,
    element: Element,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    statistics: BatchStatistics,
}

fn cases() -> impl Iterator<Item = Case> {
    SHAPES.into_iter().flat_map(|shape| ELEMENTS.map(|element| Case::new(shape, element, 0.2)))
}

impl Case {
    fn new(shape: Shape, element: Element, mean: f32) -> Self {
        let input =
            values("input", shape.len(), element).into_iter().map(|x| round(x + mean, element)).collect::<Vec<_>>();
        // Weights of both signs, none so small that a value could not be recovered.
        let weight = values("weight", shape.channels, Element::F32).iter().map(|w| w + 0.3 * w.signum()).collect();
        let bias = values("bias", shape.channels, Element::F32);
        let statistics = batch_statistics(&input, shape.channels, EPSILON);
        Self { shape, element, input, weight, bias, statistics }
    }

    fn padded(&self) -> Shape {
        padded_shape(self.shape)
    }

    /// A map of the case's shape on the device.
    fn map(&self, values: &[f32]) -> Memory {
        Memory::values(self.element, &pad(values, self.shape.channels))
    }

    fn read(&self, memory: &Memory) -> Vec<f32> {
        unpad(&memory.read_values(self.element), self.shape.channels)
    }

    fn what(&self, what: &str) -> String {
        format!("{what} of {} in {:?}", self.shape, self.element)
    }
}

/// A norm's memory, readable.
struct OnDevice {
    norm: Norm,
    mean: Memory,
    inverse: Memory,
}

/// The norm before its statistics are known; they are NaN.
fn norm(case: &Case) -> OnDevice {
    let [weight, bias] = [&case.weight, &case.bias].map(|numbers| Memory::floats(&pad(numbers, case.shape.channels)));
    let fresh = || Memory::fresh(padded(case.shape.channels) * 4);
    let (mean, inverse) = (fresh(), fresh());
    let norm = Norm {
        weight: weight.clone(),
        bias: bias.clone(),
        mean: mean.clone(),
        inverse: inverse.clone(),
        scale: fresh().clone(),
        shift: fresh().clone(),
    };
    OnDevice { norm, mean, inverse }
}

/// The norm with the statistics of the case's input.
fn with_statistics(case: &Case) -> OnDevice {
    let device = norm(case);
    let sums = Memory::fresh(partial_sums(case.padded()) * 4);
    run(moments(case.element, case.padded(), &case.map(&case.input), &sums));
    run(finish(case.padded(), &sums, &device.norm, None, EPSILON));
    device
}

pub fn statistics_are_the_cpus_and_move_the_running_ones() {
    for mean in [0.2, 100.0] {
        for case in SHAPES.into_iter().flat_map(|shape| ELEMENTS.map(|element| Case::new(shape, element, mean))) {
            let channels = case.shape.channels;
            let device = norm(&case);
            let sums = Memory::fresh(partial_sums(case.padded()) * 4);
            let start = [vec![0.5; channels], vec![1.5; channels]];
            let [running_mean, running_variance] = start.each_ref().map(|start| Memory::floats(&pad(start, channels)));
            let running =
                Running { mean: running_mean.clone(), variance: running_variance.clone(), momentum: MOMENTUM };
            run(moments(case.element, case.padded(), &case.map(&case.input), &sums));
            run(finish(case.padded(), &sums, &device.norm, Some(&running), EPSILON));
            let cpu = &case.statistics;
            assert_within(&case.what("mean"), &unpad(&device.mean.read_floats(), channels), &cpu.mean, 1e-6);
            let inverse = &device.inverse.read_floats()[..channels];
            assert_within(&case.what("inverse deviation"), inverse, &cpu.inverse_deviation, 1e-4);
            let unbias = case.shape.pixels() as f32 / (case.shape.pixels() as f32 - 1.0);
            let moved = |now: &f32, start: f32| start + MOMENTUM * (now - start);
            let means: Vec<f32> = cpu.mean.iter().map(|mean| moved(mean, 0.5)).collect();
            let variances: Vec<f32> = cpu.variance.iter().map(|variance| moved(&(variance * unbias), 1.5)).collect();
            assert_within("running mean", &running_mean.read_floats()[..channels], &means, 1e-6);
            assert_within("running variance", &running_variance.read_floats()[..channels], &variances, 1e-5);
        }
    }
}

pub fn an_epilogues_sums_give_the_same_statistics() {
    for case in cases() {
        let channels = case.shape.channels;
        let column = |power: i32, channel: usize| -> f64 {
            case.input.iter().skip(channel).step_by(channels).map(|&x| f64::from(x).powi(power)).sum()
        };
        let sums = [1, 2].map(|power| (0..channels).map(|channel| column(power, channel) as f32).collect::<Vec<f32>>());
        let [sums, squares] = sums.map(|sums| Memory::floats(&pad(&sums, channels)));
        let device = norm(&case);
        run(finish_sums(case.padded(), [&sums, &squares], &device.norm, None, EPSILON));
        assert_within("mean", &device.mean.read_floats()[..channels], &case.statistics.mean, 1e-6);
        let inverse = &device.inverse.read_floats()[..channels];
        assert_within("inverse", inverse, &case.statistics.inverse_deviation, 1e-4);
    }
}

pub fn the_forward_pass_is_the_cpus_in_place_and_with_a_residual() {
    for case in cases() {
        let device = with_statistics(&case);
        let residual = values("residual", case.shape.len(), case.element);
        for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01), Activation::Silu] {
            for added in [None, Some(&residual[..])] {
                let mut expected = vec![0.0; case.shape.len()];
                let Case { input, statistics, weight, bias, .. } = &case;
                batch_norm_into(input, statistics, weight, bias, added, activation, &mut expected);
                let (map, added) = (case.map(input), added.map(|added| case.map(added)));
                run(apply(case.element, case.padded(), &map, &device.norm, added.as_deref(), activation, &map));
                assert_near(&case.what("norm"), case.element, &case.read(&map), &expected);
            }
        }
    }
}

/// The gradients of input, weight and bias on the CPU, from an output's gradient.
fn on_cpu(case: &Case, mut gradient: Vec<f32>, saved: OnCpu) -> [Vec<f32>; 3] {
    let (mut weight, mut bias) = (vec![0.25; case.shape.channels], vec![-0.5; case.shape.channels]);
    let parameters = [&case.weight[..], &case.bias[..]];
    batch_norm_gradient(&mut gradient, saved, &case.statistics, parameters, [&mut weight, &mut bias]);
    [gradient, weight, bias]
}

/// The same on the device. `saved` is what the first pass is given and what the second is.
fn check(
    what: &str,
    case: &Case,
    norm: &Norm,
    gradient: &Memory,
    [first, second]: [Saved; 2],
    behind: bool,
    [input, weight, bias]: &[Vec<f32>; 3],
) {
    let channels = case.shape.channels;
    let sums = Memory::fresh(partial_sums(case.padded()) * 4);
    let factors = Memory::fresh(FACTORS * padded(channels) * 4);
    let own = [0.25, -0.5].map(|start| Memory::floats(&vec![start; padded(channels)]));
    let through = behind.then_some(&**gradient);
    run(gradient_sums(case.element, case.padded(), gradient, first, norm, through, &sums));
    run(gradient_finish(case.padded(), &sums, first, norm, &factors, [&own[0], &own[1]]));
    run(gradient_apply(case.element, case.padded(), gradient, second, norm, &factors, gradient));
    // What was rounded on the way to the second pass costs digits more.
    let digits = match case.element {
        Element::F32 => 1e-4,
        Element::F16 => 4e-3,
        Element::Bf16 => 3e-2,
    };
    assert_within(&case.what(&format!("{what}: weight's gradient")), &own[0].read_floats()[..channels], weight, digits);
    assert_within(&case.what(&format!("{what}: bias's gradient")), &own[1].read_floats()[..channels], bias, digits);
    assert_within(&case.what(&format!("{what}: input's gradient")), &case.read(gradient), input, digits);
}

pub fn the_gradient_of_a_stored_norm_is_the_cpus_by_every_way_through_the_activation() {
    for case in cases() {
        let device = with_statistics(&case);
        let input = case.map(&case.input);
        let gradient = values("gradient", case.shape.len(), case.element);
        let residual = values("residual", case.shape.len(), case.element);
        for (activation, added) in [
            (Activation::Identity, None),
            (Activation::Relu, None),
            (Activation::LeakyRelu(0.01), None),
            (Activation::Relu, Some(&residual[..])),
        ] {
            let Case { statistics, weight, bias, .. } = &case;
            let mut output = vec![0.0; case.shape.len()];
            batch_norm_into(&case.input, statistics, weight, bias, added, activation, &mut output);
            let mut behind = gradient.clone();
            activation_gradient(&mut behind, &output, activation);
            let expected = on_cpu(&case, behind.clone(), OnCpu::Input(&case.input));
            let result = case.map(&output);
            let by_output = Saved::InputAndOutput(&input, &result, activation);
            let name = format!("{activation:?}");
            check(&name, &case, &device.norm, &case.map(&gradient), [by_output; 2], false, &expected);
            if added.is_none() {
                let again = Saved::InputAgain(&input, activation);
                check(&name, &case, &device.norm, &case.map(&gradient), [again; 2], false, &expected);
            }
            // The gradient behind the activation, which a residual needs too, is written by the first pass.
            let passes = [by_output, Saved::Input(&input)];
            check(&name, &case, &device.norm, &case.map(&gradient), passes, true, &expected);
        }
    }
}

pub fn an_epilogues_sums_give_the_same_gradients() {
    for case in cases() {
        let (device, channels) = (with_statistics(&case), case.shape.channels);
        let gradient = values("gradient", case.shape.len(), case.element);
        let [input, weight, bias] = on_cpu(&case, gradient.clone(), OnCpu::Input(&case.input));
        // Without what they were before.
        let bare = |sums: &[f32], before: f32| pad(&sums.iter().map(|sum| sum - before).collect::<Vec<_>>(), channels);
        let sums = Memory::floats(&[bare(&bias, -0.5), bare(&weight, 0.25)].concat());
        let (saved, map) = (case.map(&case.input), case.map(&gradient));
        let (saved, norm) = (Saved::Input(&saved), &device.norm);
        let factors = Memory::fresh(FACTORS * padded(channels) * 4);
        let own = [0.25, -0.5].map(|start| Memory::floats(&vec![start; padded(channels)]));
        run(gradient_finish_sums(case.padded(), &sums, saved, norm, &factors, [&own[0], &own[1]]));
        run(gradient_apply(case.element, case.padded(), &map, saved, norm, &factors, &map));
        assert_within("weight's gradient", &own[0].read_floats()[..channels], &weight, 1e-6);
        assert_within("bias's gradient", &own[1].read_floats()[..channels], &bias, 1e-6);
        assert_near(&case.what("input's gradient"), case.element, &case.read(&map), &input);
    }
}

pub fn silu_goes_back_by_the_norms_input_alone() {
    for case in cases() {
        let device = with_statistics(&case);
        let input = case.map(&case.input);
        let gradient = values("gradient", case.shape.len(), case.element);
        let Case { statistics, weight, bias, .. } = &case;
        let mut given = vec![0.0; case.shape.len()];
        batch_norm_into(&case.input, statistics, weight, bias, None, Activation::Identity, &mut given);
        let mut behind = gradient.clone();
        silu_gradient(&mut behind, &given);
        let expected = on_cpu(&case, behind, OnCpu::Input(&case.input));
        let again = Saved::InputAgain(&input, Activation::Silu);
        check("SiLU", &case, &device.norm, &case.map(&gradient), [again; 2], false, &expected);
        let by_output = Saved::InputAndOutput(&input, &input, Activation::Silu);
        let refused =
            gradient_sums(case.element, case.padded(), &case.map(&gradient), by_output, &device.norm, None, &input);
        assert!(format!("{:#}", refused.err().unwrap()).contains("Silu does not go back by what it gave"));
    }
}

pub fn the_gradient_of_an_in_place_norm_comes_from_its_result() {
    for case in cases() {
        let device = with_statistics(&case);
        let gradient = values("gradient", case.shape.len(), case.element);
        for activation in [Activation::Identity, Activation::LeakyRelu(0.01)] {
            let mut output = case.input.clone();
            batch_norm(&mut output, &case.statistics, &case.weight, &case.bias, activation);
            output.iter_mut().for_each(|value| *value = round(*value, case.element));
            let expected = on_cpu(&case, gradient.clone(), OnCpu::Output(&output, activation));
            let result = case.map(&output);
            let saved = Saved::Output(&result, activation);
            check("in place", &case, &device.norm, &case.map(&gradient), [saved; 2], false, &expected);
        }
    }
}

pub fn an_in_place_norm_refuses_what_it_cannot_invert() {
    let case = Case::new(SHAPES[0], Element::F32, 0.0);
    let (device, map) = (norm(&case), case.map(&case.input));
    let saved = Saved::Output(&map, Activation::Relu);
    let refused = gradient_sums(Element::F32, case.padded(), &map, saved, &device.norm, None, &map);
    assert!(format!("{:#}", refused.err().unwrap()).contains("an activation to invert"));
}
