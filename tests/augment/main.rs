//! The training augmentations: pixels against Pillow's, meanings against timm's, chance against its distributions.

mod fixtures;
mod meanings;
mod pixels;
