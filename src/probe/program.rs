//! A program of the operator's that is asked something: bounded in time and output, and gone at the end with all that it started.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// So much is read of what it complains about.
const MOST_COMPLAINTS: u64 = 4096;

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: Vec<u8>,
    /// The beginning of its standard error.
    pub err: String,
}

/// Why a program told nothing.
#[derive(Debug)]
pub enum Silent {
    /// It could not be started.
    NotStarted(io::Error),
    /// It was still talking, or something that it started was, when its time ran out.
    TookTooLong,
    /// It had said all, and did not end.
    DidNotEnd,
    /// It said more than may be read.
    SaidTooMuch,
}

/// A started program with all that it started. Whatever becomes of the one who waits for it, the group is ended.
struct Group(Child, Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.1 {
            // Nobody there any more is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `command` until `deadline`, with nothing to read, and takes in at most `most` bytes of what it prints.
///
/// # Errors
/// It told nothing; see [`Silent`]. It has ended then, too.
pub async fn ask(mut command: Command, deadline: Instant, most: u64) -> Result<Said, Silent> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).kill_on_drop(true).spawn().map_err(Silent::NotStarted)?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut group = Group(child, group);
    let told = listen(&mut group.0, deadline, most).await;
    // Also what it left behind. As long as one of them is there the group's number is nobody else's.
    if let Some(group) = group.1.take() {
        let _ = kill_process_group(group, Signal::KILL);
    }
    // It has ended or was killed, so this does not wait; it takes the zombie away.
    let _ = group.0.wait().await;
    told
}

async fn listen(child: &mut Child, deadline: Instant, most: u64) -> Result<Said, Silent> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let talking = async {
        let said = async {
            let out = read(out, most.saturating_add(1), false).await;
            if out.len() as u64 > most { Err(Silent::SaidTooMuch) } else { Ok(out) }
        };
        let complaints = async { Ok(read(err, MOST_COMPLAINTS, true).await) };
        tokio::try_join!(said, complaints)
    };
    let (out, err) = timeout_at(deadline, talking).await.map_err(|_| Silent::TookTooLong)??;
    match timeout_at(deadline, child.wait()).await {
        Ok(Ok(status)) => Ok(Said { status, out, err: String::from_utf8_lossy(&err).into_owned() }),
        _ => Err(Silent::DidNotEnd),
    }
}

/// The beginning of what comes, and to the end of it where the rest is let pass.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64, rest: bool) -> Vec<u8> {
    let mut text = Vec::new();
    let Some(mut pipe) = pipe else { return text };
    // A broken pipe ends what is read, as its end does.
    let _ = (&mut pipe).take(most).read_to_end(&mut text).await;
    if rest {
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn shell(script: &str, deadline: Duration) -> Result<Said, Silent> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        ask(command, Instant::now() + deadline, 10).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_it_says_and_how_it_ends() {
        let said = shell("echo alpha; echo no >&2; exit 3", LONG).await.unwrap();
        assert_eq!((said.out.as_slice(), said.err.as_str(), said.status.code()), (&b"alpha\n"[..], "no\n", Some(3)));
        assert!(matches!(shell("yes alpha", LONG).await, Err(Silent::SaidTooMuch)), "though it would never end");
        let chatty = shell("head -c 300000 /dev/zero >&2 && echo alpha", LONG).await.unwrap();
        assert_eq!((chatty.out.as_slice(), chatty.err.len()), (&b"alpha\n"[..], 4096), "complaining ends nobody");
        assert!(matches!(shell("exec >&- 2>&-; sleep 60", Duration::from_millis(300)).await, Err(Silent::DidNotEnd)));
        let missing = ask(Command::new("/no/such/program"), Instant::now() + LONG, 10).await;
        assert!(matches!(missing, Err(Silent::NotStarted(_))), "{missing:?}");
    }

    /// The process in this file, once it is written there, has ended; killed, it may still have to be reaped by whoever inherits it.
    async fn gone(place: &std::path::Path) {
        let child: u32 = std::fs::read_to_string(place).unwrap().trim().parse().unwrap();
        let gone = async {
            while crate::rsync_record::process_start(child).is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, gone).await.expect("it is gone");
        std::fs::remove_file(place).unwrap();
    }

    #[tokio::test]
    async fn whatever_it_started_is_gone_with_it() {
        let place = std::env::temp_dir().join(format!("standbywatch-program-{}", std::process::id()));
        let leaves = |how: &str| format!("trap '' TERM; sleep 60 {how} & echo $! >{}; ", place.display());
        // One that hears no signal and hangs; one that ends while its child holds the pipe; one whose child holds none.
        let hangs = shell(&(leaves("") + "sleep 60"), Duration::from_secs(2)).await;
        assert!(matches!(hangs, Err(Silent::TookTooLong)), "{hangs:?}");
        gone(&place).await;
        let holds = shell(&leaves(""), Duration::from_secs(2)).await;
        assert!(matches!(holds, Err(Silent::TookTooLong)), "{holds:?}");
        gone(&place).await;
        assert!(shell(&leaves(">&- 2>&-"), LONG).await.is_ok());
        gone(&place).await;
        // And where nobody waits for it any more.
        let nobody = tokio::spawn({
            let script = leaves("") + "sleep 60";
            async move { shell(&script, LONG).await }
        });
        let written = async {
            while std::fs::read_to_string(&place).map_or(true, |text| !text.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, written).await.expect("it has started");
        nobody.abort();
        gone(&place).await;
    }

    #[tokio::test]
    async fn no_zombie_after_a_thousand_runs() {
        for run in 0..1000 {
            // Every tenth is ended from here.
            let (mut command, deadline) =
                if run % 10 == 0 { (Command::new("sleep"), Duration::ZERO) } else { (Command::new("true"), LONG) };
            command.arg("60");
            assert_eq!(ask(command, Instant::now() + deadline, 10).await.is_ok(), run % 10 != 0);
        }
        let own = std::process::id();
        let zombie = |entry: std::fs::DirEntry| {
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { return false };
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(&format!("Z {own} ")))
        };
        // Other tests of this process may have one for a moment.
        let gone = async {
            while std::fs::read_dir("/proc").unwrap().flatten().any(zombie) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("none is left");
    }
}
