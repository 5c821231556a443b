//! What a figure was measured on, as far as it matters to speed.

use std::fs;

use crate::ops::Isa;
use crate::runtime::Runtime;

/// The processor's model as it names itself, where the system tells.
pub fn processor() -> Option<String> {
    let report = fs::read_to_string("/proc/cpuinfo").ok()?;
    model_name(&report)
}

/// The instruction set that the kernels of a run on the CPU use.
pub fn instructions(runtime: &Runtime) -> Option<&'static str> {
    let half = runtime.dtype == candle_core::DType::BF16;
    runtime.cuda.is_none().then(|| Isa::of(half).name())
}

fn model_name(report: &str) -> Option<String> {
    let (_, name) =
        report.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == "model name"))?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{DeviceRequest, DtypeRequest};

    #[test]
    fn the_processor_is_named_once_however_many_cores_it_has() {
        let report =
            "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9B14\n\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(model_name(report).unwrap(), "AMD EPYC 9B14");
        assert_eq!(model_name("Features : fp asimd\n"), None);
    }

    #[test]
    fn half_precision_has_instructions_of_its_own_where_it_is_native() {
        let with = Isa::bf16().map(Isa::name);
        let name = |dtype| instructions(&Runtime::choose(DeviceRequest::Cpu, dtype, with).unwrap());
        assert_eq!(name(DtypeRequest::F32), Some(Isa::detect().name()));
        let expected = Isa::bf16().unwrap_or_else(Isa::detect).name();
        assert_eq!(name(DtypeRequest::Bf16), Some(expected));
    }
}
