//! A file's settings in place of the defaults: the command line is read once more with them in front.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};

use super::TrainArgs;
use crate::cli::{Cli, Command};

/// A setting as a command line would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// With hyphens or underscores.
    pub name: String,
    /// None for a flag without a value.
    pub values: Vec<String>,
}

/// Names for the same thing: where one of them was typed, a file's other does not count.
const SAME: &[&[&str]] = &[&["data", "data_dir"], &["input_size", "img_size"]];

impl TrainArgs {
    /// Whether there is a setting of this name, and if so, whether it is a flag without a value.
    pub fn is_switch(name: &str) -> Option<bool> {
        Some(matches!(arg(&Cli::command(), name)?.get_action(), ArgAction::SetTrue))
    }

    /// Names of all settings, with underscores.
    pub fn names() -> Vec<String> {
        let command = Cli::command();
        let shown = train(&command).get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_global_set());
        shown.filter_map(|arg| Some(arg.get_long()?.replace('-', "_"))).collect()
    }

    /// The same command line, with `settings` for whatever it does not say. Settings of unknown names are left out.
    ///
    /// # Errors
    ///
    /// What clap has to say about a setting.
    pub fn over(&self, settings: &[Setting]) -> Result<Self, clap::Error> {
        let command = Cli::command();
        let matches = command.clone().try_get_matches_from(&self.line)?;
        let typed = matches.subcommand_matches(NAME).cloned().unwrap_or_default();
        let words = settings.iter().filter_map(|setting| word(setting, arg(&command, &setting.name)?, &typed));
        let place = self.line.iter().position(|word| word == NAME).map_or(self.line.len(), |at| at + 1);
        let mut line = self.line.clone();
        line.splice(place..place, words.map(OsString::from));
        match super::super::parse(line)?.command {
            Command::Train(args) => Ok(Self { line: self.line.clone(), ..*args }),
            _ => Ok(self.clone()),
        }
    }
}

const NAME: &str = "train";

fn train(command: &clap::Command) -> &clap::Command {
    command.find_subcommand(NAME).unwrap_or(command)
}

/// The argument of a setting's name; the hidden ones are foreign.
fn arg<'a>(command: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    let long = name.replace('_', "-");
    let known = |arg: &&Arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(&long) || aliases.contains(&long.as_str())
    };
    train(command).get_arguments().filter(|arg| !arg.is_hide_set()).find(known)
}

/// What stands for a setting on the command line; nothing where one was typed.
fn word(setting: &Setting, arg: &Arg, typed: &ArgMatches) -> Option<String> {
    let own = arg.get_id().as_str();
    let same = SAME.iter().find(|names| names.contains(&own)).copied().unwrap_or_default();
    let is_typed = |name: &str| typed.value_source(name) == Some(ValueSource::CommandLine);
    if is_typed(own) || same.iter().any(|name| is_typed(name)) {
        return None;
    }
    let long = arg.get_long()?;
    Some(match setting.values.is_empty() {
        true => format!("--{long}"),
        false => format!("--{long}={}", setting.values.join(",")),
    })
}
