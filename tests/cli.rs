//! The binary as its users meet it: what they type, what they get back, and how it ends.

#[path = "cli/accuracy.rs"]
mod accuracy;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/full_disk.rs"]
mod full_disk;
#[path = "cli/interruption.rs"]
mod interruption;
#[path = "cli/predictions.rs"]
mod predictions;
#[path = "cli/profiles.rs"]
mod profiles;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/tables.rs"]
mod tables;
#[path = "cli/unreadable.rs"]
mod unreadable;
