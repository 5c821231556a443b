//! The classes and functions that a checkpoint may name. None of them is ever called here: a name only says how the
//! data beside it is to be understood. Every other name refuses the file.

// All three in order, to be searched.

/// Calls that describe a tensor, from `torch/_utils.py` and `torch/_tensor.py`.
const TENSORS: &[&str] = &[
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
];

/// Mappings other than `dict`.
const MAPPINGS: &[&str] = &["collections.Counter", "collections.OrderedDict", "collections.defaultdict"];

/// What else stands in checkpoints: storages and types of PyTorch, and the plain data of training scripts.
const OTHERS: &[&str] = &[
    "__builtin__.bytearray",
    "__builtin__.complex",
    "__builtin__.dict",
    "__builtin__.list",
    "__builtin__.long",
    "__builtin__.object",
    "__builtin__.set",
    "__builtin__.str",
    "__builtin__.tuple",
    "__builtin__.unicode",
    "_codecs.encode",
    "argparse.Namespace",
    "builtins.bool",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.frozenset",
    "builtins.int",
    "builtins.list",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "copy_reg._reconstructor",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "torch.BFloat16Storage",
    "torch.BoolStorage",
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.ComplexDoubleStorage",
    "torch.ComplexFloatStorage",
    "torch.DoubleStorage",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.QInt32Storage",
    "torch.QInt8Storage",
    "torch.QUInt8Storage",
    "torch.ShortStorage",
    "torch.Size",
    "torch.Tensor",
    "torch.UntypedStorage",
    "torch.bfloat16",
    "torch.bool",
    "torch.complex128",
    "torch.complex64",
    "torch.cuda.BFloat16Storage",
    "torch.cuda.BoolStorage",
    "torch.cuda.ByteStorage",
    "torch.cuda.CharStorage",
    "torch.cuda.DoubleStorage",
    "torch.cuda.FloatStorage",
    "torch.cuda.HalfStorage",
    "torch.cuda.IntStorage",
    "torch.cuda.LongStorage",
    "torch.cuda.ShortStorage",
    "torch.device",
    "torch.float",
    "torch.float16",
    "torch.float32",
    "torch.float64",
    "torch.float8_e4m3fn",
    "torch.float8_e5m2",
    "torch.int16",
    "torch.int32",
    "torch.int64",
    "torch.int8",
    "torch.nn.parameter.Buffer",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_tensor_affine",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
    "torch.strided",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
    "torch.uint8",
    "types.SimpleNamespace",
];

/// The full name of an allowed global, or `None`.
pub(super) fn allowed(module: &str, name: &str) -> Option<&'static str> {
    let full = format!("{module}.{name}");
    [TENSORS, MAPPINGS, OTHERS].iter().find_map(|names| names.get(names.binary_search(&full.as_str()).ok()?).copied())
}

/// Whether a call of this global describes a tensor.
pub(in crate::checkpoint) fn is_tensor(name: &str) -> bool {
    TENSORS.contains(&name)
}

pub(super) fn is_mapping(name: &str) -> bool {
    MAPPINGS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_its_list() {
        for name in [TENSORS, MAPPINGS, OTHERS].concat() {
            let (module, class) = name.rsplit_once('.').unwrap();
            assert_eq!(allowed(module, class), Some(name));
        }
    }

    #[test]
    fn only_whole_names_are_allowed() {
        assert_eq!(allowed("collections", "OrderedDict"), Some("collections.OrderedDict"));
        assert_eq!(allowed("torch", "storage.UntypedStorage"), Some("torch.storage.UntypedStorage"));
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("", "collections.OrderedDict"),
            ("collections.OrderedDict", ""),
            ("collection", "sOrderedDict"),
            ("collections", "edDict"),
        ] {
            assert_eq!(allowed(module, name), None, "{module} {name}");
        }
    }
}
