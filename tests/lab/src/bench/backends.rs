//! What watching costs the primary: processor time of the sessions that are held there.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::usage;
use crate::PgServer;

/// Processor time of each session of one role, by its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions(BTreeMap<u32, Duration>);

impl Sessions {
    /// Looks at the sessions that the role has now.
    pub async fn of(server: &PgServer, role: &str) -> Result<Self> {
        let sql = format!(
            "SELECT pid::text FROM pg_stat_activity WHERE usename = '{role}' AND backend_type = 'client backend'"
        );
        let pids = server.sql(&sql).await?.into_iter().flatten().flatten();
        let looked = pids.map(|pid| {
            let pid = pid.parse().context("a process id")?;
            anyhow::Ok((pid, processor(pid)?))
        });
        Ok(Self(looked.collect::<Result<_>>()?))
    }

    /// What these sessions have used since. `None` when one of them has ended, or another has begun: what that used is not known.
    pub fn used_since(&self, before: &Self) -> Option<Duration> {
        let same = !self.0.is_empty() && self.0.keys().eq(before.0.keys());
        same.then(|| self.0.iter().zip(before.0.values()).map(|((_, now), then)| now.saturating_sub(*then)).sum())
    }
}

/// User and system time of a session's process, which has one thread. The kernel has that sum in nanoseconds, too: one look is
/// far shorter than the ticks in which `stat` counts.
fn processor(pid: u32) -> Result<Duration> {
    let exact = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
    match exact.as_deref().and_then(nanoseconds) {
        Some(exact) => Ok(exact),
        None => Ok(usage::usage(pid)?.processor),
    }
}

/// The first of three numbers; 0 where the kernel does not count.
fn nanoseconds(schedstat: &str) -> Option<Duration> {
    let nanos: u64 = schedstat.split_whitespace().next()?.parse().ok()?;
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// What the sessions of one program cost the primary, over so many looks.
#[derive(Clone, Debug)]
pub(super) struct SessionCost {
    /// The program.
    pub name: &'static str,
    /// Its looks, or scrapes, in that time.
    pub looks: usize,
    /// Processor time of its sessions; `None`: not measured.
    pub used: Option<Duration>,
}

impl SessionCost {
    /// Processor time for one look.
    pub fn each(&self) -> Option<Duration> {
        let looks = u32::try_from(self.looks).ok().filter(|looks| *looks > 0)?;
        Some(self.used? / looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_sessions_are_compared() {
        let sessions = |all: &[(u32, u64)]| {
            Sessions(all.iter().map(|(pid, millis)| (*pid, Duration::from_millis(*millis))).collect())
        };
        let before = sessions(&[(7, 10), (8, 20)]);
        assert_eq!(sessions(&[(7, 15), (8, 40)]).used_since(&before), Some(Duration::from_millis(25)));
        assert_eq!(sessions(&[(7, 15)]).used_since(&before), None, "one has ended");
        assert_eq!(sessions(&[(7, 15), (9, 40)]).used_since(&before), None, "one was replaced");
        assert_eq!(sessions(&[]).used_since(&sessions(&[])), None, "none is no cost of zero");
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(nanoseconds("392145326 1133866809 663\n"), Some(Duration::from_nanos(392_145_326)));
        assert_eq!(nanoseconds("0 0 0\n"), None, "not counted is not zero");
        let cost = SessionCost { name: "x", looks: 0, used: Some(Duration::ZERO) };
        assert_eq!(cost.each(), None);
    }
}
