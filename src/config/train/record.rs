//! The settings by timm's names, as they are written beside a run's results and as `-c` reads them back.

use anyhow::Result;
use serde_json::Value;

use super::settings::DataSettings;
use crate::cli::{TrainArgs, UsageError};
use crate::flat_yaml::Settings;
use crate::preprocessing::Preprocessing;

/// The arguments, with what was decided in place of what was left open. Two things stay open: the number of workers,
/// which changes no result, and the experiment's name.
pub fn record(args: &TrainArgs, evaluation: &Preprocessing, data: &DataSettings, lr: f64) -> Result<Settings> {
    // A path may be no Unicode, and then no YAML can hold it.
    let value = serde_json::to_value(args)
        .map_err(|error| UsageError(format!("the settings cannot be recorded: {error}; rename the folder or file")))?;
    let mut record: Settings = value.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let data_dir = args.data.data_dir.as_ref().or(args.data.data.as_ref());
    let decided = [
        ("data_dir", serde_json::to_value(data_dir).map_err(|error| UsageError(format!("--data-dir: {error}")))?),
        ("lr", lr.into()),
        // `lr` is what it comes to.
        ("lr_base", Value::Null),
        ("img_size", evaluation.input_size.into()),
        ("input_size", Value::Null),
        ("crop_pct", evaluation.crop_pct.into()),
        ("interpolation", evaluation.interpolation.to_string().into()),
        ("mean", shortest(evaluation.mean)),
        ("std", shortest(evaluation.std)),
        ("validation_batch_size", data.validation_batch_size.into()),
    ];
    for (name, value) in decided {
        record.insert(name.to_owned(), value);
    }
    // timm takes one number, or several, but no list of one.
    if let [strength] = args.augmentation.color_jitter[..] {
        record.insert("color_jitter".to_owned(), strength.into());
    }
    Ok(record)
}

/// The numbers with no more digits than tell an f32 from its neighbours.
fn shortest(values: [f32; 3]) -> Value {
    values.iter().map(|value| value.to_string().parse::<f64>().unwrap_or(f64::from(*value))).collect()
}
