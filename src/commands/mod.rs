//! The commands: each one straight path from settings to results.

mod bench;
mod curves;
mod diagnostics;
mod infer;
mod inspect;
mod models;
mod train;

use anyhow::Result;
use candle_core::DType;

use crate::cli::{Cli, Command, UsageError};
use crate::interrupt::Signal;
use crate::ops::cuda::Element;

/// What maps are made of on a GPU for a compute type.
fn element(dtype: DType) -> Element {
    match dtype {
        DType::F32 => Element::F32,
        DType::BF16 => Element::Bf16,
        _ => Element::F16,
    }
}

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    /// Done, but some inputs could not be read; they have been named.
    SomeUnreadable,
    /// Done, but some rows could not be measured; each says why.
    SomeFailed,
    /// Asked to stop; what was counted so far has been written.
    Stopped(Signal),
}

/// Runs one command line.
///
/// # Errors
/// Whatever stops the command, in words for its user; a [`UsageError`] where the command line is at fault.
pub fn run(line: Cli) -> Result<Status> {
    diagnostics::start(line.verbosity);
    let quiet = line.verbosity.quiet;
    match line.command {
        Command::Infer(args) => infer::run(*args, quiet),
        Command::Train(args) => train::run(*args, quiet),
        Command::Bench(args) => bench::run(*args, quiet),
        Command::Models(args) => models::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Report(args) => curves::run(&args),
    }
}

/// The process's exit status.
pub fn exit_status(result: &Result<Status>) -> u8 {
    match result {
        Ok(Status::Done) => 0,
        Ok(Status::SomeUnreadable | Status::SomeFailed) => 3,
        Ok(Status::Stopped(signal)) => signal.exit_status(),
        Err(error) if error.is::<UsageError>() => 2,
        Err(_) => 1,
    }
}

/// An error and its causes as one message, each thing said once.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = without_backtrace(&cause);
        if message.is_empty() {
            message.push_str(cause);
        } else if !message.ends_with(cause) {
            message.push_str(": ");
            message.push_str(cause);
        }
    }
    message
}

/// candle puts a backtrace into its messages where RUST_BACKTRACE asks for one.
fn without_backtrace(text: &str) -> &str {
    text.find("\n   0: ").map_or(text, |at| &text[..at]).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn statuses_are_those_of_the_help() {
        let usage = Err(UsageError("--x: no".into()).into());
        let statuses = [
            Ok(Status::Done),
            Err(anyhow!("broken")),
            usage,
            Ok(Status::SomeUnreadable),
            Ok(Status::SomeFailed),
            Ok(Status::Stopped(Signal::Interrupt)),
            Ok(Status::Stopped(Signal::Terminate)),
        ];
        assert_eq!(statuses.map(|status| exit_status(&status)), [0, 1, 2, 3, 3, 130, 143]);
    }

    #[test]
    fn a_chain_is_one_message_and_nothing_is_said_twice() {
        let error = anyhow!("no such file").context("cannot read a.pth: no such file");
        assert_eq!(message(&error), "cannot read a.pth: no such file");
        let traced: Result<()> = Err(anyhow!("shapes differ\n   0: core::panicking\n   1: main"));
        assert_eq!(message(&traced.context("a.pth").unwrap_err()), "a.pth: shapes differ");
    }

    #[test]
    fn wrong_usage_stays_wrong_usage_under_a_context() {
        let error: Result<Status> = Err(UsageError("--x: no".into())).context("while resolving");
        assert_eq!(exit_status(&error), 2);
    }
}
