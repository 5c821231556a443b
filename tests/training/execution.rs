//! What must not change a result: the number of threads, and whether blocks are run again on the way back.

use rayon::ThreadPoolBuilder;

use tresnet::nn::Drops;

use super::run::{Outcome, Run};

fn assert_same(one: &Outcome, other: &Outcome) {
    assert_eq!(one.losses, other.losses);
    for ((parameter, one), other) in one.parameters.iter().zip(&one.end).zip(&other.end) {
        let same = one.iter().zip(other).all(|(one, other)| one.to_bits() == other.to_bits());
        assert!(same, "{} differs", parameter.name);
    }
}

fn with_threads(threads: usize, run: &Run) -> Outcome {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| run.train())
}

#[test]
fn one_thread_gives_what_several_give_to_the_bit() {
    for opt in ["sgd", "lamb"] {
        let run = Run { opt, steps: 3, ema: Some((0.9, false)), ..Run::new("tresnet_tiny") };
        let alone = with_threads(1, &run);
        for threads in [2, 3] {
            assert_same(&alone, &with_threads(threads, &run));
        }
    }
}

#[test]
fn checkpointed_blocks_give_what_kept_ones_give() {
    let drops = Drops { features: 0.2, path: 0.3, seed: 5 };
    for (network, drops) in [("tresnet_tiny", drops), ("resnet20", drops), ("resnet20", Drops::default())] {
        let kept = Run { steps: 3, drops, ..Run::new(network) };
        assert_same(&kept.train(), &Run { checkpointing: true, ..kept }.train());
    }
}
