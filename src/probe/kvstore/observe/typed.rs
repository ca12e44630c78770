//! Reads of keys as what they are. Not by `DUMP`: two servers may keep equal data in different encodings.

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value, cmd};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::pace::Pace;
use super::{BATCH, Key, State};
use crate::facts::Failure;
use crate::names::FailureKind;
use crate::probe::kvstore::redis::RedisStore;
use crate::probe::kvstore::store::Store;

/// Larger values are compared by their length only.
const LARGEST: u64 = 64 << 10;

/// The same for the elements of a collection.
const MOST_ELEMENTS: u64 = 1024;

/// No single question to another agent costs more reads.
const MOST_OWED: usize = 256;

/// A type that is compared: its name, how its length is asked, how its value.
struct Type {
    name: &'static str,
    length: &'static str,
    value: &'static [&'static str],
    /// Pairs or elements come in no order.
    unordered: Option<usize>,
}

const TYPES: [Type; 6] = [
    Type { name: "string", length: "STRLEN", value: &["GET"], unordered: None },
    Type { name: "hash", length: "HLEN", value: &["HGETALL"], unordered: Some(2) },
    Type { name: "list", length: "LLEN", value: &["LRANGE", "0", "-1"], unordered: None },
    Type { name: "set", length: "SCARD", value: &["SMEMBERS"], unordered: Some(1) },
    Type { name: "zset", length: "ZCARD", value: &["ZRANGE", "0", "-1", "WITHSCORES"], unordered: None },
    Type { name: "stream", length: "XLEN", value: &["XRANGE", "-", "+"], unordered: None },
];

fn command(words: &[&str], key: &[u8]) -> Cmd {
    let mut command = cmd(words.first().copied().unwrap_or("PING"));
    command.arg(key);
    for word in words.iter().skip(1) {
        command.arg(*word);
    }
    command
}

fn pipeline(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut pipeline = redis::pipe();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}

/// What one store knows of a key before it is read.
struct Size {
    kind: Option<&'static Type>,
    absent: bool,
    /// `None`: it is another type by now, or gone.
    length: Option<u64>,
    small: bool,
}

/// What one store has under a key, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Nothing.
    Absent,
    /// A type that is not compared.
    Other,
    /// Something that is.
    Here(Content),
}

/// A value by what it is compared by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its type.
    kind: String,
    /// Bytes of a string, elements of anything else. `None`: it has changed while it was looked at.
    length: Option<u64>,
    /// Of type and whole value; `None`: too large to be read.
    digest: Option<String>,
}

/// One store as it is read to be compared, at the pace that is allowed.
pub(in crate::probe::kvstore) struct Side<'a> {
    pub(in crate::probe::kvstore) store: &'a mut Store,
    pub(in crate::probe::kvstore) pace: &'a mut Pace,
    /// Each exchange with the store has this long.
    pub(in crate::probe::kvstore) timeout: Duration,
    /// Reads that were made.
    pub(in crate::probe::kvstore) reads: usize,
}

impl Side<'_> {
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// How many keys the database has, and keys at random; the probe's own are left out.
    pub(in crate::probe::kvstore) async fn sample(
        &mut self,
        count: usize,
        own: &[u8],
    ) -> Result<(Option<u64>, Vec<Key>), Failure> {
        if let Store::Peer(store) = self.store {
            self.pace.spend(0).await;
            let (size, mut keys, reads) = store.sample(Instant::now() + self.timeout, count).await?;
            keys.retain(|key| !key.starts_with(own));
            self.owe(reads).await;
            return Ok((size, keys));
        }
        let asked = std::iter::once(cmd("DBSIZE")).chain((0..count).map(|_| cmd("RANDOMKEY")));
        let (mut size, mut keys) = (None, Vec::new());
        for answer in self.ask(asked.collect()).await? {
            match self.told(answer)? {
                Value::Int(told) => size = u64::try_from(told).ok(),
                Value::BulkString(key) if !key.starts_with(own) => keys.push(key),
                _ => {}
            }
        }
        Ok((size, keys))
    }

    /// Whether the key goes away by itself.
    pub(in crate::probe::kvstore) async fn expires(&mut self, key: &[u8]) -> Result<bool, Failure> {
        if let Store::Peer(store) = self.store {
            let (expires, reads) = store.expires(Instant::now() + self.timeout, key).await?;
            self.owe(reads).await;
            return Ok(expires);
        }
        if !matches!(self.store, Store::Redis(_)) {
            return Ok(false);
        }
        let answers = self.ask(vec![command(&["PTTL"], key)]).await?;
        // -1: it stays; -2: it has gone meanwhile.
        Ok(!answers.iter().all(|answer| matches!(answer, Ok(Value::Int(-1)))))
    }

    /// What there is under these keys, in their order.
    pub(in crate::probe::kvstore) async fn seen(&mut self, keys: &[Key]) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            if let Store::Peer(store) = self.store {
                self.pace.spend(0).await;
                let (told, reads) = store.seen(Instant::now() + self.timeout, batch).await?;
                seen.extend(told);
                self.owe(reads).await;
                continue;
            }
            if matches!(self.store, Store::Redis(_)) {
                let sizes = self.measured(batch).await?;
                seen.extend(self.valued(batch, sizes).await?);
                continue;
            }
            for key in batch {
                seen.push(self.plain(key).await?);
            }
        }
        Ok(seen)
    }

    /// What another agent says that it has read for this one. Told by somebody else, so bounded.
    async fn owe(&mut self, reads: usize) {
        let reads = reads.min(MOST_OWED);
        self.reads += reads;
        self.pace.spend(reads).await;
    }

    /// A key of a store without types.
    async fn plain(&mut self, key: &[u8]) -> Result<Seen, Failure> {
        self.pace.spend(1).await;
        self.reads += 1;
        let (deadline, key) = (self.deadline(), String::from_utf8_lossy(key));
        let Some(value) = self.store.get(deadline, &key).await? else { return Ok(Seen::Absent) };
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        let digest = (length <= LARGEST).then(|| blake3::hash(&value).to_string());
        Ok(Seen::Here(Content { kind: "text".to_owned(), length: Some(length), digest }))
    }

    async fn measured(&mut self, keys: &[Key]) -> Result<Vec<Size>, Failure> {
        let types = self.ask(keys.iter().map(|key| command(&["TYPE"], key)).collect()).await?;
        let mut sizes = Vec::new();
        for answer in types {
            let (kind, absent) = match self.told(answer)? {
                Value::SimpleString(name) => (TYPES.iter().find(|kind| kind.name == name), name == "none"),
                _ => (None, false),
            };
            sizes.push(Size { kind, absent, length: None, small: false });
        }
        let mut commands = Vec::new();
        for (key, size) in keys.iter().zip(&sizes) {
            let Some(kind) = size.kind else { continue };
            commands.push(command(&[kind.length], key));
            if kind.name != "string" {
                commands.push(cmd("MEMORY").arg("USAGE").arg(key.as_slice()).to_owned());
            }
        }
        let mut answers = self.ask(commands).await?.into_iter();
        for size in &mut sizes {
            let Some(kind) = size.kind else { continue };
            let length = self.number(answers.next())?;
            let (room, most) = match kind.name {
                "string" => (length, LARGEST),
                _ => (self.number(answers.next())?, MOST_ELEMENTS),
            };
            size.small = length.is_some_and(|length| length <= most) && room.is_some_and(|room| room <= LARGEST);
            size.length = length;
        }
        Ok(sizes)
    }

    async fn valued(&mut self, keys: &[Key], sizes: Vec<Size>) -> Result<Vec<Seen>, Failure> {
        let read = |size: &Size| size.kind.filter(|_| size.small);
        let commands = keys.iter().zip(&sizes).filter_map(|(key, size)| Some(command(read(size)?.value, key)));
        let mut answers = self.ask(commands.collect()).await?.into_iter();
        let mut seen = Vec::new();
        for size in sizes {
            let here = |kind: &Type, length, digest| Seen::Here(Content { kind: kind.name.to_owned(), length, digest });
            seen.push(match (size.kind, read(&size)) {
                (None, _) if size.absent => Seen::Absent,
                (None, _) => Seen::Other,
                (Some(kind), None) => here(kind, size.length, None),
                (Some(kind), Some(_)) => match self.present(answers.next())? {
                    Some(Value::Nil) => Seen::Absent,
                    Some(Value::Array(elements)) if elements.is_empty() => Seen::Absent,
                    Some(value) => here(kind, size.length, Some(digest(kind, value).to_string())),
                    None => here(kind, None, None),
                },
            });
        }
        Ok(seen)
    }

    async fn ask(&mut self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, Failure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.pace.spend(commands.len()).await;
        self.reads += commands.len();
        let deadline = self.deadline();
        match self.store {
            Store::Redis(store) => store.read_all(deadline, pipeline(commands)).await,
            _ => Err(Failure::new(FailureKind::Protocol, "only redis can be sampled")),
        }
    }

    fn number(&self, answer: Option<RedisResult<Value>>) -> Result<Option<u64>, Failure> {
        Ok(match self.present(answer)? {
            Some(Value::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    /// An answer about a key that may have changed since. `None`: it has. A right that is missing is no change.
    fn present(&self, answer: Option<RedisResult<Value>>) -> Result<Option<Value>, Failure> {
        match answer {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm)) => {
                self.told(Err(error)).map(Some)
            }
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// An answer that must be one: whoever may not read finds nothing, which is no proof.
    fn told(&self, answer: RedisResult<Value>) -> Result<Value, Failure> {
        answer.map_err(|error| match &*self.store {
            Store::Redis(store) => RedisStore::refusal(store, &error),
            _ => Failure::new(FailureKind::Protocol, error.to_string()),
        })
    }
}

/// What was seen of one key on both sides, as it compares. Equal data may take more room on one side: by the whole value on both or on
/// none.
pub(super) fn together(seen: [Seen; 2]) -> [State; 2] {
    let too_large = |seen: &Seen| matches!(seen, Seen::Here(Content { digest: None, .. }));
    let whole = !seen.iter().any(too_large);
    seen.map(|seen| match seen {
        Seen::Absent => State::Absent,
        Seen::Other => State::Other,
        Seen::Here(Content { digest: Some(digest), .. }) if whole => State::Whole(digest),
        Seen::Here(Content { kind, length: Some(length), .. }) => State::Length(kind, length),
        Seen::Here(Content { length: None, .. }) => State::changing(),
    })
}

impl State {
    /// Equal to nothing: it is looked at again.
    fn changing() -> Self {
        Self::Length("changing".to_owned(), fastrand::u64(..))
    }
}

/// Equal exactly for equal data of one type.
fn digest(kind: &Type, value: Value) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.name.as_bytes());
    match (kind.unordered, value) {
        (Some(step), Value::Array(elements)) => {
            let mut parts: Vec<Vec<u8>> = elements
                .chunks(step)
                .map(|chunk| {
                    let mut text = Vec::new();
                    chunk.iter().for_each(|element| plain(element, &mut text));
                    text
                })
                .collect();
            parts.sort();
            for part in &parts {
                hasher.update(part);
            }
        }
        (_, value) => {
            let mut text = Vec::new();
            plain(&value, &mut text);
            hasher.update(&text);
        }
    }
    hasher.finalize()
}

/// With lengths, so that no two values look alike.
fn plain(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::BulkString(bytes) => {
            text.extend((bytes.len() as u64).to_le_bytes());
            text.extend(bytes);
        }
        Value::Array(elements) => {
            text.push(b'[');
            text.extend((elements.len() as u64).to_le_bytes());
            elements.iter().for_each(|element| plain(element, text));
        }
        other => text.extend(format!("{other:?}").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    fn here(length: u64, digest: Option<&str>) -> Seen {
        Seen::Here(Content { kind: "hash".to_owned(), length: Some(length), digest: digest.map(str::to_owned) })
    }

    #[test]
    fn values_are_compared_whole_on_both_sides_or_on_none() {
        let [one, other] = together([here(3, Some("a")), here(3, Some("b"))]);
        assert_ne!(one, other, "of one length, and different");
        let [one, other] = together([here(3, Some("a")), here(3, None)]);
        assert_eq!(one, other, "too large on one side");
        let [one, other] = together([here(3, Some("a")), here(4, None)]);
        assert_ne!(one, other);
        let changing = Seen::Here(Content { kind: "hash".to_owned(), length: None, digest: None });
        let [one, other] = together([changing.clone(), changing]);
        assert_ne!(one, other, "what changes is looked at again");
        assert_eq!(together([Seen::Absent, here(3, Some("a"))]), [State::Absent, State::Whole("a".to_owned())]);
    }

    #[test]
    fn order_counts_only_where_there_is_one() {
        let [_, hash, list, set, ..] = &TYPES;
        assert_eq!(digest(set, array(&["a", "b"])), digest(set, array(&["b", "a"])));
        assert_eq!(digest(hash, array(&["a", "1", "b", "2"])), digest(hash, array(&["b", "2", "a", "1"])));
        assert_ne!(digest(hash, array(&["a", "1", "b", "2"])), digest(hash, array(&["a", "2", "b", "1"])));
        assert_ne!(digest(list, array(&["a", "b"])), digest(list, array(&["b", "a"])));
        assert_ne!(digest(list, array(&["ab"])), digest(list, array(&["a", "b"])));
        assert_ne!(digest(list, array(&["a"])), digest(set, array(&["a"])), "another type");
    }
}
