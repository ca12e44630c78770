//! The side at the store: answers the other agents' questions from a connection of its own, one question after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{Ask, Envelope, Key, MAX_KEY, MAX_KEYS, Question, Reply, Told};
use crate::config::{Observe, PairConfig};
use crate::facts::{Failure, OLDEST_PROTOCOL, PROTOCOL};
use crate::names::{FailureKind, Name};
use crate::probe::kvstore::observe::{Pace, Side};
use crate::probe::kvstore::store::Store;
use crate::units::duration_text;

/// The store of this agent's own node, as the others ask for it.
pub struct OwnStore {
    pair: Name,
    node: Name,
    prefix: String,
    observe: Observe,
    timeout: Duration,
    held: Mutex<Held>,
}

struct Held {
    store: Store,
    pace: Pace,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replied {
    /// The answer, as JSON.
    Here(String),
    /// It is none that is answered here, and why.
    Refused(String),
}

impl OwnStore {
    /// The store of the node that this process is the agent of, where it has one. Connects when it is first asked.
    pub fn of(pair: &PairConfig) -> Option<Self> {
        let (seat, channel) = (pair.seat.as_ref()?, pair.kvstore.as_ref()?);
        let store = pair.node(&seat.node)?.kvstore.as_ref()?;
        if !channel.own_only.contains(&seat.node) {
            return None;
        }
        Some(Self {
            pair: pair.name.clone(),
            node: seat.node.clone(),
            prefix: channel.prefix.clone(),
            observe: channel.observe.clone(),
            timeout: channel.schedule.timeout,
            held: Mutex::new(Held { store: Store::new(&seat.node, store), pace: Pace::default() }),
        })
    }

    /// Answers one question.
    pub async fn reply(&self, question: &[u8]) -> Replied {
        let version = env!("CARGO_PKG_VERSION");
        let question: Question = match serde_json::from_slice(question) {
            Ok(question) => question,
            Err(error) => {
                return Replied::Refused(format!("version {version} does not understand the question: {error}"));
            }
        };
        if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&question.protocol) {
            let said = question.protocol;
            return Replied::Refused(format!(
                "version {version} speaks version {PROTOCOL} of the agents' exchange, and the question is of version {said}"
            ));
        }
        if let Err(why) = self.may_ask(&question.ask) {
            return Replied::Refused(why);
        }
        let (told, reads) = match timeout(self.timeout, self.ask(question.ask)).await {
            Ok((Ok(told), reads)) => (told, reads),
            Ok((Err(failure), reads)) => (Told::Failed(failure), reads),
            Err(_) => {
                let message = format!(
                    "the store of {} did not answer its own agent within {}",
                    self.node,
                    duration_text(self.timeout)
                );
                (Told::Failed(Failure::new(FailureKind::Timeout, message)), 0)
            }
        };
        let envelope = Envelope {
            protocol: PROTOCOL,
            readable_by: OLDEST_PROTOCOL,
            version: version.to_owned(),
            pair: self.pair.to_string(),
            node: self.node.to_string(),
        };
        match serde_json::to_string(&Reply { envelope, reads, told }) {
            Ok(text) => Replied::Here(text + "\n"),
            Err(error) => Replied::Refused(error.to_string()),
        }
    }

    /// Only what this configuration has the agents look at.
    fn may_ask(&self, ask: &Ask) -> Result<(), String> {
        let named = |Key(key): &Key| self.observe.keys.iter().any(|name| name.as_bytes() == key);
        let compared = |key: &Key| self.observe.sample > 0 || named(key);
        let fits = match ask {
            Ask::Canary(key) => {
                key.len() <= MAX_KEY && key.starts_with(&format!("{}/{}/", self.prefix, self.pair.as_str()))
            }
            Ask::Identity => true,
            Ask::Random(count) => *count <= self.observe.sample,
            Ask::Keys(keys) => keys.len() <= MAX_KEYS && keys.iter().all(compared),
            Ask::Expires(key) => compared(key),
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "what is asked for is nothing that the configuration of {} lets be looked at: give all agents the same file",
            self.node
        ))
    }

    async fn ask(&self, ask: Ask) -> (Result<Told, Failure>, usize) {
        let mut held = self.held.lock().await;
        let Held { store, pace } = &mut *held;
        let deadline = Instant::now() + self.timeout;
        match ask {
            Ask::Canary(key) => {
                let told = store.mark(deadline, &key).await;
                return (told.map(|mark| Told::Canary(mark.map(Into::into))), 0);
            }
            Ask::Identity => {
                let told = store.identity(deadline).await;
                return (told.map(|identity| Told::Identity(identity.map(Into::into))), 0);
            }
            Ask::Random(_) | Ask::Keys(_) | Ask::Expires(_) => {}
        }
        let mut side = Side { store, pace, timeout: self.timeout, reads: 0 };
        let told = compared(&mut side, ask, &self.prefix).await;
        (told, side.reads)
    }
}

async fn compared(side: &mut Side<'_>, ask: Ask, prefix: &str) -> Result<Told, Failure> {
    match ask {
        Ask::Random(count) => {
            let own = format!("{prefix}/").into_bytes();
            let (size, keys) = side.sample(count as usize, &own).await?;
            let keys: BTreeSet<Vec<u8>> = keys.into_iter().filter(|key| key.len() <= MAX_KEY).collect();
            Ok(Told::Random { size, keys: keys.into_iter().map(Key).collect() })
        }
        Ask::Keys(keys) => {
            let keys: Vec<Vec<u8>> = keys.into_iter().map(|Key(key)| key).collect();
            Ok(Told::Keys(side.seen(&keys).await?))
        }
        Ask::Expires(Key(key)) => Ok(Told::Expires(side.expires(&key).await?)),
        Ask::Canary(_) | Ask::Identity => {
            Err(Failure::new(FailureKind::Protocol, "this is no question of a comparison"))
        }
    }
}
