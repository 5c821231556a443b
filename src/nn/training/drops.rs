//! Drop-out before the classifier and stochastic depth, as timm does them.
//!
//! Which values a batch drops follows from the seed, the batch's number in the run and the node. So nothing has to be
//! kept for the backward pass, a block that is run again drops what it dropped, and a resumed run goes on as it would
//! have.

use anyhow::{Result, ensure};

use crate::nn::graph::{Graph, Node, Op};
use crate::ops::Dropout;
use crate::random::{Draws, mix};

/// Shares of what is dropped while training. What stays grows by `1 / (1 - share)`, so that evaluation drops nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drops {
    /// Of the embedding's values before the classifier (drop-out, Srivastava et al. 2014). A network's own drop-outs have
    /// their own shares.
    pub features: f64,
    /// Of the last block's residual branches, whole images at a time; from the first block, where none is dropped, the
    /// share grows evenly (stochastic depth, Huang et al., arXiv 1603.09382; timm's `drop_path`).
    pub path: f64,
    pub seed: u64,
}

/// What a network drops where.
pub struct Dropping {
    /// Share of each node: 0 where nothing is dropped.
    shares: Vec<f64>,
    seed: u64,
    /// Number of the batch in the run.
    pub batch: u64,
}

impl Dropping {
    /// # Errors
    ///
    /// If a share is not from 0 up to, not including, 1.
    pub fn new(graph: &Graph, drops: Drops) -> Result<Self> {
        for (name, share) in [("drop-out", drops.features), ("stochastic depth", drops.path)] {
            ensure!((0.0..1.0).contains(&share), "{name} of {share}: a share is from 0 up to, not including, 1");
        }
        let blocks = graph.nodes.iter().filter(|node| joins(node)).count();
        let mut before = 0;
        let share = |node: &Node| match node.op {
            Op::Linear { .. } => drops.features,
            Op::Dropout { rate } => rate,
            _ if joins(node) => {
                before += 1;
                let even = (before - 1) as f64 / (blocks - 1).max(1) as f64;
                drops.path * node.depth.unwrap_or(even)
            }
            _ => 0.0,
        };
        Ok(Self { shares: graph.nodes.iter().map(share).collect(), seed: drops.seed, batch: 0 })
    }

    /// Whether a node drops anything.
    pub fn drops(&self, node: usize) -> bool {
        self.shares[node] > 0.0
    }

    /// Which values of its input a node drops, if any: a drop-out of the network's own, or the classifier.
    pub fn values(&self, node: usize) -> Option<Dropout> {
        let stream = || mix(mix(mix(self.seed).wrapping_add(self.batch)).wrapping_add(node as u64));
        let rate = self.shares[node];
        (rate > 0.0).then(|| Dropout { rate, stream: stream() })
    }

    /// By what the branch of each of `images` is multiplied before it joins its residual; none where none is dropped.
    pub fn branches(&self, node: usize, images: usize) -> Option<Vec<f32>> {
        let share = self.shares[node];
        let mut draws = Draws::new(mix(self.seed), self.batch, node as u64, "drop");
        let kept = (1.0 / (1.0 - share)) as f32;
        (share > 0.0).then(|| (0..images).map(|_| if draws.chance(share) { 0.0 } else { kept }).collect())
    }
}

/// Whether the node ends a residual block.
fn joins(node: &Node) -> bool {
    node.inputs.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ConvLayer;
    use candle_nn::Init;

    /// What a network of 21 residual blocks drops.
    fn dropping(drops: Drops) -> Dropping {
        let (mut graph, mut x) = Graph::new(4, 1);
        for block in 0..21 {
            let layer = ConvLayer::new(format!("{block}.conv"), 4);
            x = graph.conv(x, ConvLayer { residual: Some(x), ..layer });
        }
        graph.linear(x, "head", 10, [Init::Const(0.0); 2]);
        Dropping::new(&graph, drops).unwrap()
    }

    #[test]
    fn the_share_of_dropped_branches_grows_evenly_over_the_blocks() {
        // torch.linspace(0, 0.2, 21): timm's for tresnet_m, which has as many blocks.
        let shares = dropping(Drops { path: 0.2, ..Drops::default() }).shares;
        let blocks: Vec<f64> = shares.iter().copied().filter(|&share| share > 0.0).collect();
        assert_eq!(blocks.len(), 20, "all blocks but the first");
        for (block, share) in blocks.iter().enumerate() {
            assert!((share - 0.01 * (block + 1) as f64).abs() < 1e-12, "block {} drops {share}", block + 2);
        }
    }

    #[test]
    fn a_block_that_says_how_deep_it_stands_drops_its_share_of_that() {
        let (mut graph, image) = Graph::new(4, 1);
        let first = graph.conv(image, ConvLayer { residual: Some(image), ..ConvLayer::new("0".into(), 4) });
        let second = graph.conv(first, ConvLayer { residual: Some(first), ..ConvLayer::new("1".into(), 4) });
        graph.set_depth(first, 0.25);
        graph.set_depth(second, 0.75);
        let dropping = Dropping::new(&graph, Drops { path: 0.2, ..Drops::default() }).unwrap();
        let near = |share: f64, expected: f64| (share - expected).abs() < 1e-12;
        assert!(near(dropping.shares[first.0], 0.05) && near(dropping.shares[second.0], 0.15), "{:?}", dropping.shares);
    }

    #[test]
    fn what_stays_makes_up_for_what_is_dropped() {
        let mut dropping = dropping(Drops { features: 0.3, path: 0.0, seed: 1 });
        let classifier = dropping.shares.len() - 1;
        assert!(dropping.values(0).is_none() && dropping.branches(classifier - 1, 8).is_none());
        let scales = |dropping: &Dropping| {
            let mut ones = vec![1.0f32; 100_000];
            dropping.values(classifier).unwrap().apply(&mut ones);
            ones
        };
        let first = scales(&dropping);
        let mean = first.iter().map(|&s| f64::from(s)).sum::<f64>() / first.len() as f64;
        // Five standard deviations of the mean: sqrt(0.3 / 0.7 / 100,000) each.
        assert!((mean - 1.0).abs() < 0.0104, "the mean scale is {mean}");
        assert_eq!(scales(&dropping), first, "a block run again drops the same");
        dropping.batch += 1;
        assert_ne!(scales(&dropping), first, "the next batch drops others");
    }

    #[test]
    fn branches_fall_as_often_as_their_share_says_and_make_up_for_it() {
        let dropping = dropping(Drops { features: 0.0, path: 0.4, seed: 1 });
        let last = dropping.shares.len() - 2;
        let scales = dropping.branches(last, 100_000).unwrap();
        let mean = scales.iter().map(|&s| f64::from(s)).sum::<f64>() / scales.len() as f64;
        // Five standard deviations of the mean: sqrt(0.4 / 0.6 / 100,000) each.
        assert!((mean - 1.0).abs() < 0.0130, "the mean scale is {mean}");
        assert!(scales.iter().all(|&scale| scale == 0.0 || scale == (1.0 / 0.6) as f32));
    }
}
