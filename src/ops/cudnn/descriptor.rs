//! A descriptor of the backend API: created, given attributes, finalised, asked, and destroyed with its owner.

use std::ffi::c_int;
use std::sync::Arc;

use anyhow::Result;

use super::attribute::{Attribute, DescriptorValue, Element, Kind};
use super::library::{Library, Raw};

/// A descriptor with all that it refers to.
pub(super) struct Descriptor {
    raw: Raw,
    kind: Kind,
    library: Arc<Library>,
    /// cuDNN does not document whether a descriptor keeps those alive that it was given.
    referred: Vec<Arc<Descriptor>>,
}

// SAFETY: a descriptor belongs to no thread, and cuDNN's functions may be called from any. Through a shared reference
// it is only read.
unsafe impl Send for Descriptor {}
unsafe impl Sync for Descriptor {}

impl Descriptor {
    pub fn new(library: &Arc<Library>, kind: Kind) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is a place for the new descriptor.
        let status = unsafe { (library.functions.create_descriptor)(kind as c_int, &mut raw) };
        library.check(status, || format!("create a descriptor ({kind:?})"))?;
        Ok(Self { raw, kind, library: Arc::clone(library), referred: Vec::new() })
    }

    pub fn set<T: Element>(&mut self, attribute: Attribute<T>, values: &[T]) -> Result<&mut Self> {
        let functions = &self.library.functions;
        // SAFETY: the attribute's values are laid out as `T`, and there are as many as said.
        let status = unsafe {
            (functions.set_attribute)(self.raw, attribute.code, T::TYPE, values.len() as i64, values.as_ptr().cast())
        };
        self.library.check(status, || format!("set attribute {} of {:?}", attribute.code, self.kind))?;
        Ok(self)
    }

    /// Sets an attribute whose values are descriptors, and keeps those.
    pub fn refer(&mut self, attribute: Attribute<DescriptorValue>, to: &[&Arc<Self>]) -> Result<&mut Self> {
        let values: Vec<DescriptorValue> = to.iter().map(|other| DescriptorValue(other.raw)).collect();
        self.set(attribute, &values)?;
        self.referred.extend(to.iter().map(|&other| Arc::clone(other)));
        Ok(self)
    }

    /// Ends the setting: cuDNN checks the whole, and for a plan compiles what it runs.
    pub fn finalize(self) -> Result<Arc<Self>> {
        // SAFETY: the descriptor is alive, and nobody else has it yet.
        let status = unsafe { (self.library.functions.finalize)(self.raw) };
        self.library.check(status, || format!("finalise {:?}", self.kind))?;
        Ok(Arc::new(self))
    }

    /// Up to `capacity` values of an attribute.
    pub fn get<T: Element>(&self, attribute: Attribute<T>, capacity: usize) -> Result<Vec<T>> {
        // SAFETY: zero bytes are a value of every `Element`.
        let zero: T = unsafe { std::mem::zeroed() };
        let mut values = vec![zero; capacity];
        let count = self.fill(&attribute, &mut values)?;
        values.truncate(count);
        Ok(values)
    }

    /// How many values an attribute has.
    pub fn count<T: Element>(&self, attribute: &Attribute<T>) -> Result<usize> {
        let mut count = 0;
        // SAFETY: with no elements requested nothing but the count is written.
        let status = unsafe {
            (self.library.functions.get_attribute)(
                self.raw,
                attribute.code,
                T::TYPE,
                0,
                &mut count,
                std::ptr::null_mut(),
            )
        };
        self.library.check(status, || format!("count attribute {} of {:?}", attribute.code, self.kind))?;
        Ok(usize::try_from(count)?)
    }

    /// Up to `capacity` descriptors of an attribute: cuDNN fills those that it is given.
    pub fn get_descriptors(
        &self,
        attribute: Attribute<DescriptorValue>,
        kind: Kind,
        capacity: usize,
    ) -> Result<Vec<Arc<Self>>> {
        let new = || Self::new(&self.library, kind);
        let mut found: Vec<Self> = std::iter::repeat_with(new).take(capacity).collect::<Result<_>>()?;
        let mut values: Vec<DescriptorValue> = found.iter().map(|own| DescriptorValue(own.raw)).collect();
        let count = self.fill(&attribute, &mut values)?;
        found.truncate(count);
        for own in &mut found {
            own.referred.extend(self.referred.iter().map(Arc::clone));
        }
        Ok(found.into_iter().map(Arc::new).collect())
    }

    fn fill<T: Element>(&self, attribute: &Attribute<T>, values: &mut [T]) -> Result<usize> {
        let mut count = 0;
        let (capacity, place) = (values.len() as i64, values.as_mut_ptr().cast());
        // SAFETY: `place` has room for `capacity` values of the attribute's type.
        let status = unsafe {
            (self.library.functions.get_attribute)(self.raw, attribute.code, T::TYPE, capacity, &mut count, place)
        };
        self.library.check(status, || format!("get attribute {} of {:?}", attribute.code, self.kind))?;
        // cuDNN counts what there is, not what it wrote.
        Ok(usize::try_from(count)?.min(values.len()))
    }

    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// For a call that takes descriptors; valid while `self` lives.
    pub fn raw(&self) -> Raw {
        self.raw
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: created by this library, which is still loaded, and destroyed once. A failure leaves nothing to do.
        let _ = unsafe { (self.library.functions.destroy_descriptor)(self.raw) };
    }
}
