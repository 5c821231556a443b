//! Networks of every family for 10 classes at a small size: their logits against PyTorch's.

use tresnet::models::Request;

use crate::{assert_agrees, images, model, named, references, weights_with_gain};

/// Logits of the network for 10 classes on images of `side`.
fn assert_logits_agree(name: &str, side: usize) {
    let (variant, kwargs) = named(name);
    let gain = references().remove(&format!("{name}.gain")).map_or(1.0, |gain| gain.to_scalar::<f32>().unwrap());
    let model = model(variant, &Request { kwargs, ..Request::new(10, 3) }, &weights_with_gain(gain));
    assert_agrees(&model.forward(&images(2, side, 3)).unwrap(), &format!("{name}.logits"));
}

#[test]
fn resnets_of_timm_give_the_logits_of_pytorch() {
    for name in ["resnet18", "resnet50", "resnet26d", "wide_resnet50_2", "resnext50_32x4d", "seresnext50_32x4d"] {
        assert_logits_agree(name, 76);
    }
}

#[test]
fn efficientnets_give_the_logits_of_pytorch() {
    for name in ["efficientnet_b0", "efficientnet_b1", "efficientnet_b4"] {
        assert_logits_agree(name, 76);
    }
}

#[test]
fn mixnets_give_the_logits_of_pytorch() {
    for name in ["mixnet_s", "mixnet_m", "mixnet_l", "mixnet_xl"] {
        assert_logits_agree(name, 76);
    }
}

#[test]
fn resnets_of_torch_resnet_give_the_logits_of_pytorch() {
    for name in ["ResNet18", "ResNet18 small_images=true", "ResNet50 width=2"] {
        assert_logits_agree(name, 76);
    }
    assert_logits_agree("WideResNet16 width=2", 32);
}

#[test]
fn preactivated_resnets_give_the_logits_of_pytorch() {
    for (name, side) in [("PreActResNet18", 76), ("PreActResNet50", 76), ("PreActResNet20", 32)] {
        assert_logits_agree(name, side);
    }
    for name in ["PreActResNet164", "PreActResNet20 small_images=false", "PreActWideResNet16 width=4"] {
        assert_logits_agree(name, 32);
    }
}

#[test]
fn every_shortcut_gives_the_logits_of_pytorch() {
    for kind in ["", "PreAct"] {
        for option in ["A", "C", "conv"] {
            assert_logits_agree(&format!("{kind}ResNet20 shortcut={option}"), 32);
        }
    }
    assert_logits_agree("PreActResNet164 shortcut=A", 32);
}
