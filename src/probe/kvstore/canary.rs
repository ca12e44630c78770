//! One canary: a small value that is written to both stores and looked for again.

use std::fmt;
use std::time::Duration;

use crate::names::Lane;

/// The agent that writes: what its keys and values are told by. New for each state file, so that two agents on one
/// machine never overwrite each other's canaries, and the same after a restart, so that a few keys are all there ever is.
#[derive(Clone, Debug)]
pub struct Writer {
    agent: String,
    boot: String,
}

impl Writer {
    /// This process: the machine's name and four random bytes.
    pub fn this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let boot = crate::clock::boot_id().map_or_else(|_| "-".to_owned(), |boot| boot.0);
        Self { agent: format!("{}-{:08x}", one_word(&host), fastrand::u32(..)), boot: one_word(&boot) }
    }

    /// The same as before a restart, where one is remembered.
    pub fn resumed(mut self, agent: &str) -> Self {
        if !agent.is_empty() {
            self.agent = one_word(agent);
        }
        self
    }

    /// What is to be remembered.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The key of a lane: `<prefix>/<pair>/<agent>/<lane>`.
    pub fn key(&self, prefix: &str, pair: &str, lane: Lane) -> String {
        format!("{prefix}/{pair}/{}/{lane}", self.agent)
    }

    /// A canary with a nonce of its own.
    pub fn canary(&self, sequence: u64) -> Canary {
        Canary { mark: Mark { sequence, nonce: fastrand::u64(..) }, writer: self.clone() }
    }
}

/// Letters, digits, `.`, `-`, `_`; anything else becomes `_`.
fn one_word(text: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    text.chars().take(64).map(word).collect()
}

/// What canaries are compared by. Never a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Goes up by one with each canary.
    pub sequence: u64,
    /// Random, so that an equal sequence of an earlier process is another canary.
    pub nonce: u64,
}

/// One canary. Its text is what is stored.
#[derive(Clone, Debug)]
pub struct Canary {
    /// What it is recognised by.
    pub mark: Mark,
    writer: Writer,
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Writer { agent, boot }, Mark { sequence, nonce }) = (&self.writer, &self.mark);
        write!(f, "agent={agent} boot={boot} sequence={sequence} nonce={nonce:016x}")
    }
}

impl Mark {
    /// The mark in a stored value; `None` where it is not a canary.
    pub fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value.get(..value.len().min(512))?).ok()?;
        let field = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(Self { sequence: field("sequence")?.parse().ok()?, nonce: u64::from_str_radix(field("nonce")?, 16).ok()? })
    }
}

/// How long a canary is kept by the store: three cycles and more, so that nothing of an agent that is gone stays behind.
pub fn time_to_live(interval: Duration) -> Duration {
    interval.saturating_mul(3).max(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_canary_is_recognised_by_its_text(sequence: u64) {
            let canary = Writer::this_process().canary(sequence);
            prop_assert_eq!(Mark::read(canary.to_string().as_bytes()), Some(canary.mark));
        }

        #[test]
        fn no_value_crashes_the_reader(value in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Mark::read(&value);
        }
    }

    #[test]
    fn equal_sequences_are_different_canaries() {
        let writer = Writer::this_process();
        assert_ne!(writer.canary(7).mark, writer.canary(7).mark);
        let key = |writer: &Writer| writer.key("p", "q", Lane::Fast);
        assert_ne!(key(&writer), key(&Writer::this_process()), "keys of its own");
        assert_eq!(key(&writer), key(&Writer::this_process().resumed(writer.agent())), "the same after a restart");
    }

    #[test]
    fn canaries_live_for_a_minute_or_three_cycles() {
        assert_eq!(time_to_live(Duration::from_secs(5)), Duration::from_secs(60));
        assert_eq!(time_to_live(Duration::from_secs(50)), Duration::from_secs(150));
    }
}
