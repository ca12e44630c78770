//! The configuration's probe: reads what the synchronisation job left on one node, the timestamp file and the wrapper's record.
//!
//! Files may lie on a network file system that hangs: they are read aside, under a deadline, and never twice at once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::OFlags;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::clock::{self, WallTime};
use crate::config::{ConfigChannel, ConfigNode};
use crate::facts::{Beacon, BeaconFacts, BeaconTime, ConfigFacts, Failure, Reading, Timestamp, WrapperFacts};
use crate::names::{FailureKind, Name};
use crate::rsync_record::{self, RsyncRecord, Stamp, record_path};
use crate::units::duration_text;

/// A timestamp file's content is this long at most, in bytes.
const MAX_TIMESTAMP_BYTES: u64 = 64;

/// A beacon is this long at most, in bytes.
const MAX_BEACON_BYTES: u64 = 1024;

/// Reads one node's evidence.
pub struct ConfigProbe {
    files: Files,
    timeout: Duration,
    /// A look at the files that has not come back yet.
    hanging: Option<JoinHandle<Result<ConfigFacts, Failure>>>,
}

/// What is read.
#[derive(Clone, Debug)]
struct Files {
    root: PathBuf,
    timestamp: Option<PathBuf>,
    beacon: Option<PathBuf>,
    /// The record of the pair's job, or that of a job that names no pair, where there is only one. Empty where no wrapper is used.
    records: Vec<PathBuf>,
}

impl ConfigProbe {
    /// A probe of `node`; the wrapper's record is looked for in `state_directory`.
    pub fn new(node: &ConfigNode, channel: &ConfigChannel, state_directory: &Path, pair: &Name) -> Self {
        let names: &[Option<&str>] = match (channel.wrapper, channel.jobs_are_named) {
            (false, _) => &[],
            (true, true) => &[Some(pair.as_str())],
            (true, false) => &[Some(pair.as_str()), None],
        };
        let records = names.iter().map(|name| record_path(state_directory, *name)).collect();
        let files = Files {
            root: node.root.clone(),
            timestamp: node.timestamp_file.clone(),
            beacon: node.beacon.clone(),
            records,
        };
        Self { files, timeout: channel.schedule.timeout, hanging: None }
    }

    /// One look, under one deadline.
    pub async fn run(&mut self) -> Reading<ConfigFacts> {
        let deadline = Instant::now() + self.timeout.mul_f64(0.95);
        let asked = clock::now();
        let result = self.look(deadline).await;
        Reading { asked, answered: clock::now(), result }
    }

    async fn look(&mut self, deadline: Instant) -> Result<ConfigFacts, Failure> {
        if let Some(mut earlier) = self.hanging.take() {
            // What it brings was asked for long ago: it is waited for, but not believed.
            if timeout_at(deadline, &mut earlier).await.is_err() {
                self.hanging = Some(earlier);
                return Err(self.hangs());
            }
        }
        let files = self.files.clone();
        let mut look = tokio::task::spawn_blocking(move || files.read());
        match timeout_at(deadline, &mut look).await {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => Err(Failure::new(FailureKind::Protocol, format!("reading the files failed: {error}"))),
            Err(_) => {
                self.hanging = Some(look);
                Err(self.hangs())
            }
        }
    }

    fn hangs(&self) -> Failure {
        let path = self.files.timestamp.as_ref().or(self.files.records.first()).unwrap_or(&self.files.root);
        let message = format!(
            "reading {} took over {}; look at the file system that it lies on",
            path.display(),
            duration_text(self.timeout)
        );
        Failure::new(FailureKind::Timeout, message)
    }
}

impl Files {
    /// Reads all sources. One that cannot be read hides nothing that the other proves.
    fn read(&self) -> Result<ConfigFacts, Failure> {
        let timestamp = self.timestamp();
        let wrapper = self.wrapper();
        let beacon = self.beacon();
        let proven = matches!(timestamp, Ok(Some(_)))
            || matches!(beacon, Ok(Some(_)))
            || matches!(wrapper, Ok(Some(WrapperFacts { last_good_started_ago: Some(_), .. })));
        match (timestamp, wrapper, beacon) {
            (Err(failure), ..) | (_, Err(failure), _) | (.., Err(failure)) if !proven => Err(failure),
            (timestamp, wrapper, beacon) => Ok(ConfigFacts {
                timestamp: timestamp.ok().flatten(),
                wrapper: wrapper.ok().flatten(),
                beacon: beacon.ok().flatten(),
            }),
        }
    }

    /// `None` where none lies.
    fn beacon(&self) -> Result<Option<BeaconFacts>, Failure> {
        let Some(path) = &self.beacon else { return Ok(None) };
        let Some(file) = open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(MAX_BEACON_BYTES + 1).read_to_end(&mut bytes).map_err(|error| permission(path, &error))?;
        let known = bytes.len() as u64 <= MAX_BEACON_BYTES;
        let Some(beacon) = known.then(|| serde_json::from_slice::<Beacon>(&bytes).ok()).flatten() else {
            return Err(protocol(path, format_args!("it is no beacon of an agent; name a file of its own")));
        };
        Ok(Some(BeaconFacts { beacon, read_at: BeaconTime::present() }))
    }

    /// `None` where there is none yet.
    fn timestamp(&self) -> Result<Option<Timestamp>, Failure> {
        let Some(path) = &self.timestamp else { return Ok(None) };
        if path.starts_with(&self.root) {
            let cure = "rsync brings the other node's; let the job write it outside, after success";
            return Err(protocol(path, format_args!("it lies in the synced tree: {cure}")));
        }
        let Some(mut file) = open(path)? else { return Ok(None) };
        let mut content = Vec::new();
        let unreadable = |error| permission(path, &error);
        (&mut file).take(MAX_TIMESTAMP_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(unreadable)?;
        let modified = modified.duration_since(UNIX_EPOCH).ok().map(|since| WallTime(since.as_secs_f64()));
        let written = parse_timestamp(&content, modified).map_err(|wrong| protocol(path, format_args!("{wrong}")))?;
        Ok(Some(Timestamp { written, read_at: clock::wall() }))
    }

    /// `None` where no job has run yet.
    fn wrapper(&self) -> Result<Option<WrapperFacts>, Failure> {
        for path in &self.records {
            let Some(file) = open(path)? else { continue };
            let mut bytes = Vec::new();
            let limit = rsync_record::MAX_BYTES as u64 + 1;
            file.take(limit).read_to_end(&mut bytes).map_err(|error| permission(path, &error))?;
            let record = RsyncRecord::parse(&bytes).map_err(|error| {
                protocol(path, format_args!("{error}; the next run of `standbywatch rsync` writes a new one"))
            })?;
            return Ok(Some(record.facts(&Stamp::now())));
        }
        Ok(None)
    }
}

/// Opens a regular file without waiting for whatever else may lie there (a pipe would wait for its writer).
fn open(path: &Path) -> Result<Option<File>, Failure> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(permission(path, &error)),
    };
    let metadata = file.metadata().map_err(|error| permission(path, &error))?;
    if metadata.is_file() { Ok(Some(file)) } else { Err(protocol(path, format_args!("it is not a regular file"))) }
}

fn permission(path: &Path, error: &io::Error) -> Failure {
    let cure = "let the agent's user read it";
    Failure::new(FailureKind::Permission, format!("{}: {error}; {cure}", path.display()))
}

fn protocol(path: &Path, wrong: std::fmt::Arguments<'_>) -> Failure {
    Failure::new(FailureKind::Protocol, format!("{}: {wrong}", path.display()))
}

/// The time in a timestamp file: epoch seconds or RFC 3339. An empty file is one that was touched: its modification time.
///
/// # Errors
/// Text that is no time, in words with the cure.
pub fn parse_timestamp(content: &[u8], modified: Option<WallTime>) -> Result<WallTime, String> {
    const CURE: &str = "let the job write `date +%s` or `date --iso-8601=seconds`, or only touch the file";
    if content.len() as u64 > MAX_TIMESTAMP_BYTES {
        return Err(format!("it is longer than a time; {CURE}"));
    }
    let text = String::from_utf8_lossy(content);
    let text = text.trim();
    if text.is_empty() {
        return modified.ok_or_else(|| format!("it is empty and was last touched before 1970; {CURE}"));
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let epoch = plain.then(|| text.parse::<f64>().ok()).flatten();
    let calendar = || text.parse::<jiff::Timestamp>().ok().map(|time| time.as_duration().as_secs_f64());
    match epoch.or_else(calendar) {
        Some(seconds) if seconds > 0.0 && seconds.is_finite() => Ok(WallTime(seconds)),
        _ => Err(format!("{:?} is not a time; {CURE}", text.chars().take(40).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Schedule;
    use crate::rsync_record::{FinishedRun, RunEnd};

    proptest! {
        #[test]
        fn no_content_crashes_the_parser(content in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_timestamp(&content, None);
        }
    }

    #[test]
    fn times_as_jobs_write_them() {
        let read = |text: &str| parse_timestamp(text.as_bytes(), Some(WallTime(5.0)));
        assert_eq!(read("1700000000\n"), Ok(WallTime(1_700_000_000.0)));
        assert_eq!(read("1700000000.25"), Ok(WallTime(1_700_000_000.25)));
        assert_eq!(read("2023-11-14T22:13:20Z"), Ok(WallTime(1_700_000_000.0)));
        assert_eq!(read("2023-11-15T00:13:20+02:00\n"), Ok(WallTime(1_700_000_000.0)));
        assert_eq!(read(" \n"), Ok(WallTime(5.0)), "touched");
        for wrong in ["yesterday", "0", "-5", "1e9", "nan", "<html>", "2023-11-14 22:13", &"1".repeat(65)] {
            let message = read(wrong).unwrap_err();
            assert!(message.contains("date +%s"), "{wrong}: {message}");
        }
        assert!(parse_timestamp(b"", None).is_err());
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("standbywatch-config-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("tree")).unwrap();
            Self(path)
        }

        fn probe(&self, wrapper: bool, timestamp: Option<&str>) -> ConfigProbe {
            self.probe_of(wrapper, timestamp, false)
        }

        fn probe_of(&self, wrapper: bool, timestamp: Option<&str>, jobs_are_named: bool) -> ConfigProbe {
            let timestamp_file = timestamp.map(|name| self.0.join(name));
            let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(3));
            let channel = ConfigChannel {
                schedule,
                period: Duration::from_secs(60),
                wrapper,
                jobs_are_named,
                include: Vec::new(),
                exclude: Vec::new(),
                max_files: 1000,
                max_size: crate::units::Bytes::mib(64),
            };
            ConfigProbe::new(
                &ConfigNode { root: self.0.join("tree"), timestamp_file, beacon: None },
                &channel,
                &self.0,
                &Name::new("shop"),
            )
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn finished(end: RunEnd) -> RsyncRecord {
        let mut record = RsyncRecord::default();
        let (started, ended) = (Stamp::now(), Stamp::now());
        record.finish(FinishedRun { started, ended, took: Duration::from_secs(1), end, files: None, bytes: None });
        record
    }

    #[tokio::test]
    async fn nothing_there_yet_is_no_failure_and_no_fact() {
        let place = Place::new("empty");
        let reading = place.probe(true, Some("stamp")).run().await;
        assert_eq!(reading.result, Ok(ConfigFacts::default()));
        assert!(reading.answered >= reading.asked);
    }

    #[tokio::test]
    async fn both_sources_are_read_and_the_pair_has_its_own_record() {
        let place = Place::new("both");
        fs::write(place.0.join("stamp"), "1700000000").unwrap();
        finished(RunEnd::Exit(23)).save(&record_path(&place.0, None)).unwrap();
        let mut probe = place.probe(true, Some("stamp"));
        let facts = probe.run().await.result.unwrap();
        assert_eq!(facts.timestamp.unwrap().written, WallTime(1_700_000_000.0));
        assert_eq!(facts.wrapper.unwrap().last_exit, Some(23), "a job that names no pair");
        finished(RunEnd::Exit(0)).save(&record_path(&place.0, Some("shop"))).unwrap();
        let wrapper = probe.run().await.result.unwrap().wrapper.unwrap();
        assert_eq!(wrapper.last_exit, Some(0));
        assert!(wrapper.last_good_started_ago.unwrap() < Duration::from_secs(60));
        assert_eq!(place.probe(false, None).run().await.result, Ok(ConfigFacts::default()), "not configured");
    }

    #[tokio::test]
    async fn of_several_pairs_each_needs_a_record_of_its_own() {
        let place = Place::new("several");
        finished(RunEnd::Exit(0)).save(&record_path(&place.0, None)).unwrap();
        let mut probe = place.probe_of(true, None, true);
        assert_eq!(probe.run().await.result, Ok(ConfigFacts::default()), "whose job that was nobody knows");
        finished(RunEnd::Exit(0)).save(&record_path(&place.0, Some("shop"))).unwrap();
        assert!(probe.run().await.result.unwrap().wrapper.is_some());
    }

    #[tokio::test]
    async fn what_cannot_be_read_has_its_kind_and_names_the_file() {
        let place = Place::new("wrong");
        fs::write(place.0.join("garbage"), "soon").unwrap();
        fs::write(place.0.join("tree/inside"), "1700000000").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place.0.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        for name in ["garbage", "tree", "tree/inside", "pipe"] {
            let failure = place.probe(false, Some(name)).run().await.result.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Protocol, "{name}: {failure}");
            assert!(failure.message.contains(name), "{failure}");
        }
        let through_a_file = place.probe(false, Some("garbage/stamp")).run().await.result.unwrap_err();
        assert_eq!(through_a_file.kind, FailureKind::Permission);
        fs::write(record_path(&place.0, None), "{}").unwrap();
        assert_eq!(place.probe(true, None).run().await.result.unwrap_err().kind, FailureKind::Protocol);
        fs::write(place.0.join("good"), "1700000000").unwrap();
        let facts = place.probe(true, Some("good")).run().await.result.unwrap();
        assert_eq!((facts.wrapper, facts.timestamp.is_some()), (None, true), "one source alone is enough");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_never_started_twice() {
        let place = Place::new("hang");
        let mut probe = place.probe(true, None);
        probe.timeout = Duration::from_millis(50);
        let (release, released) = std::sync::mpsc::channel::<()>();
        probe.hanging = Some(tokio::task::spawn_blocking(move || {
            let _ = released.recv();
            Ok(ConfigFacts { wrapper: Some(WrapperFacts::default()), ..ConfigFacts::default() })
        }));
        for _ in 0..2 {
            let reading = probe.run().await;
            assert_eq!(reading.failure().map(|failure| failure.kind), Some(FailureKind::Timeout));
            assert!(probe.hanging.is_some(), "still the same one");
        }
        drop(release);
        probe.timeout = Duration::from_secs(3);
        assert_eq!(probe.run().await.result, Ok(ConfigFacts::default()), "looked anew, not what it brought late");
    }
}
