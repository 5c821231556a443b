//! Device and compute type: chosen once, with the reason, and said.

pub mod cuda;
pub mod libraries;

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use candle_core::{DType, Device};

use self::cuda::{Absence, Cuda};
use self::libraries::Surroundings;

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceRequest {
    Auto,
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// What `--dtype` and `--amp` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtypeRequest {
    Auto,
    /// The half type that suits the device.
    AutoHalf,
    F32,
    Bf16,
    F16,
}

/// Where and in what precision a run computes.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Where images and logits are.
    pub device: Device,
    /// The CUDA device that networks run on, where it is not the CPU.
    pub cuda: Option<usize>,
    pub dtype: DType,
    device_reason: String,
    dtype_reason: String,
}

impl Runtime {
    /// Resolves the requests for this machine and build; `bf16` names what the processor multiplies bf16 with, if it can.
    ///
    /// # Errors
    /// For a device or type that this build does not have; the message names the remedy.
    pub fn choose(device: DeviceRequest, dtype: DtypeRequest, bf16: Option<&str>) -> Result<Self> {
        Self::choose_among(device, dtype, bf16, || cuda::probe(&Surroundings::of_process()))
    }

    fn choose_among(
        device: DeviceRequest,
        dtype: DtypeRequest,
        bf16: Option<&str>,
        probe: impl FnOnce() -> Result<Cuda, Absence>,
    ) -> Result<Self> {
        let (cuda, device_reason) = match device {
            DeviceRequest::Auto => (None, format!("auto: {}; {}", why_not_cuda(probe()), cores())),
            DeviceRequest::Cpu => (None, format!("as asked; {}", cores())),
            DeviceRequest::Cuda(number) => match probe() {
                Ok(cuda) if number < cuda.devices.len() => (Some(number), format!("as asked: {cuda}")),
                Ok(cuda) => bail!("--device {device}: there is no such GPU: {cuda}; use --device cpu"),
                Err(absence) => bail!("--device {device}: {absence}; use --device cpu"),
            },
        };
        let (dtype, dtype_reason) = match cuda {
            Some(_) => {
                let (dtype, reason) = cuda_dtype(dtype);
                (dtype, reason.to_owned())
            }
            None => cpu_dtype(dtype, bf16)?,
        };
        Ok(Self { device: Device::Cpu, cuda, dtype, device_reason, dtype_reason })
    }

    /// The device as results name it: `cpu`, `cuda:0`.
    pub fn device_name(&self) -> String {
        self.cuda.map_or_else(|| "cpu".to_owned(), |number| format!("cuda:{number}"))
    }

    /// The compute type as results name it: `f32`, `f16`, `bf16`.
    pub fn dtype_name(&self) -> &'static str {
        self.dtype.as_str()
    }
}

/// What was chosen and why, on two lines.
impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "device: {} ({})", self.device_name(), self.device_reason)?;
        write!(f, "dtype: {} ({})", self.dtype_name(), self.dtype_reason)
    }
}

/// Why a run that may use CUDA computes on the CPU.
fn why_not_cuda(probe: Result<Cuda, Absence>) -> String {
    match probe {
        Err(absence) => absence.to_string(),
        // Until that has happened nobody gets it unasked.
        Ok(cuda) => format!("networks are not yet run on a GPU, --device cuda does it ({cuda})"),
    }
}

fn cpu_dtype(dtype: DtypeRequest, bf16: Option<&str>) -> Result<(DType, String)> {
    let (dtype, reason) = match dtype {
        DtypeRequest::Auto => (DType::F32, "auto: the CPU computes in f32".to_owned()),
        DtypeRequest::F32 => (DType::F32, "as asked".to_owned()),
        DtypeRequest::AutoHalf | DtypeRequest::Bf16 => match bf16 {
            Some(with) => (DType::BF16, format!("as asked: products of bf16 pairs, summed in f32 by {with}")),
            None => (DType::F32, "bf16 was asked for, but this processor does not multiply bf16".to_owned()),
        },
        DtypeRequest::F16 => bail!("--dtype {dtype}: the CPU has no f16 products; use --dtype bf16 or f32"),
    };
    Ok((dtype, reason))
}

fn cuda_dtype(dtype: DtypeRequest) -> (DType, &'static str) {
    match dtype {
        DtypeRequest::Auto | DtypeRequest::AutoHalf => (DType::F16, "auto: f16 with sums in f32"),
        DtypeRequest::F16 => (DType::F16, "as asked, with sums in f32"),
        DtypeRequest::Bf16 => (DType::BF16, "as asked, with sums in f32"),
        DtypeRequest::F32 => (DType::F32, "as asked; cuDNN multiplies the first 10 bits (TF32) and sums in f32"),
    }
}

/// The number of threads worth starting on this machine, at least 1.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cores() -> String {
    let cores = available_cores();
    format!("{cores} core{}", if cores == 1 { "" } else { "s" })
}

impl FromStr for DeviceRequest {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let refusal = || anyhow!("--device {text}: no such device; use auto, cpu, cuda or cuda:N");
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(refusal)?;
                number.parse().map(Self::Cuda).map_err(|_| refusal())
            }
        }
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DtypeRequest {
    type Err = anyhow::Error;

    /// Takes PyTorch's long names too.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "f16" | "float16" => Ok(Self::F16),
            _ => bail!("--dtype {text}: no such type; use auto, f32, bf16 or f16"),
        }
    }
}

impl fmt::Display for DtypeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::AutoHalf => "auto half",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(device: &str, probe: Result<Cuda, Absence>) -> Result<Runtime> {
        Runtime::choose_among(device.parse().unwrap(), DtypeRequest::Auto, None, || probe)
    }

    #[test]
    fn auto_says_what_it_chose_and_why() {
        let chosen = choose("auto", Err(Absence::NotBuilt)).unwrap().to_string();
        assert!(chosen.starts_with("device: cpu (auto: this build has no CUDA; "), "{chosen}");
        assert!(chosen.ends_with("\ndtype: f32 (auto: the CPU computes in f32)"), "{chosen}");
    }

    #[test]
    fn what_this_build_lacks_is_one_line_with_the_remedy() {
        let cuda = choose("cuda:1", Err(Absence::NotBuilt)).unwrap_err();
        assert_eq!(cuda.to_string(), "--device cuda:1: this build has no CUDA; use --device cpu");
        let half = Runtime::choose(DeviceRequest::Cpu, DtypeRequest::F16, Some("AMX")).unwrap_err();
        assert!(half.to_string().ends_with("use --dtype bf16 or f32"), "{half}");
    }

    #[test]
    fn a_driver_that_is_too_old_is_named_with_both_versions() {
        let old = choose("auto", Err(Absence::DriverTooOld { found: 12_040 })).unwrap().to_string();
        assert!(old.contains("the NVIDIA driver is too old: it knows CUDA 12.4, the kernels need 13.0; "), "{old}");
        let asked = choose("cuda", Err(Absence::NoDevice)).unwrap_err().to_string();
        assert!(asked.starts_with("--device cuda:0: the NVIDIA driver finds no GPU"), "{asked}");
    }

    fn one_gpu() -> Result<Cuda, Absence> {
        let missing = libraries::Libraries::find(&Surroundings::new([], Vec::new()));
        Ok(Cuda { driver: cuda::Version::default(), devices: vec!["NVIDIA H200".into()], libraries: missing })
    }

    #[test]
    fn a_gpu_that_is_asked_for_is_taken_in_f16() {
        let chosen = choose("cuda", one_gpu()).unwrap();
        assert_eq!((chosen.cuda, chosen.device_name(), chosen.dtype_name()), (Some(0), "cuda:0".to_owned(), "f16"));
        assert!(chosen.to_string().starts_with("device: cuda:0 (as asked: NVIDIA H200, "), "{chosen}");
        let second = choose("cuda:1", one_gpu()).unwrap_err().to_string();
        assert!(second.starts_with("--device cuda:1: there is no such GPU: NVIDIA H200"), "{second}");
        for (request, name) in
            [(DtypeRequest::F32, "f32"), (DtypeRequest::Bf16, "bf16"), (DtypeRequest::AutoHalf, "f16")]
        {
            let chosen = Runtime::choose_among(DeviceRequest::Cuda(0), request, None, one_gpu).unwrap();
            assert_eq!(chosen.dtype_name(), name);
        }
    }

    #[test]
    fn a_gpu_that_nobody_asked_for_is_named_and_left() {
        let chosen = choose("auto", one_gpu()).unwrap();
        assert_eq!((chosen.cuda, chosen.dtype_name()), (None, "f32"));
        assert!(chosen.to_string().contains("not yet run on a GPU, --device cuda does it (NVIDIA H200"), "{chosen}");
    }

    #[test]
    fn bf16_without_its_products_falls_back_and_says_so() {
        let choose = |with| Runtime::choose(DeviceRequest::Cpu, DtypeRequest::Bf16, with).unwrap();
        assert_eq!(choose(Some("AMX")).dtype_name(), "bf16");
        assert!(choose(Some("AMX")).to_string().ends_with("summed in f32 by AMX)"));
        assert_eq!(choose(None).dtype_name(), "f32");
        assert!(choose(None).to_string().contains("this processor does not multiply bf16"));
    }

    #[test]
    fn other_words_are_refused_with_the_choices() {
        let error = "gpu".parse::<DeviceRequest>().unwrap_err().to_string();
        assert_eq!(error, "--device gpu: no such device; use auto, cpu, cuda or cuda:N");
        assert!("cuda:x".parse::<DeviceRequest>().is_err());
        assert!("f64".parse::<DtypeRequest>().is_err());
    }
}
