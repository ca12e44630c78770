//! A pair's hub without its task, its probes and its clock, so that what one reading costs can be measured from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::derive::{self, Known};
use super::schedule::Told;
use super::{Common, Core};
use crate::clock::{Moment, WallTime};
use crate::config::PairConfig;
use crate::facts::Observation;
use crate::judge::rules::RuleBook;
use crate::snapshot::{Snapshot, View};
use crate::state_file::Saved;

/// A hub that is told everything, time included. It keeps nothing on disk.
pub struct Rehearsal(Core);

impl Rehearsal {
    /// A hub of this pair with the rules' defaults, which has not seen anything yet.
    pub fn new(pair: Arc<PairConfig>, now: Moment, wall: WallTime) -> Self {
        let rules = Arc::new(RuleBook::new(&BTreeMap::new()));
        let common = Common { rules, state_directory: PathBuf::new(), keeping: None };
        let state = watch::channel(Saved::default()).0;
        Self(Core::new(pair, &common, Saved::default(), state, (now, wall)).0)
    }

    /// What the hub does with one reading: it takes it in and makes the snapshot, with what is shown now and what is shown later.
    pub fn take(&mut self, observation: Observation, now: Moment, wall: WallTime) -> Arc<Snapshot> {
        self.0.advance(vec![Told::Observation(observation)], now, wall)
    }

    /// Evidence, samples, rules and levels alone, once, from what was taken in before.
    pub fn derive(&mut self, now: Moment, wall: WallTime) -> View {
        let core = &mut self.0;
        let known = Known {
            pair: &core.pair,
            rules: &core.rules,
            readings: &core.readings,
            histories: &core.histories,
            role_file: core.role_file.as_ref(),
            peers: &core.peers,
        };
        derive::view(known, &mut core.timers, now, wall).view
    }
}
