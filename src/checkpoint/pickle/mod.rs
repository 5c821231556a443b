//! A bounded reader of pickles, protocols 2 to 5, as PyTorch writes them. It understands data and runs nothing: a
//! call becomes a description of the call, and only for names on a list. Opcodes as in CPython's `pickletools.py`.
//!
//! Each opcode makes at most one value and each reference is an index, so memory and time are linear in the bytes
//! read, whatever the memo is made to do; nothing recurses.

mod globals;
mod machine;
mod stream;
mod value;

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::source::Source;
pub(super) use globals::is_tensor;
use machine::{EMPTY_TUPLE, FALSE, Machine, NONE, TRUE, pairs};
use stream::Stream;
pub(super) use value::{Id, Pickle, Value};

/// Reads the pickle that starts at `offset` of the source.
///
/// # Errors
///
/// Where the bytes are no pickle of protocol 2 to 5, end early, name a class or function that is not allowed, or
/// exceed the limits.
pub(super) fn read(source: &Arc<Source>, offset: u64) -> Result<Pickle> {
    let mut machine = Machine::new(Stream::new(source, offset));
    let root = machine.run()?;
    Ok(machine.finish(root))
}

impl Machine {
    /// Runs to the end of the pickle and returns its value.
    fn run(&mut self) -> Result<Id> {
        loop {
            let at = self.stream.position();
            let opcode = self.stream.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode).with_context(|| format!("at byte {at} of its pickle"))?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME: announcements.
            0x80 => match self.stream.byte()? {
                2..=5 => Ok(()),
                other => bail!("pickle protocol {other} is not read; save with protocol 2 to 5"),
            },
            0x95 => self.stream.array::<8>().map(drop),

            b'N' => self.push(NONE),
            0x88 => self.push(TRUE),
            0x89 => self.push(FALSE),
            b')' => self.push(EMPTY_TUPLE),
            b'J' => {
                let value = i32::from_le_bytes(self.stream.array()?);
                self.add(Value::Int(value.into()))
            }
            b'K' => {
                let value = self.stream.byte()?;
                self.add(Value::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.stream.array()?);
                self.add(Value::Int(value.into()))
            }
            0x8a => {
                let len = self.len_u8()?;
                self.long(len)
            }
            0x8b => {
                let len = self.len_u32()?;
                self.long(len)
            }
            b'G' => {
                let value = f64::from_be_bytes(self.stream.array()?);
                self.add(Value::Float(value))
            }

            // Text: SHORT_BINUNICODE, BINUNICODE, BINUNICODE8; then Python 2's byte strings.
            0x8c => {
                let len = self.len_u8()?;
                self.unicode(len)
            }
            b'X' => {
                let len = self.len_u32()?;
                self.unicode(len)
            }
            0x8d => {
                let len = self.len_u64()?;
                self.unicode(len)
            }
            b'U' => {
                let len = self.len_u8()?;
                self.byte_string(len)
            }
            b'T' => {
                let len = self.len_u32()?;
                self.byte_string(len)
            }
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8.
            b'C' => {
                let len = self.len_u8()?;
                self.binary(len)
            }
            b'B' => {
                let len = self.len_u32()?;
                self.binary(len)
            }
            0x8e | 0x96 => {
                let len = self.len_u64()?;
                self.binary(len)
            }

            b'(' => self.mark(),
            b'0' => self.pop_or_mark(),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }

            b't' => {
                let items = self.pop_mark()?;
                self.add(Value::Tuple(items.into()))
            }
            0x85 => self.tuple::<1>(),
            0x86 => self.tuple::<2>(),
            0x87 => self.tuple::<3>(),
            // EMPTY_LIST, EMPTY_SET; LIST, FROZENSET.
            b']' | 0x8f => self.add(Value::List(Vec::new())),
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.add(Value::List(items))
            }
            b'}' => self.add(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_mark()?;
                self.add(Value::Dict(pairs(&items)?))
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])
            }
            // APPENDS, ADDITEMS.
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(pairs(&items)?)
            }

            // BINPUT, LONG_BINPUT, MEMOIZE; BINGET, LONG_BINGET.
            b'q' => {
                let index = self.stream.byte()?;
                self.memoize(index.into())
            }
            b'r' => {
                let index = u32::from_le_bytes(self.stream.array()?);
                self.memoize(index)
            }
            0x94 => self.memoize_next(),
            b'h' => {
                let index = self.stream.byte()?;
                self.recall(index.into())
            }
            b'j' => {
                let index = u32::from_le_bytes(self.stream.array()?);
                self.recall(index)
            }

            // GLOBAL, STACK_GLOBAL.
            b'c' => {
                let (module, name) = (self.stream.line()?, self.stream.line()?);
                self.global(&module, &name)
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.global(&module, &name)
            }
            // REDUCE, NEWOBJ; NEWOBJ_EX.
            b'R' | 0x81 => {
                let args = self.pop()?;
                self.object(args)
            }
            0x92 => {
                let (_keywords, args) = (self.pop()?, self.pop()?);
                self.object(args)
            }
            b'b' => self.build(),
            b'Q' => {
                let description = self.pop()?;
                self.refer(description)
            }
            other => bail!(
                "opcode 0x{other:02x} has no place in a checkpoint (is this a pickle of protocol 2 to 5, and whole?)"
            ),
        }
    }
}
