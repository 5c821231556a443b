//! The memory that a process holds and has held, as Linux counts it.

use std::fs;

/// From its start to when it is read.
pub struct Peak {
    /// Whether what was held before has been forgotten.
    fresh: bool,
}

impl Peak {
    /// Starts anew at what the process holds now.
    pub fn start() -> Self {
        // 5 resets the peak resident set size (proc_pid_clear_refs(5)).
        Self { fresh: fs::write("/proc/self/clear_refs", "5").is_ok() }
    }

    /// Peak resident memory in bytes; `None` where the system does not count it from the start.
    pub fn bytes(&self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        kilobytes(&status, "VmHWM:").filter(|_| self.fresh)
    }
}

/// Resident memory in bytes of the process of this number, while it runs and the system tells.
pub fn resident(process: u32) -> Option<u64> {
    kilobytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmRSS:")
}

/// The bytes that a line of one of the kernel's reports, in kB, stands for.
pub fn kilobytes(report: &str, label: &str) -> Option<u64> {
    let line = report.lines().find_map(|line| line.strip_prefix(label))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        let status = "VmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(kilobytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!((kilobytes(status, "VmRSS:"), kilobytes(status, "VmSwap:")), (Some(1024), None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_touched_is_seen() {
        let peak = Peak::start();
        let before = resident(std::process::id()).unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&block).iter().all(|&byte| byte == 1));
        if let Some(bytes) = peak.bytes() {
            assert!(bytes >= before.max(64 << 20), "{bytes} after {before}");
        }
        if let Some(bytes) = resident(std::process::id()) {
            assert!(bytes >= 64 << 20, "{bytes}");
        }
    }
}
