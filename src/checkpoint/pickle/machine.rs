//! The state of the pickle machine and what its opcodes do to it: a stack of indices, marks, a memo, an arena.

use anyhow::{Context, Result, bail, ensure};

use super::globals;
use super::stream::Stream;
use super::value::{Id, Object, Pickle, Value};
use crate::checkpoint::shown;

/// More values than this are no state dict: ResNet-1202 with averaged weights and optimiser state has under half a
/// million.
const MAX_VALUES: usize = 4 << 20;

/// Values that every arena holds, so that a stream of them costs nothing.
pub(super) const NONE: Id = 0;
pub(super) const FALSE: Id = 1;
pub(super) const TRUE: Id = 2;
pub(super) const EMPTY_TUPLE: Id = 3;

pub(super) struct Machine {
    pub stream: Stream,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    /// By memo index, which picklers give out in order; `None` where one was left out.
    memo: Vec<Option<Id>>,
    persistent: Vec<Id>,
}

impl Machine {
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            values: vec![Value::None, Value::Bool(false), Value::Bool(true), Value::Tuple(Box::default())],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            persistent: Vec::new(),
        }
    }

    /// The arena, with `root` as the value of the whole.
    pub fn finish(self, root: Id) -> Pickle {
        Pickle { values: self.values, root, persistent: self.persistent, end: self.stream.position() }
    }

    pub fn push(&mut self, id: Id) -> Result<()> {
        bounded(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    pub fn mark(&mut self) -> Result<()> {
        bounded(self.marks.len())?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Adds a value to the arena and pushes it.
    pub fn add(&mut self, value: Value) -> Result<()> {
        bounded(self.values.len())?;
        let id = Id::try_from(self.values.len())?;
        self.values.push(value);
        self.push(id)
    }

    /// Height below which the current mark does not let the stack sink.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub fn pop(&mut self) -> Result<Id> {
        if self.stack.len() <= self.floor() {
            bail!("its stack runs empty: the pickle is damaged");
        }
        self.stack.pop().context("its stack runs empty: the pickle is damaged")
    }

    pub fn top(&self) -> Result<Id> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().context("its stack runs empty: the pickle is damaged")
    }

    pub fn pop_text(&mut self) -> Result<Box<str>> {
        let id = self.pop()?;
        match self.values.get(id as usize) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => bail!("the name of a class is not text: the pickle is damaged"),
        }
    }

    /// Takes what stands above the last mark, and the mark.
    pub fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("a mark is missing: the pickle is damaged")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// POP drops a value, or the mark if it is on top.
    pub fn pop_or_mark(&mut self) -> Result<()> {
        match self.marks.last() {
            Some(&mark) if mark == self.stack.len() => {
                self.marks.pop();
                Ok(())
            }
            _ => self.pop().map(drop),
        }
    }

    pub fn len_u8(&mut self) -> Result<u64> {
        Ok(self.stream.byte()?.into())
    }

    pub fn len_u32(&mut self) -> Result<u64> {
        Ok(u32::from_le_bytes(self.stream.array()?).into())
    }

    pub fn len_u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.stream.array()?))
    }

    pub fn unicode(&mut self, len: u64) -> Result<()> {
        let text = self.stream.text(len)?;
        self.add(Value::Text(text))
    }

    /// Python 2 strings are names where they are UTF-8, else bytes.
    pub fn byte_string(&mut self, len: u64) -> Result<()> {
        let value = match String::from_utf8(self.stream.bytes(len)?) {
            Ok(text) => Value::Text(text.into()),
            Err(error) => Value::Bytes(error.into_bytes().into()),
        };
        self.add(value)
    }

    pub fn binary(&mut self, len: u64) -> Result<()> {
        let bytes = self.stream.bytes(len)?;
        self.add(Value::Bytes(bytes.into()))
    }

    /// A little-endian two's complement integer of any length; the wide ones stay bytes.
    pub fn long(&mut self, len: u64) -> Result<()> {
        let bytes = self.stream.bytes(len)?;
        let negative = bytes.last().is_some_and(|&top| top >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let value = match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(&bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Bytes(bytes.into()),
        };
        self.add(value)
    }

    pub fn tuple<const N: usize>(&mut self) -> Result<()> {
        let mut items = [NONE; N];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.add(Value::Tuple(Box::new(items)))
    }

    pub fn extend(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::List(list)) => list.extend(items),
            // A list subclass: its elements describe no tensor.
            Some(Value::Object(_)) => {}
            _ => bail!("something is appended to what is no list: the pickle is damaged"),
        }
        Ok(())
    }

    pub fn set_items(&mut self, items: Vec<(Id, Id)>) -> Result<()> {
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::Dict(dict)) => dict.extend(items),
            Some(Value::Object(object)) => object.items.extend(items),
            _ => bail!("an item is set on what is no dict: the pickle is damaged"),
        }
        Ok(())
    }

    pub fn memoize(&mut self, index: u32) -> Result<()> {
        let index = usize::try_from(index)?;
        bounded(index)?;
        let top = self.top()?;
        if self.memo.len() <= index {
            self.memo.resize(index + 1, None);
        }
        if let Some(slot) = self.memo.get_mut(index) {
            *slot = Some(top);
        }
        Ok(())
    }

    /// The protocol 4 form: the next free index.
    pub fn memoize_next(&mut self) -> Result<()> {
        self.memoize(u32::try_from(self.memo.len())?)
    }

    pub fn recall(&mut self, index: u32) -> Result<()> {
        let id = self.memo.get(usize::try_from(index)?).copied().flatten();
        self.push(id.with_context(|| format!("memo {index} was never set: the pickle is damaged"))?)
    }

    pub fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match globals::allowed(module, name) {
            Some(known) => self.add(Value::Global(known)),
            None => bail!(
                "it calls for `{}.{}`, which is no part of weights; nothing was run, and the file is refused. \
                 If you trust its origin, load it in PyTorch and save the weights alone: \
                 torch.save(model.state_dict(), \"weights.pth\")",
                shown(module),
                shown(name)
            ),
        }
    }

    /// Describes the call of the class or function below the arguments.
    pub fn object(&mut self, args: Id) -> Result<()> {
        let callable = self.pop()?;
        self.add(Value::Object(Box::new(Object { callable, args, items: Vec::new(), state: None })))
    }

    /// A reference to a storage, of which `description` tells.
    pub fn refer(&mut self, description: Id) -> Result<()> {
        self.persistent.push(description);
        self.add(Value::Persistent(description))
    }

    pub fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::Object(object)) => object.state = Some(state),
            _ => bail!("a state is given to what is no object: the pickle is damaged"),
        }
        Ok(())
    }
}

fn bounded(count: usize) -> Result<()> {
    ensure!(count < MAX_VALUES, "it holds more than {MAX_VALUES} values, which no state dict does");
    Ok(())
}

/// Keys and values that alternate.
pub(super) fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        bail!("a dict has a key without a value: the pickle is damaged");
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
