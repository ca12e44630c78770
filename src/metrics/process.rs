//! What the process uses, as the kernel tells it. The only metrics that are read when they are scraped.

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
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

/// Asks the kernel; takes some microseconds, since it is done at each scrape.
pub fn read() -> ProcessUsage {
    // Two numbers of pages; `/proc/self/status` tells the same in a hundred lines, which take the kernel far longer.
    let memory = std::fs::read_to_string("/proc/self/statm").ok();
    ProcessUsage {
        cpu_seconds: Some(cpu_seconds()),
        resident_memory: memory.as_deref().and_then(|pages| in_pages(pages, 1)),
        virtual_memory: memory.as_deref().and_then(|pages| in_pages(pages, 0)),
        open_fds: open_fds(),
        max_fds: getrlimit(Resource::Nofile).current,
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of CPU time, shown as a float")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A field of `/proc/self/statm`: size, resident, shared, …, each in pages.
fn in_pages(statm: &str, field: usize) -> Option<Bytes> {
    let pages: u64 = statm.split_whitespace().nth(field)?.parse().ok()?;
    pages.checked_mul(u64::try_from(page_size()).ok()?).map(Bytes)
}

/// The directory that is listed is open itself while it is being listed; it is not counted.
fn open_fds() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(entries.saturating_sub(1)).ok()
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

    /// The kernel's longer words for the same.
    #[test]
    fn memory_is_counted_in_the_right_unit() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        let (told, ours) = (kibibytes * 1024, read().virtual_memory.unwrap().0);
        // Other tests of this process take memory meanwhile.
        assert!(ours.abs_diff(told) < told / 2, "{ours} and {told}");
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        assert_eq!(in_pages("20 10 5", 1), Some(Bytes(10 * u64::try_from(page_size()).unwrap())));
        assert_eq!(in_pages("20", 1), None);
        assert_eq!(in_pages("many more", 1), None);
    }
}
