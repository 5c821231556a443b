//! Numbers in JSON that come back to the last bit. JSON has no infinity and no NaN; those stand as text.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Finite(f64),
    Text(String),
}

impl Form {
    fn of(number: f64) -> Self {
        if number.is_finite() { Self::Finite(number) } else { Self::Text(number.to_string()) }
    }

    fn number<E: Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(|_| E::custom(format_args!("{text:?} is no number"))),
        }
    }
}

/// For a field.
pub mod number {
    use super::*;

    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(*number).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Form::deserialize(deserializer)?.number()
    }
}

/// For numbers by name.
pub mod map {
    use std::collections::BTreeMap;

    use super::*;

    type Numbers = BTreeMap<String, f64>;

    pub fn serialize<S: Serializer>(numbers: &Numbers, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(numbers.iter().map(|(name, number)| (name, Form::of(*number))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        let forms = BTreeMap::<String, Form>::deserialize(deserializer)?;
        forms.into_iter().map(|(name, form)| Ok((name, form.number()?))).collect()
    }
}
