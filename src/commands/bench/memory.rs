//! The most memory that the process held, row by row, as Linux counts it.

use std::fs;

/// From its start to when it is read.
pub struct Peak {
    /// Whether what an earlier row held has been forgotten.
    fresh: bool,
}

impl Peak {
    /// Starts anew at what the process holds now.
    pub fn start() -> Self {
        // 5 resets the peak resident set size (proc_pid_clear_refs(5)).
        Self { fresh: fs::write("/proc/self/clear_refs", "5").is_ok() }
    }

    /// Peak resident memory in bytes; `None` where the system does not count it from the start of this row.
    pub fn bytes(&self) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        high_water(&status).filter(|_| self.fresh)
    }
}

/// `VmHWM` of a status file.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        assert_eq!(high_water("VmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(high_water("VmRSS:\t 1 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_touched_is_seen() {
        let peak = Peak::start();
        let before = high_water(&fs::read_to_string("/proc/self/status").unwrap()).unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&block).iter().all(|&byte| byte == 1));
        if let Some(bytes) = peak.bytes() {
            assert!(bytes >= before.max(64 << 20), "{bytes} after {before}");
        }
    }
}
