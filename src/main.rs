//! The command: parse, run, say once what went wrong.

use std::io::Write;
use std::process::ExitCode;

use tresnet::{cli, commands};

fn main() -> ExitCode {
    // A panic is a mistake of this program, and even then one line is enough for its user.
    std::panic::set_hook(Box::new(|panic| complain(&format!("this is a bug in tresnet, please report it: {panic}"))));
    let status = std::panic::catch_unwind(|| match cli::parse(std::env::args_os()) {
        Ok(line) => run(line),
        Err(refusal) => {
            // Help and version go to the standard output with status 0, all else to the standard error with 2. A
            // reader that has gone is no error.
            let _ = refusal.print();
            refusal.exit_code() as u8
        }
    });
    ExitCode::from(status.unwrap_or(1))
}

fn run(line: cli::Cli) -> u8 {
    let result = commands::run(line);
    if let Err(error) = &result {
        complain(&commands::message(error));
    }
    commands::exit_status(&result)
}

/// The one message of a failed run. Where the standard error is closed nobody can be told.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
}
