//! The key-value store's probe: one canary a cycle, written as the application's client would (the standby's store first, then
//! the primary's) and read back from both.
//!
//! What this proves is called `path`: that such a write would succeed now. Not that the application's own writes arrived.

mod bounded;
mod canary;
mod indeterminate;
mod outcome;
mod redis;

use std::time::Duration;

use tokio::time::Instant;

use self::canary::{Canary, Mark, Writer, time_to_live};
use self::indeterminate::{Indeterminate, Landing};
pub use self::outcome::{Ack, Held, outcome};
use self::redis::RedisStore;
use crate::clock::{self, Moment};
use crate::config::{KvstoreChannel, KvstoreNode, PairConfig};
use crate::evidence::Roles;
use crate::facts::{Failure, KvstoreFacts, Reading, StoreAnswer};
use crate::names::{Name, Outcome, Proof};

/// Asks both stores of one pair.
pub struct KvstoreProbe {
    stores: Vec<(Name, Store)>,
    writer: Writer,
    key: String,
    time_to_live: Duration,
    timeout: Duration,
    sequence: u64,
    indeterminate: Indeterminate,
}

/// The kinds of store.
enum Store {
    Redis(RedisStore),
}

/// A write that was not acknowledged.
#[derive(Debug)]
struct WriteFailure {
    failure: Failure,
    /// It had left: unless the store answered an error, it may land later.
    sent: bool,
}

impl Store {
    fn new(name: &Name, node: &KvstoreNode) -> Self {
        match node {
            KvstoreNode::Redis(settings) => Self::Redis(RedisStore::new(name.clone(), settings.clone())),
        }
    }

    async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Redis(store) => store.connect(deadline).await,
        }
    }

    async fn put(&mut self, deadline: Instant, key: &str, value: &str, ttl: Duration) -> Result<(), WriteFailure> {
        match self {
            Self::Redis(store) => store.put(deadline, key, value, ttl).await,
        }
    }

    async fn mark(&mut self, deadline: Instant, key: &str) -> Result<Option<Mark>, Failure> {
        let value = match self {
            Self::Redis(store) => store.get(deadline, key).await,
        };
        value.map(|value| value.as_deref().and_then(Mark::read))
    }
}

/// One cycle's deadlines. A part of the time is kept for reading, so that the other side is looked at whatever happens to the
/// write.
#[derive(Clone, Copy)]
struct Deadlines {
    writes: Instant,
    all: Instant,
}

impl Deadlines {
    fn from_now(timeout: Duration) -> Self {
        let now = Instant::now();
        // Reports a little before the schedule's own deadline would cut it off.
        Self { writes: now + timeout.mul_f64(0.6), all: now + timeout.mul_f64(0.95) }
    }
}

/// What one attempt brought.
struct Attempt {
    facts: KvstoreFacts,
    /// A write of an earlier cycle landed over this one's.
    overtaken: bool,
}

impl KvstoreProbe {
    /// A probe of the pair's stores. Connects when it is first run.
    pub fn new(pair: &PairConfig, channel: &KvstoreChannel) -> Self {
        let stores = pair.nodes.iter().filter_map(|node| {
            let store = Store::new(&node.name, node.kvstore.as_ref()?);
            Some((node.name.clone(), store))
        });
        let writer = Writer::this_process();
        Self {
            stores: stores.collect(),
            key: writer.fast_key(&channel.prefix, pair.name.as_str()),
            writer,
            time_to_live: time_to_live(channel.schedule.interval),
            timeout: channel.schedule.timeout,
            sequence: 0,
            indeterminate: Indeterminate::default(),
        }
    }

    /// One cycle, under one deadline. With the roles unknown nothing is written: the stores are only asked, the facts name them
    /// in the order of the configuration, and the outcome is `unknown`.
    pub async fn run(&mut self, roles: &Roles) -> Reading<KvstoreFacts> {
        let asked = clock::now();
        let deadlines = Deadlines::from_now(self.timeout);
        let facts = match self.direction(roles) {
            Some(direction) => self.cycle(direction, deadlines).await,
            None => self.look(deadlines).await,
        };
        Reading { asked, answered: clock::now(), result: facts }
    }

    /// The places of the standby's and of the primary's store.
    fn direction(&self, roles: &Roles) -> Option<[usize; 2]> {
        if roles.contradicted {
            return None;
        }
        let place = |name: &Name| self.stores.iter().position(|(node, _)| node == name);
        let primary = place(roles.primary.as_ref()?)?;
        let standby = roles.standbys.iter().find_map(place)?;
        (standby != primary).then_some([standby, primary])
    }

    async fn cycle(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<KvstoreFacts, Failure> {
        let mut attempt = self.attempt(direction, deadlines).await?;
        if attempt.overtaken && Instant::now() < deadlines.writes {
            attempt = self.attempt(direction, deadlines).await?;
        }
        if attempt.overtaken {
            // Both stores take writes; what lies in one of them is an old canary of ours that came late. No proof, no alarm.
            attempt.facts.outcome = Outcome::Unknown;
            attempt.facts.round_trip = None;
        }
        if attempt.facts.outcome == Outcome::Ok {
            self.indeterminate.passed();
        }
        attempt.facts.indeterminate_resolved = self.indeterminate.take_resolved();
        Ok(attempt.facts)
    }

    /// Writes a canary and reads it back.
    async fn attempt(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<Attempt, Failure> {
        self.sequence += 1;
        let canary = self.writer.canary(self.sequence);
        let key = &self.key;
        let [(standby, standby_store), (primary, primary_store)] = pick(&mut self.stores, direction)?;

        let writing = Writing { key, canary: &canary, ttl: self.time_to_live, deadline: deadlines.writes };
        let watching = self.indeterminate.any();
        let written = writing.write(standby_store, primary_store, watching).await;
        for (node, before) in [(standby, &written.standby_before), (primary, &written.primary_before)] {
            self.indeterminate.seen(node, *before);
        }

        // Sent after the acknowledgement; at once on both, so that a store that hangs does not hide the other.
        let (on_standby, on_primary) =
            tokio::join!(standby_store.mark(deadlines.all, key), primary_store.mark(deadlines.all, key));
        let read_at = clock::now();

        let mut overtaken = false;
        for (node, read) in [(standby, &on_standby), (primary, &on_primary)] {
            let mark = read.as_ref().ok().copied().flatten();
            overtaken |= mark != Some(canary.mark) && self.indeterminate.seen(node, mark);
        }
        let standby_landing = landing(&written.standby, &on_standby, canary.mark);
        let primary_landing = landing(&written.primary, &on_primary, canary.mark);
        self.indeterminate.watch(canary.mark, (standby.clone(), standby_landing), (primary.clone(), primary_landing));

        let ack = written.ack();
        let standby_answer = answer(written.standby, on_standby, canary.mark);
        let primary_answer = answer(written.primary, on_primary, canary.mark);
        let outcome = outcome(ack, standby_answer.holds.into(), primary_answer.holds.into());
        let overtaken = overtaken && ack == Ack::Yes;
        let facts = KvstoreFacts {
            outcome,
            proof: Proof::Path,
            standby: (standby.clone(), standby_answer),
            primary: (primary.clone(), primary_answer),
            sequence: canary.mark.sequence,
            round_trip: (outcome == Outcome::Ok).then(|| written.left.map(|left| read_at.since(left))).flatten(),
            write: written.acknowledged.zip(written.left).map(|(acknowledged, left)| acknowledged.since(left)),
            indeterminate_resolved: None,
        };
        Ok(Attempt { facts, overtaken })
    }

    /// Asks both stores without writing.
    async fn look(&mut self, deadlines: Deadlines) -> Result<KvstoreFacts, Failure> {
        let key = &self.key;
        let [(first, first_store), (second, second_store)] = pick(&mut self.stores, [0, 1])?;
        let (on_first, on_second) =
            tokio::join!(first_store.mark(deadlines.all, key), second_store.mark(deadlines.all, key));
        let looked =
            |read: Result<Option<Mark>, Failure>| StoreAnswer { failure: read.err(), ..StoreAnswer::default() };
        Ok(KvstoreFacts {
            outcome: Outcome::Unknown,
            proof: Proof::Path,
            standby: (second.clone(), looked(on_second)),
            primary: (first.clone(), looked(on_first)),
            sequence: self.sequence,
            round_trip: None,
            write: None,
            indeterminate_resolved: None,
        })
    }
}

type NamedStore<'a> = (&'a Name, &'a mut Store);

fn pick(stores: &mut [(Name, Store)], places: [usize; 2]) -> Result<[NamedStore<'_>; 2], Failure> {
    let picked = stores.get_disjoint_mut(places);
    let picked = picked.map_err(|_| {
        let cure = "give each node of the pair a kvstore";
        Failure::new(crate::names::FailureKind::Protocol, format!("two stores are needed for a canary; {cure}"))
    })?;
    Ok(picked.map(|(name, store)| (&*name, store)))
}

/// What a canary's writes need.
struct Writing<'a> {
    key: &'a str,
    canary: &'a Canary,
    ttl: Duration,
    deadline: Instant,
}

/// How a canary's writes ended. A side is `None` if its write was not attempted.
struct Written {
    standby: Option<Result<(), WriteFailure>>,
    primary: Option<Result<(), WriteFailure>>,
    /// What each store held before, where that was looked at.
    standby_before: Option<Mark>,
    primary_before: Option<Mark>,
    /// When the first write left, and when both had been acknowledged.
    left: Option<Moment>,
    acknowledged: Option<Moment>,
}

impl Writing<'_> {
    /// The standby's store first; the primary's only after its acknowledgement.
    async fn write(&self, standby: &mut Store, primary: &mut Store, look_before: bool) -> Written {
        let mut written = Written {
            standby: None,
            primary: None,
            standby_before: None,
            primary_before: None,
            left: None,
            acknowledged: None,
        };
        // Connecting is not part of the round trip. The primary's connection is made meanwhile.
        let standby_side = async {
            let not_sent = |failure| WriteFailure { failure, sent: false };
            standby.connect(self.deadline).await.map_err(not_sent)?;
            if look_before {
                written.standby_before = standby.mark(self.deadline, self.key).await.map_err(not_sent)?;
            }
            written.left = Some(clock::now());
            standby.put(self.deadline, self.key, &self.canary.to_string(), self.ttl).await
        };
        let (standby_written, primary_connected) = tokio::join!(standby_side, primary.connect(self.deadline));
        let acknowledged = standby_written.is_ok();
        written.standby = Some(standby_written);
        if !acknowledged {
            return written;
        }
        let primary_side = async {
            let not_sent = |failure| WriteFailure { failure, sent: false };
            primary_connected.map_err(not_sent)?;
            if look_before {
                written.primary_before = primary.mark(self.deadline, self.key).await.map_err(not_sent)?;
            }
            primary.put(self.deadline, self.key, &self.canary.to_string(), self.ttl).await
        };
        let primary_written = primary_side.await;
        written.acknowledged = primary_written.is_ok().then(clock::now);
        written.primary = Some(primary_written);
        written
    }
}

impl Written {
    /// An application's client would report success only after both.
    fn ack(&self) -> Ack {
        let failure = [&self.standby, &self.primary].into_iter().flatten().find_map(|side| side.as_ref().err());
        match failure {
            None if self.acknowledged.is_some() => Ack::Yes,
            None => Ack::Failed,
            Some(write) => Ack::of_failure(write.failure.kind),
        }
    }
}

/// How far this cycle's write got at one store, for those that are watched further.
fn landing(written: &Option<Result<(), WriteFailure>>, read: &Result<Option<Mark>, Failure>, canary: Mark) -> Landing {
    use crate::names::FailureKind::{Timeout, Unreachable};
    match written {
        _ if matches!(read, Ok(Some(mark)) if *mark == canary) => Landing::Landed,
        Some(Ok(())) => Landing::Landed,
        Some(Err(write)) if write.sent && matches!(write.failure.kind, Timeout | Unreachable) => Landing::Open,
        _ => Landing::Never,
    }
}

fn answer(written: Option<Result<(), WriteFailure>>, read: Result<Option<Mark>, Failure>, canary: Mark) -> StoreAnswer {
    let (acknowledged, write_failure) = match written {
        None => (None, None),
        Some(Ok(())) => (Some(true), None),
        Some(Err(write)) => (write.sent.then_some(false), Some(write.failure)),
    };
    let (holds, read_failure) = match read {
        Ok(mark) => (Some(mark == Some(canary)), None),
        Err(failure) => (None, Some(failure)),
    };
    StoreAnswer { acknowledged, holds, failure: write_failure.or(read_failure) }
}

#[cfg(test)]
mod tests;
