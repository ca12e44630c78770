//! What one agent asks the other of a store that nobody else reaches, and its answers: reads only, each bounded in number and size.
//!
//! `answering` is the side at the store, `asking` the side that takes the answers for a store's own. What a version does not know it
//! refuses by name; nothing is guessed from an answer that was not understood.

mod answering;
mod asking;

pub use answering::{OwnStore, Replied};
pub(super) use asking::PeerStore;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::canary::Mark;
use super::observe::Seen;
use super::store::Identity;
use crate::facts::Failure;

/// The path of the door, beside that for a node's readings.
pub const PATH: &str = "/api/v1/node/store";

/// A question is this long at most, in bytes.
pub const MAX_QUESTION: usize = 128 << 10;
/// An answer is.
const MAX_ANSWER: usize = 256 << 10;

/// So many keys are asked for at once at most.
const MAX_KEYS: usize = 64;
/// A key that travels is this long at most, in bytes; longer ones are not compared.
const MAX_KEY: usize = 1024;

/// One question.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    /// The version of the agents' exchange that it is made by.
    protocol: u32,
    ask: Ask,
}

/// What may be asked. Nothing here writes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    /// The canary under this key, which must be one of the pair's.
    Canary(String),
    /// Who the server is.
    Identity,
    /// How many keys there are, and so many at random.
    Random(u32),
    /// What there is under these keys.
    Keys(Vec<Key>),
    /// Whether this key goes away by itself.
    Expires(Key),
}

/// A key as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key(Vec<u8>);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key = BASE64.decode(text).map_err(serde::de::Error::custom)?;
        if key.len() > MAX_KEY {
            return Err(serde::de::Error::custom("a key is too long"));
        }
        Ok(Self(key))
    }
}

/// What every version of an answer has.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    protocol: u32,
    readable_by: u32,
    version: String,
    pair: String,
    node: String,
}

/// One answer.
#[derive(Debug, Serialize)]
struct Reply {
    #[serde(flatten)]
    envelope: Envelope,
    /// Reads of keys and values that the store was asked for.
    reads: usize,
    told: Told,
}

/// The rest of an answer, of the versions that are understood.
#[derive(Debug, Deserialize)]
struct Body {
    reads: usize,
    told: Told,
}

/// What the store says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Canary(Option<Stored>),
    /// `None`: its kind does not tell.
    Identity(Option<Server>),
    Random {
        size: Option<u64>,
        keys: Vec<Key>,
    },
    Keys(Vec<Seen>),
    Expires(bool),
    /// The store could not be asked.
    Failed(Failure),
}

/// A canary's mark.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    sequence: u64,
    nonce: u64,
}

/// What a server says of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Server {
    run_id: String,
    uptime_seconds: u64,
    evicted: u64,
    evicts: bool,
}

impl From<Mark> for Stored {
    fn from(Mark { sequence, nonce }: Mark) -> Self {
        Self { sequence, nonce }
    }
}

impl From<Stored> for Mark {
    fn from(Stored { sequence, nonce }: Stored) -> Self {
        Self { sequence, nonce }
    }
}

impl From<Identity> for Server {
    fn from(Identity { run_id, uptime, evicted, evicts }: Identity) -> Self {
        Self { run_id, uptime_seconds: uptime.as_secs(), evicted, evicts }
    }
}

impl From<Server> for Identity {
    fn from(Server { run_id, uptime_seconds, evicted, evicts }: Server) -> Self {
        Self { run_id, uptime: Duration::from_secs(uptime_seconds), evicted, evicts }
    }
}

#[cfg(test)]
mod tests;
