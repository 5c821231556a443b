//! From files to batches: where images lie, what their bytes mean, and in which order they come.

pub mod decode;
pub mod loader;
pub mod mat;
pub mod sampler;
pub mod source;
mod split;

use std::fmt::{self, Write};

pub use split::{Location, Part, Split, locate, open_split};

/// Something that was left out, and why. Shown to the user as `path: reason`, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the data set, where it lies within.
    pub path: String,
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names may hold line breaks, and what steers a terminal.
        for character in self.path.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        write!(f, ": {}", self.reason)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_shown_on_one_line_whatever_it_is_called() {
        let skipped = Skipped { path: "a/new\nline\u{1b}[2J é.png".into(), reason: "not an image".into() };
        assert_eq!(skipped.to_string(), "a/new\\nline\\u{1b}[2J é.png: not an image");
    }
}
