//! What has ended, for sites that want it said.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alert::{Alert, Identity};
use crate::clock::{Moment, WallTime};

/// Alerts that fired at the last look, and those that have ended lately.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    fired: BTreeMap<Identity, Alert>,
    ended: BTreeMap<Identity, (Alert, Moment)>,
}

impl Resolved {
    /// What has ended, and not begun again since. Each is said for as long as it would have gone on by itself: whoever was not
    /// reached meanwhile has seen it expire.
    pub(super) fn since_last(&mut self, fires: &[Alert], now: (Moment, WallTime), lives: Duration) -> Vec<Alert> {
        let (now, wall) = now;
        let fires: BTreeMap<Identity, Alert> = fires.iter().map(|alert| (alert.identity(), alert.clone())).collect();
        for (identity, alert) in std::mem::replace(&mut self.fired, fires) {
            if !self.fired.contains_key(&identity) {
                self.ended.insert(identity, (alert.ended(wall), now));
            }
        }
        self.ended.retain(|identity, (_, ended)| now.since(*ended) < lives && !self.fired.contains_key(identity));
        self.ended.values().map(|(alert, _)| alert.clone()).collect()
    }
}
