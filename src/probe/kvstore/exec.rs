//! A store that is asked by commands of the operator. Key and value stand in the environment, where no shell takes them apart.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::store::WriteFailure;
use crate::config::ExecStoreNode;
use crate::facts::Failure;
use crate::names::{FailureKind, Name};

/// What is read of an answer.
const MOST: u64 = 1 << 20;

/// One node's store.
pub struct ExecStore {
    node: Name,
    settings: ExecStoreNode,
}

/// A started command with all that it started. Whatever becomes of the one who waits for it, the group is ended.
struct Group(Child, Option<Pid>);

impl Group {
    fn end(&mut self) {
        if let Some(group) = self.1.take() {
            // It has ended already if this fails.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a command ended and what it said.
struct Said {
    status: ExitStatus,
    out: Vec<u8>,
    err: String,
}

impl ExecStore {
    /// Nothing is started before it is needed.
    pub const fn new(node: Name, settings: ExecStoreNode) -> Self {
        Self { node, settings }
    }

    /// Writes `value` under `key`.
    ///
    /// # Errors
    /// With the failure, whether the write may have left: yes, once the command ran.
    pub async fn put(&self, deadline: Instant, key: &str, value: &str, ttl: Duration) -> Result<(), WriteFailure> {
        let said = self.run(deadline, "put", &self.settings.put, key, Some((value, ttl))).await;
        let said = said.map_err(|failure| {
            let sent = failure.kind == FailureKind::Timeout;
            WriteFailure { failure, sent }
        })?;
        if said.status.success() {
            return Ok(());
        }
        Err(WriteFailure { failure: self.failed("put", &said), sent: true })
    }

    /// What the command prints, without the line end after it; nothing is no such key.
    ///
    /// # Errors
    /// A closed kind; another exit code than 0 is `refused`.
    pub async fn get(&self, deadline: Instant, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let said = self.run(deadline, "get", &self.settings.get, key, None).await?;
        if !said.status.success() {
            return Err(self.failed("get", &said));
        }
        let value = said.out.trim_ascii_end().to_vec();
        Ok((!value.is_empty()).then_some(value))
    }

    /// Takes `key` away, if a command for that is configured.
    ///
    /// # Errors
    /// A closed kind.
    pub async fn delete(&self, deadline: Instant, key: &str) -> Result<(), Failure> {
        let Some(delete) = &self.settings.delete else { return Ok(()) };
        self.run(deadline, "delete", delete, key, None).await.map(drop)
    }

    async fn run(
        &self,
        deadline: Instant,
        operation: &str,
        words: &[String],
        key: &str,
        written: Option<(&str, Duration)>,
    ) -> Result<Said, Failure> {
        let (node, program) = (&self.node, words.first().map_or("", String::as_str));
        let mut command = Command::new(program);
        command.args(words.iter().skip(1)).env("STANDBYWATCH_OPERATION", operation);
        command.env("STANDBYWATCH_NODE", node.as_str()).env("STANDBYWATCH_KEY", key);
        if let Some((value, ttl)) = written {
            command.env("STANDBYWATCH_VALUE", value).env("STANDBYWATCH_TTL_SECONDS", ttl.as_secs().max(1).to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => FailureKind::Permission,
                _ => FailureKind::Unreachable,
            };
            Failure::new(kind, format!("the {operation} command of {node} ({program}) cannot be started: {error}"))
        })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut group = Group(child, group);
        let (out, err) = (group.0.stdout.take(), group.0.stderr.take());
        let talking = async {
            // What was read of one that says too much is dropped with its pipe, and it ends by that or at the deadline.
            tokio::join!(read(out, MOST), read(err, 4096))
        };
        let Ok((out, err)) = timeout_at(deadline, talking).await else {
            group.end();
            // Killed, so this does not wait; it takes the zombie away.
            let _ = group.0.wait().await;
            let message = format!("the {operation} command of {node} ({program}) took too long and was ended");
            return Err(Failure::new(FailureKind::Timeout, message));
        };
        let ended = timeout_at(deadline, group.0.wait()).await;
        let Ok(Ok(status)) = ended else {
            group.end();
            let _ = group.0.wait().await;
            let message = format!("the {operation} command of {node} ({program}) did not end and was ended");
            return Err(Failure::new(FailureKind::Timeout, message));
        };
        // Reaped: its number may be another's by now.
        group.1 = None;
        Ok(Said { status, out, err: String::from_utf8_lossy(&err).into_owned() })
    }

    fn failed(&self, operation: &str, said: &Said) -> Failure {
        let line = said.err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        let line: String = line.chars().take(200).collect();
        let message = format!("the {operation} command of {} ended with {}: {line}", self.node, said.status);
        Failure::new(FailureKind::Refused, message)
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        // A broken pipe ends what is read, as its end does.
        let _ = pipe.take(most).read_to_end(&mut text).await;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(put: &str, get: &str) -> ExecStore {
        let script = |text: &str| ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
        let settings = ExecStoreNode { put: script(put), get: script(get), delete: None };
        ExecStore::new(Name::new("beta"), settings)
    }

    fn within(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    const LONG: u64 = 20_000;

    #[tokio::test]
    async fn key_and_value_stand_in_the_environment() {
        let store = shell("test \"$STANDBYWATCH_KEY$STANDBYWATCH_VALUE\" = 'a b$(id)'", "echo \"<$STANDBYWATCH_KEY>\"");
        store.put(within(LONG), "a b", "$(id)", Duration::from_secs(60)).await.unwrap();
        assert_eq!(store.get(within(LONG), "k;id").await.unwrap(), Some(b"<k;id>".to_vec()));
        assert_eq!(shell("", "true").get(within(LONG), "k").await.unwrap(), None, "nothing printed");
    }

    #[tokio::test]
    async fn exit_codes_and_missing_programs_have_their_kinds() {
        let failure = shell("", "echo down >&2; exit 3").get(within(LONG), "k").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.contains("down") && failure.message.contains('3'), "{failure}");
        let refused = shell("exit 1", "").put(within(LONG), "k", "v", Duration::ZERO).await.unwrap_err();
        assert!(refused.sent && refused.failure.kind == FailureKind::Refused);
        let settings =
            ExecStoreNode { put: vec!["/nonexistent".into()], get: vec!["/etc/passwd".into()], delete: None };
        let store = ExecStore::new(Name::new("beta"), settings);
        let not_there = store.put(within(LONG), "k", "v", Duration::ZERO).await.unwrap_err();
        assert!(!not_there.sent && not_there.failure.kind == FailureKind::Unreachable);
        assert_eq!(store.get(within(LONG), "k").await.unwrap_err().kind, FailureKind::Permission);
    }

    /// It ignores SIGTERM, leaves a child that holds the pipe, and is gone at the deadline with it.
    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_group() {
        let store = shell("", "trap '' TERM; echo $$ >&2; sleep 900 & wait");
        let failure = store.get(within(300), "k").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout);
        let background = shell("", "sleep 901 & echo value");
        assert_eq!(background.get(within(300), "k").await.unwrap_err().kind, FailureKind::Timeout);
        let running = |entry: std::fs::DirEntry| {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { return false };
            [&b"sleep\x00900\0"[..], b"sleep\x00901\0"].contains(&line.as_slice())
        };
        let gone = async {
            while std::fs::read_dir("/proc").unwrap().flatten().any(running) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("its children are gone");
    }

    #[tokio::test]
    async fn no_zombie_after_a_thousand_runs() {
        let store = shell("", "exit 0");
        for _ in 0..1000 {
            store.get(within(LONG), "k").await.unwrap();
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
