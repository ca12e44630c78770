//! The program that names the primary, for pairs without PostgreSQL: run anew each time, bounded in time and output.

use std::io;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use crate::probe::program::{self, Silent};

/// A program that takes longer is killed, with everything that it has started.
pub(super) const DEADLINE: Duration = Duration::from_secs(4);
/// More than this names no node.
const MOST_BYTES: u64 = 4096;

/// What the program printed, if it ended well within `deadline`.
///
/// # Errors
/// It could not be started, took too long, printed too much, or ended with another code than 0.
pub(super) async fn output(command: &[String], deadline: Duration) -> io::Result<String> {
    let (name, arguments) = command.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let mut command = Command::new(name);
    command.args(arguments);
    let said = program::ask(command, Instant::now() + deadline, MOST_BYTES).await.map_err(|silent| match silent {
        Silent::NotStarted(error) => error,
        Silent::TookTooLong | Silent::DidNotEnd => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        Silent::SaidTooMuch => io::Error::other("it prints too much"),
    })?;
    if !said.status.success() {
        return Err(io::Error::other(format!("it ended with {}", said.status)));
    }
    String::from_utf8(said.out).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
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
    async fn one_that_hears_no_signal_is_not_waited_for() {
        let error = shell("trap '' TERM; sleep 60 & sleep 60", Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
