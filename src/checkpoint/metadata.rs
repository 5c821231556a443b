//! The scalars that training scripts save beside the weights: epoch, architecture, metric, arguments.

use super::pickle::{Id, Pickle, Value};
use super::shown;

/// What is worth showing; a file may hold more.
const MAX_ITEMS: usize = 256;

/// The scalars of the outermost object, and of the namespaces and dicts just inside it as `args.lr`.
pub(super) fn scalars(pickle: &Pickle) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, value) in pickle.mapping(pickle.root()).into_iter().flatten().take(MAX_ITEMS) {
        let Some(key) = pickle.text(key) else {
            continue;
        };
        if let Some(text) = scalar(pickle, value) {
            found.push((shown(key), text));
        } else if !key.starts_with("optim") {
            let inside = fields(pickle, value).into_iter().flatten().take(MAX_ITEMS);
            found.extend(inside.filter_map(|(field, value)| {
                Some((format!("{}.{}", shown(key), shown(pickle.text(field)?)), scalar(pickle, value)?))
            }));
        }
        if found.len() >= MAX_ITEMS {
            break;
        }
    }
    found.truncate(MAX_ITEMS);
    found
}

/// The items of a dict, or the attributes of a namespace.
fn fields(pickle: &Pickle, id: Id) -> Option<impl Iterator<Item = (Id, Id)>> {
    match pickle.call(id) {
        Some(("argparse.Namespace" | "types.SimpleNamespace", object)) => pickle.mapping(object.state?),
        _ => pickle.mapping(id),
    }
}

fn scalar(pickle: &Pickle, id: Id) -> Option<String> {
    Some(match pickle.get(id) {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => shown(text),
        _ => return numpy_scalar(pickle, id),
    })
}

/// `numpy._core.multiarray.scalar(dtype, bytes)`, which metrics often are.
fn numpy_scalar(pickle: &Pickle, id: Id) -> Option<String> {
    let ("numpy._core.multiarray.scalar" | "numpy.core.multiarray.scalar", scalar) = pickle.call(id)? else {
        return None;
    };
    let &[dtype, data] = pickle.sequence(scalar.args)? else {
        return None;
    };
    let ("numpy.dtype", dtype) = pickle.call(dtype)? else {
        return None;
    };
    let bytes = latin1(pickle, data)?;
    Some(match pickle.text(*pickle.sequence(dtype.args)?.first()?)? {
        "f8" => f64::from_le_bytes(bytes.try_into().ok()?).to_string(),
        "f4" => f32::from_le_bytes(bytes.try_into().ok()?).to_string(),
        "i8" => i64::from_le_bytes(bytes.try_into().ok()?).to_string(),
        "i4" => i32::from_le_bytes(bytes.try_into().ok()?).to_string(),
        _ => return None,
    })
}

/// Bytes, which protocol 2 writes as `_codecs.encode(text, "latin1")`; at most the eight of a number.
fn latin1(pickle: &Pickle, id: Id) -> Option<Vec<u8>> {
    if let Value::Bytes(bytes) = pickle.get(id) {
        return (bytes.len() <= 8).then(|| bytes.to_vec());
    }
    let ("_codecs.encode", call) = pickle.call(id)? else {
        return None;
    };
    let text = pickle.text(*pickle.sequence(call.args)?.first()?)?;
    let bytes = text.chars().take(9).map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>()?;
    (bytes.len() <= 8).then_some(bytes)
}
