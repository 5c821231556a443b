//! Memory and kernels of the first GPU.

use std::sync::OnceLock;

use tresnet::ops::cuda::{Device, Launch, Region};
use tresnet::runtime::cuda::probe;
use tresnet::runtime::libraries::Surroundings;

fn device() -> Result<&'static Device, &'static str> {
    static DEVICE: OnceLock<Result<Device, String>> = OnceLock::new();
    DEVICE.get_or_init(open).as_ref().map_err(String::as_str)
}

fn open() -> Result<Device, String> {
    let found = probe(&Surroundings::of_process()).map_err(|absence| absence.to_string())?;
    // A GPU that is there and cannot be used is a failure, not a reason to skip.
    Ok(Device::new(&found, 0).unwrap_or_else(|error| panic!("{error:#}")))
}

/// Whether there is a GPU; says so where not.
pub fn is_there() -> bool {
    device().map_err(|reason| println!("no GPU: skipped ({reason})")).is_ok()
}

/// The GPU, once [`is_there`] has said that there is one.
pub fn gpu() -> &'static Device {
    device().unwrap()
}

/// The same GPU by a stream of its own: what others launch meanwhile is not in what is recorded there.
pub fn another() -> Device {
    open().unwrap()
}

pub fn allocate(bytes: usize) -> Region {
    gpu().arena(bytes).and_then(|mut arena| arena.take(bytes)).unwrap()
}

pub fn write(region: &Region, bytes: &[u8]) {
    gpu().write(region, bytes).unwrap();
}

pub fn read(region: &Region) -> Vec<u8> {
    gpu().read(region).unwrap()
}

/// A GPU's order is its own, the second time too.
pub fn launch(launch: &Launch, _second: bool) {
    gpu().launch(launch).and_then(|()| gpu().synchronize()).unwrap_or_else(|error| panic!("{error:#}"));
}
