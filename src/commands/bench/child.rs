//! Each row and mode in a process of its own: what ends that process, be it the kernel's hand, leaves this one standing.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::memory;
use crate::interrupt::{Interrupt, Signal};
use crate::report;

/// How often the process is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// How long it may go on after an interruption, to end the measurement that it is in.
const GRACE: Duration = Duration::from_secs(5);

/// What the process prints: one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Images per second of each measurement.
    pub speeds: Vec<f64>,
    /// Of the GPU's memory, where the network is there.
    pub peak_memory_bytes: Option<u64>,
    /// Images that should fit onto a GPU, where that was asked.
    pub largest_batch: Option<usize>,
    /// Whether there is no more because a GPU has no more memory.
    pub out_of_memory: bool,
    /// Why there is no more.
    pub error: Option<String>,
}

/// How the process ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Measured(Outcome),
    /// It would have taken more memory than there is: it was stopped at the limit, by this process or by the system.
    OutOfMemory,
    Failed(String),
}

/// Runs this very program with `line` to its end, and stops it where it holds more than `limit` bytes or the run is
/// interrupted.
///
/// # Errors
/// Where it cannot be started.
pub fn run(line: &[OsString], limit: Option<u64>, interrupt: &Interrupt) -> Result<End> {
    let mut command = Command::new(program()?);
    command.args(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    watch(command, limit, interrupt)
}

/// In the child: asks it to stop once nobody holds the other end of its standard input, be it that the run was
/// interrupted or that the parent has died.
pub fn until_left_alone(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    thread::spawn(move || {
        // Nothing is ever sent; an error is an end too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        interrupt.raise(Signal::Terminate);
    });
}

/// The file of this process, also where another has taken its name since.
fn program() -> Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().context("cannot find this program's own file, which each row is run with")
}

fn watch(mut command: Command, limit: Option<u64>, interrupt: &Interrupt) -> Result<End> {
    let mut child = command.spawn().context("cannot start the process of a row")?;
    volunteer(&child);
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let mut stopped = None;
    let mut interrupted: Option<Instant> = None;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for the process of a row")? {
            break status;
        }
        let held = limit.and_then(|limit| memory::resident(child.id()).filter(|&held| held > limit));
        if interrupt.received().is_some() && interrupted.is_none() {
            interrupted = Some(Instant::now());
            // It ends its measurement and prints what it has: see `until_left_alone`.
            drop(child.stdin.take());
        }
        let end = match (held, interrupted) {
            (Some(_), _) => Some(End::OutOfMemory),
            (None, Some(since)) if since.elapsed() > GRACE => Some(End::Failed("interrupted".to_owned())),
            _ => None,
        };
        if let Some(end) = end.filter(|_| stopped.is_none()) {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            stopped = Some(end);
        }
        thread::sleep(GLANCE);
    };
    let read = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (stdout, stderr) = (read(stdout), read(stderr));
    // A figure of slow kernels is one that its reader should know as such.
    warnings(&stderr).for_each(report::remark);
    Ok(stopped.unwrap_or_else(|| judge(status, &stdout, &stderr)))
}

/// The lines of a log that warn.
fn warnings(stderr: &str) -> impl Iterator<Item = &str> {
    stderr.lines().filter(|line| line.trim_start().starts_with("WARN "))
}

/// Offers the child to the kernel in place of any other process, should memory run out all the same (proc_pid_oom_score_adj(5)).
fn volunteer(child: &Child) {
    // Where that is refused, the kernel chooses for itself.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "1000");
}

/// All that comes, read beside the process, which would otherwise wait for its reader.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is all there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What an end that nobody here caused means.
fn judge(status: ExitStatus, stdout: &str, stderr: &str) -> End {
    let signal = signal(status);
    // Rust's standard library says this and aborts; 9 is the kernel's, where memory has run out.
    if stderr.contains("memory allocation of ") || signal == Some(9) {
        return End::OutOfMemory;
    }
    if let Some(outcome) = stdout.lines().last().and_then(|line| serde_json::from_str::<Outcome>(line).ok()) {
        return End::Measured(outcome);
    }
    let said = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    End::Failed(match (signal, said) {
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (None, "") => format!("its process ended with {status}"),
        (None, said) => said.to_owned(),
    })
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Option<u64>) -> End {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        watch(command, limit, &Interrupt::default()).unwrap()
    }

    #[test]
    fn the_last_line_is_the_outcome() {
        let end = shell(r#"echo remark; echo '{"speeds":[2.5],"peak_memory_bytes":7,"error":null}'"#, None);
        let outcome = Outcome { speeds: vec![2.5], peak_memory_bytes: Some(7), ..Outcome::default() };
        assert_eq!(end, End::Measured(outcome));
    }

    #[test]
    fn what_takes_more_than_its_share_is_stopped() {
        // The shell keeps what it substitutes.
        let endless = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 30";
        assert_eq!(shell(endless, Some(20 << 20)), End::OutOfMemory);
    }

    #[test]
    fn what_warns_is_told_from_what_is_said() {
        let said = "device: cpu\n WARN tresnet::ops: slow\nno WARN \n";
        assert_eq!(warnings(said).collect::<Vec<_>>(), [" WARN tresnet::ops: slow"]);
    }

    #[test]
    fn a_process_that_the_system_ended_ran_out_of_memory() {
        assert_eq!(shell("kill -9 $$", None), End::OutOfMemory);
        let refused = "echo 'memory allocation of 99 bytes failed' >&2; kill -6 $$";
        assert_eq!(shell(refused, None), End::OutOfMemory);
    }

    #[test]
    fn any_other_end_has_a_reason() {
        let failed = |reason: &str| End::Failed(reason.to_owned());
        assert_eq!(shell("echo 'error: no such net' >&2; exit 1", None), failed("no such net"));
        assert_eq!(shell("kill -11 $$", None), failed("its process was ended by signal 11"));
        assert_eq!(shell("exit 7", None), failed("its process ended with exit status: 7"));
    }
}
