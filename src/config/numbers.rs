//! Flags that hold several numbers, or numbers with bounds.

use anyhow::Result;

use super::usage;

/// Three numbers for red, green and blue, with commas or spaces between, in one word or several.
pub fn three(flag: &str, words: &[String]) -> Result<[f32; 3]> {
    let text = words.join(" ");
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let numbers: Option<Vec<f32>> =
        parts.map(|part| part.parse().ok().filter(|number: &f32| number.is_finite())).collect();
    match numbers.as_deref() {
        Some(&[red, green, blue]) => Ok([red, green, blue]),
        _ => usage(format!("{flag} {text}: give three numbers, for red, green and blue, such as 0.5,0.5,0.5")),
    }
}

/// As [`three`], all above 0.
pub fn deviations(flag: &str, words: &[String]) -> Result<[f32; 3]> {
    let numbers = three(flag, words)?;
    match numbers.iter().find(|value| **value <= 0.0) {
        Some(value) => usage(format!("{flag} {value}: a standard deviation is above 0")),
        None => Ok(numbers),
    }
}

/// A share of the shorter side.
pub fn crop_share(flag: &str, share: f64) -> Result<f64> {
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    usage(format!("{flag} {share}: give the share of the shorter side that the crop keeps, such as 0.875"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<[f32; 3]> {
        three("--mean", &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commas_spaces_and_words_are_one() {
        for words in [&["0.5,-1,2"][..], &["0.5 -1 2"], &["0.5", "-1", "2"], &["0.5,", "-1,", "2"]] {
            assert_eq!(parsed(words).unwrap(), [0.5, -1.0, 2.0], "{words:?}");
        }
    }

    #[test]
    fn anything_but_three_finite_numbers_is_refused() {
        for words in [&["0.5"][..], &["1,2"], &["1,2,3,4"], &["a,b,c"], &["inf,0,0"], &[""]] {
            let error = parsed(words).unwrap_err().to_string();
            assert!(error.contains("give three numbers"), "{error}");
        }
    }

    #[test]
    fn a_deviation_is_above_nothing() {
        let parsed = |text: &str| deviations("--std", &[text.to_owned()]);
        assert_eq!(parsed("0.2,0.3,1").unwrap(), [0.2, 0.3, 1.0]);
        assert!(parsed("0.2,0,1").unwrap_err().to_string().starts_with("--std 0: "));
    }

    #[test]
    fn a_share_lies_above_nothing_and_up_to_all() {
        assert_eq!(crop_share("--crop-pct", 1.0).unwrap(), 1.0);
        for share in [0.0, -0.5, 1.01, f64::NAN] {
            assert!(crop_share("--crop-pct", share).is_err(), "{share}");
        }
    }
}
