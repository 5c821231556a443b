//! Parameter groups, schedules, losses and the smaller parts of training against timm's values, which the scripts of
//! `scripts/fixtures/` wrote to `tests/fixtures/training/`.

#[path = "optim/groups.rs"]
mod groups;
#[path = "optim/losses.rs"]
mod losses;
#[path = "optim/parts.rs"]
mod parts;
#[path = "optim/schedules.rs"]
mod schedules;

/// A JSON fixture.
fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/training/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
