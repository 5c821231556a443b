//! The compiled kernels inside the binary, and those that a device has loaded. Not yet run on a GPU.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use cudarc::driver::{CudaContext, CudaFunction};
use cudarc::nvrtc::Ptx;

/// Name of a kernel file, names of its kernels, and its fatbin: machine code for the GPUs that build.rs names, PTX for
/// all others.
const MODULES: &[(&str, &[&str], &[u8])] = include!(concat!(env!("OUT_DIR"), "/modules.in"));

/// All kernels, loaded, by their names.
pub(super) struct Kernels(HashMap<&'static str, CudaFunction>);

/// Those of each device number while anybody has them: its streams all have one context.
static LOADED: Mutex<BTreeMap<usize, Weak<Kernels>>> = Mutex::new(BTreeMap::new());

impl Kernels {
    /// The kernels of a context's device: loaded by whoever asks first, and shared by all who ask while they are in use.
    ///
    /// # Errors
    /// Names the file or the kernel that cannot be loaded.
    pub fn of(context: &Arc<CudaContext>) -> Result<Arc<Self>> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernels) = loaded.get(&context.ordinal()).and_then(Weak::upgrade) {
            return Ok(kernels);
        }
        let kernels = Arc::new(Self::load(context)?);
        loaded.insert(context.ordinal(), Arc::downgrade(&kernels));
        Ok(kernels)
    }

    fn load(context: &Arc<CudaContext>) -> Result<Self> {
        let mut kernels = HashMap::new();
        for (file, names, code) in MODULES {
            let module = context.load_module(Ptx::from_binary(code.to_vec()));
            let module = module.with_context(|| format!("cannot load the kernels of {file}"))?;
            for kernel in *names {
                let function = module.load_function(kernel).with_context(|| format!("cannot find {kernel}"))?;
                kernels.insert(*kernel, function);
            }
        }
        Ok(Self(kernels))
    }

    /// # Errors
    /// Where there is no kernel of that name.
    pub fn named(&self, name: &str) -> Result<&CudaFunction> {
        self.0.get(name).with_context(|| format!("no kernel is called {name}"))
    }
}
