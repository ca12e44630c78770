//! The record that `standbywatch rsync` keeps of its runs, for the agent to read: one small JSON file per pair.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{self, BootId, Moment, WallTime};
use crate::facts::WrapperFacts;
use crate::names::file_name;
use crate::whole_file;

/// Version of the file's form. A file with a higher one is not understood.
const VERSION: u32 = 1;

/// A record is never longer than this, in bytes; what is longer is no record.
pub const MAX_BYTES: usize = 64 * 1024;

/// Clocks of one machine may disagree by so much across a boot before a time counts as lying in the future.
const FUTURE_TOLERANCE_SECONDS: f64 = 2.0;

/// Exit codes of rsync that mean that the copy is complete: 24 is "some files vanished while they were copied".
const GOOD_EXITS: [i32; 2] = [0, 24];

/// All that is kept of the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RsyncRecord {
    version: u32,
    /// When the last good run began: what was copied is what the primary had then.
    pub last_good_start: Option<Stamp>,
    /// The last run that has ended.
    pub last: Option<FinishedRun>,
    /// The run in progress.
    pub running: Option<RunningRun>,
    /// Failures since the last good run.
    pub consecutive_failures: u32,
}

/// A moment that can be compared within this boot exactly, and across boots by wall time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// `None` where the kernel does not tell.
    pub boot: Option<BootId>,
    /// On the boot clock.
    pub moment: Moment,
    /// On the wall clock.
    pub wall: WallTime,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// When it began.
    pub started: Stamp,
    /// When it ended.
    pub ended: Stamp,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub end: RunEnd,
    /// Files transferred, where rsync printed it.
    pub files: Option<u64>,
    /// Bytes transferred, where rsync printed it.
    pub bytes: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// By itself, with this code. 126 and 127: it could not be started.
    Exit(i32),
    /// By this signal, from outside.
    Signal(i32),
    /// By the wrapper's deadline.
    Deadline,
}

impl RunEnd {
    /// The copy is complete.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Exit(code) if GOOD_EXITS.contains(&code))
    }

    /// It was ended from outside: by a signal (rsync's own 20, a shell's 128 + n) or a deadline.
    pub const fn is_killed(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Deadline | Self::Exit(20 | 130 | 137 | 143))
    }
}

/// A run in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningRun {
    /// When it began.
    pub started: Stamp,
    /// rsync's process, which leads a process group of its own.
    pub pid: u32,
    /// The kernel's start time of that process, so that another process with the same id is not taken for it.
    pub pid_started: Option<u64>,
}

impl RunningRun {
    /// The process is still there: same boot, same id, same start, and not a zombie.
    pub fn is_alive(&self, now: &Stamp) -> bool {
        let same_boot = self.started.boot.is_some() && self.started.boot == now.boot;
        same_boot && self.pid_started.is_some() && process_start(self.pid) == self.pid_started
    }
}

/// The kernel's start time of a process, in its own ticks; `None` if it has ended.
pub fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, so fields are counted from its end (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok()).flatten()
}

impl Stamp {
    /// Now, on both clocks.
    pub fn now() -> Self {
        Self { boot: clock::boot_id().ok(), moment: clock::now(), wall: clock::wall() }
    }

    /// How long ago this was at `now`; `None` if it lies in the future there.
    pub fn age(&self, now: &Self) -> Option<Duration> {
        if self.boot.is_some() && self.boot == now.boot {
            return (self.moment <= now.moment).then(|| now.moment.since(self.moment));
        }
        let seconds = now.wall.0 - self.wall.0;
        (seconds >= -FUTURE_TOLERANCE_SECONDS).then(|| Duration::try_from_secs_f64(seconds.max(0.0)).ok()).flatten()
    }
}

/// A file that is not a record.
#[derive(Debug, thiserror::Error)]
pub enum NotARecord {
    /// Not JSON, or not of this form.
    #[error("it is damaged: {0}")]
    Damaged(serde_json::Error),
    /// Longer than any record.
    #[error("it is longer than any record")]
    TooLong,
    /// Written by a later release.
    #[error("it has version {0}, and this release knows {VERSION}: use the same release for the job and the agent")]
    Later(u32),
}

impl Default for RsyncRecord {
    fn default() -> Self {
        Self { version: VERSION, last_good_start: None, last: None, running: None, consecutive_failures: 0 }
    }
}

impl RsyncRecord {
    /// Reads a file's content.
    ///
    /// # Errors
    /// See [`NotARecord`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotARecord> {
        if bytes.len() > MAX_BYTES {
            return Err(NotARecord::TooLong);
        }
        let record: Self = serde_json::from_slice(bytes).map_err(NotARecord::Damaged)?;
        if record.version > VERSION { Err(NotARecord::Later(record.version)) } else { Ok(record) }
    }

    /// Writes it to `path` so that a reader sees the old one or the new one, also after a crash.
    ///
    /// # Errors
    /// Whatever the file system answers; the old file is untouched then.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        // Two jobs that both got no lock do not write into one another's.
        let new = path.with_extension(format!("json.{}.tmp", std::process::id()));
        whole_file::replace(path, &new, &serde_json::to_vec_pretty(self)?)
    }

    /// Notes how the run in progress ended.
    pub fn finish(&mut self, run: FinishedRun) {
        self.running = None;
        if run.end.is_good() {
            self.last_good_start = Some(run.started.clone());
            self.consecutive_failures = 0;
        } else {
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
        self.last = Some(run);
    }

    /// What the agent is told, with ages as of `now`.
    pub fn facts(&self, now: &Stamp) -> WrapperFacts {
        let last_good_started_ago = self.last_good_start.as_ref().and_then(|start| start.age(now));
        let last = self.last.as_ref();
        WrapperFacts {
            last_good_started_ago,
            last_good_in_future: self.last_good_start.is_some() && last_good_started_ago.is_none(),
            last_exit: last.and_then(|run| match run.end {
                RunEnd::Exit(code) => Some(code),
                RunEnd::Signal(_) | RunEnd::Deadline => None,
            }),
            last_killed: last.is_some_and(|run| run.end.is_killed()),
            any_finished: last.is_some(),
            consecutive_failures: self.consecutive_failures,
            last_took: last.map(|run| run.took),
            files: last.and_then(|run| run.files),
            bytes: last.and_then(|run| run.bytes),
            running_for: self.running.as_ref().filter(|run| run.is_alive(now)).and_then(|run| run.started.age(now)),
        }
    }
}

/// Where the record of a pair lies: `rsync-NAME.json`, or `rsync.json` for a job that names no pair.
pub fn record_path(state_directory: &Path, pair: Option<&str>) -> PathBuf {
    state_directory.join(format!("{}.json", stem(pair)))
}

/// The file that is locked while a run is in progress.
pub fn lock_path(state_directory: &Path, pair: Option<&str>) -> PathBuf {
    state_directory.join(format!("{}.lock", stem(pair)))
}

fn stem(pair: Option<&str>) -> String {
    match pair {
        Some(pair) => format!("rsync-{}", file_name(pair)),
        None => "rsync".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: &str, moment: u64, wall: f64) -> Stamp {
        let boot = Some(BootId(boot.to_owned()));
        Stamp { boot, moment: Moment::after_boot(Duration::from_secs(moment)), wall: WallTime(wall) }
    }

    fn run(started: Stamp, end: RunEnd) -> FinishedRun {
        let took = Duration::from_secs(2);
        FinishedRun { ended: started.clone(), started, took, end, files: None, bytes: None }
    }

    #[test]
    fn only_a_good_run_advances_and_its_start_counts() {
        let mut record = RsyncRecord::default();
        let now = stamp("a", 1000, 9000.0);
        assert!(!record.facts(&now).any_finished);
        record.finish(run(stamp("a", 900, 8900.0), RunEnd::Exit(0)));
        for end in [RunEnd::Exit(23), RunEnd::Exit(255), RunEnd::Signal(9), RunEnd::Deadline, RunEnd::Exit(127)] {
            record.finish(run(stamp("a", 950, 8950.0), end));
        }
        let facts = record.facts(&now);
        assert_eq!(facts.last_good_started_ago, Some(Duration::from_secs(100)));
        assert_eq!((facts.consecutive_failures, facts.last_exit, facts.last_killed), (5, Some(127), false));
        record.finish(run(stamp("a", 980, 8980.0), RunEnd::Exit(24)));
        let facts = record.facts(&now);
        assert_eq!(facts.last_good_started_ago, Some(Duration::from_secs(20)), "24 is good");
        assert_eq!((facts.consecutive_failures, facts.last_exit), (0, Some(24)));
    }

    #[test]
    fn ages_go_by_the_boot_clock_within_a_boot_and_by_the_wall_across() {
        let then = stamp("a", 100, 5000.0);
        assert_eq!(then.age(&stamp("a", 160, 1.0)), Some(Duration::from_secs(60)), "the wall clock was set");
        assert_eq!(then.age(&stamp("b", 10, 5300.0)), Some(Duration::from_secs(300)), "after a reboot");
        assert_eq!(then.age(&stamp("b", 10, 4999.0)), Some(Duration::ZERO), "one second is tolerated");
        assert_eq!(then.age(&stamp("b", 10, 4000.0)), None, "the future is unknown");
        assert_eq!(then.age(&stamp("a", 99, 9000.0)), None);
        let mut record = RsyncRecord::default();
        record.finish(run(then, RunEnd::Exit(0)));
        let facts = record.facts(&stamp("b", 10, 4000.0));
        assert_eq!((facts.last_good_started_ago, facts.last_good_in_future), (None, true));
    }

    #[test]
    fn only_a_living_process_is_a_run_in_progress() {
        let now = Stamp::now();
        let me = std::process::id();
        let running = RunningRun { started: now.clone(), pid: me, pid_started: process_start(me) };
        assert!(running.is_alive(&now));
        assert!(!RunningRun { pid_started: Some(1), ..running.clone() }.is_alive(&now), "its id was given to another");
        let other_boot = stamp("other", 1, 1.0);
        assert!(!RunningRun { started: other_boot, ..running }.is_alive(&now));
    }

    #[test]
    fn a_record_is_read_back_and_nothing_else_is() {
        let directory = std::env::temp_dir().join(format!("standbywatch-record-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = record_path(&directory, Some("a/b"));
        assert!(path.ends_with("rsync-a%2Fb.json"), "{path:?}");
        assert_ne!(path, record_path(&directory, Some("a_b")), "another pair's");
        let mut record = RsyncRecord::default();
        record.finish(run(Stamp::now(), RunEnd::Deadline));
        record.save(&path).unwrap();
        assert_eq!(RsyncRecord::parse(&fs::read(&path).unwrap()).unwrap(), record);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file stays");
        fs::remove_dir_all(&directory).unwrap();
        fs::write(&directory, "").unwrap();
        assert!(record.save(&path).is_err(), "a file is no directory");
        fs::remove_file(&directory).unwrap();

        assert!(matches!(RsyncRecord::parse(b"<html>"), Err(NotARecord::Damaged(_))));
        assert!(matches!(RsyncRecord::parse(&vec![b' '; MAX_BYTES + 1]), Err(NotARecord::TooLong)));
        let later = serde_json::to_string(&record).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(RsyncRecord::parse(later.as_bytes()), Err(NotARecord::Later(2))));
    }
}
