//! The wrapper with a shell script in rsync's place, and with the real rsync.

use super::*;

#[test]
fn statistics_are_read_where_they_are_exact() {
    let mut transferred = Transferred::default();
    for line in ["Number of files: 12,345", "Number of regular files transferred: 1,234", "nonsense"] {
        transferred.read(line);
    }
    transferred.read("Total transferred file size: 5.678.901 bytes");
    assert_eq!(transferred, Transferred { files: Some(1234), bytes: Some(5_678_901) });
    let mut human = Transferred::default();
    human.read("Total transferred file size: 5.68M bytes");
    assert_eq!(human.bytes, None);
}

#[test]
fn dry_runs_are_told_from_copies() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    for line in ["-avn a b", "--dry-run a b", "-n a b", "--list-only a"] {
        assert!(copies_nothing(&words(line)), "{line}");
    }
    for line in ["-av a b", "-aessh-n a b", "--numeric-ids a b", "-a -- -n b", "--no-n a b"] {
        assert!(!copies_nothing(&words(line)), "{line}");
    }
    assert!(prints_statistics(&words("-a --stats a b")) && prints_statistics(&words("--info=stats2,name a b")));
    assert!(!prints_statistics(&words("-a a b")));
}

/// A state directory of its own, gone at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standbywatch-rsync-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A job that runs a shell script in rsync's place.
    fn script(&self, deadline: Duration, script: &str) -> RsyncArgs {
        RsyncArgs {
            deadline,
            state_directory: self.0.clone(),
            pair: Some("shop".to_owned()),
            rsync_path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
        }
    }

    fn record(&self) -> RsyncRecord {
        RsyncRecord::parse(&fs::read(record_path(&self.0, Some("shop"))).unwrap()).unwrap()
    }

    /// Waits until the script has written this file.
    async fn appears(&self, name: &str) -> String {
        let found = async {
            loop {
                match fs::read_to_string(self.0.join(name)) {
                    Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(LONG, found).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn exit_codes_pass_through_and_only_good_runs_advance() {
    let place = Place::new("codes");
    for (code, failures) in [(0, 0), (23, 1), (255, 2), (24, 0), (12, 1)] {
        let before = Stamp::now();
        assert_eq!(i32::from(job(&place.script(LONG, &format!("exit {code}"))).await), code);
        let record = place.record();
        assert_eq!((record.consecutive_failures, &record.running), (failures, &None));
        assert_eq!(record.last.unwrap().end, RunEnd::Exit(code));
        let advanced = record.last_good_start.is_some_and(|start| start.moment >= before.moment);
        assert_eq!(advanced, failures == 0, "{code}");
    }
}

#[tokio::test]
async fn the_deadline_ends_rsync_and_all_that_it_started() {
    let place = Place::new("deadline");
    let script = format!("sleep 600 & echo $! > {}/child; wait", place.0.display());
    let code = job(&place.script(Duration::from_millis(300), &script)).await;
    assert_eq!(code, EXIT_DEADLINE);
    let child: u32 = place.appears("child").await.parse().unwrap();
    let gone = async {
        while process_start(child).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, gone).await.unwrap();
    let record = place.record();
    assert_eq!((record.last.unwrap().end, record.consecutive_failures), (RunEnd::Deadline, 1));
}

#[tokio::test]
async fn an_rsync_that_hears_no_signal_is_killed_with_all_that_it_started() {
    let place = Place::new("deaf");
    // What is ignored stays ignored in all that is started.
    let script = format!("trap '' TERM; sleep 600 & echo $! > {}/child; sleep 601", place.0.display());
    let begun = Instant::now();
    let code = job(&place.script(Duration::from_millis(300), &script)).await;
    assert_eq!(code, EXIT_DEADLINE);
    assert!(begun.elapsed() >= GRACE, "it had its time to end by itself");
    let child: u32 = place.appears("child").await.parse().unwrap();
    let gone = async {
        while process_start(child).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, gone).await.unwrap();
    let record = place.record();
    assert_eq!((record.last.unwrap().end, record.running), (RunEnd::Deadline, None));
}

#[tokio::test]
async fn no_zombie_after_a_thousand_runs() {
    let place = Place::new("zombies");
    let args = RsyncArgs { rsync_path: PathBuf::from("true"), ..place.script(LONG, "") };
    for _ in 0..1000 {
        assert_eq!(job(&args).await, 0);
    }
    let own = std::process::id();
    let zombie = |entry: fs::DirEntry| {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { return false };
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(&format!("Z {own} ")))
    };
    // Other tests of this process may have one for a moment.
    let gone = async {
        while fs::read_dir("/proc").unwrap().flatten().any(zombie) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, gone).await.expect("none is left");
}

#[tokio::test]
async fn a_run_in_progress_is_not_overlapped_and_not_blamed() {
    let place = Place::new("overlap");
    let script = format!("echo > {0}/began; while [ ! -e {0}/go ]; do sleep 0.01; done", place.0.display());
    let first = place.script(LONG, &script);
    let second = place.script(LONG, "exit 0");
    let overlapping = async {
        place.appears("began").await;
        let code = job(&second).await;
        let during = place.record();
        fs::write(place.0.join("go"), "").unwrap();
        (code, during)
    };
    let (code, (refused, during)) = tokio::join!(job(&first), overlapping);
    assert_eq!((code, refused), (0, EXIT_OVERLAP));
    let running = during.running.unwrap();
    assert!(running.pid > 0 && during.last.is_none());
    let record = place.record();
    assert_eq!((record.consecutive_failures, record.last.unwrap().end), (0, RunEnd::Exit(0)));
}

#[tokio::test]
async fn an_rsync_that_its_wrapper_left_behind_is_waited_for_and_then_ended() {
    let place = Place::new("orphan");
    let mut orphan = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let pid = orphan.id().unwrap();
    let mut record = RsyncRecord::default();
    let pid_started = process_start(pid);
    record.running = Some(RunningRun { started: Stamp::now(), pid, pid_started });
    record.save(&record_path(&place.0, Some("shop"))).unwrap();
    assert_eq!(job(&place.script(LONG, "exit 0")).await, EXIT_OVERLAP, "it is within its deadline");
    let late = place.script(Duration::from_nanos(1), "exit 0");
    let (code, status) = tokio::join!(job(&late), orphan.wait());
    assert_eq!(how_it_ended(status.unwrap()), RunEnd::Signal(15));
    assert!([0, EXIT_DEADLINE].contains(&code), "{code}");
    assert_eq!(place.record().running, None);
}

#[tokio::test]
async fn an_rsync_that_cannot_be_started_is_a_failure() {
    let place = Place::new("missing");
    let mut args = place.script(LONG, "");
    args.rsync_path = PathBuf::from("/nowhere/rsync");
    assert_eq!(job(&args).await, 127);
    assert_eq!(place.record().consecutive_failures, 1);
}

#[tokio::test]
async fn a_damaged_record_or_no_state_directory_stops_no_copy() {
    let place = Place::new("damaged");
    let path = record_path(&place.0, Some("shop"));
    fs::write(&path, "{").unwrap();
    assert_eq!(job(&place.script(LONG, "exit 0")).await, 0);
    assert!(place.record().last_good_start.is_some());
    assert_eq!(fs::read_to_string(path.with_extension("json.damaged")).unwrap(), "{");
    let mut args = place.script(LONG, "exit 7");
    args.state_directory = PathBuf::from("/proc/nowhere");
    assert_eq!(job(&args).await, 7);
}

#[tokio::test]
async fn real_rsync_copies_and_tells_what_it_did() {
    let place = Place::new("real");
    let (from, to) = (place.0.join("from/"), place.0.join("to/"));
    fs::create_dir_all(&from).unwrap();
    fs::write(from.join("a"), "12345").unwrap();
    let mut args = place.script(LONG, "");
    args.rsync_path = PathBuf::from("rsync");
    let arguments = |flag: &str| vec!["-a".into(), flag.into(), from.clone().into(), to.clone().into()];
    args.arguments = arguments("--dry-run");
    assert_eq!(job(&args).await, 0);
    assert!(!to.exists());
    assert_eq!(place.record(), RsyncRecord::default(), "a dry run is no run");
    args.arguments = arguments("--stats");
    assert_eq!(job(&args).await, 0);
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "12345");
    let last = place.record().last.unwrap();
    assert_eq!((last.end, last.files, last.bytes), (RunEnd::Exit(0), Some(1), Some(5)));
    fs::remove_dir_all(&from).unwrap();
    assert_eq!(job(&args).await, 23);
    assert_eq!(place.record().consecutive_failures, 1);
}
