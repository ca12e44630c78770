//! What the hub remembers of a pair over time.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::PairConfig;
use crate::evidence::{PairEvidence, Roles};
use crate::facts::{Age, CanaryTracker, Observation, SearchMemory};
use crate::history::config_drift::DriftHistory;
use crate::history::config_sync::ConfigHistory;
use crate::history::flapping::FlapHistory;
use crate::history::kvstore::KvstoreHistory;
use crate::history::postgres::PostgresHistory;
use crate::history::saved::SavedPostgres;
use crate::history::search::{SavedSearch, SearchHistory};
use crate::history::status_page::StatusPageHistory;

/// The histories of all channels.
#[derive(Clone, Debug)]
pub struct Histories {
    /// Set if the channel is configured.
    pub postgres: Option<PostgresHistory>,
    /// Set if the channel is watched through a page instead of its servers.
    pub status_page: Option<StatusPageHistory>,
    /// Of the synchronisation job.
    pub config: ConfigHistory,
    /// Of the trees of configuration.
    pub drift: DriftHistory,
    /// Of the canaries.
    pub kvstore: KvstoreHistory,
    /// Of the search engines.
    pub search: SearchHistory,
    /// Of all channels that replicate.
    pub flapping: FlapHistory,
}

impl Histories {
    /// Nothing remembered yet.
    pub fn new(pair: &PairConfig) -> Self {
        Self {
            postgres: pair.postgres.as_ref().map(PostgresHistory::new),
            status_page: pair.status_page().map(|(channel, _)| StatusPageHistory::new(channel.trend_window)),
            config: ConfigHistory::default(),
            drift: DriftHistory::default(),
            kvstore: pair.kvstore.as_ref().map(KvstoreHistory::new).unwrap_or_default(),
            search: SearchHistory::new(
                pair.search.as_ref().map_or(Duration::from_secs(600), |channel| channel.rate_window),
                pair.search.as_ref().map_or(0, |channel| channel.drift_percent),
            ),
            flapping: FlapHistory::default(),
        }
    }

    /// Goes on from what was saved.
    pub fn restore(&mut self, saved: Option<SavedPostgres>, now: Moment) {
        if let (Some(history), Some(saved)) = (&mut self.postgres, saved) {
            history.restore(saved, now);
        }
    }

    /// Goes on from what was saved of the search engines.
    pub fn restore_search(&mut self, saved: Option<SavedSearch>, pair: &PairConfig, now: Moment) {
        if let (Some(channel), Some(saved)) = (&pair.search, saved) {
            self.search.restore(saved, |node| pair.node(node).is_some(), &channel.indices, now);
        }
    }

    /// What another agent remembers of the search engines.
    pub fn learn_search(&mut self, memory: SearchMemory<Age>, pair: &PairConfig) {
        if let Some(channel) = &pair.search {
            self.search.learn(memory, |node| pair.node(node).is_some(), &channel.indices);
        }
    }

    /// The canaries of before a restart.
    pub fn restore_canaries(&mut self, saved: Option<CanaryTracker>) {
        self.kvstore.tracker = saved.or_else(|| self.kvstore.tracker.take());
    }

    /// What must survive a restart.
    pub fn saved(&self) -> Option<SavedPostgres> {
        self.postgres.as_ref().map(PostgresHistory::saved)
    }

    /// Takes in a reading, before it is held as the newest.
    pub fn record(&mut self, observation: &Observation) {
        match observation {
            Observation::Postgres(node, reading) => {
                if let Some(history) = &mut self.postgres {
                    history.record(node, reading);
                }
            }
            Observation::Pulse(node, reading) => {
                if let Some(history) = &mut self.postgres {
                    history.record_pulse(node, reading);
                }
            }
            Observation::StatusPage(reading) => {
                if let Some(history) = &mut self.status_page {
                    history.record(reading);
                }
            }
            Observation::Kvstore(reading) => self.kvstore.record(reading),
            Observation::Observed(reading) => self.kvstore.observed.record(reading),
            Observation::Config(node, reading) => self.config.record(node, reading),
            Observation::Tree(node, reading) => self.drift.record(node, reading),
            Observation::Search(node, reading) => self.search.record(node, reading),
            Observation::SearchExpected(index, reading) => self.search.record_expected(index, reading),
        }
    }

    /// Takes in what was derived from the newest readings.
    pub fn note(&mut self, evidence: &PairEvidence, now: Moment) {
        if let Some(search) = &evidence.search {
            self.search.note(search, now);
        }
        match (&evidence.postgres, &mut self.status_page, &mut self.postgres) {
            (Some(postgres), Some(history), _) => history.note(postgres, now),
            (Some(postgres), None, Some(history)) => history.note(postgres, &evidence.roles, now),
            (Some(_), None, None) | (None, ..) => {}
        }
        for (channel, up) in evidence.replicating() {
            self.flapping.record(channel, up, now);
        }
    }

    /// The machine was paused from outside, which boot time did not see: moments from before would look younger than they
    /// are. Signs of life must be seen anew; who was the primary is still the last proof there is.
    pub fn forget_moments(&mut self, pair: &PairConfig) {
        if let (Some((channel, _)), Some(history)) = (pair.status_page(), &mut self.status_page) {
            *history = StatusPageHistory::new(channel.trend_window);
        }
        if let (Some(channel), Some(history)) = (&pair.postgres, &mut self.postgres) {
            let before = std::mem::replace(history, PostgresHistory::new(channel));
            history.roles = Roles { proven_at: None, ..before.roles };
            history.recognised = before.recognised;
            // An age is a lower bound, which a time that nobody counted leaves true.
            history.set_ups = before.set_ups;
            history.remember_slots(before.nodes);
        }
        self.drift.forget();
        self.kvstore.forget_moments();
        self.search.forget_moments();
        self.flapping = FlapHistory::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};
    use crate::evidence::{Recognised, SetUpOf};
    use crate::history::lsn_ring::LsnRing;
    use crate::history::set_up::SetUp;
    use crate::names::{Channel, Name};
    use crate::units::Lsn;

    const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: a, user: probe } }
      beta:  { postgres: { host: b, user: probe } }
";

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn after_a_pause_moments_are_forgotten_and_what_is_no_moment_is_not() {
        let config = parse(CONFIG, "test", &Environment::default()).expect("a right configuration");
        let pair = &config.pairs[0];
        let (alpha, beta) = (Name::new("alpha"), Name::new("beta"));
        let mut histories = Histories::new(pair);
        histories.flapping.record(Channel::Postgres, true, at(1));
        let of = SetUpOf { primary: alpha.clone(), cluster: None, slot: None };
        let set_up = SetUp::new(of, at(5), Duration::from_hours(48));
        let recognised = Recognised { key: (7, None), others: std::iter::once((8, None)).collect() };
        let postgres = histories.postgres.as_mut().expect("configured");
        postgres.roles = Roles { primary: Some(alpha.clone()), proven_at: Some(at(9)), ..Roles::default() };
        postgres.ring.push(at(9), Lsn(5));
        postgres.growing = Some((true, at(9)));
        postgres.set_ups.insert(beta.clone(), set_up.clone());
        postgres.recognised.insert(beta.clone(), recognised.clone());
        let memory = postgres.nodes.entry(beta.clone()).or_default();
        (memory.slot, memory.feed.cascaded, memory.ahead) = (Some("beta".to_owned()), true, 2);

        histories.forget_moments(pair);
        assert_eq!(histories.flapping, FlapHistory::default());
        let postgres = histories.postgres.as_ref().expect("configured");
        assert_eq!((&postgres.ring, postgres.growing), (&LsnRing::default(), None));
        assert_eq!((postgres.roles.primary.as_ref(), postgres.roles.proven_at), (Some(&alpha), None));
        assert_eq!(postgres.set_ups.get(&beta), Some(&set_up), "an age is a lower bound");
        assert_eq!(postgres.recognised.get(&beta), Some(&recognised), "whose walsender it is");
        let memory = &postgres.nodes[&beta];
        assert_eq!((memory.slot.as_deref(), memory.feed.cascaded, memory.ahead), (Some("beta"), true, 0));
    }

    #[test]
    fn canaries_that_were_saved_go_on_and_none_saved_ends_none() {
        let config = parse(CONFIG, "test", &Environment::default()).expect("a right configuration");
        let mut histories = Histories::new(&config.pairs[0]);
        let tracker = CanaryTracker { agent: "a".to_owned(), sequence: 7, ..CanaryTracker::default() };
        histories.restore_canaries(Some(tracker.clone()));
        assert_eq!(histories.kvstore.tracker.as_ref(), Some(&tracker));
        histories.restore_canaries(None);
        assert_eq!(histories.kvstore.tracker, Some(tracker));
    }
}
