//! Networks that stay on a GPU while their weights change, as those of validations between epochs do.

use std::path::PathBuf;

use candle_core::{DType, Device, Shape as Dims, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tempfile::TempDir;
use tresnet::data::loader::Order;
use tresnet::data::sampler::Sampler;
use tresnet::models::{Architecture, Request, find};
use tresnet::nn::{CudaPlace, DeviceNetwork};
use tresnet::ops::{Parameters, Shape, load};

use crate::commands::{Finished, on_stand_in_alone};
use crate::compare::ELEMENTS;
use crate::runs::{few_digits, train};
use crate::{formula, place};

/// The weights of a formula, others for each of its names.
struct Formula(&'static str);

impl SimpleBackend for Formula {
    fn get(&self, shape: Dims, name: &str, _: Init, _: DType, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_vec(formula::value(&format!("{}.{name}", self.0), shape.dims()), shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

#[test]
fn a_network_with_other_weights_gives_the_bits_of_one_that_was_bound_to_them() {
    if !place::is_there() {
        return;
    }
    const IMAGES: usize = 5;
    const SIDE: usize = 32;
    let pixels = formula::pixels(IMAGES, SIDE, 3);
    let images = Tensor::from_vec(pixels, (IMAGES, SIDE, SIDE, 3), &Device::Cpu).unwrap();
    let weights = |name| VarBuilder::from_backend(Box::new(Formula(name)), DType::F32, Device::Cpu);
    // Norms on their own; filters a channel, gates and mixed convolutions.
    for model in ["PreActResNet20", "mixnet_s"] {
        for element in ELEMENTS {
            let Architecture { graph, logits, .. } = find(model).unwrap().architecture(&Request::new(10, 3)).unwrap();
            let place = CudaPlace { number: 0, element, deterministic: true };
            let bound = |name| {
                let normalization = [&[0.48, 0.45, 0.4][..], &[0.22, 0.23, 0.25][..]];
                DeviceNetwork::bind(graph.clone(), &weights(name), normalization, place).unwrap()
            };
            let answers = |network: &DeviceNetwork| {
                let logits = network.run(&images, logits).unwrap().flatten_all().unwrap();
                logits.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let mut network = bound("first");
            network.expect(Shape::new(IMAGES, SIDE, SIDE, 3), logits).unwrap();
            let first = answers(&network);
            network.rebind(&weights("second")).unwrap();
            let second = answers(&network);
            assert!(second == answers(&bound("second")), "{model} in {}", element.name());
            assert!(first != second, "{model} in {} answers the same whatever its weights", element.name());
            network.rebind(&weights("first")).unwrap();
            assert!(first == answers(&network), "{model} in {}", element.name());
        }
    }
}

#[test]
fn another_networks_weights_are_refused() {
    if !place::is_there() {
        return;
    }
    let graph = |classes| find("resnet20").unwrap().architecture(&Request::new(classes, 3)).unwrap().graph;
    let weights = VarBuilder::from_backend(Box::new(Formula("own")), DType::F32, Device::Cpu);
    let [ten, eleven] = [10, 11].map(|classes| graph(classes).constants(&weights).unwrap());
    let (constants, mean, std) = (&ten[..], &[0.5; 3][..], &[0.5; 3][..]);
    let parameters = Parameters { element: ELEMENTS[0], deterministic: true, constants, mean, std };
    let loaded = load(0, &parameters).unwrap();
    loaded.replace(&ten).unwrap();
    assert_eq!(loaded.replace(&eleven).unwrap_err().to_string(), "another network's constants");
}

/// How often the run called a function of the stand-in.
#[track_caller]
fn calls(run: &Finished, function: &str) -> usize {
    let start = format!("stand-in: {function} was called ");
    let counts = run.stderr.lines().filter_map(|line| line.strip_prefix(&start)?.strip_suffix(" times"));
    counts.map(|count| count.parse::<usize>().unwrap()).sum()
}

#[test]
fn a_validation_after_the_first_opens_nothing_and_gives_the_figures_of_a_first_one() {
    if on_stand_in_alone() {
        let (data, out) = (few_digits(), tempfile::tempdir().unwrap());
        let run = |name, interval| {
            train(&data, &out, name, &format!("--val-interval {interval}"), &[("STAND_IN_CALLS", "1")])
        };
        let (thrice, once) = (run("thrice", 1), run("once", 3));
        assert_eq!([thrice.status, once.status], [Some(0); 2], "{}{}", thrice.stderr, once.stderr);
        let rows = |name: &str| std::fs::read_to_string(out.path().join(name).join("summary.csv")).unwrap();
        let (thrice_rows, once_rows) = (rows("thrice"), rows("once"));
        assert_eq!([&thrice_rows, &once_rows].map(|rows| rows.lines().count()), [4, 2]);
        assert_eq!(thrice_rows.lines().last(), once_rows.lines().last());
        let opening = ["ModuleLoadData", "StreamCreate", "EventCreate", "MemAllocAsync", "MemHostAlloc"];
        for function in opening.into_iter().chain(["StreamBeginCapture_v2", "GraphInstantiateWithFlags"]) {
            let [thrice, once] = [&thrice, &once].map(|run| calls(run, &format!("cu{function}")));
            assert!(once > 0 && thrice == once, "cu{function}: {thrice} calls for three validations, {once} for one");
        }
        assert!(calls(&thrice, "cuGraphLaunch") > calls(&once, "cuGraphLaunch"));
    }
}

/// One of the images that an epoch comes to last becomes unreadable, so that its last batch is a smaller one.
fn break_one_of_the_last(data: &TempDir) {
    let within = |folder: PathBuf| -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    };
    let images: Vec<PathBuf> = within(data.path().join("train")).into_iter().flat_map(within).collect();
    let Order::Given(order) = Sampler::new(images.len(), 42, 1).unwrap().order(0) else { panic!("no order") };
    std::fs::write(&images[order[40] as usize], "no image").unwrap();
}

#[test]
fn training_that_takes_memory_after_a_validation_finds_what_its_network_took() {
    if on_stand_in_alone() {
        let (data, out) = (few_digits(), tempfile::tempdir().unwrap());
        break_one_of_the_last(&data);
        let whole = train(&data, &out, "whole", "", &[]);
        let lost = train(&data, &out, "lost", "--recovery-interval 1", &[("STAND_IN_LOSE", "sgd:4")]);
        assert!(lost.stderr.contains("the state after 2 updates is saved in "), "{}", lost.stderr);
        // It goes on with a batch of 15, for which it takes memory, and validates. The network for that leaves some megabytes.
        // Then comes a batch of 16, for which training wants more: the network goes, and the next one finds room for an
        // image at a time, which is the last that is said of it.
        let little = ("STAND_IN_MEMORY", "568000000");
        let resumed = train(&data, &out, "lost", "--resume auto --validation-batch-size 20", &[little]);
        // Both came to an unreadable image.
        assert_eq!([whole.status, resumed.status], [Some(3); 2], "{}{}", whole.stderr, resumed.stderr);
        let said = |run: &Finished, words: &str| run.stderr.matches(words).count();
        assert_eq!(said(&resumed, "images go through 1 at a time"), 1, "{}", resumed.stderr);
        assert_eq!([&whole, &resumed].map(|run| said(run, "planned ")), [3, 4], "{}", resumed.stderr);
        for file in ["last.safetensors", "summary.csv"] {
            let [whole, resumed] = ["whole", "lost"].map(|run| std::fs::read(out.path().join(run).join(file)).unwrap());
            assert!(whole == resumed, "{file} is another one");
        }
    }
}
