//! AArch64: NEON.

use super::{Lanes, lanes};
use std::arch::aarch64::*;

lanes!(F32x4, float32x4_t, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, |a, b, c| fma
    vfmaq_f32(c, a, b), add vaddq_f32(a, b), mul vmulq_f32(a, b), max vbslq_f32(vcgtq_f32(a, b), a, b));
