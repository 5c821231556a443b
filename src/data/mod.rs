//! From files to batches: where images lie, what their bytes mean, and in which order they come.

pub mod decode;
pub mod loader;
pub mod mat;
pub mod sampler;
pub mod source;
mod split;

pub use split::{Location, Part, Split, locate, open_split};

/// Something that was left out, and why. Shown to the user as `path: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the data set, where it lies within.
    pub path: String,
    pub reason: String,
}

/// A list of names for a message, cut where it gets long.
fn enumerate<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 10;
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let rest = match names.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &rest
}
