//! The curves of a run as one SVG picture: losses, accuracies and learning rate over the epochs.

mod panel;

use std::path::Path;

use anyhow::{Result, ensure};

use self::panel::{Panel, Series};
use super::drawing::{BLUE, ORANGE, Svg};
use super::steps::{self, StepRow, Steps};
use super::summary::{self, Summary, SummaryRow};

/// Points that a curve of steps is averaged to; more than this no screen shows.
const MOST_POINTS: usize = 400;

const PALE_BLUE: &str = "#a5c3f7";
const GREEN: &str = "#2b8a3e";

/// Draws the run in `folder` from its `summary.csv` and `steps.jsonl`, of which one may be missing.
///
/// # Errors
///
/// Where both are missing or empty, or one cannot be read.
pub fn curves(folder: &Path) -> Result<String> {
    let rows = summary::read(&folder.join(Summary::FILE))?;
    let steps = steps::read(&folder.join(Steps::FILE))?;
    ensure!(
        !rows.is_empty() || !steps.is_empty(),
        "{} has neither a row in {} nor a line in {}: give the folder of a training run",
        folder.display(),
        Summary::FILE,
        Steps::FILE
    );
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = name.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned());
    Ok(draw(&name, &rows, &steps))
}

fn draw(name: &str, rows: &[SummaryRow], steps: &[StepRow]) -> String {
    let places = places(steps);
    let from_steps = |label, colour, value: fn(&StepRow) -> f64| {
        let points = places.iter().zip(steps).map(|(&place, step)| (place, value(step))).collect();
        Series { label, colour, points: averaged(points), fine: true }
    };
    // An epoch's figures are those at its end.
    let from_rows = |label, colour, value: fn(&SummaryRow) -> f64| {
        let points = rows.iter().map(|row| (row.epoch as f64 + 1.0, value(row))).collect();
        Series { label, colour, points, fine: false }
    };
    let rate = if steps.is_empty() {
        from_rows("learning rate", GREEN, |row| row.lr)
    } else {
        Series { fine: false, ..from_steps("learning rate", GREEN, |step| step.lr) }
    };
    let panels = [
        Panel {
            title: "Loss",
            series: vec![
                from_steps("training, by step", PALE_BLUE, |step| step.loss.unwrap_or(f64::NAN)),
                from_rows("training", BLUE, |row| row.train_loss),
                from_rows("validation", ORANGE, |row| row.eval_loss),
            ],
        },
        Panel {
            title: "Validation accuracy, %",
            series: vec![
                from_rows("top-1", ORANGE, |row| row.eval_top1),
                from_rows("top-5", BLUE, |row| row.eval_top5),
            ],
        },
        Panel { title: "Learning rate", series: vec![rate] },
    ];
    let ends = rows.last().map(|row| row.epoch as f64 + 1.0).into_iter().chain(places.last().copied());
    let end = ends.fold(0.0, f64::max);
    let drawn: Vec<&Panel> = panels.iter().filter(|panel| panel.has_points()).collect();
    let mut svg = Svg::new(panel::WIDTH, panel::TOP + panel::HEIGHT * drawn.len() as f64 + panel::BOTTOM);
    svg.text((panel::LEFT, 28.0), "title", name);
    for (at, panel) in drawn.iter().enumerate() {
        panel.draw(&mut svg, panel::TOP + panel::HEIGHT * at as f64, end, at + 1 == drawn.len());
    }
    svg.finish()
}

/// Where each step lies, in epochs. An unfinished epoch is taken to be as long as the longest.
fn places(steps: &[StepRow]) -> Vec<f64> {
    let epochs = || steps.chunk_by(|a, b| a.epoch == b.epoch);
    let longest = epochs().map(<[StepRow]>::len).max().unwrap_or(1);
    let unfinished = epochs().count().saturating_sub(1);
    let mut places = Vec::with_capacity(steps.len());
    for (number, epoch) in epochs().enumerate() {
        let steps_in_epoch = if number == unfinished { longest } else { epoch.len() };
        let place = |(at, step): (usize, &StepRow)| step.epoch as f64 + (at as f64 + 1.0) / steps_in_epoch as f64;
        places.extend(epoch.iter().enumerate().map(place));
    }
    places
}

/// Means of runs of neighbours, so many that few enough points are left. Values that are no numbers are left out.
fn averaged(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let finite: Vec<(f64, f64)> = points.iter().filter(|(_, y)| y.is_finite()).copied().collect();
        let (x, y) = finite.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let count = finite.len() as f64;
        (count > 0.0).then_some((x / count, y / count))
    };
    points.chunks(run).filter_map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(epoch: u64, step: u64, loss: f64) -> StepRow {
        let loss = Some(loss);
        StepRow { epoch, step, loss, lr: 0.1, img_per_sec: 1.0, data_seconds: 0.0, step_seconds: 1.0, scale: None }
    }

    fn row(epoch: u64) -> SummaryRow {
        let share = 1.0 / (epoch + 1) as f64;
        SummaryRow { epoch, train_loss: share, eval_loss: share, eval_top1: 90.0, eval_top5: 99.0, lr: 0.1 }
    }

    #[test]
    fn steps_lie_within_their_epochs_and_an_unfinished_one_stays_open() {
        let steps: Vec<StepRow> = [0, 0, 0, 0, 1, 1].iter().enumerate().map(|(n, &e)| step(e, n as u64, 1.0)).collect();
        assert_eq!(places(&steps), [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]);
    }

    #[test]
    fn many_steps_become_few_points_of_the_same_mean() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        let mean = |points: &[(f64, f64)]| points.iter().map(|(_, y)| y).sum::<f64>() / points.len() as f64;
        let few = averaged(points.clone());
        assert_eq!(few.len(), MOST_POINTS);
        assert!((mean(&few) - mean(&points)).abs() < 1e-9);
    }

    #[test]
    fn a_run_of_one_epoch_or_of_a_few_steps_is_drawn() {
        let summary_alone = draw("a", &[row(0)], &[]);
        assert_eq!(summary_alone.matches("<circle").count(), 5, "one dot a curve: {summary_alone}");
        let steps_alone = draw("b", &[], &[step(0, 0, 2.0), step(0, 1, 1.0)]);
        assert!(steps_alone.contains("Loss") && !steps_alone.contains("accuracy"));
        let diverged = draw("<&>", &[SummaryRow { eval_loss: f64::NAN, ..row(0) }, row(1)], &[step(0, 0, f64::NAN)]);
        assert!(diverged.contains("&lt;&amp;&gt;") && !diverged.contains("NaN"), "{diverged}");
    }

    #[test]
    fn a_folder_without_a_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = curves(folder.path()).unwrap_err().to_string();
        assert!(error.contains("neither a row in summary.csv nor a line in steps.jsonl"), "{error}");
    }
}
