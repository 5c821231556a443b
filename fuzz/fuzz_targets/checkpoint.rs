//! Any bytes as a checkpoint: every tensor of every set of weights is read, and bound as a network would. Nothing may
//! panic, hang or fill the memory; `scripts/fuzz.sh` says how it is run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tresnet::checkpoint::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes.to_vec()) else { return };
    for dict in checkpoint.state_dicts() {
        std::hint::black_box((dict.layout(), dict.is_ema()));
    }
    std::hint::black_box(checkpoint.metadata());
    for use_ema in [false, true] {
        let Ok(weights) = checkpoint.weights(use_ema) else { continue };
        std::hint::black_box((weights.num_classes(), weights.in_chans()));
        let (builder, binding) = weights.builder(None);
        for (name, shape) in weights.names() {
            // What lies outside the file must have been refused before: only reading itself may fail.
            let elements: usize = shape.iter().product();
            assert!(elements <= 16 * bytes.len().max(1 << 16), "{name} {shape:?}");
            if weights.tensor(name).is_ok() {
                let _ = builder.get(shape, name);
            }
        }
        let _ = binding.finish("tresnet_m");
    }
});
