//! What a pickle describes: values in one arena, which refer to each other by index. So a value that is shared a
//! million times costs a million indices, a cycle is no trouble, and nothing is dropped by recursion.

use super::globals;

/// Index of a value in its arena.
pub(in crate::checkpoint) type Id = u32;

#[derive(Debug)]
pub(in crate::checkpoint) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    /// Bytes, and integers of more than 64 bits as their little-endian bytes.
    Bytes(Box<[u8]>),
    Tuple(Box<[Id]>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// An allowed class or function, by its full name.
    Global(&'static str),
    /// Something that the file keeps outside the pickle, that is a storage; the id is its description.
    Persistent(Id),
    Object(Box<Object>),
}

/// A call that is described, not made.
#[derive(Debug)]
pub(in crate::checkpoint) struct Object {
    /// The class or function.
    pub callable: Id,
    pub args: Id,
    /// Items that were set on it, if it is a mapping.
    pub items: Vec<(Id, Id)>,
    pub state: Option<Id>,
}

/// A pickle, read.
#[derive(Debug)]
pub(in crate::checkpoint) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
    /// The descriptions of all storages, in the order in which they occur.
    pub(super) persistent: Vec<Id>,
    pub(super) end: u64,
}

impl Pickle {
    pub fn root(&self) -> Id {
        self.root
    }

    /// Offset of the first byte behind the pickle.
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn persistent(&self) -> &[Id] {
        &self.persistent
    }

    pub fn get(&self, id: Id) -> &Value {
        // Ids are only made by this arena's machine, for values that it holds; None keeps this total.
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a tuple or a list.
    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn global(&self, id: Id) -> Option<&'static str> {
        match self.get(id) {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }

    /// The call of a class or function: its full name and the object.
    pub fn call(&self, id: Id) -> Option<(&'static str, &Object)> {
        match self.get(id) {
            Value::Object(object) => Some((self.global(object.callable)?, object)),
            _ => None,
        }
    }

    /// The items of a mapping: a dict, or an `OrderedDict` and its like.
    pub fn mapping(&self, id: Id) -> Option<impl Iterator<Item = (Id, Id)>> {
        let (seed, items): (&[Id], &[(Id, Id)]) = match self.get(id) {
            Value::Dict(items) => (&[], items),
            Value::Object(object) if globals::is_mapping(self.global(object.callable)?) => {
                // Python 2 passed an OrderedDict's items as a list of pairs.
                let seed = self.sequence(object.args).and_then(|args| self.sequence(*args.first()?));
                (seed.unwrap_or(&[]), &object.items)
            }
            _ => return None,
        };
        let pairs = seed.iter().filter_map(|&pair| match *self.sequence(pair)? {
            [key, value] => Some((key, value)),
            _ => None,
        });
        Some(pairs.chain(items.iter().copied()))
    }

    /// What a value is, in words for an error message.
    pub fn kind(&self, id: Id) -> &'static str {
        match self.get(id) {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "a number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dict",
            Value::Global(name) => name,
            Value::Persistent(_) => "a storage",
            Value::Object(object) => self.global(object.callable).unwrap_or("an object"),
        }
    }
}
