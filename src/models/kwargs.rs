//! What a network may be told beside its name: timm's `--model-kwargs`, with torch-resnet's arguments.

use anyhow::{Result, bail, ensure};

/// Arguments of a network; what is `None` is as the network's row says. Each family heeds some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ModelKwargs {
    /// A 3x3 stem of stride 1 without max-pool, as for CIFAR, in place of the 7x7 one with.
    pub small_images: Option<bool>,
    /// Factor of the blocks' channels (Zagoruyko and Komodakis, arXiv 1605.07146).
    pub width: Option<usize>,
    pub shortcut: Option<Shortcut>,
    /// Dropout between a basic block's convolutions, in [0, 1).
    pub drop_rate: Option<f64>,
    /// Whether each residual branch starts as nothing.
    pub zero_init_residual: Option<bool>,
    /// What norms add to a variance before its root.
    pub bn_eps: Option<f32>,
}

/// What stands beside a block's convolutions (arXiv 1512.03385, section 4.1, and torch-resnet's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: pixels left out and channels of zeros where the shape changes.
    Identity,
    /// Option B: a 1x1 convolution where the shape changes.
    Projection,
    /// Option C: a 1x1 convolution in every block.
    FullProjection,
    /// A 3x3 convolution where the shape changes.
    Convolution,
}

/// Spellings, the first of them the option's letter in the paper or its like.
const SHORTCUTS: [(Shortcut, [&str; 3]); 4] = [
    (Shortcut::Identity, ["A", "identity", "IdentityShortcut"]),
    (Shortcut::Projection, ["B", "projection", "ProjectionShortcut"]),
    (Shortcut::FullProjection, ["C", "full-projection", "FullProjectionShortcut"]),
    (Shortcut::Convolution, ["conv", "convolution", "ConvolutionShortcut"]),
];

impl ModelKwargs {
    /// Reads `name=value` words; a later one replaces an earlier one of the same name.
    ///
    /// # Errors
    /// A word of another form, a name that there is not, a value that it cannot have.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut kwargs = Self::default();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                bail!("{word:?} is no name=value, as in width=2");
            };
            kwargs.set(name.trim(), value.trim())?;
        }
        Ok(kwargs)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "small_images" => self.small_images = Some(boolean(name, value)?),
            "zero_init_residual" => self.zero_init_residual = Some(boolean(name, value)?),
            "width" => match value.parse() {
                Ok(width @ 1..=1024) => self.width = Some(width),
                _ => bail!("width={value}: it is a whole number from 1 to 1024"),
            },
            "drop_rate" => match value.parse() {
                Ok(rate) if (0.0..1.0).contains(&rate) => self.drop_rate = Some(rate),
                _ => bail!("drop_rate={value}: it is a number from 0 to below 1"),
            },
            "shortcut" => self.shortcut = Some(shortcut(value)?),
            "bn_eps" => match Self::epsilon(value) {
                Some(epsilon) => self.bn_eps = Some(epsilon),
                None => bail!("bn_eps={value}: it is a number above 0, at most 1"),
            },
            _ => bail!("there is no {name:?}; the networks' arguments are {}", Self::NAMES.join(", ")),
        }
        Ok(())
    }

    /// Names of all arguments.
    pub const NAMES: [&'static str; 6] =
        ["small_images", "width", "shortcut", "drop_rate", "zero_init_residual", "bn_eps"];

    /// A norm's epsilon from text, where it can be one.
    pub fn epsilon(text: &str) -> Option<f32> {
        text.parse().ok().filter(|epsilon| *epsilon > 0.0 && *epsilon <= 1.0)
    }

    /// Refuses arguments other than these.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        let given = [
            self.small_images.is_some(),
            self.width.is_some(),
            self.shortcut.is_some(),
            self.drop_rate.is_some(),
            self.zero_init_residual.is_some(),
            self.bn_eps.is_some(),
        ];
        for (name, _) in Self::NAMES.into_iter().zip(given).filter(|(_, given)| *given) {
            let others = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            ensure!(known.contains(&name), "it takes no {name}: there is {others} to tell it");
        }
        Ok(())
    }
}

/// Python's spellings, and the usual ones.
fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => bail!("{name}={value}: it is true or false"),
    }
}

fn shortcut(value: &str) -> Result<Shortcut> {
    let matches = |names: &[&str; 3]| names.iter().any(|name| name.eq_ignore_ascii_case(value));
    match SHORTCUTS.iter().find(|(_, names)| matches(names)) {
        Some((shortcut, _)) => Ok(*shortcut),
        None => {
            let names: Vec<String> =
                SHORTCUTS.iter().map(|(_, [letter, name, _])| format!("{letter} ({name})")).collect();
            bail!("shortcut={value}: it is one of {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_arguments() {
        let words = ["small_images=True", "width=2", "shortcut=IdentityShortcut", "drop_rate=0.3", "width=4"];
        let kwargs = ModelKwargs::parse(words).unwrap();
        assert_eq!(kwargs.small_images, Some(true));
        assert_eq!((kwargs.width, kwargs.shortcut), (Some(4), Some(Shortcut::Identity)));
        assert_eq!((kwargs.drop_rate, kwargs.zero_init_residual), (Some(0.3), None));
    }

    #[test]
    fn what_cannot_be_meant_says_what_can() {
        for (word, hint) in [
            ("width", "name=value"),
            ("width=0", "whole number"),
            ("drop_rate=1", "below 1"),
            ("drop_rate=nan", "below 1"),
            ("shortcut=D", "A (identity)"),
            ("small_images=perhaps", "true or false"),
            ("bn_eps=0", "above 0"),
            ("depth=3", "zero_init_residual"),
        ] {
            let error = ModelKwargs::parse([word]).unwrap_err().to_string();
            assert!(error.contains(hint), "{word}: {error}");
        }
    }

    #[test]
    fn an_argument_that_a_family_does_not_heed_is_refused() {
        let kwargs = ModelKwargs { width: Some(2), ..ModelKwargs::default() };
        let error = kwargs.only(&["drop_rate"]).unwrap_err().to_string();
        assert!(error.contains("no width") && error.contains("drop_rate"), "{error}");
        assert!(kwargs.only(&[]).unwrap_err().to_string().contains("nothing to tell it"));
    }
}
