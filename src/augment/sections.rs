//! The language of policies: a name, then sections of a key and a value, all joined by dashes.

use anyhow::{Context, Result, bail};

/// The sections behind the name, as key and value: a key ends where a digit begins (`mstd0.5`). A key without a number
/// in front of one without a key (`d-1`) is a negative number, which timm's own reader refuses.
///
/// # Errors
///
/// A section without a number: timm skips it without a word.
pub fn sections(text: &str) -> Result<Vec<(&str, String)>> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for section in text.split('-').skip(1) {
        if let Some(set) = section.strip_prefix('t') {
            found.push(("t", set.to_owned()));
            continue;
        }
        let digits = section.find(|c: char| c.is_ascii_digit()).unwrap_or(section.len());
        let (key, value) = section.split_at(digits);
        match found.last_mut() {
            Some((_, negative)) if key.is_empty() && negative.is_empty() => *negative = format!("-{value}"),
            _ => found.push((key, value.to_owned())),
        }
    }
    for (key, value) in &found {
        if value.is_empty() {
            bail!("--aa {text}: `{key}` lacks its value, as in `m9` or `mstd0.5`");
        }
    }
    Ok(found)
}

/// The number that section `key` of policy `text` holds, `least` or more.
///
/// # Errors
///
/// Something that is no such number.
pub fn number<T>(text: &str, key: &str, value: &str, least: T) -> Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + PartialOrd + std::fmt::Display,
{
    let wrong = || format!("--aa {text}: `{key}{value}` is not a number that `{key}` takes");
    let number = value.parse().with_context(wrong)?;
    if number < least {
        bail!("{}: give {least} or more", wrong());
    }
    Ok(number)
}

/// The message about a key that policy `text` does not have.
pub fn unknown(text: &str, key: &str, known: &[&str]) -> anyhow::Error {
    anyhow::anyhow!("--aa {text}: there is no `{key}` section; there are {}", known.join(", "))
}
