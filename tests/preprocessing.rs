//! Decoded pixels and crops against Pillow, torchvision and timm, byte for byte; sources and the loader around them.

#[path = "preprocessing/cifar.rs"]
mod cifar;
#[path = "preprocessing/crops.rs"]
mod crops;
#[path = "preprocessing/loading.rs"]
mod loading;
#[path = "preprocessing/passes.rs"]
mod passes;
#[path = "preprocessing/regions.rs"]
mod regions;
#[path = "preprocessing/sources.rs"]
mod sources;
#[path = "preprocessing/splits.rs"]
mod splits;
