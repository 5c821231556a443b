//! Every kernel of our own, compiled for the host through a shim, against its op's CPU code: over channels that need
//! padding, sides that are odd, and every element. What first meets a GPU is then a matter of speed, not of indexing.

#[macro_use]
mod checks;

mod batch_norm;
mod compare;
mod conv2d;
mod filter_gradients;
mod filters;
#[path = "../common/formula.rs"]
mod formula;
mod host;
#[path = "../common/kernel_files.rs"]
mod kernel_files;
#[path = "host_trainer.rs"]
mod learner;
mod loss;
mod maps;
mod memory;
mod network;
mod optimizer;
#[path = "../common/random.rs"]
mod random;
mod resize;
mod sanitizer;
mod squeeze_excite;
mod step;
mod training;
mod updates;
mod verification;
mod without_cudnn;

use host as place;

fn on_the_host() -> bool {
    true
}

every_check!(on_the_host);
