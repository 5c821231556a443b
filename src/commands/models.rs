//! `tresnet models`: the table of networks.

use anyhow::{Context, Result};
use serde_json::json;

use super::Status;
use crate::cli::{ModelsArgs, UsageError};
use crate::config::model_kwargs;
use crate::models::{self, ModelKwargs, Request, Variant};
use crate::report::{self, Record, Table};

/// Channels of the published networks' images.
const RGB: usize = 3;

pub fn run(args: &ModelsArgs) -> Result<Status> {
    let filter = args.filter.as_deref().unwrap_or("*");
    let kwargs = model_kwargs(&args.model_kwargs)?;
    let mut chosen: Vec<&Variant> = models::variants().filter(|variant| matches(variant, filter)).collect();
    if chosen.is_empty() {
        // It names what comes nearest.
        models::find(filter).map_err(|error| UsageError(format!("{error:#}")))?;
    }
    if kwargs != ModelKwargs::default() {
        let mut refusal = None;
        chosen.retain(|variant| match variant.architecture(&request(variant, kwargs)) {
            Ok(_) => true,
            Err(error) => {
                refusal = Some(error);
                false
            }
        });
        if let Some(error) = refusal.filter(|_| chosen.is_empty()) {
            return Err(UsageError(format!("--model-kwargs: {error:#}")).into());
        }
    }
    let mut table = Table::new(&[
        "model",
        ">params",
        ">GMACs",
        ">M activations",
        ">input",
        ">classes",
        "resize",
        "interpolation",
        "mean",
        "std",
        ">top-1",
        ">top-5",
    ]);
    for variant in chosen {
        let (cells, record) = row(variant, kwargs).with_context(|| format!("cannot describe {}", variant.name))?;
        table.row(cells, record);
    }
    report::print(&table.render(args.format, |models| json!({ "models": models }))?)?;
    Ok(Status::Done)
}

fn request(variant: &Variant, kwargs: ModelKwargs) -> Request {
    Request { kwargs, ..Request::new(variant.num_classes, RGB) }
}

fn row(variant: &Variant, kwargs: ModelKwargs) -> Result<(Vec<String>, Record)> {
    let graph = variant.architecture(&request(variant, kwargs))?.graph;
    let preprocessing = variant.preprocessing(variant.preset, variant.input_size);
    let gmacs = graph.macs(variant.input_size)? as f64 / 1e9;
    let activations = graph.activations(variant.input_size)?;
    // What was published is of the network as its row says.
    let published = variant.published.filter(|_| kwargs == ModelKwargs::default());
    let (top1, top5) = published.map(|published| (published.top1, published.top5)).unzip();
    let (mean, std) = (triple(preprocessing.mean), triple(preprocessing.std));
    let cells = vec![
        variant.name.to_owned(),
        report::grouped(graph.param_count()),
        format!("{gmacs:.3}"),
        format!("{:.2}", activations as f64 / 1e6),
        variant.input_size.to_string(),
        variant.num_classes.to_string(),
        format!("{} {}", preprocessing.resize_mode, preprocessing.crop_pct),
        preprocessing.interpolation.to_string(),
        mean.join(" "),
        std.join(" "),
        share(top1),
        share(top5),
    ];
    let record = json!({
        "model": variant.name,
        "family": variant.family(),
        "aliases": variant.aliases,
        "params": graph.param_count(),
        "gmacs": gmacs,
        "activations": activations,
        "input_size": variant.input_size,
        "num_classes": variant.num_classes,
        "preset": variant.preset.to_string(),
        "crop_pct": preprocessing.crop_pct,
        "resize_mode": preprocessing.resize_mode.to_string(),
        "interpolation": preprocessing.interpolation.to_string(),
        "mean": preprocessing.mean.map(as_typed),
        "std": preprocessing.std.map(as_typed),
        "published_top1": top1,
        "published_top5": top5,
    });
    Ok((cells, report::record(record)))
}

/// Per cent, or a dash where nothing was published.
fn share(published: Option<f64>) -> String {
    published.map_or_else(|| "-".to_owned(), |share| share.to_string())
}

/// The f64 that is written with the same digits: 0.485, where a plain conversion gives 0.48500001430511475.
fn as_typed(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn triple(values: [f32; 3]) -> Vec<String> {
    // Three times the same number is said once.
    let values = if values == [values[0]; 3] { &values[..1] } else { &values[..] };
    values.iter().map(f32::to_string).collect()
}

/// Whether a name or an alias contains the filter or, where that has wildcards, is what it describes.
fn matches(variant: &Variant, filter: &str) -> bool {
    let mut names = std::iter::once(variant.name).chain(variant.aliases.iter().copied());
    let wild = filter.contains(['*', '?']);
    names.any(|name| if wild { glob(filter.as_bytes(), name.as_bytes()) } else { name.contains(filter) })
}

/// `*` stands for any text, `?` for one character.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // Where the last `*` stood, and how much of the name it had taken when we last came back to it.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_the_whole_name() {
        for (pattern, name) in
            [("*", ""), ("tres*_m", "tresnet_m"), ("*_448", "tresnet_m_448"), ("resnet??", "resnet20")]
        {
            assert!(glob(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("tres*_m", "tresnet_m_448"), ("?", ""), ("resnet??", "resnet110"), ("a*b*c", "abb")] {
            assert!(!glob(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn every_model_has_a_row() {
        for variant in models::variants() {
            let (cells, record) = row(variant, ModelKwargs::default()).unwrap();
            assert_eq!(cells.len(), 12);
            assert!(record["gmacs"].as_f64().is_some_and(|gmacs| gmacs > 0.0), "{}", variant.name);
            assert!(record["params"].is_u64());
        }
    }
}
