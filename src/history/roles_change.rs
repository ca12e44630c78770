//! When the pair's primary last became another node: after a promotion everybody should know that one has taken place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::evidence::Roles;
use crate::names::Name;

/// A change of roles is told for this long.
const TOLD: Duration = Duration::from_mins(30);

/// Which node was the primary last, and since when if another one was before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolesChange {
    primary: Option<Name>,
    /// Of that primary. A promotion begins another one.
    #[serde(default)]
    timeline: Option<u32>,
    at: Option<Moment>,
}

impl RolesChange {
    /// Takes in who is proven to be the primary, and on which timeline. The first one that is ever seen has followed nobody. Nor has
    /// another node on the very same timeline: a node was renamed, or two have changed their addresses, in the configuration.
    pub fn record(&mut self, roles: &Roles, timeline: Option<u32>, now: Moment) {
        let Some(primary) = roles.primary.as_ref().filter(|_| !roles.contradicted) else { return };
        if self.primary.as_ref() != Some(primary) {
            let same = self.timeline.is_some() && self.timeline == timeline;
            if self.primary.is_some() && !same {
                self.at = Some(now);
            }
            self.primary = Some(primary.clone());
            self.timeline = None;
        }
        self.timeline = timeline.or(self.timeline);
    }

    /// Which node was the primary last.
    pub fn primary(&self) -> Option<&Name> {
        self.primary.as_ref()
    }

    /// Whether the primary became another node lately, and until when that is told. `None`: no primary was ever seen.
    pub fn recent(&self, now: Moment) -> (Option<bool>, Option<Moment>) {
        let until = self.at.map(|at| at + TOLD).filter(|until| *until > now);
        (self.primary.is_some().then_some(until.is_some()), until)
    }

    /// What still counts at `now` in the same boot.
    #[must_use]
    pub fn in_same_boot(self, now: Moment) -> Self {
        Self { at: self.at.filter(|at| *at <= now), ..self }
    }

    /// What still counts in another boot: who it was.
    #[must_use]
    pub fn in_other_boot(self) -> Self {
        Self { at: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn roles(primary: Option<&str>, contradicted: bool) -> Roles {
        Roles { primary: primary.map(Name::new), contradicted, ..Roles::default() }
    }

    #[test]
    fn a_promotion_is_told_for_half_an_hour_and_the_first_primary_is_none() {
        let mut change = RolesChange::default();
        assert_eq!(change.recent(at(1)), (None, None));
        change.record(&roles(None, false), Some(1), at(1));
        change.record(&roles(Some("alpha"), false), Some(1), at(2));
        assert_eq!(change.recent(at(2)), (Some(false), None));
        change.record(&roles(Some("beta"), true), Some(2), at(3));
        assert_eq!(change.recent(at(3)), (Some(false), None), "two primaries are no promotion");
        change.record(&roles(Some("beta"), false), Some(2), at(10));
        assert_eq!(change.recent(at(11)), (Some(true), Some(at(1810))));
        change.record(&roles(Some("beta"), false), Some(2), at(900));
        assert_eq!(change.recent(at(1809)).0, Some(true));
        assert_eq!(change.recent(at(1810)), (Some(false), None));
        let other = change.clone().in_other_boot();
        assert_eq!(other.recent(at(20)), (Some(false), None), "moments of another boot mean nothing");
        let mut renamed = change.clone();
        renamed.record(&roles(Some("beta-1"), false), Some(2), at(1820));
        assert_eq!(renamed.recent(at(1821)), (Some(false), None), "a name is no promotion");
        renamed.record(&roles(Some("alpha"), false), Some(3), at(1830));
        assert_eq!(renamed.recent(at(1831)).0, Some(true));
        renamed.record(&roles(Some("beta"), false), None, at(4000));
        assert_eq!(renamed.recent(at(4001)).0, Some(true), "of which nobody knows the timeline");
        assert_eq!(change.in_same_boot(at(5)).recent(at(20)), (Some(false), None));
    }

    #[test]
    fn a_timeline_that_nobody_tells_is_not_the_same() {
        let mut change = RolesChange::default();
        change.record(&roles(Some("alpha"), false), None, at(1));
        change.record(&roles(Some("beta"), false), None, at(2));
        assert_eq!(change.recent(at(3)).0, Some(true));
        // What was the timeline of one primary is not that of the next, which does not tell its own.
        let mut change = RolesChange::default();
        change.record(&roles(Some("alpha"), false), Some(1), at(1));
        change.record(&roles(Some("beta"), false), None, at(2));
        change.record(&roles(Some("alpha"), false), Some(1), at(4000));
        assert_eq!(change.recent(at(4001)).0, Some(true));
        // A reading that lacks it leaves what is known.
        let mut change = RolesChange::default();
        change.record(&roles(Some("alpha"), false), Some(1), at(1));
        change.record(&roles(Some("alpha"), false), None, at(2));
        change.record(&roles(Some("alpha-1"), false), Some(1), at(3));
        assert_eq!(change.recent(at(4)).0, Some(false), "a name is no promotion");
    }
}
