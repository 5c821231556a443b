//! Training steps as a device without cuDNN takes them: products too by kernels of our own.

use tresnet::models::mixnet::MixNet;
use tresnet::models::resnet::{Block, ResNet};

use crate::learner::trainer_without_cudnn;
use crate::step::Case;

#[test]
fn a_mixnets_step_without_cudnn_has_the_cpus_loss_and_gradients() {
    Case::new(&MixNet { small: true, width: 0.3, depth: 0.3 }, 40).check_on(trainer_without_cudnn);
}

#[test]
fn a_step_of_a_resnet_of_groups_without_cudnn_has_the_cpus_loss_and_gradients() {
    let block = Block::Bottleneck { groups: 32, width: 4 };
    let network = ResNet { blocks: [1, 0, 0, 0], block, deep: false, squeeze_excite: true };
    Case::new(&network, 24).check_on(trainer_without_cudnn);
}
