//! The checks of tests/kernels with the kernels on a GPU, where there is one.
#![cfg(feature = "cuda")]

#[path = "../kernels/checks.rs"]
#[macro_use]
mod checks;

#[path = "../kernels/batch_norm.rs"]
mod batch_norm;
#[path = "../kernels/compare.rs"]
mod compare;
#[path = "../kernels/conv2d.rs"]
mod conv2d;
#[path = "../kernels/loss.rs"]
mod loss;
#[path = "../kernels/maps.rs"]
mod maps;
#[path = "../kernels/memory.rs"]
mod memory;
#[path = "../kernels/optimizer.rs"]
mod optimizer;
mod place;
#[path = "../common/random.rs"]
mod random;
#[path = "../kernels/squeeze_excite.rs"]
mod squeeze_excite;

every_check!(place::is_there);

#[test]
fn more_memory_than_there_is_is_refused_with_both_numbers() {
    if place::is_there() {
        let refused = format!("{:#}", place::gpu().arena(1 << 50).err().unwrap());
        assert!(refused.starts_with("out of GPU memory: 1125899906842624 bytes wanted, "), "{refused}");
    }
}
