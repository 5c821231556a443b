//! The number types of tensors in checkpoints.

use std::fmt;

use half::{bf16, f16};

/// What one element of a stored tensor is. Floating-point ones can become weights; the others are counters and
/// masks, which are listed only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    F16,
    BF16,
    F32,
    F64,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl ElementType {
    /// The type behind a storage class of PyTorch (`torch.FloatStorage`, ...).
    pub(super) fn from_storage_class(class: &str) -> Option<Self> {
        let name = class.strip_prefix("torch.")?;
        Some(match name.strip_prefix("cuda.").unwrap_or(name) {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" | "storage.UntypedStorage" | "UntypedStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// The type behind a dtype of PyTorch (`torch.float32`, ...).
    pub(super) fn from_dtype(dtype: &str) -> Option<Self> {
        Some(match dtype.strip_prefix("torch.")? {
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::BF16,
            "float32" | "float" => Self::F32,
            "float64" | "double" => Self::F64,
            "int64" | "long" => Self::I64,
            "int32" | "int" => Self::I32,
            "int16" | "short" => Self::I16,
            "int8" => Self::I8,
            "uint8" => Self::U8,
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Whether tensors of this type can be weights.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Appends the little-endian floating-point elements of `bytes` to `out`, rounded to f32; what is left over of
    /// an element at the end is ignored. `false`, with nothing appended, where the type holds no floating point.
    #[must_use]
    pub(super) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) -> bool {
        match self {
            Self::F16 => out.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32())),
            Self::BF16 => out.extend(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32())),
            Self::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::F64 => out.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Self::I64 | Self::I32 | Self::I16 | Self::I8 | Self::U8 | Self::Bool => return false,
        }
        true
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floating_type_decodes_to_the_same_number() {
        let mut out = Vec::new();
        assert!(ElementType::F16.decode(&f16::from_f32(-1.5).to_le_bytes(), &mut out));
        assert!(ElementType::BF16.decode(&bf16::from_f32(-1.5).to_le_bytes(), &mut out));
        assert!(ElementType::F32.decode(&(-1.5f32).to_le_bytes(), &mut out));
        assert!(ElementType::F64.decode(&(-1.5f64).to_le_bytes(), &mut out));
        assert_eq!(out, [-1.5; 4]);
        assert!(!ElementType::I64.decode(&1i64.to_le_bytes(), &mut out));
    }
}
