//! `tresnet report`: a run's folder becomes a picture of its curves.

use std::io::Write;

use anyhow::Result;

use super::Status;
use crate::atomic_file::AtomicFile;
use crate::cli::ReportArgs;
use crate::report;

pub fn run(args: &ReportArgs) -> Result<Status> {
    let picture = report::curves(&args.dir)?;
    let path = args.output.clone().unwrap_or_else(|| args.dir.join("curves.svg"));
    let mut file = AtomicFile::create(&path)?;
    file.write_all(picture.as_bytes())?;
    file.commit()?;
    report::print(&format!("{}\n", path.display()))?;
    Ok(Status::Done)
}
