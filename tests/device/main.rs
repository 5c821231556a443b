//! The checks of tests/kernels with the kernels on a GPU, and whole networks there. Where there is no GPU, all of it runs
//! on a stand-in that computes on the processor.
#![cfg(feature = "cuda")]

#[path = "../kernels/checks.rs"]
#[macro_use]
mod checks;

#[path = "../kernels/batch_norm.rs"]
mod batch_norm;
#[path = "../decoding/behaviour.rs"]
mod behaviour;
mod commands;
#[path = "../kernels/compare.rs"]
mod compare;
#[path = "../kernels/conv2d.rs"]
mod conv2d;
mod decoding;
#[path = "../decoding/deviation.rs"]
mod deviation;
#[path = "../kernels/filter_gradients.rs"]
mod filter_gradients;
#[path = "../kernels/filters.rs"]
mod filters;
#[path = "../common/formula.rs"]
mod formula;
#[path = "../common/kernel_files.rs"]
mod kernel_files;
mod learner;
#[path = "../kernels/loss.rs"]
mod loss;
#[path = "../kernels/maps.rs"]
mod maps;
#[path = "../kernels/memory.rs"]
mod memory;
mod models;
#[path = "../kernels/network.rs"]
mod network;
#[path = "../kernels/optimizer.rs"]
mod optimizer;
mod place;
mod plans;
#[path = "../common/random.rs"]
mod random;
#[path = "../kernels/resize.rs"]
mod resize;
mod runs;
mod squares;
#[path = "../kernels/squeeze_excite.rs"]
mod squeeze_excite;
mod stand_in;
#[path = "../kernels/step.rs"]
mod step;
#[path = "../kernels/training.rs"]
mod training;
#[path = "../kernels/updates.rs"]
mod updates;
mod validating;
#[path = "../kernels/verification.rs"]
mod verification;

use memory::Memory;
use tresnet::ops::cuda::{Element, Graph, Region, Upload, activation};
use tresnet::ops::{Activation, Shape};

every_check!(place::is_there);

#[test]
fn without_a_gpu_every_test_of_whole_networks_holds_on_a_stand_in() {
    if !place::is_there() {
        stand_in::run_tests(&["models::"], &[]);
    }
}

#[test]
fn without_a_gpu_every_other_test_here_holds_on_a_stand_in() {
    if !place::is_there() {
        stand_in::run_tests(&["--skip=models::"], &[]);
    }
}

#[test]
fn the_order_in_which_streams_get_to_their_work_changes_nothing() {
    if !place::is_there() {
        let words = [
            "batches_arrive",
            "verdicts_from_a_gpu",
            "a_tresnets_step",
            "updates_are_the_cpus",
            "infer_counts_what",
            "batches_that_are_submitted",
        ];
        ["early", "copies", "7"].iter().for_each(|order| stand_in::run_tests(&words, &[("STAND_IN_ORDER", order)]));
    }
}

#[test]
fn kernels_of_a_graph_keep_the_sanitizers_rules_on_a_stand_in() {
    if !place::is_there() {
        stand_in::run_tests(&["a_recorded_graph", "updates_are_the_cpus"], &[("STAND_IN_CHECK", "1")]);
    }
}

#[test]
fn with_kernels_of_cudnns_that_are_wrong_networks_are_still_the_cpus() {
    if !place::is_there() {
        let words = ["plans::", "a_tresnet_of_odd_widths", "steps_in_half_precision"];
        stand_in::run_tests(&words, &[("STAND_IN_CUDNN", "wrong")]);
        stand_in::run_tests(&["plans::"], &[("STAND_IN_CUDNN", "all-wrong")]);
        stand_in::run_tests(&["plans::without_memory"], &[("STAND_IN_MEMORY", "300000000")]);
    }
}

#[test]
fn more_memory_than_there_is_is_refused_with_both_numbers() {
    if place::is_there() {
        let refused = format!("{:#}", place::gpu().arena(1 << 50).err().unwrap());
        assert!(refused.starts_with("out of GPU memory: 1125899906842624 bytes wanted, "), "{refused}");
    }
}

#[test]
fn a_recorded_graph_computes_on_what_its_buffers_hold_when_it_is_launched() {
    if !place::is_there() {
        return;
    }
    let shape = Shape::new(1, 7, 13, 24);
    let [left, right] = ["left", "right"].map(|name| compare::values(name, shape.len(), Element::F32));
    let device = place::another();
    let floats = |values: &[f32]| {
        let region = device.arena(4 * values.len()).and_then(|mut arena| arena.take(4 * values.len())).unwrap();
        device.write(&region, &Element::F32.bytes_of(values)).unwrap();
        region
    };
    let (first, second) = (floats(&left), floats(&right));
    let add = || activation::add(Element::F32, shape, [&first, &second], Activation::Identity, &first);
    device.launch(&add().unwrap()).unwrap();
    let once = device.read(&first).unwrap();
    let mut graph = Graph::record(&device, || device.launch(&add()?)).unwrap();
    assert_eq!(device.read(&first).unwrap(), once, "recording is not running");
    graph.launch().unwrap();
    graph.launch().unwrap();
    let expected: Vec<f32> = left.iter().zip(&right).map(|(left, right)| left + right + right + right).collect();
    assert_eq!(device.read(&first).unwrap(), Element::F32.bytes_of(&expected));
}

#[test]
fn kernels_are_loaded_once_however_many_streams_a_device_is_given() {
    if commands::on_stand_in_alone() {
        let streams = [(); 3].map(|()| place::another());
        // SAFETY: the driver is open already.
        let driver = unsafe { libloading::Library::new("libcuda.so.1") }.unwrap();
        // SAFETY: the symbol is an int, which nothing writes once a device is there.
        let modules = unsafe { **driver.get::<*const std::ffi::c_int>(b"stand_in_modules").unwrap() };
        assert_eq!(modules as usize, kernel_files::kernel_files().len());
        drop(streams);
    }
}

#[test]
fn batches_arrive_in_their_order_however_many_are_on_their_way() {
    if !place::is_there() {
        return;
    }
    let shape = Shape::new(1, 7, 13, 24);
    let bytes = shape.len() * 4;
    let sum = Memory::floats(&vec![0.0; shape.len()]);
    // The last thing before the first batch: its memory is another stream's than the copies'.
    let mut upload = Upload::new(place::gpu(), bytes).unwrap();
    for batch in 0..20 {
        let fill = |host: &mut [u8]| {
            host.chunks_exact_mut(4).for_each(|chunk| chunk.copy_from_slice(&(batch as f32).to_le_bytes()));
            Ok(())
        };
        // 2 * sum + batch tells every order from every other.
        let consume = |input: &Region| {
            let twice = activation::add(Element::F32, shape, [&sum, &sum], Activation::Identity, &sum)?;
            let next = activation::add(Element::F32, shape, [&sum, input], Activation::Identity, &sum)?;
            place::gpu().launch(&twice)?;
            place::gpu().launch(&next)
        };
        upload.send(place::gpu(), bytes, fill, consume).unwrap();
    }
    let expected = (0..20).fold(0.0, |sum: f32, batch| 2.0 * sum + batch as f32);
    assert!(sum.read_floats().iter().all(|value| *value == expected));
}
