//! What of the memory of PostgreSQL survives a restart of the agent, and what of it another boot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::history::lag_trend::LagTrend;
use crate::history::lsn_ring::LsnRing;
use crate::history::roles_change::RolesChange;
use crate::history::set_up::SetUp;
use crate::history::slot_room::SlotRoom;
use crate::names::Name;

/// Whose positions a ring holds. With another of any of these, positions mean something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingOf {
    /// The primary's node.
    pub node: Name,
    /// The cluster's system identifier.
    pub cluster: Option<String>,
    /// The primary's timeline.
    pub timeline: Option<u32>,
}

/// The part of the channel's memory that is saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedPostgres {
    /// Whose ring and slots these are.
    pub ring_of: Option<RingOf>,
    /// Where the primary stood and when.
    pub ring: LsnRing,
    /// By name, how much each slot has kept.
    pub slots: BTreeMap<String, SlotRoom>,
    /// By standby, how old its replication is.
    pub set_ups: BTreeMap<Name, SetUp>,
    /// By standby, the slot that it named last.
    pub slot_names: BTreeMap<Name, String>,
    /// By standby that streams from another server than the primary, that one's host and port.
    #[serde(default)]
    pub cascaded: BTreeMap<Name, String>,
    /// By standby, how its lag has changed.
    pub trends: BTreeMap<Name, LagTrend>,
    /// The last proven verdict on growth.
    pub growing: Option<(bool, Moment)>,
    /// Which node was the primary last.
    #[serde(default)]
    pub roles_change: RolesChange,
    /// When that was proven last.
    #[serde(default)]
    pub roles_proven: Option<Moment>,
}

impl SavedPostgres {
    /// What still counts at `now` in the same boot: all, unless something in it cannot have been saved before.
    #[must_use]
    pub fn in_same_boot(self, now: Moment) -> Self {
        let mut sound = self;
        if !sound.ring.is_sound(now) {
            sound.ring = LsnRing::default();
        }
        sound.slots.retain(|_, room| room.is_sound(now));
        sound.set_ups.retain(|_, set_up| set_up.is_sound(now));
        sound.roles_change = sound.roles_change.in_same_boot(now);
        sound.growing = sound.growing.filter(|(_, proven)| *proven <= now);
        sound.roles_proven = sound.roles_proven.filter(|proven| *proven <= now);
        sound
    }

    /// What still counts in another boot: names, and ages as they were at `saved_at`. Moments of two boots cannot be compared.
    #[must_use]
    pub fn in_other_boot(self, saved_at: Moment, now: Moment) -> Self {
        let sound = self.in_same_boot(saved_at);
        let carried = |(standby, set_up): (Name, SetUp)| (standby, set_up.carried(saved_at, now));
        Self {
            set_ups: sound.set_ups.into_iter().map(carried).collect(),
            slot_names: sound.slot_names,
            cascaded: sound.cascaded,
            roles_change: sound.roles_change.in_other_boot(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::evidence::{Roles, SetUpOf};
    use crate::units::Lsn;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn saved() -> SavedPostgres {
        let of = SetUpOf { primary: Name::new("alpha"), cluster: Some("7".to_owned()), slot: None };
        let mut saved = SavedPostgres {
            ring_of: Some(RingOf { node: Name::new("alpha"), cluster: Some("7".to_owned()), timeline: Some(1) }),
            set_ups: BTreeMap::from([(Name::new("beta"), SetUp::new(of, at(50), Duration::from_hours(30)))]),
            slot_names: BTreeMap::from([(Name::new("beta"), "beta".to_owned())]),
            cascaded: BTreeMap::from([(Name::new("gamma"), "10.0.0.9:5432".to_owned())]),
            growing: Some((true, at(90))),
            ..SavedPostgres::default()
        };
        saved.ring.push(at(90), Lsn(900));
        saved.slots.insert("beta".to_owned(), SlotRoom::new(at(40)));
        saved
    }

    #[test]
    fn all_counts_in_the_same_boot_but_for_what_is_from_the_future() {
        assert_eq!(saved().in_same_boot(at(90)), saved());
        let before = saved().in_same_boot(at(45));
        assert_eq!((before.ring, before.set_ups.len(), before.growing), (LsnRing::default(), 0, None));
        assert_eq!(before.slots.len(), 1, "seen at 40 s");
        assert_eq!(saved().in_same_boot(at(39)).slots.len(), 0);
    }

    #[test]
    fn another_boot_keeps_names_and_ages_only() {
        let other = saved().in_other_boot(at(100), at(3));
        assert_eq!((other.ring_of, other.ring, other.slots.len()), (None, LsnRing::default(), 0));
        assert_eq!(other.set_ups[&Name::new("beta")].age(at(3)), Duration::from_hours(30) + Duration::from_secs(50));
        assert_eq!((other.slot_names.len(), other.cascaded.len()), (1, 1));
    }

    #[test]
    fn who_was_the_primary_is_kept_and_when_that_was_proven_only_where_it_means_something() {
        let roles = |primary| Roles { primary: Some(Name::new(primary)), ..Roles::default() };
        let mut saved = SavedPostgres { roles_proven: Some(at(80)), ..saved() };
        saved.roles_change.record(&roles("alpha"), Some(1), at(10));
        saved.roles_change.record(&roles("beta"), Some(2), at(80));
        let beta = Name::new("beta");
        let same = saved.clone().in_same_boot(at(90));
        assert_eq!((same.roles_proven, same.roles_change.recent(at(90)).0), (Some(at(80)), Some(true)));
        let before = saved.clone().in_same_boot(at(70));
        assert_eq!((before.roles_proven, before.roles_change.recent(at(70)).0), (None, Some(false)), "from the future");
        assert_eq!(before.roles_change.primary(), Some(&beta));
        let other = saved.in_other_boot(at(100), at(90));
        assert_eq!((other.roles_proven, other.roles_change.recent(at(90)).0), (None, Some(false)), "of another boot");
        assert_eq!(other.roles_change.primary(), Some(&beta));
    }
}
