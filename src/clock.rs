//! The agent's own clocks. The only file that reads one.
//!
//! Ages are counted in [`Moment`]s: `CLOCK_BOOTTIME`, which goes on while the machine is suspended and which nobody can set.
//! Wall time serves only to be shown to people and to notice that the machine was paused from outside.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point on this machine's `CLOCK_BOOTTIME`. Comparable within one boot only; see [`BootId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_boot` after boot. Tests write timelines with it.
    pub const fn after_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Time since boot.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved back by `age`, not before boot.
    pub fn back(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(age))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// Wall time of this machine in seconds since the Unix epoch. Shown, never subtracted from another machine's to judge anything (an
/// alert's end is written in the time of the Alertmanager that reads it: `push/ahead.rs`).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct WallTime(pub f64);

impl WallTime {
    /// As a time that `humantime` can print, where the platform can hold it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let since_epoch = Duration::try_from_secs_f64(self.0).ok()?;
        UNIX_EPOCH.checked_add(since_epoch)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_system_time() {
            Some(time) => write!(f, "{}", humantime::format_rfc3339_seconds(time)),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Names one boot of this machine; saved moments count only under the boot that they were saved in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootId(pub String);

/// Now, on the boot clock.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Moment(Duration::new(seconds, nanos))
}

/// Now, on the wall clock.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn wall() -> WallTime {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => WallTime(since.as_secs_f64()),
        Err(before) => WallTime(-before.duration().as_secs_f64()),
    }
}

/// The kernel's id of this boot.
///
/// # Errors
/// Fails where `/proc` is not mounted; saved moments are then not used.
pub fn boot_id() -> std::io::Result<BootId> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BootId(text.trim().to_owned()))
}

/// Notices that the machine was paused from outside: wall time went on while boot time did not.
#[derive(Clone, Copy, Debug)]
pub struct PauseDetector {
    last: (Moment, WallTime),
}

/// Wall time may run this much ahead of boot time between two ticks (clock slewing, a leap second) before it counts as a pause.
const PAUSE_TOLERANCE_SECONDS: f64 = 5.0;

impl PauseDetector {
    /// Begins with the present of both clocks.
    pub const fn new(now: Moment, wall: WallTime) -> Self {
        Self { last: (now, wall) }
    }

    /// True if wall time advanced over five seconds more than boot time since the last call: all readings are to be dropped.
    pub fn tick(&mut self, now: Moment, wall: WallTime) -> bool {
        let (last_now, last_wall) = self.last;
        self.last = (now, wall);
        let boot = now.since(last_now).as_secs_f64();
        (wall.0 - last_wall.0) - boot > PAUSE_TOLERANCE_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn a_pause_from_outside_is_wall_time_that_boot_time_did_not_see() {
        let mut detector = PauseDetector::new(at(10), WallTime(1000.0));
        assert!(!detector.tick(at(11), WallTime(1001.0)));
        assert!(!detector.tick(at(12), WallTime(1006.5)), "4.5 s ahead is tolerated");
        assert!(detector.tick(at(13), WallTime(1067.0)), "60 s ahead is a pause");
        assert!(!detector.tick(at(14), WallTime(1068.0)), "told once");
        assert!(!detector.tick(at(15), WallTime(8.0)), "a step backwards drops nothing");
    }

    #[test]
    fn ages_never_go_negative() {
        assert_eq!(at(5).since(at(9)), Duration::ZERO);
        assert_eq!(at(5).back(Duration::from_secs(9)), at(0));
    }
}
