//! Reads of keys as what they are. Not by `DUMP`: two servers may keep equal data in different encodings.

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value, cmd};

use super::{BATCH, Both, Failed, Key, State};
use crate::facts::Failure;
use crate::names::{FailureKind, Name};
use crate::probe::kvstore::redis::RedisStore;
use crate::probe::kvstore::store::Store;

/// Larger values are compared by their length only.
const LARGEST: u64 = 64 << 10;

/// The same for the elements of a collection.
const MOST_ELEMENTS: u64 = 1024;

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

impl Both<'_> {
    /// Keys at random from either side; the probe's own are left out.
    pub(super) async fn sample(&mut self, count: usize, own: &[u8]) -> Result<Vec<Key>, Failed> {
        let mut keys = Vec::new();
        if count == 0 {
            return Ok(keys);
        }
        for side in 0..2 {
            let answers = self.ask(side, (0..count).map(|_| cmd("RANDOMKEY")).collect()).await?;
            for answer in answers {
                match self.told(side, answer)? {
                    Value::BulkString(key) if !key.starts_with(own) => keys.push(key),
                    _ => {}
                }
            }
        }
        Ok(keys)
    }

    /// How many keys each database has.
    pub(super) async fn sizes(&mut self, names: &[Name; 2]) -> Result<Vec<(Name, u64)>, Failed> {
        let mut sizes = Vec::new();
        for (side, name) in names.iter().enumerate() {
            let answers = self.ask(side, vec![cmd("DBSIZE")]).await?;
            for answer in answers {
                if let Value::Int(size) = self.told(side, answer)? {
                    sizes.extend(u64::try_from(size).ok().map(|size| (name.clone(), size)));
                }
            }
        }
        Ok(sizes)
    }

    /// Whether the key goes away by itself.
    pub(super) async fn expires(&mut self, side: usize, key: &[u8]) -> Result<bool, Failed> {
        if !matches!(self.stores[side], Store::Redis(_)) {
            return Ok(false);
        }
        let answers = self.ask(side, vec![command(&["PTTL"], key)]).await?;
        // -1: it stays; -2: it has gone meanwhile.
        Ok(!answers.iter().all(|answer| matches!(answer, Ok(Value::Int(-1)))))
    }

    /// What each side has under these keys, in their order.
    pub(super) async fn states(&mut self, keys: &[Key]) -> Result<Vec<[State; 2]>, Failed> {
        let mut states = Vec::with_capacity(keys.len());
        let redis = self.stores.iter().all(|store| matches!(store, Store::Redis(_)));
        for batch in keys.chunks(BATCH) {
            if redis {
                states.extend(self.typed(batch).await?);
            } else {
                for key in batch {
                    states.push([self.plain(0, key).await?, self.plain(1, key).await?]);
                }
            }
        }
        Ok(states)
    }

    /// A key of a store without types.
    async fn plain(&mut self, side: usize, key: &[u8]) -> Result<State, Failed> {
        self.pace.spend(1).await;
        let (deadline, key) = (self.deadline(), String::from_utf8_lossy(key));
        let value = self.stores[side].get(deadline, &key).await.map_err(|failure| (side, failure))?;
        Ok(value.map_or(State::Absent, |value| match u64::try_from(value.len()).unwrap_or(u64::MAX) {
            length if length > LARGEST => State::Length("text", length),
            _ => State::Whole(blake3::hash(&value)),
        }))
    }

    async fn typed(&mut self, keys: &[Key]) -> Result<Vec<[State; 2]>, Failed> {
        let [one, other] = [self.measured(0, keys).await?, self.measured(1, keys).await?];
        // Equal data may take more room on one side: read on both or on none.
        let whole: Vec<bool> = one.iter().zip(&other).map(|(one, other)| one.small && other.small).collect();
        let first = self.valued(0, keys, &one, &whole).await?;
        let second = self.valued(1, keys, &other, &whole).await?;
        Ok(first.into_iter().zip(second).map(|(one, other)| [one, other]).collect())
    }

    async fn measured(&mut self, side: usize, keys: &[Key]) -> Result<Vec<Size>, Failed> {
        let types = self.ask(side, keys.iter().map(|key| command(&["TYPE"], key)).collect()).await?;
        let mut sizes = Vec::new();
        for answer in types {
            let (kind, absent) = match self.told(side, answer)? {
                Value::SimpleString(name) => (TYPES.iter().find(|kind| kind.name == name), name == "none"),
                _ => (None, false),
            };
            sizes.push(Size { kind, absent, length: None, small: true });
        }
        let known = |size: &Size| size.kind.is_some();
        let mut commands = Vec::new();
        for (key, size) in keys.iter().zip(&sizes) {
            let Some(kind) = size.kind else { continue };
            commands.push(command(&[kind.length], key));
            if kind.name != "string" {
                commands.push(cmd("MEMORY").arg("USAGE").arg(key.as_slice()).to_owned());
            }
        }
        let mut answers = self.ask(side, commands).await?.into_iter();
        for size in sizes.iter_mut().filter(|size| known(size)) {
            let length = self.number(side, answers.next())?;
            let room = match size.kind {
                Some(kind) if kind.name != "string" => self.number(side, answers.next())?,
                _ => length,
            };
            let most = if size.kind.is_some_and(|kind| kind.name == "string") { LARGEST } else { MOST_ELEMENTS };
            size.small = length.is_some_and(|length| length <= most) && room.is_some_and(|room| room <= LARGEST);
            size.length = length;
        }
        Ok(sizes)
    }

    async fn valued(
        &mut self,
        side: usize,
        keys: &[Key],
        sizes: &[Size],
        whole: &[bool],
    ) -> Result<Vec<State>, Failed> {
        let read = |at: usize| sizes[at].kind.filter(|_| whole[at]);
        let commands = keys.iter().enumerate().filter_map(|(at, key)| Some(command(read(at)?.value, key)));
        let mut answers = self.ask(side, commands.collect()).await?.into_iter();
        let mut states = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let state = match (size.kind, read(at)) {
                (None, _) if size.absent => State::Absent,
                (None, _) => State::Other,
                (Some(kind), None) => {
                    size.length.map_or_else(State::changing, |length| State::Length(kind.name, length))
                }
                (Some(kind), Some(_)) => match self.present(side, answers.next())? {
                    Some(Value::Nil) => State::Absent,
                    Some(Value::Array(elements)) if elements.is_empty() => State::Absent,
                    Some(value) => State::Whole(digest(kind, value)),
                    None => State::changing(),
                },
            };
            states.push(state);
        }
        Ok(states)
    }

    async fn ask(&mut self, side: usize, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, Failed> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.pace.spend(commands.len()).await;
        let deadline = self.deadline();
        let answers = match &mut *self.stores[side] {
            Store::Redis(store) => store.read_all(deadline, pipeline(commands)).await,
            _ => Err(Failure::new(FailureKind::Protocol, "only redis can be sampled")),
        };
        answers.map_err(|failure| (side, failure))
    }

    fn number(&self, side: usize, answer: Option<RedisResult<Value>>) -> Result<Option<u64>, Failed> {
        Ok(match self.present(side, answer)? {
            Some(Value::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    /// An answer about a key that may have changed since. `None`: it has. A right that is missing is no change.
    fn present(&self, side: usize, answer: Option<RedisResult<Value>>) -> Result<Option<Value>, Failed> {
        match answer {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm)) => {
                self.told(side, Err(error)).map(Some)
            }
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// An answer that must be one: whoever may not read finds nothing, which is no proof.
    fn told(&self, side: usize, answer: RedisResult<Value>) -> Result<Value, Failed> {
        answer.map_err(|error| {
            let failure = match &*self.stores[side] {
                Store::Redis(store) => RedisStore::refusal(store, &error),
                _ => Failure::new(FailureKind::Protocol, error.to_string()),
            };
            (side, failure)
        })
    }
}

impl State {
    /// Equal to nothing: it is looked at again.
    fn changing() -> Self {
        Self::Length("changing", fastrand::u64(..))
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
