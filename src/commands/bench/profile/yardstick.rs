//! What a profile is held against: the machine's limits, or a GPU's, in words and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use candle_core::DType;
use serde_json::{Value, json};

use crate::config::BenchSettings;
use crate::ops::{Isa, Limits, device_limits};

/// Limits, and whose they are.
pub struct Yardstick {
    pub limits: Limits,
    isa: Option<Isa>,
    /// `this machine, all cores`, `cuda:0`
    whose: String,
    /// Of the products.
    dtype: &'static str,
}

impl Yardstick {
    /// Measures what the settings compute on, for about a second.
    pub fn measure(settings: &BenchSettings) -> Result<Self> {
        let runtime = &settings.runtime;
        let Some(number) = runtime.cuda else {
            let isa = Isa::of(runtime.dtype == DType::BF16);
            let whose = "this machine, all cores".to_owned();
            return Ok(Self { limits: Limits::measure(isa), isa: Some(isa), whose, dtype: "f32" });
        };
        let limits = device_limits(number, crate::commands::element(runtime.dtype))?;
        Ok(Self { limits, isa: None, whose: runtime.device_name(), dtype: runtime.dtype_name() })
    }

    /// One line.
    pub fn text(&self) -> String {
        let Self { limits, isa, whose, dtype } = self;
        let mut text = match limits.flops.is_finite() {
            true => format!("limits of {whose}: {:.1} GFLOP/s in {dtype}", limits.flops / 1e9),
            false => format!("limits of {whose}: nothing to multiply with in {dtype}"),
        };
        // Writing to a String cannot fail.
        if let Some(flops) = limits.bf16_flops {
            let _ = write!(text, ", {:.1} in bf16", flops / 1e9);
        }
        if let Some(isa) = isa {
            let _ = write!(text, " ({isa:?})");
        }
        for level in &limits.bandwidths {
            let _ = write!(text, "; {:.1} GB/s within {} MiB", level.bytes_per_second / 1e9, level.bytes >> 20);
        }
        text + "\n"
    }

    pub fn object(&self) -> Value {
        let Self { limits, isa, .. } = self;
        let levels = limits.bandwidths.iter();
        let levels = levels.map(|level| json!({ "bytes": level.bytes, "gb_per_sec": level.bytes_per_second / 1e9 }));
        json!({
            "isa": isa.map(|isa| format!("{isa:?}")),
            "gflop_per_sec": limits.flops / 1e9,
            "bf16_gflop_per_sec": limits.bf16_flops.map(|flops| flops / 1e9),
            "bandwidth": levels.collect::<Vec<_>>(),
        })
    }
}
