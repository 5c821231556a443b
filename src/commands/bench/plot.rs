//! Accuracy against speed: the published top-1 over the images a second, measured here and, where asked for, the paper's.

use std::io::Write;

use anyhow::Result;

use super::host;
use super::row::Row;
use crate::atomic_file::AtomicFile;
use crate::config::{BenchSettings, Mode};
use crate::models::PaperRow;
use crate::report::{self, Cloud, Dot, scatter};

/// Finds out whether the picture can be written.
///
/// # Errors
/// Where it cannot; the message names the file.
pub fn check(settings: &BenchSettings) -> Result<()> {
    settings.plot.as_deref().map_or(Ok(()), |path| AtomicFile::create(path).map(drop))
}

/// Writes the picture, where one was asked for.
///
/// # Errors
/// Where it cannot be written; the message names the file.
pub fn write(rows: &[Row], settings: &BenchSettings) -> Result<()> {
    let Some(path) = &settings.plot else { return Ok(()) };
    for row in rows.iter().filter(|row| row.has_figures() && row.published_top1.is_none()) {
        report::remark(&format!("{}: not in {}, since no top-1 of it is published", row.model, path.display()));
    }
    let mut file = AtomicFile::create(path)?;
    file.write_all(picture(rows, settings).as_bytes())?;
    file.commit()
}

fn picture(rows: &[Row], settings: &BenchSettings) -> String {
    let device = match settings.runtime.cuda {
        Some(_) => settings.runtime.device_name(),
        None => {
            let cores = report::count(crate::runtime::available_cores(), "core");
            format!("{cores} of {}", host::processor().unwrap_or_else(|| "a CPU".to_owned()))
        }
    };
    let here = format!("{device}, {}", settings.runtime.dtype_name());
    let mut clouds = Vec::new();
    for (what, mode, paper) in [
        ("Inference", Mode::Infer, (|paper: &PaperRow| Some(paper.infer)) as fn(&PaperRow) -> Option<f64>),
        ("Training", Mode::Train, |paper| paper.train),
    ] {
        let measured = |row: &Row| Some(dot(row, row.figure(mode)?.median, row.published_top1?));
        let cloud = |title, quoted, dots| Cloud { title, across: "images per second", up: "top-1, %", quoted, dots };
        clouds.push(cloud(format!("{what} on {here}"), false, rows.iter().filter_map(measured).collect()));
        if settings.published && settings.modes.contains(&mode) {
            let quoted = |row: &Row| row.paper.and_then(|of| Some(dot(row, paper(of)?, of.top1?)));
            let title = format!("{what} on a V100, mixed precision (arXiv 2003.13630)");
            clouds.push(cloud(title, true, rows.iter().filter_map(quoted).collect()));
        }
    }
    scatter("Published ImageNet top-1 against throughput", &clouds)
}

fn dot(row: &Row, across: f64, up: f64) -> Dot {
    Dot { label: row.model.to_owned(), across, up }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::columns::tests::settings;
    use crate::commands::bench::row::tests::row;

    #[test]
    fn measured_and_published_speeds_have_diagrams_of_their_own() {
        let rows = [row(&[(Mode::Infer, 20.0), (Mode::Train, 5.0)])];
        let drawn = |flags: &str| picture(&rows, &settings(flags));
        let plain = drawn("--modes infer,train");
        assert_eq!((plain.matches("<circle").count(), plain.matches("V100").count()), (2, 0));
        let published = drawn("--modes infer,train --published");
        assert_eq!((published.matches("<circle").count(), published.matches("on a V100").count()), (4, 2));
        assert_eq!(drawn("--modes infer --published").matches("on a V100").count(), 1);
    }
}
