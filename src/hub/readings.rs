//! The newest reading of every probe of a pair.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Moment, WallTime};
use crate::config::PairConfig;
use crate::facts::{
    ConfigFacts, Failure, KvstoreFacts, Latest, Observation, ObservedFacts, PostgresFacts, Reading, SearchFacts,
    StatusPageFacts, TreeFacts,
};
use crate::names::{Channel, Name, PostgresSource};
use crate::snapshot::ProbeHealth;

/// One entry per configured probe, from the start on: what is watched is configured, not discovered.
#[derive(Clone, Debug)]
pub struct Readings {
    /// By node.
    pub postgres: BTreeMap<Name, Latest<PostgresFacts>>,
    /// The page that stands for the servers.
    pub status_page: Latest<StatusPageFacts>,
    /// By node.
    pub config: BTreeMap<Name, Latest<ConfigFacts>>,
    /// The trees of configuration, by node. Not read in time, they leave drift unknown and the channel as it is.
    pub trees: BTreeMap<Name, Latest<TreeFacts>>,
    /// One canary's way through both stores.
    pub kvstore: Latest<KvstoreFacts>,
    /// Both stores' own data, compared.
    pub observed: Latest<ObservedFacts>,
    /// By node.
    pub search: BTreeMap<Name, Latest<SearchFacts>>,
    last_success: BTreeMap<(Channel, Name), WallTime>,
}

impl Readings {
    /// Nothing was asked yet.
    pub fn new(pair: &PairConfig) -> Self {
        Self {
            postgres: of_nodes(pair, Channel::Postgres),
            status_page: Latest::NeverAsked,
            config: of_nodes(pair, Channel::Config),
            trees: of_nodes(pair, Channel::Config),
            kvstore: Latest::NeverAsked,
            observed: Latest::NeverAsked,
            search: of_nodes(pair, Channel::Search),
            last_success: BTreeMap::new(),
        }
    }

    /// Takes in the newest reading of a probe. `now` and `wall` are the same instant.
    pub fn take(&mut self, observation: Observation, now: Moment, wall: WallTime) {
        let at = |answered: Moment| WallTime(wall.0 - now.since(answered).as_secs_f64());
        match observation {
            // One that comes after a newer one tells nothing of now.
            Observation::Postgres(node, reading)
                if self.postgres.get(&node).is_some_and(|latest| latest.is_newer(&reading)) => {}
            Observation::Postgres(node, reading) => {
                self.note_success(Channel::Postgres, &node, reading.facts().map(|_| at(reading.answered)));
                self.postgres.insert(node, Latest::Have(Arc::new(reading)));
            }
            Observation::StatusPage(reading) => {
                let success = reading.facts().map(|_| at(reading.answered));
                self.note_success(Channel::Postgres, &page_node(), success);
                self.status_page = Latest::Have(Arc::new(reading));
            }
            // What it says is of use only beside what was asked before and after it: the history's part.
            Observation::Pulse(..) => {}
            // The history's part, too.
            Observation::SearchExpected(..) => {}
            Observation::Config(node, reading) => {
                self.note_success(Channel::Config, &node, reading.facts().map(|_| at(reading.answered)));
                self.config.insert(node, Latest::Have(Arc::new(reading)));
            }
            Observation::Tree(node, reading) => drop(self.trees.insert(node, Latest::Have(Arc::new(reading)))),
            Observation::Kvstore(reading) => {
                for (node, failure) in stores(&reading) {
                    let success = failure.is_none().then(|| at(reading.answered));
                    self.note_success(Channel::Kvstore, &node, success);
                }
                self.kvstore = Latest::Have(Arc::new(reading));
            }
            // How a store fares is told by the canaries' probe, which asks it in any case.
            Observation::Observed(reading) => self.observed = Latest::Have(Arc::new(reading)),
            Observation::Search(node, reading) => {
                self.note_success(Channel::Search, &node, reading.facts().map(|_| at(reading.answered)));
                self.search.insert(node, Latest::Have(Arc::new(reading)));
            }
        }
    }

    /// What was read of one probe of `node` may no longer be believed.
    pub fn drop_of(&mut self, channel: Channel, node: &Name) {
        match channel {
            Channel::Postgres => drop_at(&mut self.postgres, node),
            Channel::Config => drop_at(&mut self.config, node),
            Channel::Search => drop_at(&mut self.search, node),
            Channel::Kvstore => self.kvstore = Latest::Dropped,
        }
    }

    fn note_success(&mut self, channel: Channel, node: &Name, success: Option<WallTime>) {
        if let Some(wall) = success {
            self.last_success.insert((channel, node.clone()), wall);
        }
    }

    /// The same probes with nothing that may be believed any more.
    #[must_use]
    pub fn dropped(&self) -> Self {
        Self {
            postgres: dropped(&self.postgres),
            status_page: drop_one(&self.status_page),
            config: dropped(&self.config),
            trees: dropped(&self.trees),
            kvstore: drop_one(&self.kvstore),
            observed: drop_one(&self.observed),
            search: dropped(&self.search),
            last_success: self.last_success.clone(),
        }
    }

    /// Every configured probe has come back at least once.
    pub fn complete(&self, pair: &PairConfig) -> bool {
        self.postgres.values().all(asked)
            && self.config.values().all(asked)
            && self.search.values().all(asked)
            && (pair.status_page().is_none() || asked(&self.status_page))
            && (!pair.has(Channel::Kvstore) || asked(&self.kvstore))
    }

    /// Every configured probe was asked at or after this moment, and has come back.
    pub fn all_of(&self, since: Moment, pair: &PairConfig) -> bool {
        self.postgres.values().all(|latest| latest.is_of(since))
            && self.config.values().all(|latest| latest.is_of(since))
            && self.search.values().all(|latest| latest.is_of(since))
            && (pair.status_page().is_none() || self.status_page.is_of(since))
            && (!pair.has(Channel::Kvstore) || self.kvstore.is_of(since))
    }

    /// How each configured probe fares at `now`, in the order of channels and nodes of the configuration.
    pub fn health(&self, pair: &PairConfig, now: Moment) -> Vec<ProbeHealth> {
        let mut all = Vec::new();
        if let Some((channel, _)) = pair.status_page() {
            let (up, failure, took) = state(&self.status_page, now, channel.schedule.stale_after);
            let (channel, node) = (Channel::Postgres, page_node());
            let last_success = self.last_success.get(&(channel, node.clone())).copied();
            all.push(ProbeHealth { channel, node, up, last_success, failure, took });
        }
        for channel in pair.channels() {
            let Some(stale_after) = pair.schedule(channel).map(|schedule| schedule.stale_after) else { continue };
            for node in &pair.nodes {
                let name = &node.name;
                let state = match channel {
                    Channel::Postgres => self.postgres.get(name).map(|latest| state(latest, now, stale_after)),
                    Channel::Config => self.config.get(name).map(|latest| state(latest, now, stale_after)),
                    Channel::Search => self.search.get(name).map(|latest| state(latest, now, stale_after)),
                    Channel::Kvstore => node.kvstore.as_ref().map(|_| self.store_state(name, now, stale_after)),
                };
                all.extend(state.map(|(up, failure, took)| ProbeHealth {
                    channel,
                    node: name.clone(),
                    up,
                    last_success: self.last_success.get(&(channel, name.clone())).copied(),
                    failure,
                    took,
                }));
            }
        }
        all
    }

    /// One canary asks both stores: each has its own health.
    fn store_state(&self, node: &Name, now: Moment, stale_after: Duration) -> State {
        let (fresh, failure, took) = state(&self.kvstore, now, stale_after);
        let Latest::Have(reading) = &self.kvstore else { return (false, failure, took) };
        let own = stores(reading).into_iter().find(|(name, _)| name == node).and_then(|(_, failure)| failure);
        (fresh && own.is_none(), failure.or(own), took)
    }
}

/// Stands where a node would: the page belongs to none.
fn page_node() -> Name {
    Name::new(PostgresSource::StatusPage.as_str())
}

type State = (bool, Option<Failure>, Option<Duration>);

fn of_nodes<T>(pair: &PairConfig, channel: Channel) -> BTreeMap<Name, Latest<T>> {
    if !pair.has(channel) {
        return BTreeMap::new();
    }
    let probed = pair.nodes.iter().filter(|node| match channel {
        Channel::Postgres => node.postgres.is_some(),
        Channel::Config => node.config.is_some(),
        Channel::Kvstore => node.kvstore.is_some(),
        Channel::Search => node.search.is_some(),
    });
    probed.map(|node| (node.name.clone(), Latest::NeverAsked)).collect()
}

fn state<T>(latest: &Latest<T>, now: Moment, stale_after: Duration) -> State {
    let took = match latest {
        Latest::Have(reading) => Some(reading.took()),
        Latest::NeverAsked | Latest::Dropped => None,
    };
    (latest.fresh(now, stale_after).is_ok(), latest.failure().cloned(), took)
}

/// What each store said in this cycle; nothing if the cycle itself failed.
fn stores(reading: &Reading<KvstoreFacts>) -> Vec<(Name, Option<Failure>)> {
    let Some(facts) = reading.facts() else { return Vec::new() };
    [&facts.standby, &facts.primary].map(|(node, answer)| (node.clone(), answer.failure.clone())).into()
}

fn asked<T>(latest: &Latest<T>) -> bool {
    !matches!(latest, Latest::NeverAsked)
}

fn drop_at<T>(latest: &mut BTreeMap<Name, Latest<T>>, node: &Name) {
    if let Some(latest) = latest.get_mut(node) {
        *latest = Latest::Dropped;
    }
}

fn drop_one<T>(latest: &Latest<T>) -> Latest<T> {
    if asked(latest) { Latest::Dropped } else { Latest::NeverAsked }
}

fn dropped<T>(latest: &BTreeMap<Name, Latest<T>>) -> BTreeMap<Name, Latest<T>> {
    latest.iter().map(|(node, latest)| (node.clone(), drop_one(latest))).collect()
}
