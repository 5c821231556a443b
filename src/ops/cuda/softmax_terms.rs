//! Launches of softmax_terms.cu.

use anyhow::Result;

use super::launch::{Builder, Launch, Region};

/// Of each image's logits, `[batch, classes]` in f32, the largest and the sum of `exp(logit - largest)`: `[batch, 2]` in
/// f32.
pub fn softmax_terms([batch, classes]: [usize; 2], logits: &Region, out: &Region) -> Result<Launch> {
    Builder::plain("softmax_terms", format_args!("[{batch}, {classes}]"))
        .words(logits, batch * classes)
        .words(out, batch * 2)
        .int(classes)
        .require(classes > 0, || "no class".to_owned())
        .grid([batch, 1, 1])
}
