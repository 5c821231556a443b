//! Whole training steps by their schedules against the CPU's executor.

use tresnet::models::efficientnet::EfficientNet;
use tresnet::models::mixnet::MixNet;
use tresnet::models::resnet::{Block, ResNet};
use tresnet::models::torch_resnet::TorchResNet;
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Config, ModelKwargs, find};
use tresnet::nn::{Drops, NormMode};
use tresnet::ops::cuda::Element;
use tresnet::ops::training::TargetKind;

use crate::step::Case;

/// Small, with every kind of layer, odd channels and odd feature maps.
const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 5, basic_stages: 2 };
/// Of its images. At 64 one value lies so near ReLU's kink that sums in another order take it across.
const SIDE: usize = 100;

pub fn a_tresnets_step_has_the_cpus_loss_and_gradients() {
    Case::new(&TINY, SIDE).check();
}

pub fn a_tresnets_step_in_place_has_the_cpus_loss_and_gradients() {
    Case { norms: NormMode::InPlace, ..Case::new(&TINY, SIDE) }.check();
}

pub fn tresnet_ms_step_has_the_cpus_loss_and_gradients() {
    Case { classes: 10, ..Case::new(find("tresnet_m").unwrap().network, 64) }.check();
}

pub fn resnet20s_step_has_the_cpus_loss_and_gradients() {
    Case { classes: 10, ..Case::new(find("resnet20").unwrap().network, 32) }.check();
}

pub fn a_preactivated_resnets_step_has_the_cpus_loss_and_gradients() {
    let network = TorchResNet { blocks: &[1, 1, 1], bottleneck: true, pre_activation: true, width: 1, drop_rate: 0.0 };
    Case::new(&network, 12).check();
}

pub fn a_resnet_with_a_max_pool_has_the_cpus_loss_and_gradients() {
    // A value that crosses ReLU's kink moves all gradients of the layers before it.
    Case { batch: 6, tolerance: 2e-2, ..Case::new(find("resnet26d").unwrap().network, 64) }.check();
}

pub fn shortcuts_without_weights_give_the_cpus_gradients() {
    let network =
        TorchResNet { blocks: &[1, 1, 1], bottleneck: false, pre_activation: false, width: 1, drop_rate: 0.0 };
    Case { kwargs: ModelKwargs::parse(["shortcut=A"]).unwrap(), ..Case::new(&network, 32) }.check();
}

pub fn blocks_that_are_run_again_give_the_cpus_gradients_and_move_statistics_once() {
    let drops = Drops { features: 0.3, path: 0.6, seed: 3 };
    Case { checkpointing: true, drops, ..Case::new(&TINY, 64) }.check();
    Case { checkpointing: true, norms: NormMode::InPlace, ..Case::new(&TINY, SIDE) }.check();
    let network = MixNet { small: true, width: 0.3, depth: 0.3 };
    Case { checkpointing: true, ..mobile(&network, 72) }.check();
}

pub fn the_jensen_shannon_loss_of_a_batchs_splits_gives_the_cpus_gradients() {
    Case { splits: Some(3), batch: 6, ..Case::new(&TINY, 64) }.check();
}

pub fn mixed_images_and_dropped_branches_give_the_cpus_gradients() {
    let drops = Drops { features: 0.3, path: 0.6, seed: 3 };
    let case = Case { drops, floats: true, targets: TargetKind::Soft, ..Case::new(&TINY, 64) };
    case.check();
    Case { norms: NormMode::InPlace, ..case }.check();
    Case { drops, ..Case::new(find("resnet20").unwrap().network, 32) }.check();
}

pub fn steps_in_half_precision_have_gradients_near_the_cpus() {
    for (element, tolerance) in [(Element::F16, 0.2), (Element::Bf16, 0.5)] {
        for norms in [NormMode::Stored, NormMode::InPlace] {
            Case { element, tolerance, norms, batch: 8, ..Case::new(&TINY, 64) }.check();
        }
    }
}

/// Of six images: few pixels are left of so small ones.
fn mobile<'a>(config: &'a dyn Config, side: usize) -> Case<'a> {
    Case { batch: 6, ..Case::new(config, side) }
}

pub fn an_efficientnets_step_has_the_cpus_loss_and_gradients() {
    let network = EfficientNet { width: 0.25, depth: 0.3 };
    mobile(&network, 69).check();
    let drops = Drops { features: 0.2, path: 0.4, seed: 3 };
    Case { drops, norms: NormMode::InPlace, ..mobile(&network, 64) }.check();
}

pub fn mixnets_steps_have_the_cpus_loss_and_gradients() {
    mobile(&MixNet { small: true, width: 0.3, depth: 0.3 }, 72).check();
    mobile(&MixNet { small: false, width: 0.25, depth: 0.3 }, 67).check();
}

/// ResNeXt's blocks, with a gate or without.
fn grouped(squeeze_excite: bool) -> ResNet {
    let block = Block::Bottleneck { groups: 32, width: 4 };
    ResNet { blocks: [1, 1, 0, 0], block, deep: false, squeeze_excite }
}

pub fn a_step_of_a_resnet_of_groups_has_the_cpus_loss_and_gradients() {
    Case { tolerance: 2e-2, ..Case::new(&grouped(false), 41) }.check();
    Case { tolerance: 2e-2, ..Case::new(&grouped(true), 40) }.check();
}

pub fn a_networks_own_dropouts_give_the_cpus_gradients() {
    let network =
        TorchResNet { blocks: &[1, 1, 1], bottleneck: false, pre_activation: false, width: 1, drop_rate: 0.3 };
    Case::new(&network, 16).check();
    Case::new(&TorchResNet { pre_activation: true, ..network }, 16).check();
}

pub fn steps_of_all_kinds_in_half_precision_have_gradients_near_the_cpus() {
    let (mixed, smooth) = (MixNet { small: false, width: 0.3, depth: 0.3 }, EfficientNet { width: 0.25, depth: 0.3 });
    let grouped = grouped(true);
    // What rounding leaves of a gradient that is 0 is most, such as that of an EfficientNet's last shifts: 0.1 in f16, and
    // eight times as much in bf16, which has three bits less.
    let cases: [(&dyn Config, Element, f32); 4] = [
        (&mixed, Element::F16, 0.2),
        (&smooth, Element::F16, 0.15),
        (&smooth, Element::Bf16, 0.8),
        (&grouped, Element::Bf16, 0.2),
    ];
    for (config, element, tolerance) in cases {
        Case { element, tolerance, batch: 8, ..Case::new(config, 72) }.check();
    }
}
