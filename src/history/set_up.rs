//! How long a standby's replication has existed at least: a reconnect is no new set-up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
pub use crate::evidence::SetUpOf;
use crate::names::Name;

/// What is remembered of one standby's replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUp {
    of: SetUpOf,
    seen: Moment,
    age: Duration,
}

impl SetUp {
    /// At `seen` it had existed for `age` at least. (As an age, since it may be older than this machine's boot.)
    pub const fn new(of: SetUpOf, seen: Moment, age: Duration) -> Self {
        Self { of, seen, age }
    }

    /// Its age at `now`, at least.
    pub fn age(&self, now: Moment) -> Duration {
        self.age + now.since(self.seen)
    }

    /// Whether this is the same replication.
    pub fn is_of(&self, other: &SetUpOf) -> bool {
        // A slot that is not known yet contradicts nothing.
        let same_slot = self.of.slot.is_none() || other.slot.is_none() || self.of.slot == other.slot;
        self.of.primary == other.primary && self.of.cluster == other.cluster && same_slot
    }

    /// The primary `node` of this cluster answered, and has just these slots: is this replication's still among them?
    pub fn lost_its_slot(&self, node: &Name, cluster: Option<&String>, mut has: impl FnMut(&str) -> bool) -> bool {
        let asked = self.of.primary == *node && self.of.cluster.as_ref() == cluster;
        asked && self.of.slot.as_deref().is_some_and(|slot| !has(slot))
    }

    /// The same after a time of unknown length, e.g. another boot of this machine: `then` was the last moment that counts, `now` is the
    /// first of the new count.
    #[must_use]
    pub fn carried(&self, then: Moment, now: Moment) -> Self {
        Self { of: self.of.clone(), seen: now, age: self.age(then) }
    }

    /// False for what cannot have been saved by an agent at or before `now`.
    pub fn is_sound(&self, now: Moment) -> bool {
        self.seen <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn of(primary: &str, slot: Option<&str>) -> SetUpOf {
        SetUpOf { primary: Name::new(primary), cluster: Some("7".to_owned()), slot: slot.map(str::to_owned) }
    }

    #[test]
    fn an_age_goes_on_and_may_be_older_than_this_machine_s_boot() {
        let days = Duration::from_hours(72);
        let set_up = SetUp::new(of("alpha", None), at(100), days);
        assert_eq!(set_up.age(at(160)), days + Duration::from_secs(60));
        let carried = set_up.carried(at(160), at(5));
        assert_eq!(carried.age(at(15)), days + Duration::from_secs(70), "time that nobody counted is left out");
    }

    #[test]
    fn another_primary_cluster_or_slot_is_another_replication() {
        let set_up = SetUp::new(of("alpha", Some("beta")), at(0), Duration::ZERO);
        assert!(set_up.is_of(&of("alpha", Some("beta"))) && set_up.is_of(&of("alpha", None)));
        assert!(!set_up.is_of(&of("beta", Some("beta"))) && !set_up.is_of(&of("alpha", Some("gamma"))));
        assert!(!set_up.is_of(&SetUpOf { cluster: Some("8".to_owned()), ..of("alpha", None) }));
    }

    #[test]
    fn a_slot_that_was_dropped_ends_it() {
        let (set_up, cluster) = (SetUp::new(of("alpha", Some("beta")), at(0), Duration::ZERO), "7".to_owned());
        let lost = |node: &str, slots: &[&str]| {
            set_up.lost_its_slot(&Name::new(node), Some(&cluster), |slot| slots.contains(&slot))
        };
        assert!(lost("alpha", &["other"]) && !lost("alpha", &["other", "beta"]));
        assert!(!lost("beta", &[]), "another server's slots say nothing");
        assert!(!set_up.lost_its_slot(&Name::new("alpha"), Some(&"8".to_owned()), |_| false), "nor another cluster's");
    }
}
