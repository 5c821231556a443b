//! The largest batch that a device has room for.

use anyhow::Result;

/// The largest batch up to `wanted` that takes at most `free` bytes, by what `bytes` says of a batch, which grows with it;
/// `None` where not even one image fits.
///
/// # Errors
/// What `bytes` says.
pub fn largest_fitting(wanted: usize, free: usize, bytes: impl Fn(usize) -> Result<usize>) -> Result<Option<usize>> {
    if wanted > 0 && bytes(wanted)? <= free {
        return Ok(Some(wanted));
    }
    // The first fits (or is 0), the second does not.
    let (mut fits, mut fails) = (0, wanted);
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if bytes(middle)? <= free {
            fits = middle;
        } else {
            fails = middle;
        }
    }
    Ok((fits > 0).then_some(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{ConvLayer, Graph, torch_default};
    use crate::ops::Shape;
    use crate::ops::cuda::Element;

    /// A batch's arena in a network of a few layers.
    fn arena(batch: usize) -> Result<usize> {
        let (mut graph, image) = Graph::new(3, 1);
        let x = graph.conv(image, ConvLayer { kernels: &[3], ..ConvLayer::new("a".into(), 24) });
        let pooled = graph.global_average_pool(x);
        let logits = graph.linear(pooled, "head", 10, [torch_default(24), torch_default(24)]);
        Ok(graph.schedule(Shape::new(batch, 9, 7, 3), logits, Element::F16)?.arena_bytes)
    }

    #[test]
    fn the_batch_that_fits_is_found_to_the_image() {
        for free in [arena(1).unwrap(), arena(37).unwrap(), arena(38).unwrap() - 1, arena(255).unwrap()] {
            let found = largest_fitting(256, free, arena).unwrap().unwrap();
            assert!(arena(found).unwrap() <= free && arena(found + 1).unwrap() > free, "{found} in {free}");
        }
        assert_eq!(largest_fitting(256, usize::MAX, arena).unwrap(), Some(256));
    }

    #[test]
    fn where_one_image_is_too_large_nothing_fits() {
        assert_eq!(largest_fitting(256, arena(1).unwrap() - 1, arena).unwrap(), None);
        assert_eq!(largest_fitting(1, 0, arena).unwrap(), None);
    }
}
