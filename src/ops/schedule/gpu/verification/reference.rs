//! What our own kernels make of a problem's operands: the launches that make the operands up, compute some of the result
//! again and compare.

use anyhow::Result;

use super::norms::MadeNorm;
use super::operands::{Made, Room};
use super::sums::Statistics;
use super::tolerance;
use crate::ops::cuda::verification::{Behind, Expected, deviation, deviation_bytes, made_up};
use crate::ops::cuda::{Arena, Element, Launch, Region, activation, conv2d, training};
use crate::ops::cudnn::{ConvPlan, Role};
use crate::ops::schedule::gpu::convolution::Operands;
use crate::ops::{Activation, ConvPass, ConvProblem, Fusion, Shape};

/// What a plan is to give.
pub struct Reference {
    pub problem: ConvProblem,
    pub element: Element,
    /// What the plan computes behind its product.
    add: bool,
    bias: bool,
    activation: Activation,
    /// The plan's tensors, each with its bytes.
    roles: Vec<(Role, usize)>,
    output: Shape,
    weight_len: usize,
}

impl Reference {
    pub fn new(plan: &ConvPlan, element: Element) -> Result<Self> {
        let ConvPlan { problem, fusion, graph, .. } = plan;
        let (bias, add, activation) = match (problem.pass, fusion) {
            (ConvPass::Forward { residual, activation }, Fusion::Whole) => (true, residual, activation),
            (ConvPass::InputGradient { add }, Fusion::Whole) => (false, add, Activation::Identity),
            (ConvPass::NormGradient { activation }, Fusion::Whole) => (false, false, activation),
            _ => (false, false, Activation::Identity),
        };
        Ok(Self {
            problem: *problem,
            element,
            add,
            bias,
            activation,
            roles: graph.roles().collect(),
            output: problem.output()?,
            weight_len: problem.spec.weight_shape().iter().product(),
        })
    }

    /// Bytes of all that [`Self::take`] takes.
    pub fn bytes(&self) -> usize {
        let statistics = if self.has(Role::Sum) { Statistics::bytes(self.output) } else { 0 };
        let (shape, images) = (self.problem.input, self.images().len());
        let norm = if self.has(Role::Saved) { MadeNorm::bytes(self.element, shape, images) } else { 0 };
        self.sizes().into_iter().map(Arena::footprint).sum::<usize>() + statistics + norm
    }

    pub fn take(&self, arena: &mut Arena) -> Result<Room> {
        let [weight, bias, rounded_bias, expected, found] = self.sizes().map(|bytes| arena.take(bytes));
        let statistics = self.has(Role::Sum).then(|| Statistics::take(arena, self.output)).transpose()?;
        let (shape, images) = (self.problem.input, self.images().len());
        let norm = self.has(Role::Saved).then(|| MadeNorm::take(arena, self.element, shape, images)).transpose()?;
        Ok(Room {
            weight: weight?,
            bias: bias?,
            rounded_bias: rounded_bias?,
            expected: expected?,
            found: found?,
            statistics,
            norm,
        })
    }

    fn sizes(&self) -> [usize; 5] {
        let (size, channels) = (self.element.size(), self.output.channels);
        let (expected, found) = match self.problem.pass {
            ConvPass::WeightGradient => (self.weight_len * size_of::<f32>(), deviation_bytes(self.weight_len)),
            _ => {
                let image = self.result().image_len();
                let images = self.images().len();
                (images * image * size, images * deviation_bytes(image))
            }
        };
        [self.weight_len * size, channels * size_of::<f32>(), channels * size, expected, found]
    }

    /// Every tensor's values. The results' come first: what is added may lie in the same place.
    pub fn make_up(&self, made: &Made) -> Result<Vec<Launch>> {
        let is_result = |role: Role| {
            let numbers = [Role::Sum, Role::Squares, Role::NormWeightGradient, Role::NormBiasGradient];
            matches!(role, Role::Y | Role::Dx | Role::Dw) || numbers.contains(&role)
        };
        let mut roles = self.roles.clone();
        roles.retain(|(role, _)| {
            !matches!(role, Role::NormWeight | Role::NormBias | Role::NormMean | Role::NormInverse)
        });
        roles.sort_by_key(|&(role, _)| !is_result(role));
        let mut launches = Vec::new();
        for (role, bytes) in roles {
            let region = made.region(role, bytes)?;
            // Both forms of a bias, which our own kernel reads in f32.
            if role == Role::Bias {
                for (element, region) in [(Element::F32, &made.room.bias), (self.element, &made.room.rounded_bias)] {
                    launches.push(self.values(role, element, self.output.channels, region)?);
                }
                continue;
            }
            let is_map = matches!(role, Role::X | Role::Y | Role::Add | Role::Dy | Role::Dx | Role::Saved);
            let element = if is_map || matches!(role, Role::W | Role::Dw) { self.element } else { Element::F32 };
            launches.push(self.values(role, element, bytes / element.size(), region)?);
            if role == Role::Dy && self.problem.pass == ConvPass::WeightGradient {
                launches.extend(self.nothing_between(region)?);
            }
        }
        Ok(launches)
    }

    fn values(&self, role: Role, element: Element, count: usize, region: &Region) -> Result<Launch> {
        let spec = &self.problem.spec;
        let depth = |channels: usize| spec.kernel * spec.kernel * channels / spec.groups;
        let scale = match (role, self.problem.pass) {
            (Role::W, ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. }) => {
                tolerance::scale(depth(spec.out_channels))
            }
            (Role::W, _) => tolerance::scale(depth(spec.in_channels)),
            (Role::Dy, ConvPass::WeightGradient) => tolerance::scale(self.output.area() * self.images().len()),
            _ => 1.0,
        };
        made_up(element, count, region, role as usize, scale)
    }

    /// Zeros for all images but those that are computed again.
    fn nothing_between(&self, dy: &Region) -> Result<Option<Launch>> {
        let (images, image) = (self.output.batch.saturating_sub(2), self.output.image_len());
        if images == 0 {
            return Ok(None);
        }
        let between = dy.part(image * self.element.size(), images * image * self.element.size())?;
        Ok(Some(made_up(self.element, images * image, &between, 0, 0.0)?))
    }

    /// What our own kernels make of the operands.
    pub fn launches(&self, made: &Made) -> Result<Vec<Launch>> {
        let Self { problem: ConvProblem { spec, input, pass }, element, activation: after, .. } = self;
        let one = Shape { batch: 1, ..*input };
        let (weight, expected) = (&made.room.weight, &made.room.expected);
        let bias = self.bias.then_some(&made.room.bias);
        let mut launches = Vec::new();
        if *pass == ConvPass::WeightGradient {
            launches.push(training::zero(self.weight_len, expected)?);
        }
        for (number, image) in self.images().into_iter().enumerate() {
            let map = |role, shape| self.image(made, role, shape, image);
            let add = if self.add { Some(map(Role::Add, self.result())?) } else { None };
            match pass {
                ConvPass::Forward { .. } | ConvPass::Statistics => {
                    let (x, out) = (map(Role::X, *input)?, self.part(expected, number)?);
                    let terms = [bias, add.as_ref()];
                    launches.push(conv2d::conv2d(*element, spec, one, [&x, weight], terms, *after, &out)?);
                }
                ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. } => {
                    let (dy, out) = (map(Role::Dy, self.output)?, self.part(expected, number)?);
                    let operands = [&dy, weight];
                    launches.push(conv2d::conv2d_input_gradient(*element, spec, one, operands, add.as_ref(), &out)?);
                    if let Some(norm) = &made.room.norm {
                        let given = self.part(&norm.given, number)?;
                        launches.push(norm.give(*element, one, &map(Role::Saved, *input)?, &given)?);
                        launches.push(activation::activation_gradient(*element, one, &out, &given, *after)?);
                    }
                }
                ConvPass::WeightGradient => {
                    let operands = [&map(Role::X, *input)?, &map(Role::Dy, self.output)?];
                    launches.push(conv2d::conv2d_weight_gradient(*element, spec, one, operands, expected)?);
                }
            }
        }
        Ok(launches)
    }

    /// What holds the plan's results against that.
    pub fn comparisons(&self, made: &Made) -> Result<Vec<Launch>> {
        let (element, room) = (self.element, made.room);
        let tolerance = tolerance::of_values(element, self.activation);
        if self.problem.pass == ConvPass::WeightGradient {
            let dw = made.region(Role::Dw, self.weight_len * element.size())?;
            let (expected, behind) = (Expected::Sums(&room.expected), Behind::Activation(Activation::Identity));
            return Ok(vec![deviation(element, self.weight_len, dw, expected, behind, tolerance, &room.found)?]);
        }
        let (role, shape) = match self.problem.pass {
            ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. } => (Role::Dx, self.problem.input),
            _ => (Role::Y, self.output),
        };
        let compare = |(number, image): (usize, usize)| {
            let found = self.image(made, role, shape, image)?;
            let expected = self.part(&room.expected, number)?;
            let given = room.norm.as_ref().map(|norm| self.part(&norm.given, number)).transpose()?;
            let behind = match &given {
                Some(given) => Behind::Gradient(given, self.activation),
                None => Behind::Activation(self.activation),
            };
            let bytes = deviation_bytes(shape.image_len());
            let out = room.found.part(number * bytes, bytes)?;
            let expected = Expected::Values(&expected);
            deviation(element, shape.image_len(), &found, expected, behind, tolerance, &out)
        };
        self.images().into_iter().enumerate().map(compare).collect()
    }

    /// Those that are computed again.
    fn images(&self) -> Vec<usize> {
        let mut images = vec![0, self.output.batch.saturating_sub(1)];
        images.dedup();
        images
    }

    /// The shape of the result, where that is a map.
    fn result(&self) -> Shape {
        match self.problem.pass {
            ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. } => self.problem.input,
            _ => self.output,
        }
    }

    /// An image of one of the plan's maps.
    fn image(&self, made: &Made, role: Role, shape: Shape, image: usize) -> Result<Region> {
        let bytes = shape.image_len() * self.element.size();
        made.region(role, shape.batch * bytes)?.part(image * bytes, bytes)
    }

    /// The place of such an image's reference.
    fn part(&self, expected: &Region, number: usize) -> Result<Region> {
        let bytes = self.result().image_len() * self.element.size();
        expected.part(number * bytes, bytes)
    }

    fn has(&self, wanted: Role) -> bool {
        self.roles.iter().any(|(role, _)| *role == wanted)
    }
}
