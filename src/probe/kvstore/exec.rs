//! A store that is asked by commands of the operator. Key and value stand in the environment, where no shell takes them apart.

use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::store::WriteFailure;
use crate::config::ExecStoreNode;
use crate::facts::Failure;
use crate::names::{FailureKind, Name};
use crate::probe::program::{self, Said, Silent};

/// What is read of an answer.
const MOST: u64 = 1 << 20;

/// One node's store.
pub struct ExecStore {
    node: Name,
    settings: ExecStoreNode,
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
            let sent = !matches!(failure.kind, FailureKind::Permission | FailureKind::Unreachable);
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
        let (node, name) = (&self.node, words.first().map_or("", String::as_str));
        let mut command = Command::new(name);
        command.args(words.iter().skip(1)).env("STANDBYWATCH_OPERATION", operation);
        command.env("STANDBYWATCH_NODE", node.as_str()).env("STANDBYWATCH_KEY", key);
        if let Some((value, ttl)) = written {
            command.env("STANDBYWATCH_VALUE", value).env("STANDBYWATCH_TTL_SECONDS", ttl.as_secs().max(1).to_string());
        }
        program::ask(command, deadline, MOST).await.map_err(|silent| {
            let of = format!("the {operation} command of {node} ({name})");
            match silent {
                Silent::NotStarted(error) => {
                    let kind = match error.kind() {
                        std::io::ErrorKind::PermissionDenied => FailureKind::Permission,
                        _ => FailureKind::Unreachable,
                    };
                    Failure::new(kind, format!("{of} cannot be started: {error}"))
                }
                Silent::TookTooLong => Failure::new(FailureKind::Timeout, format!("{of} took too long and was ended")),
                Silent::DidNotEnd => Failure::new(FailureKind::Timeout, format!("{of} did not end and was ended")),
                Silent::SaidTooMuch => Failure::new(FailureKind::TooLarge, format!("{of} prints more than a value")),
            }
        })
    }

    fn failed(&self, operation: &str, said: &Said) -> Failure {
        let line = said.err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        let line: String = line.chars().take(200).collect();
        let message = format!("the {operation} command of {} ended with {}: {line}", self.node, said.status);
        Failure::new(FailureKind::Refused, message)
    }
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
    async fn more_than_a_value_is_no_value() {
        let store = shell("yes", "yes");
        assert_eq!(store.get(within(LONG), "k").await.unwrap_err().kind, FailureKind::TooLarge);
        let written = store.put(within(LONG), "k", "v", Duration::ZERO).await.unwrap_err();
        assert!(written.sent && written.failure.kind == FailureKind::TooLarge, "it ran");
    }
}
