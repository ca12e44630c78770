//! The program that names the primary, for pairs without PostgreSQL: run anew each time, bounded in time and output.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// A program that takes longer is killed, with everything that it has started.
pub(super) const DEADLINE: Duration = Duration::from_secs(4);
/// More than this names no node.
const MOST_BYTES: u64 = 4096;

/// What the program printed, if it ended well within `deadline`.
///
/// # Errors
/// It could not be started, took too long, printed too much, or ended with another code than 0.
pub(super) async fn output(command: &[String], deadline: Duration) -> io::Result<String> {
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Also when this very task is ended before the program is.
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let run = async {
        let mut text = String::new();
        stdout.take(MOST_BYTES + 1).read_to_string(&mut text).await?;
        if text.len() as u64 > MOST_BYTES {
            return Err(io::Error::other("it prints too much"));
        }
        let status = child.wait().await?;
        if status.success() { Ok(text) } else { Err(io::Error::other(format!("it ended with {status}"))) }
    };
    let result = timeout(deadline, run).await;
    drop(group);
    // Reaped also where it was killed just now.
    let _ = child.wait().await;
    result.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")))
}

/// A process group that does not outlive its use.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody there any more is what was wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, deadline: Duration) -> io::Result<String> {
        output(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], deadline).await
    }

    #[tokio::test]
    async fn the_first_word_of_a_good_end_is_believed_only() {
        let usual = Duration::from_secs(20);
        assert_eq!(shell("echo alpha is it", usual).await.unwrap(), "alpha is it\n");
        assert!(shell("echo alpha; exit 3", usual).await.unwrap_err().to_string().contains('3'));
        assert!(shell("yes alpha", usual).await.unwrap_err().to_string().contains("too much"));
        assert!(output(&["/no/such/program".to_owned()], usual).await.is_err());
    }

    #[tokio::test]
    async fn one_that_hears_no_signal_is_killed_with_its_children() {
        let place = std::env::temp_dir().join(format!("standbywatch-exec-{}", std::process::id()));
        let script = format!("trap '' TERM; sleep 60 & echo $! >{}; sleep 60", place.display());
        let error = shell(&script, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let child: u32 = std::fs::read_to_string(&place).unwrap().trim().parse().unwrap();
        // Killed, it may still have to be reaped by whoever inherits it.
        while crate::rsync_record::process_start(child).is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::fs::remove_file(&place).unwrap();
    }

    #[tokio::test]
    async fn no_zombie_after_a_thousand_runs() {
        let usual = Duration::from_secs(20);
        for run in 0..1000 {
            // Every tenth is ended from here.
            let (command, deadline) = if run % 10 == 0 { ("sleep 60", Duration::ZERO) } else { ("true", usual) };
            let command: Vec<_> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(output(&command, deadline).await.is_ok(), run % 10 != 0);
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
        timeout(Duration::from_secs(10), gone).await.expect("none is left");
    }
}
