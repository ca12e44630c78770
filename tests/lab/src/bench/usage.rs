//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What one process has used up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory now, in KiB.
    pub resident: u64,
    /// The most resident memory since its start, in KiB.
    pub peak: u64,
    /// Processor time since its start, of all its threads.
    pub processor: Duration,
    /// Open descriptors now.
    pub descriptors: usize,
}

/// Looks at a process of this id.
pub(super) fn usage(pid: u32) -> Result<Usage> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid}"));
    let status = read("status")?;
    Ok(Usage {
        resident: kib(&status, "VmRSS:").context("VmRSS")?,
        peak: kib(&status, "VmHWM:").context("VmHWM")?,
        processor: processor(&read("stat")?, rustix::param::clock_ticks_per_second()).context("the times in stat")?,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("process {pid}"))?.count(),
    })
}

fn kib(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15; the second one, the program's name, may contain anything up to the last `)`.
fn processor(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / ticks_per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "77 (a (b) c) S 1 77 77 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(processor(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(processor("77 (a) S 1", 100), None);
        let status = "Name:\tx\nVmHWM:\t    9000 kB\nVmRSS:\t    8000 kB\n";
        assert_eq!(
            (kib(status, "VmRSS:"), kib(status, "VmHWM:"), kib(status, "VmSwap:")),
            (Some(8000), Some(9000), None)
        );
    }

    #[test]
    fn this_process_uses_something() -> Result<()> {
        let usage = usage(std::process::id())?;
        assert!(usage.resident > 100 && usage.peak >= usage.resident && usage.descriptors > 2, "{usage:?}");
        Ok(())
    }
}
