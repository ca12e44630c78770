//! What a measured figure depends on: the machine, its servers, and the day.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::find;

const DAY: u64 = 86_400;

/// Facts about this machine, for a printed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Logical processors that we may use.
    pub cores: usize,
    /// Their model, where the kernel names it.
    pub model: Option<String>,
    /// Whole gibibytes of memory.
    pub memory_gib: u64,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Version of the laboratory's PostgreSQL, e.g. `15.8`.
    pub postgres: String,
    /// `2024-02-29`, in UTC.
    pub date: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn here() -> Result<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
        let total = meminfo.split_whitespace().nth(1).context("MemTotal")?;
        let kib: u64 = total.parse().context("MemTotal")?;
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            model: fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| model(&info)),
            memory_gib: (kib + 512 * 1024) >> 20,
            // Major and minor number; what a distribution adds says nothing here.
            kernel: format!("Linux {}", release.trim().split('.').take(2).collect::<Vec<_>>().join(".")),
            postgres: postgres_version()?,
            date: date(now / DAY),
        })
    }

    /// One line.
    pub fn line(&self) -> String {
        let model = self.model.as_ref().map(|model| format!(" ({model})")).unwrap_or_default();
        format!(
            "{}; {} cores{model}, {} GiB, {}, PostgreSQL {}",
            self.date, self.cores, self.memory_gib, self.kernel, self.postgres
        )
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.trim().to_owned()).filter(|model| !model.is_empty())
}

fn postgres_version() -> Result<String> {
    let printed = Command::new(find::postgres_bin_dir()?.join("postgres")).arg("--version").output()?;
    let text = String::from_utf8(printed.stdout)?;
    // `postgres (PostgreSQL) 15.8 (Debian …)`
    text.split_whitespace().nth(2).map(str::to_owned).context("PostgreSQL's version")
}

/// The date of a day counted from 1970-01-01, by the Gregorian calendar.
fn date(days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_days_by_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(30), "1970-01-31");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(11_017), "2000-03-01");
        assert_eq!(date(19_722), "2023-12-31");
        assert_eq!(date(19_723), "2024-01-01");
    }

    #[test]
    fn takes_the_model_where_there_is_one() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Fast One\n"), Some("Fast One".to_owned()));
        assert_eq!(model("processor\t: 0\n"), None);
    }
}
