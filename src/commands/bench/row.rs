//! A row: a network with all that was measured of it.

use std::collections::BTreeMap;

use super::child::Outcome;
use super::measure::Figure;
use crate::config::{BenchSettings, Mode, Subject};
use crate::models::{Architecture, PaperRow, Request, paper_row};

/// What is known of one network and what was measured of it.
#[derive(Clone)]
pub struct Row {
    pub model: &'static str,
    pub input_size: usize,
    pub device: String,
    pub dtype: &'static str,
    /// What else the network was told, as typed.
    pub kwargs: Option<String>,
    /// Unknown where the network cannot be built.
    pub params: Option<usize>,
    pub macs: Option<u64>,
    /// Images in each mode's batch.
    pub batches: BTreeMap<Mode, usize>,
    /// The largest batch that fits, where it was looked for.
    pub max_batches: BTreeMap<Mode, usize>,
    measured: BTreeMap<Mode, Measured>,
    /// Per cent; of the network as published.
    pub published_top1: Option<f64>,
    /// The paper's own figures for this network at this size.
    pub paper: Option<&'static PaperRow>,
    failures: Vec<Failure>,
}

/// All passes of a mode.
#[derive(Clone, Default)]
struct Measured {
    speeds: Vec<f64>,
    peak_memory_bytes: Option<u64>,
}

/// Why a figure is missing; `None` where the whole row is.
#[derive(Clone)]
struct Failure {
    mode: Option<Mode>,
    reason: String,
}

impl Row {
    /// A row without figures yet. Where the network cannot be built or does not take the input, it says so.
    pub fn new(subject: &Subject, settings: &BenchSettings) -> Self {
        let (variant, input_size) = (subject.variant, subject.preprocessing.input_size);
        let plain = settings.kwargs_words.is_empty();
        let request = Request { kwargs: settings.kwargs, ..Request::new(variant.num_classes, super::RGB) };
        let mut row = Self {
            model: variant.name,
            input_size,
            device: settings.runtime.device_name(),
            dtype: settings.runtime.dtype_name(),
            kwargs: (!plain).then(|| settings.kwargs_words.join(" ")),
            params: None,
            macs: None,
            batches: BTreeMap::new(),
            max_batches: BTreeMap::new(),
            measured: BTreeMap::new(),
            published_top1: variant.published.filter(|_| plain).map(|published| published.top1),
            paper: paper_row(variant.name, input_size).filter(|_| plain),
            failures: Vec::new(),
        };
        match variant.architecture(&request) {
            Ok(Architecture { graph, .. }) => {
                row.params = Some(graph.param_count());
                match graph.macs(input_size) {
                    Ok(macs) => row.macs = Some(macs),
                    Err(error) => row.fail(None, format!("--input-size {input_size} does not suit it: {error:#}")),
                }
            }
            Err(error) => row.fail(None, format!("{error:#}")),
        }
        row
    }

    /// Adds a pass of a mode.
    pub fn add(&mut self, mode: Mode, outcome: Outcome) {
        let measured = self.measured.entry(mode).or_default();
        measured.speeds.extend(outcome.speeds);
        measured.peak_memory_bytes = measured.peak_memory_bytes.max(outcome.peak_memory_bytes);
    }

    /// Notes why a mode, or all of the row, has no figure.
    pub fn fail(&mut self, mode: Option<Mode>, reason: String) {
        self.failures.push(Failure { mode, reason });
    }

    /// Whether there is no use in measuring this mode.
    pub fn has_failed(&self, mode: Mode) -> bool {
        self.failures.iter().any(|failure| failure.mode.is_none_or(|failed| failed == mode))
    }

    /// Whether anything is known beyond the network's size: a figure, or why there is none.
    pub fn is_started(&self) -> bool {
        self.has_figures() || !self.failures.is_empty()
    }

    pub fn has_figures(&self) -> bool {
        !self.measured.is_empty() || !self.max_batches.is_empty()
    }

    /// Images per second in a mode.
    pub fn figure(&self, mode: Mode) -> Option<Figure> {
        let measured = self.measured.get(&mode).filter(|measured| !measured.speeds.is_empty())?;
        Some(Figure::of(&measured.speeds))
    }

    /// The batch of a mode that has a figure.
    pub fn batch(&self, mode: Mode) -> Option<usize> {
        self.figure(mode).and(self.batches.get(&mode).copied())
    }

    /// The most memory that a mode's process held.
    pub fn peak(&self, mode: Mode) -> Option<u64> {
        self.measured.get(&mode)?.peak_memory_bytes
    }

    /// The most memory that any mode's process held.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.measured.values().filter_map(|measured| measured.peak_memory_bytes).max()
    }

    /// Why figures are missing, in one line.
    pub fn error(&self) -> Option<String> {
        let spoken = |Failure { mode, reason }: &Failure| match mode {
            Some(mode) => format!("{}: {reason}", mode.name()),
            None => reason.clone(),
        };
        let reasons: Vec<String> = self.failures.iter().map(spoken).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    pub fn gmacs(&self) -> Option<f64> {
        self.macs.map(|macs| macs as f64 / 1e9)
    }

    /// `loading` or `computing`, whichever holds a run up, where two speeds tell.
    pub fn bottleneck(&self) -> Option<&'static str> {
        let speed = |mode| self.figure(mode).map(|figure| figure.median);
        // Without the network's own speed the whole's tells: a loader that is hardly faster is what it waits for.
        let (loading, computing) = match (speed(Mode::Load)?, speed(Mode::Infer), speed(Mode::EndToEnd)) {
            (load, Some(infer), _) => (load, infer),
            (load, None, Some(whole)) => (load, 1.1 * whole),
            (_, None, None) => return None,
        };
        Some(if loading < computing { "loading" } else { "computing" })
    }

    fn verdict(&self) -> Option<String> {
        let bottleneck = self.bottleneck()?;
        let spoken = |(name, mode): (&str, Mode)| Some(format!("{name} {:.1}", self.figure(mode)?.median));
        let speeds = [("loading", Mode::Load), ("computing", Mode::Infer), ("both together", Mode::EndToEnd)];
        let speeds: Vec<String> = speeds.into_iter().filter_map(spoken).collect();
        Some(format!("{}: the bottleneck is {bottleneck} (img/s: {})\n", self.model, speeds.join(", ")))
    }
}

/// A line for each row whose bottleneck is known, after an empty one.
pub fn verdicts(rows: &[Row]) -> String {
    let lines: String = rows.iter().filter_map(Row::verdict).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::models;

    /// A row of tresnet_m with these speeds, each of three measurements.
    pub fn row(speeds: &[(Mode, f64)]) -> Row {
        let mut row = Row {
            model: "tresnet_m",
            input_size: 224,
            device: "cpu".into(),
            dtype: "f32",
            kwargs: None,
            params: Some(31_389_032),
            macs: Some(5_736_500_000),
            batches: BTreeMap::new(),
            max_batches: BTreeMap::new(),
            measured: BTreeMap::new(),
            published_top1: Some(80.8),
            paper: models::paper_row("tresnet_m", 224),
            failures: Vec::new(),
        };
        for &(mode, speed) in speeds {
            row.batches.insert(mode, 8);
            row.add(mode, Outcome { speeds: vec![speed; 3], peak_memory_bytes: Some(700 << 20), ..Outcome::default() });
        }
        row
    }

    #[test]
    fn the_slower_of_two_is_the_bottleneck_and_one_tells_nothing() {
        use Mode::{EndToEnd, Infer, Load};
        assert_eq!(row(&[(Infer, 20.0), (Load, 500.0)]).bottleneck(), Some("computing"));
        assert_eq!(row(&[(Infer, 900.0), (Load, 500.0), (EndToEnd, 450.0)]).bottleneck(), Some("loading"));
        assert_eq!(row(&[(Load, 500.0), (EndToEnd, 480.0)]).bottleneck(), Some("loading"));
        assert_eq!(row(&[(Load, 500.0), (EndToEnd, 20.0)]).bottleneck(), Some("computing"));
        assert_eq!(row(&[(Infer, 20.0), (EndToEnd, 20.0)]).bottleneck(), None);
        assert_eq!(row(&[(Load, 500.0)]).bottleneck(), None);
        let rows = [row(&[(Infer, 20.0), (Load, 500.0)])];
        assert!(verdicts(&rows).contains("the bottleneck is computing (img/s: loading 500.0, computing 20.0)"));
    }

    #[test]
    fn passes_add_up_to_one_figure_with_all_their_spread() {
        let mut row = row(&[(Mode::Train, 4.0)]);
        row.add(
            Mode::Train,
            Outcome { speeds: vec![2.0, 9.0], peak_memory_bytes: Some(800 << 20), ..Outcome::default() },
        );
        let figure = row.figure(Mode::Train).unwrap();
        assert_eq!(figure, Figure { median: 4.0, min: 2.0, max: 9.0, n: 5 });
        assert_eq!((row.peak(Mode::Train), row.peak(Mode::Infer)), (Some(800 << 20), None));
    }

    #[test]
    fn a_mode_that_failed_names_itself_and_leaves_the_others() {
        let mut row = row(&[(Mode::Infer, 20.0)]);
        row.fail(Some(Mode::Train), "out of memory at batch 9000".into());
        assert_eq!((row.has_failed(Mode::Train), row.has_failed(Mode::Infer)), (true, false));
        assert_eq!(row.error().unwrap(), "train: out of memory at batch 9000");
        row.fail(None, "it cannot be built".into());
        assert!(row.has_failed(Mode::Infer) && row.has_figures());
    }
}
