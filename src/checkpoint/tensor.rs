//! From the calls that a pickle describes to tensors: which storage, which type, which view of it.

use anyhow::{Context, Result, bail, ensure};

use super::element::ElementType;
use super::pickle::{Id, Pickle, Value, is_tensor};

/// Parameters in tensor subclasses in ...: no writer nests deeper.
const MAX_WRAPPERS: usize = 8;

/// A storage as the pickle describes it: `("storage", type, key, location, count)`, and in files from before
/// PyTorch 1.6 a part of another one.
#[derive(Debug)]
pub(super) struct StorageId<'a> {
    pub key: &'a str,
    pub element: ElementType,
    /// In elements.
    pub count: u64,
    /// The first element and the number of elements that the tensor's storage is of the one under `key`.
    pub part: Option<(u64, u64)>,
}

impl<'a> StorageId<'a> {
    /// Reads the description under `id`.
    pub fn read(pickle: &'a Pickle, id: Id) -> Result<Self> {
        let fields = pickle.sequence(id).context("a storage's description is no tuple")?;
        let (kind, class, key, count, view) = match *fields {
            [kind, class, key, _location, count] => (kind, class, key, count, None),
            [kind, class, key, _location, count, view] => (kind, class, key, count, Some(view)),
            _ => bail!("a storage's description has {} fields; 5 or 6 are known", fields.len()),
        };
        ensure!(pickle.text(kind) == Some("storage"), "something other than a storage is kept outside the pickle");
        let class = pickle.global(class).context("a storage's class is missing")?;
        let element = ElementType::from_storage_class(class)
            .with_context(|| format!("storages of {class} are not read; convert the weights to float32"))?;
        let size = |id: Id| pickle.int(id).and_then(|n| u64::try_from(n).ok());
        let part = match view.map(|view| (view, pickle.get(view))) {
            None | Some((_, Value::None)) => None,
            Some((view, _)) => match pickle.sequence(view) {
                Some(&[_key, first, count]) => size(first).zip(size(count)),
                _ => None,
            }
            .context("a storage's view is damaged")
            .map(Some)?,
        };
        Ok(Self {
            key: pickle.text(key).context("a storage's key is no text")?,
            element,
            count: size(count).context("a storage's size is no number")?,
            part,
        })
    }

    /// The storage's size in bytes.
    pub fn bytes(&self) -> Result<u64> {
        self.count.checked_mul(self.element.size() as u64).context("a storage's size overflows")
    }
}

/// A tensor as the pickle describes it.
#[derive(Debug)]
pub(super) struct Described<'a> {
    pub storage: StorageId<'a>,
    pub element: ElementType,
    pub first: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// Whether the value is the call of something that rebuilds a tensor.
pub(super) fn is_described(pickle: &Pickle, id: Id) -> bool {
    pickle.call(id).is_some_and(|(name, _)| is_tensor(name))
}

/// Reads the tensor described under `id`.
pub(super) fn read(pickle: &Pickle, id: Id) -> Result<Described<'_>> {
    let (mut callable, object) = pickle.call(id).context("it is no tensor")?;
    let mut args = object.args;
    for _ in 0..MAX_WRAPPERS {
        let fields = pickle.sequence(args).context("its description is no tuple")?;
        match (callable, fields) {
            (
                "torch._utils._rebuild_parameter"
                | "torch._utils._rebuild_parameter_with_state"
                | "torch._utils._rebuild_device_tensor_from_cpu_tensor",
                &[data, ..],
            ) => {
                let (inner, object) = pickle.call(data).context("it wraps no tensor")?;
                (callable, args) = (inner, object.args);
            }
            ("torch._tensor._rebuild_from_type_v2", &[function, _class, inner, ..]) => {
                callable = pickle.global(function).context("it is rebuilt by no known function")?;
                args = inner;
            }
            ("torch._utils._rebuild_tensor_v3", &[storage, first, shape, strides, _grad, _hooks, dtype, ..]) => {
                let dtype = pickle.global(dtype).context("its dtype is missing")?;
                let element = ElementType::from_dtype(dtype)
                    .with_context(|| format!("it holds {dtype}; convert the weights to float32"))?;
                return described(pickle, Some(element), [storage, first, shape, strides]);
            }
            (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                &[storage, first, shape, strides, ..],
            ) => return described(pickle, None, [storage, first, shape, strides]),
            (other, _) => bail!("it is rebuilt by {other}: quantised, sparse and data-less tensors are not read"),
        }
    }
    bail!("it is wrapped more than {MAX_WRAPPERS} times");
}

fn described(
    pickle: &Pickle,
    element: Option<ElementType>,
    [storage, first, shape, strides]: [Id; 4],
) -> Result<Described<'_>> {
    let storage = match pickle.get(storage) {
        Value::Persistent(description) => StorageId::read(pickle, *description)?,
        _ => bail!("its storage is {}", pickle.kind(storage)),
    };
    Ok(Described {
        element: element.unwrap_or(storage.element),
        first: pickle.int(first).context("its offset is no number")?,
        shape: integers(pickle, shape).context("its shape is damaged")?,
        strides: integers(pickle, strides).context("its strides are damaged")?,
        storage,
    })
}

/// A tuple of integers, or a `torch.Size` of one. Long ones are cut, since tensors with that many dimensions are
/// refused later on.
fn integers(pickle: &Pickle, id: Id) -> Option<Vec<i64>> {
    let items = match pickle.call(id) {
        Some(("torch.Size", object)) => pickle.sequence(*pickle.sequence(object.args)?.first()?)?,
        _ => pickle.sequence(id)?,
    };
    items.iter().take(64).map(|&item| pickle.int(item)).collect()
}
