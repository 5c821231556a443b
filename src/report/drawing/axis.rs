//! Round numbers along an axis.

/// What the roundings of a division may amount to.
const HAIR: f64 = 1e-9;

/// An axis from a round number to a round number, with ticks at round steps.
pub struct Axis {
    pub from: f64,
    pub to: f64,
    step: f64,
}

impl Axis {
    /// The shortest axis that holds `from` to `to` between ticks, of which there are about `ticks`.
    pub fn around(from: f64, to: f64, ticks: usize) -> Self {
        let (from, to) = widened(from, to);
        let step = round_step((to - from) / ticks.max(1) as f64);
        Self { from: (from / step + HAIR).floor() * step, to: (to / step - HAIR).ceil() * step, step }
    }

    /// An axis that ends just where it is told, with steps of at least 1.
    pub fn exactly(from: f64, to: f64, ticks: usize) -> Self {
        let (from, to) = widened(from, to);
        Self { from, to, step: round_step((to - from) / ticks.max(1) as f64).max(1.0) }
    }

    /// Values of the ticks, in order.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.from / self.step - HAIR).ceil();
        let last = (self.to / self.step + HAIR).floor();
        (0..=(last - first).max(0.0) as usize).map(|n| (first + n as f64) * self.step).collect()
    }

    /// A tick's value in as many decimals as tell it from its neighbours.
    pub fn label(&self, value: f64) -> String {
        if value.abs() < self.step / 2.0 {
            return "0".to_owned();
        }
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        if decimals > 4 || value.abs() >= 1e6 {
            let digits = (value.abs().log10().floor() - self.step.log10().floor()).max(0.0) as usize;
            let rounded = format!("{value:.digits$e}");
            let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
            let mantissa = if digits > 0 { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
            return format!("{mantissa}e{exponent}");
        }
        format!("{value:.decimals$}")
    }

    /// Where a value lies on the axis: 0 at its start, 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }
}

/// A range of some length, also for a single value.
fn widened(from: f64, to: f64) -> (f64, f64) {
    let margin = if from == 0.0 { 0.5 } else { 0.05 * from.abs() };
    if to - from > HAIR * from.abs().max(to.abs()) { (from, to) } else { (from - margin, to + margin) }
}

/// 1, 2 or 5 times a power of ten, no smaller than `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= step * (1.0 - HAIR))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        assert_eq!(labels(&Axis::around(0.13, 2.71, 5)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::around(71.0, 79.9, 5)), ["70", "72", "74", "76", "78", "80"]);
        assert_eq!(labels(&Axis::around(0.0, 0.3, 5)), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(&Axis::around(0.0, 1.3e-5, 4)), ["0", "5e-6", "1e-5", "1.5e-5"]);
        assert_eq!(labels(&Axis::around(0.0, 1e-5, 4)), ["0", "5e-6", "1e-5"]);
        assert_eq!(labels(&Axis::around(-1.0, 1.0, 4)), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
    }

    #[test]
    fn epochs_are_whole_and_end_where_they_end() {
        assert_eq!(labels(&Axis::exactly(0.0, 3.0, 10)), ["0", "1", "2", "3"]);
        let axis = Axis::exactly(0.0, 297.0, 10);
        assert_eq!((axis.ticks().last().copied(), axis.place(297.0)), (Some(250.0), 1.0));
    }

    #[test]
    fn a_single_value_has_an_axis_too() {
        for value in [0.0, 1e-7, 42.0, -3.0] {
            let axis = Axis::around(value, value, 5);
            assert!(axis.from < value && value < axis.to && axis.ticks().len() >= 2, "{value}");
        }
    }
}
