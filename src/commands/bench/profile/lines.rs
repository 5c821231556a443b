//! Ops and kinds of ops as lines of a table: what each took, and what the machine's limits would let it take.

use crate::nn::OpProfile;
use crate::ops::Limits;

/// What an op, or all ops of a kind, took of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Of an op alone.
    pub name: Option<String>,
    pub kind: String,
    pub shape: Option<String>,
    pub calls: u64,
    pub seconds: f64,
    /// As the plain sums count them.
    pub flops: f64,
    pub bytes: f64,
    /// Seconds that the products would take at the machine's best rate, and those that the bytes would.
    pub computing: f64,
    pub moving: f64,
    /// Seconds at the limits: of each op the longer of the two.
    pub least: f64,
}

impl Line {
    pub fn new(op: &OpProfile, limits: &Limits) -> Self {
        let rate = limits.bf16_flops.filter(|_| op.is_bf16).unwrap_or(limits.flops);
        let computing = op.spent_flops as f64 / rate;
        let moving = op.bytes as f64 / limits.bandwidth(op.bytes / op.calls.max(1));
        Self {
            name: Some(op.name.clone()),
            kind: op.kind.clone(),
            shape: Some(op.shape.clone()),
            calls: op.calls,
            seconds: op.time.as_secs_f64(),
            flops: op.flops as f64,
            bytes: op.bytes as f64,
            computing,
            moving,
            least: computing.max(moving),
        }
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
        self.computing += other.computing;
        self.moving += other.moving;
        self.least += other.least;
    }

    /// Which of the limits holds it up.
    pub fn bound(&self) -> &'static str {
        if self.computing >= self.moving { "products" } else { "bytes" }
    }

    /// Seconds that the limits would spare.
    pub fn to_gain(&self) -> f64 {
        (self.seconds - self.least).max(0.0)
    }

    /// `amount` a second; zero where nothing was measured.
    pub fn per_second(&self, amount: f64) -> f64 {
        if self.seconds > 0.0 { amount / self.seconds } else { 0.0 }
    }
}

/// The lines of each kind as one, the longest first.
pub fn kinds(lines: &[Line]) -> Vec<Line> {
    let mut kinds: Vec<Line> = Vec::new();
    for line in lines {
        match kinds.iter_mut().find(|kind| kind.kind == line.kind) {
            Some(kind) => kind.add(line),
            None => kinds.push(Line { name: None, shape: None, ..line.clone() }),
        }
    }
    longest_first(&mut kinds);
    kinds
}

/// Lines that took as long as each other stay in their order.
pub fn longest_first(lines: &mut [Line]) {
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Bandwidth;
    use std::time::Duration;

    fn op(kind: &str, millis: u64, flops: u64, bytes: u64) -> OpProfile {
        OpProfile {
            name: format!("{kind}.{millis}"),
            kind: kind.into(),
            shape: "1x1x1 > 1x1x1".into(),
            calls: 2,
            time: Duration::from_millis(millis),
            flops: 2 * flops,
            spent_flops: flops,
            is_bf16: false,
            bytes,
        }
    }

    fn lines(ops: &[OpProfile]) -> Vec<Line> {
        let bandwidths = vec![Bandwidth { bytes: 1 << 20, bytes_per_second: 1e6 }];
        let limits = Limits { flops: 1e6, bf16_flops: None, bandwidths };
        ops.iter().map(|op| Line::new(op, &limits)).collect()
    }

    #[test]
    fn the_limit_counts_the_algorithms_products_and_the_rate_the_plain_sums() {
        let [line] = &lines(&[op("conv", 20, 10_000, 500)])[..] else { unreachable!() };
        // 10,000 operations at a million a second would be 10 ms.
        assert_eq!((line.seconds, line.least, line.to_gain(), line.bound()), (0.02, 0.01, 0.01, "products"));
        assert_eq!((line.calls, line.per_second(line.flops)), (2, 1e6));
    }

    #[test]
    fn kinds_are_the_sums_of_their_ops_and_the_longest_comes_first() {
        let lines = lines(&[op("blur", 5, 1, 4_000), op("conv", 20, 1_000, 5), op("blur", 25, 1, 6_000)]);
        let kinds = kinds(&lines);
        let named: Vec<_> = kinds.iter().map(|kind| (kind.kind.as_str(), kind.calls)).collect();
        assert_eq!(named, [("blur", 4), ("conv", 2)]);
        assert!((kinds[0].seconds - 0.03).abs() < 1e-12 && (kinds[0].least - 0.01).abs() < 1e-12, "{kinds:?}");
        assert_eq!((kinds[0].bound(), kinds[1].bound()), ("bytes", "products"));
    }
}
