//! Compares what the application itself has written on both sides, by reads only: keys that it keeps current, and keys at random.
//!
//! Writes are in flight, so what differs is looked at again; only what stays different is told. Neither keys nor values are ever
//! logged or exported.

mod pace;
mod typed;

use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::pace::Pace;
pub use self::typed::Seen;
pub(super) use self::typed::Side;
use self::typed::together;
use super::store::{Store, are_one};
use crate::clock;
use crate::config::{KvstoreChannel, PairConfig};
use crate::evidence::Roles;
use crate::facts::{Failure, ObservedFacts, Reading};
use crate::names::Name;

/// Keys that are read together: with the largest values that are read at all, half of what a connection may answer.
const BATCH: usize = 8;

/// Drifted keys that are remembered and looked at in each cycle, so that a finding stands as long as it is true.
const REMEMBERED: usize = 20;

/// Looks after the first one.
const LOOKS: usize = 4;

/// What one side has under a key. Equal states are equal data, as far as was looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    /// By type and whole value.
    Whole(String),
    /// Too large to be read: by type and length.
    Length(String, u64),
    /// It has a type that is not compared.
    Other,
}

type Key = Vec<u8>;

/// Compares the stores of one pair.
pub struct KvstoreObserver {
    channel: KvstoreChannel,
    stores: Vec<(Name, Store)>,
    pace: Pace,
    drifted: Vec<Key>,
    /// The two stores were found to be one server, and have not been found to be two since.
    one_server: bool,
}

/// A key that differed, and what was seen of it so far.
struct Suspect {
    key: Key,
    looks: Vec<[State; 2]>,
}

/// What became of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Equal,
    Differs,
    MissingAt(usize),
    /// Nobody can tell: it is written all the time, or it expires.
    Moving,
}

impl KvstoreObserver {
    /// An observer of the pair's stores, with connections of its own.
    pub fn new(pair: &PairConfig, channel: &KvstoreChannel) -> Self {
        Self {
            stores: Store::all(pair),
            pace: Pace::default(),
            drifted: Vec::new(),
            one_server: false,
            channel: channel.clone(),
        }
    }

    /// One comparison. Takes as long as its reads do at the allowed pace; each exchange with a store has the channel's timeout.
    pub async fn run(&mut self, roles: &Roles) -> Reading<ObservedFacts> {
        let asked = clock::now();
        let facts = self.compare(roles).await;
        Reading { asked, answered: clock::now(), result: Ok(facts) }
    }

    async fn compare(&mut self, roles: &Roles) -> ObservedFacts {
        let mut facts = ObservedFacts::default();
        // Two stores are compared: the primary's and the first standby's, or the first two where roles are not known.
        let primary = roles.primary.as_ref().filter(|_| !roles.contradicted);
        let place = |name: &Name| self.stores.iter().position(|(node, _)| node == name);
        // a default is right: it is a place in a list.
        let first = primary.and_then(place).unwrap_or(0);
        let second = roles.standbys.iter().find_map(place).filter(|place| *place != first);
        let second = second.unwrap_or(usize::from(first == 0));
        let Ok([(one, one_store), (other, other_store)]) = self.stores.get_disjoint_mut([first, second]) else {
            return facts;
        };
        let names = [one.clone(), other.clone()];
        // Whatever is compared with itself is equal.
        let deadline = Instant::now() + self.channel.schedule.timeout;
        if let Some(same) = are_one(one_store, other_store, deadline).await {
            self.one_server = same;
        }
        if self.one_server {
            return ObservedFacts { same_server: true, ..facts };
        }
        let mut sides =
            Both { stores: [one_store, other_store], pace: &mut self.pace, timeout: self.channel.schedule.timeout };
        let told = sides.all(&self.channel, &self.drifted, &names, &mut facts).await;
        match told {
            Ok(drifted) => self.drifted = drifted,
            Err((side, failure)) => {
                // Half a comparison proves nothing.
                let name = names[side].clone();
                facts = ObservedFacts { failures: vec![(name, failure)], ..ObservedFacts::default() };
            }
        }
        facts
    }
}

type Failed = (usize, Failure);

/// Both stores of one comparison.
struct Both<'a> {
    stores: [&'a mut Store; 2],
    pace: &'a mut Pace,
    timeout: Duration,
}

impl Both<'_> {
    async fn read<T>(
        &mut self,
        side: usize,
        read: impl AsyncFnOnce(&mut Side<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        let (timeout, pace) = (self.timeout, &mut *self.pace);
        let mut one = Side { store: &mut *self.stores[side], pace, timeout, reads: 0 };
        read(&mut one).await.map_err(|failure| (side, failure))
    }

    /// What each side has under these keys, in their order.
    async fn states(&mut self, keys: &[Key]) -> Result<Vec<[State; 2]>, Failed> {
        let mut states = Vec::with_capacity(keys.len());
        // By small steps, so that both sides are looked at about the same time.
        for batch in keys.chunks(BATCH) {
            let one = self.read(0, async |side| side.seen(batch).await).await?;
            let other = self.read(1, async |side| side.seen(batch).await).await?;
            states.extend(one.into_iter().zip(other).map(|(one, other)| together([one, other])));
        }
        Ok(states)
    }

    /// The whole comparison; returns the keys that drifted.
    async fn all(
        &mut self,
        channel: &KvstoreChannel,
        before: &[Key],
        names: &[Name; 2],
        facts: &mut ObservedFacts,
    ) -> Result<Vec<Key>, Failed> {
        let own = format!("{}/", channel.prefix).into_bytes();
        let (count, mut sampled) = (channel.observe.sample as usize, Vec::new());
        for (side, name) in names.iter().enumerate().filter(|_| count > 0) {
            let (size, keys) = self.read(side, async |side| side.sample(count, &own).await).await?;
            facts.sizes.extend(size.map(|size| (name.clone(), size)));
            sampled.extend(keys);
        }
        let named: Vec<Key> = channel.observe.keys.iter().map(|key| key.clone().into_bytes()).collect();
        sampled.retain(|key| !named.contains(key));
        sampled.sort();
        sampled.dedup();
        let known: Vec<Key> =
            before.iter().filter(|key| !named.contains(key) && !sampled.contains(key)).cloned().collect();
        let (named_count, sampled_count) = (named.len(), sampled.len());
        let keys: Vec<Key> = named.into_iter().chain(sampled).chain(known).collect();
        let states = self.states(&keys).await?;
        facts.absent_keys =
            states[..named_count].iter().filter(|both| **both == [State::Absent, State::Absent]).count() as u64;
        let mut fates = vec![Fate::Equal; keys.len()];
        let mut suspects: Vec<(usize, Suspect)> = Vec::new();
        for (at, (key, states)) in keys.iter().zip(states).enumerate() {
            if states.contains(&State::Other) {
                fates[at] = Fate::Moving;
            } else if states[0] != states[1] {
                suspects.push((at, Suspect { key: key.clone(), looks: vec![states] }));
            }
        }
        self.look_again(&mut suspects, channel.sla, &mut fates).await?;
        // Remembered keys are no sample: they say whether a finding still stands, and nothing of how many there are.
        let counted = &fates[..named_count + sampled_count];
        let count = |fate: Fate| counted.iter().filter(|other| **other == fate).count() as u64;
        facts.compared = counted.len() as u64 - count(Fate::Moving) - facts.absent_keys.min(counted.len() as u64);
        facts.differing = count(Fate::Differs);
        facts.missing =
            names.iter().enumerate().map(|(side, name)| (name.clone(), count(Fate::MissingAt(side)))).collect();
        let drifted = |fate: &Fate| matches!(fate, Fate::Differs | Fate::MissingAt(_));
        facts.still_differing = fates[counted.len()..].iter().filter(|fate| drifted(fate)).count() as u64;
        let drifted = fates.iter().zip(keys).filter(|(fate, _)| drifted(fate)).map(|(_, key)| key);
        Ok(drifted.take(REMEMBERED).collect())
    }

    /// Looks at what differed until it is equal, or stays as it is, or has been looked at often enough.
    async fn look_again(
        &mut self,
        suspects: &mut Vec<(usize, Suspect)>,
        sla: Duration,
        fates: &mut [Fate],
    ) -> Result<(), Failed> {
        for look in 0..LOOKS {
            if suspects.is_empty() {
                return Ok(());
            }
            // The second wait is longer: a writer that was held up for a moment is no drift.
            tokio::time::sleep(if look == 0 { sla } else { sla.max(Duration::from_secs(1)) }).await;
            let keys: Vec<Key> = suspects.iter().map(|(_, suspect)| suspect.key.clone()).collect();
            let states = self.states(&keys).await?;
            for ((_, suspect), states) in suspects.iter_mut().zip(states) {
                suspect.looks.push(states);
            }
            let (decided, open): (Vec<_>, Vec<_>) =
                std::mem::take(suspects).into_iter().partition(|(_, suspect)| suspect.is_decided());
            *suspects = open;
            for (at, suspect) in decided {
                fates[at] = self.fate(&suspect).await?;
            }
        }
        for (at, suspect) in suspects.drain(..) {
            fates[at] = self.fate(&suspect).await?;
        }
        Ok(())
    }

    async fn fate(&mut self, suspect: &Suspect) -> Result<Fate, Failed> {
        let fate = suspect.fate();
        if let Fate::MissingAt(side) = fate {
            // What expires may have expired on one side a moment before the other.
            if self.read(1 - side, async |other| other.expires(&suspect.key).await).await? {
                return Ok(Fate::Moving);
            }
        }
        Ok(fate)
    }
}

impl Suspect {
    fn last(&self) -> &[State; 2] {
        // The first look is there from the start.
        &self.looks[self.looks.len() - 1]
    }

    fn differs(&self) -> bool {
        let [one, other] = self.last();
        one != other && *one != State::Other && *other != State::Other
    }

    /// Equal now, or different and the same in three looks.
    fn is_decided(&self) -> bool {
        !self.differs() || (self.looks.len() > 2 && self.looks.iter().rev().take(3).all(|look| look == self.last()))
    }

    fn fate(&self) -> Fate {
        if !self.differs() {
            return Fate::Equal;
        }
        let still = |side: usize| self.looks.iter().all(|look| look[side] == self.looks[0][side]);
        // If both sides change, writes are in flight each time that one looks. If one never does, it is left behind.
        if !still(0) && !still(1) && !self.is_decided() {
            return Fate::Moving;
        }
        match self.last() {
            [State::Absent, _] => Fate::MissingAt(0),
            [_, State::Absent] => Fate::MissingAt(1),
            _ => Fate::Differs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: u8) -> State {
        State::Whole(number.to_string())
    }

    fn suspect(looks: &[[State; 2]]) -> Suspect {
        Suspect { key: b"k".to_vec(), looks: looks.to_vec() }
    }

    #[test]
    fn what_becomes_equal_is_no_drift() {
        let one = suspect(&[[value(1), value(2)], [value(2), value(2)]]);
        assert!(one.is_decided());
        assert_eq!(one.fate(), Fate::Equal);
    }

    #[test]
    fn what_stays_different_is_drift_after_three_equal_looks() {
        let [a, b] = [value(1), value(2)];
        let twice = suspect(&[[a.clone(), b.clone()], [a.clone(), b.clone()]]);
        assert!(!twice.is_decided(), "a writer may have been held up");
        let thrice = suspect(&[[a.clone(), b.clone()], [a.clone(), b.clone()], [a.clone(), b.clone()]]);
        assert!(thrice.is_decided());
        assert_eq!(thrice.fate(), Fate::Differs);
        let missing = [State::Absent, b];
        assert_eq!(suspect(&[missing.clone(), missing.clone(), missing]).fate(), Fate::MissingAt(0));
    }

    #[test]
    fn a_hot_key_is_drift_only_if_one_side_never_moves() {
        let hot = suspect(&[[value(1), value(2)], [value(3), value(4)], [value(5), value(6)]]);
        assert!(!hot.is_decided());
        assert_eq!(hot.fate(), Fate::Moving);
        let left_behind = suspect(&[[value(1), value(2)], [value(1), value(4)], [value(1), value(6)]]);
        assert_eq!(left_behind.fate(), Fate::Differs);
    }
}
