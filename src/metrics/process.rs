//! What the process uses, as the kernel tells it. The only metrics that are read when they are scraped.

use std::fs::File;
use std::io::Read;

use rustix::time::{ClockId, clock_gettime};

use crate::units::Bytes;

/// What this process uses now. What `/proc` does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// User and system time since the start, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident set.
    pub resident_memory: Option<Bytes>,
    /// Address space.
    pub virtual_memory: Option<Bytes>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Soft limit of file descriptors.
    pub max_fds: Option<u64>,
}

/// Reads `/proc/self` and the process's CPU clock; takes some tens of microseconds.
pub fn read() -> ProcessUsage {
    let status = contents("/proc/self/status");
    let limits = contents("/proc/self/limits");
    ProcessUsage {
        cpu_seconds: Some(cpu_seconds()),
        resident_memory: status.as_deref().and_then(|status| memory(status, "VmRSS:")),
        virtual_memory: status.as_deref().and_then(|status| memory(status, "VmSize:")),
        open_fds: open_fds(),
        max_fds: limits.as_deref().and_then(max_fds),
    }
}

/// These files tell no length; with room from the start they are read at once instead of in small pieces.
fn contents(path: &str) -> Option<String> {
    let mut text = String::with_capacity(8 * 1024);
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

#[allow(clippy::cast_precision_loss, reason = "seconds of CPU time, shown as a float")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A line such as `VmRSS:      9432 kB` of `/proc/self/status`.
fn memory(status: &str, field: &str) -> Option<Bytes> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024).map(Bytes)
}

/// The directory that is listed is open itself while it is being listed; it is not counted.
fn open_fds() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(entries.saturating_sub(1)).ok()
}

/// The soft limit in `/proc/self/limits`: `Max open files   1024   524288   files`.
fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_of_everything() {
        let usage = read();
        assert!(usage.cpu_seconds.is_some_and(|seconds| seconds > 0.0));
        assert!(usage.resident_memory.is_some_and(|memory| memory > Bytes(100_000)));
        assert!(usage.virtual_memory > usage.resident_memory);
        assert!(usage.open_fds.is_some_and(|fds| fds >= 3));
        let opened = std::fs::File::open("/proc/self/status");
        assert!(opened.is_ok() && read().open_fds.is_some());
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        assert_eq!(memory("VmRSS:\t  9432 kB\n", "VmRSS:"), Some(Bytes(9432 * 1024)));
        assert_eq!(memory("VmSize:\t  9432 kB\n", "VmRSS:"), None);
        assert_eq!(memory("VmRSS:\t  many kB\n", "VmRSS:"), None);
        assert_eq!(max_fds("Max open files            1024                 524288               files"), Some(1024));
        assert_eq!(max_fds("Max open files            unlimited            unlimited            files"), None);
    }
}
