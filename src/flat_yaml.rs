//! Settings as timm keeps them: a YAML mapping of names to values, such as its `args.yaml` and what its `-c` takes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Values by name, in the order of the names.
pub type Settings = BTreeMap<String, Value>;

/// Reads settings.
///
/// # Errors
///
/// Where the text is no YAML, or no mapping of names; the message says where.
pub fn parse(text: &str) -> Result<Settings> {
    match serde_saphyr::from_str::<Value>(text).context("it is no YAML that could be read")? {
        Value::Object(settings) => Ok(settings.into_iter().collect()),
        Value::Null => bail!("it holds no settings"),
        _ => bail!("it is no mapping; settings are lines of `name: value`"),
    }
}

/// Writes settings so that PyYAML and [`parse`] read every value as what it is.
///
/// # Errors
///
/// Where a value has no form in YAML.
pub fn render(settings: &Settings) -> Result<String> {
    serde_saphyr::to_string(settings).context("cannot write the settings as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_come_back_as_what_they_were() {
        let settings: Settings = [
            ("aa", json!("rand-m9-mstd0.5-inc1")),
            ("amp", json!(true)),
            ("bn_eps", Value::Null),
            ("comment", json!("yes: #1, 'it' \"is\"\n")),
            ("decay_milestones", json!([90, 180, 270])),
            ("experiment", json!("0012")),
            ("lr", json!(1e-5)),
            ("min_lr", json!(0.0)),
            ("opt", json!("no")),
            ("seed", json!(42)),
            ("sched", json!("")),
            ("warmup_lr", json!(-1e-20)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let text = render(&settings).unwrap();
        assert_eq!(parse(&text).unwrap(), settings, "{text}");
    }

    #[test]
    fn what_timm_writes_is_read() {
        let text = "aa: rand-m9\namp: false\nbetas:\n- 0.9\n- 0.999\nclip_grad: null\nlr: 1.0e-05\nmean: []\n\
                    mixup: 0.2\nname: ''\nopt_kwargs: {}\nsize: !!python/tuple\n- 3\n- 224\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings["lr"], json!(1e-5));
        assert_eq!(settings["betas"], json!([0.9, 0.999]));
        assert_eq!((&settings["amp"], &settings["clip_grad"]), (&json!(false), &Value::Null));
        assert_eq!(settings["size"], json!([3, 224]));
    }

    #[test]
    fn what_is_no_mapping_is_refused_with_the_reason() {
        for (text, reason) in [("", "no settings"), ("- a\n- b\n", "no mapping"), ("a: [1\nb", "no YAML")] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
