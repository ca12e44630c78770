//! What the other nodes' agents tell, and what this one tells them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::readings::Readings;
use super::role_file::RoleFileReading;
use crate::clock::{self, BootId, Moment, WallTime};
use crate::config::{PairConfig, Seat};
use crate::evidence::{MachineEvidence, PairEvidence, PeerEvidence};
use crate::facts::{
    Age, Arrival, Arrived, BeaconClocks, BeaconTime, CanaryTracker, Failure, HostFacts, KvstoreFacts, Latest,
    NodeClock, Observation, ObservedFacts, OwnReadings, PeerFacts, Reading, SearchMemory,
};
use crate::history::search::SearchHistory;
use crate::names::{Channel, FailureKind, Name, Reason};
use crate::snapshot::OwnNode;
use crate::units::Lsn;

/// A machine does not change from one second to the next.
pub const HOST_EVERY: Duration = Duration::from_secs(60);
/// How long a look at it may be believed.
const HOST_STALE_AFTER: Duration = Duration::from_secs(183);

/// Where on this machine the disk is that matters.
pub fn disk(pair: &PairConfig, data_directory: Option<&str>) -> PathBuf {
    let own = pair.seat.as_ref().and_then(|seat| pair.node(&seat.node));
    let configuration = || own.and_then(|node| node.config.as_ref()).map(|tree| tree.root.clone());
    let data = data_directory.map(PathBuf::from);
    data.or_else(configuration).unwrap_or_else(|| PathBuf::from("/"))
}

/// Something that another agent's answer says of its node.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once into the readings")]
pub enum News {
    /// A reading that was not told before.
    New(Observation),
    /// One that was, or none: it is the newest there is, and history has it already.
    Again(Observation),
    /// Its agent does not believe the newest reading any more.
    Dropped(Channel),
    /// What that agent remembers of the primary's search indices.
    Memory(SearchMemory<Age>),
}

/// The other agents, and what this one has read itself.
#[derive(Clone, Debug)]
pub struct Peers {
    all: BTreeMap<Name, Peer>,
    pulse: Latest<Lsn>,
    canary: Latest<KvstoreFacts>,
    observed: Latest<ObservedFacts>,
    host: Latest<HostFacts>,
    /// By index, what the database here said last. Bounded by the configured indices.
    expected: BTreeMap<String, Latest<u64>>,
    boot: Option<BootId>,
    role: Latest<Name>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    latest: Latest<Answer>,
    host: Latest<HostFacts>,
    /// What it is told of the roles, and which reading that is. As with all readings, told again it keeps its first moment.
    role: Option<(String, RoleFileReading)>,
    /// By index, which count of the database there is held.
    expected: BTreeMap<String, String>,
    /// By what was read: which reading is held, on the clock here as it was first told. A reading that is told again keeps its first
    /// moment: were the clock of its machine stopped from outside, it would seem to stay young.
    held: BTreeMap<What, (String, Observation)>,
}

#[derive(Clone, Debug)]
struct Answer {
    version: String,
    clock_skew: f64,
    clock: Option<BeaconTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Channel(Channel),
    Pulse,
    Observed,
}

impl Peers {
    /// Nobody has answered yet.
    pub fn new(pair: &PairConfig) -> Self {
        let others = pair.nodes.iter().filter(|node| !pair.probes(&node.name));
        let all = others.map(|node| (node.name.clone(), Peer::default())).collect();
        let boot = pair.seat.as_ref().and_then(|_| clock::boot_id().ok());
        let (pulse, canary, observed, host) =
            (Latest::NeverAsked, Latest::NeverAsked, Latest::NeverAsked, Latest::NeverAsked);
        Self { all, pulse, canary, observed, host, expected: BTreeMap::new(), boot, role: Latest::NeverAsked }
    }

    /// Takes in what this agent has read itself, where it is not kept by node.
    pub fn own(&mut self, observation: &Observation) {
        match observation {
            Observation::Pulse(_, reading) => self.pulse = Latest::Have(Arc::new(reading.clone())),
            Observation::Kvstore(reading) => self.canary = Latest::Have(Arc::new(reading.clone())),
            Observation::SearchExpected(index, reading) => {
                self.expected.insert(index.clone(), Latest::Have(Arc::new(reading.clone())));
            }
            Observation::Observed(reading) => self.observed = Latest::Have(Arc::new(reading.clone())),
            _ => {}
        }
    }

    /// Takes in what this agent was told of the roles.
    pub fn own_role(&mut self, reading: &Reading<Name>) {
        self.role = Latest::Have(Arc::new(reading.clone()));
    }

    /// What the other agents are told of the roles, as long as they answer.
    pub fn roles_told(&self) -> impl Iterator<Item = (&Name, &RoleFileReading)> {
        self.all.iter().filter_map(|(node, peer)| Some((node, &peer.role.as_ref()?.1)))
    }

    /// Takes in what was seen of this machine.
    pub fn own_host(&mut self, reading: Reading<HostFacts>) {
        self.host = Latest::Have(Arc::new(reading));
    }

    /// What is told to the others.
    pub fn report(&self, seat: &Seat, readings: &Readings, search: &SearchHistory) -> OwnNode {
        let node = &seat.node;
        let readings = OwnReadings {
            postgres: readings.postgres.get(node).cloned().unwrap_or_default(),
            pulse: self.pulse.clone(),
            config: readings.config.get(node).cloned().unwrap_or_default(),
            tree: readings.trees.get(node).cloned().unwrap_or_default(),
            kvstore: self.canary.clone(),
            observed: self.observed.clone(),
            search: readings.search.get(node).cloned().unwrap_or_default(),
            search_expected: self.expected.clone(),
            search_memory: search.memory().clone(),
            role: self.role.clone(),
            host: self.host.clone(),
        };
        OwnNode { node: node.clone(), readings }
    }

    /// Takes in one answer about `node`, or that there was none. Canaries are of interest while this agent sends none itself.
    pub fn take(&mut self, pair: &PairConfig, node: &Name, reading: Reading<PeerFacts>, acting: bool) -> Vec<News> {
        let Some(peer) = self.all.get_mut(node) else { return Vec::new() };
        let Reading { asked, answered, result } = reading;
        let of_channel = |channel: &Channel| match channel {
            Channel::Postgres => pair.status_page().is_none(),
            Channel::Kvstore => !acting,
            Channel::Config | Channel::Search => true,
        };
        let channels: Vec<Channel> = pair.channels().filter(of_channel).collect();
        let facts = match result {
            Ok(facts) => facts,
            Err(failure) => {
                let told = Failure::new(FailureKind::PeerUnreachable, failure.message.clone());
                peer.latest = Latest::Have(Arc::new(Reading { asked, answered, result: Err(failure) }));
                peer.role = None;
                // A canary is no word of that node alone: the last one counts until it is too old, or one is sent from here.
                let lost = channels.into_iter().filter(|channel| *channel != Channel::Kvstore);
                return lost.map(|channel| News::Again(failed(channel, node, asked, answered, &told))).collect();
            }
        };
        let clock_skew = clock_skew(facts.wall, asked, answered);
        let answer = Answer { version: facts.version, clock_skew, clock: facts.clock };
        peer.latest = Latest::Have(Arc::new(Reading { asked, answered, result: Ok(answer) }));
        peer.host = match facts.host {
            Arrival::Here(arrived) => Latest::Have(Arc::new(arrived.reading)),
            // An older agent does not tell; then there is nothing to compare.
            _ => Latest::NeverAsked,
        };
        peer.role = match facts.role {
            Arrival::Here(arrived) => match peer.role.take() {
                Some((held, first)) if held == arrived.id => Some((held, first)),
                _ => Some((arrived.id, RoleFileReading::told(arrived.reading))),
            },
            _ => None,
        };
        let mut news = Vec::new();
        for channel in channels {
            let what = What::Channel(channel);
            let (name, at) = (node.clone(), (asked, answered));
            news.extend(match channel {
                Channel::Postgres => {
                    peer.news(what, node, at, facts.postgres.clone(), |r| Observation::Postgres(name, r))
                }
                Channel::Config => peer.news(what, node, at, facts.config.clone(), |r| Observation::Config(name, r)),
                Channel::Kvstore => {
                    peer.news(what, node, at, facts.kvstore.clone(), |r| Observation::Kvstore(of_another(r)))
                }
                Channel::Search => peer.news(what, node, at, facts.search.clone(), |r| Observation::Search(name, r)),
            });
        }
        if pair.search.is_some() {
            news.extend(peer.news_of_search(pair, facts.search_expected));
            news.push(News::Memory(facts.search_memory));
        }
        // One agent compares, as one sends the canaries.
        if !acting && pair.kvstore.is_some() {
            let observed = facts.observed;
            news.extend(peer.news(What::Observed, node, (asked, answered), observed, Observation::Observed));
        }
        if let Arrival::Here(_) = &facts.pulse {
            // Only ever of use to history, beside the readings around it.
            let name = node.clone();
            let pulse = peer.news(What::Pulse, node, (asked, answered), facts.pulse, |r| Observation::Pulse(name, r));
            news.extend(pulse.filter(|news| matches!(news, News::New(_))));
        }
        news
    }

    /// Those whose agent nobody can reach: not those whose agent answers, and be it with a refusal.
    pub fn out_of_reach(&self) -> Vec<&Name> {
        let is_silent = |peer: &Peer| peer.latest.failure().is_some_and(|failure| failure.kind.is_out_of_reach());
        self.all.iter().filter(|(_, peer)| is_silent(peer)).map(|(node, _)| node).collect()
    }

    /// What was told may not be believed any more.
    pub fn forget(&mut self) {
        for peer in self.all.values_mut() {
            *peer = Peer { latest: Latest::Dropped, ..Peer::default() };
        }
        self.pulse = Latest::NeverAsked;
        self.canary = Latest::Dropped;
        self.observed = Latest::Dropped;
        self.host = Latest::Dropped;
        self.expected.clear();
        self.role = Latest::Dropped;
    }

    /// The machines that are known at `now`.
    pub fn machines(&self, pair: &PairConfig, now: Moment) -> Vec<MachineEvidence> {
        let latest = |node: &Name| if pair.probes(node) { Some(&self.host) } else { Some(&self.all.get(node)?.host) };
        let nodes = pair.nodes.iter().filter(|_| pair.seat.is_some());
        let known = nodes.filter_map(|node| {
            let (facts, _) = latest(&node.name)?.fresh(now, HOST_STALE_AFTER).ok()?;
            Some(MachineEvidence { node: node.name.clone(), facts: facts.clone() })
        });
        known.collect()
    }

    /// By whose clocks beacons are read: where each node has its agent, by those of the one that wrote them.
    pub fn clocks(&self, pair: &PairConfig, now: Moment, wall: WallTime) -> BeaconClocks {
        let Some(seat) = &pair.seat else { return BeaconClocks::Readers };
        let stale_after = pair.peer_schedule().map_or(Duration::ZERO, |schedule| schedule.stale_after);
        let own = BeaconTime { boot: self.boot.clone(), moment: now, wall };
        let own = (seat.node.clone(), Ok(NodeClock { time: own, asked: now }));
        let others = self.all.iter().map(|(node, peer)| {
            let clock = match peer.latest.fresh(now, stale_after) {
                Err(_) => {
                    Err((Reason::PeerUnreachable, format!("the agent of {node} does not tell what time it is there")))
                }
                Ok((Answer { clock: None, version, .. }, _)) => {
                    let why =
                        format!("the agent of {node} is version {version}, which does not tell its clocks: update it");
                    Err((Reason::NotSeenYet, why))
                }
                Ok((Answer { clock: Some(time), .. }, asked)) => Ok(NodeClock { time: time.clone(), asked }),
            };
            (node.clone(), clock)
        });
        BeaconClocks::Writers(others.chain([own]).collect())
    }

    /// How the other agents are at `now`, and the next moment at which that changes by itself.
    pub fn evidence(&self, pair: &PairConfig, now: Moment) -> (Vec<PeerEvidence>, Option<Moment>) {
        // a default is right: without a channel there is nobody to ask, and nothing that could be stale.
        let stale_after = pair.peer_schedule().map_or(Duration::ZERO, |schedule| schedule.stale_after);
        let of = |(node, peer): (&Name, &Peer)| {
            let fresh = peer.latest.fresh(now, stale_after).ok().map(|(answer, _)| answer);
            PeerEvidence {
                node: node.clone(),
                up: fresh.is_some(),
                failure: peer.latest.failure().cloned(),
                version: fresh.map(|answer| answer.version.clone()),
                clock_skew: fresh.map(|answer| answer.clock_skew),
            }
        };
        let changes = self.all.values().filter_map(|peer| peer.latest.runs_out(now, stale_after));
        (self.all.iter().map(of).collect(), changes.min())
    }
}

impl Peer {
    fn news<T>(
        &mut self,
        what: What,
        node: &Name,
        (asked, answered): (Moment, Moment),
        arrival: Arrival<T>,
        observe: impl FnOnce(Reading<T>) -> Observation,
    ) -> Option<News> {
        let What::Channel(channel) = what else {
            let Arrival::Here(arrived) = arrival else { return None };
            return Some(self.hold(what, arrived.id, observe(arrived.reading)));
        };
        let fails = |kind, message: String| {
            Some(News::Again(failed(channel, node, asked, answered, &Failure::new(kind, message))))
        };
        match arrival {
            Arrival::Here(arrived) => Some(self.hold(what, arrived.id, observe(arrived.reading))),
            Arrival::Dropped => Some(News::Dropped(channel)),
            Arrival::NotUnderstood(why) => {
                let message =
                    format!("what the agent of {node} tells is not understood ({why}): update the older agent");
                fails(FailureKind::Protocol, message)
            }
            // A canary is sent by one agent only, which need not be that one.
            Arrival::NotYet | Arrival::Absent if channel == Channel::Kvstore => None,
            Arrival::NotYet => {
                let message = format!("the agent of {node} has just started and has not asked yet");
                fails(FailureKind::StartingUp, message)
            }
            Arrival::Absent => {
                let message = format!("the agent of {node} tells nothing of {channel}: check its configuration");
                fails(FailureKind::Protocol, message)
            }
        }
    }

    /// Counts of the database there that were not told before, of indices that are configured.
    fn news_of_search(&mut self, pair: &PairConfig, told: BTreeMap<String, Arrived<u64>>) -> Vec<News> {
        let indices = pair.search.iter().flat_map(|channel| &channel.indices);
        let known = told.into_iter().filter(|(index, _)| indices.clone().any(|known| known == index));
        let new = known.filter_map(|(index, arrived)| {
            let again = self.expected.insert(index.clone(), arrived.id.clone()).is_some_and(|held| held == arrived.id);
            (!again).then_some(News::New(Observation::SearchExpected(index, arrived.reading)))
        });
        new.collect()
    }

    fn hold(&mut self, what: What, id: String, observation: Observation) -> News {
        match self.held.get(&what) {
            Some((held, first)) if *held == id => News::Again(first.clone()),
            _ => {
                self.held.insert(what, (id, observation.clone()));
                News::New(observation)
            }
        }
    }
}

/// A canary that another agent sent. What that agent remembers of its canaries is its own: their keys bear its name, and its moments are
/// another machine's. Kept here, this agent would go on under that name after a restart, and both would write the same keys.
fn of_another(mut reading: Reading<KvstoreFacts>) -> Reading<KvstoreFacts> {
    if let Ok(facts) = &mut reading.result {
        facts.more.tracker = CanaryTracker::default();
    }
    reading
}

fn failed(channel: Channel, node: &Name, asked: Moment, answered: Moment, failure: &Failure) -> Observation {
    fn reading<T>(asked: Moment, answered: Moment, failure: &Failure) -> Reading<T> {
        Reading { asked, answered, result: Err(failure.clone()) }
    }
    let node = node.clone();
    match channel {
        Channel::Postgres => Observation::Postgres(node, reading(asked, answered, failure)),
        Channel::Config => Observation::Config(node, reading(asked, answered, failure)),
        Channel::Kvstore => Observation::Kvstore(reading(asked, answered, failure)),
        Channel::Search => Observation::Search(node, reading(asked, answered, failure)),
    }
}

/// By how much the clock there differs for certain: it showed `there` at some instant between the two moments.
fn clock_skew(there: WallTime, asked: Moment, answered: Moment) -> f64 {
    let (now, wall) = (clock::now(), clock::wall());
    let here = |moment: Moment| wall.0 - now.since(moment).as_secs_f64();
    skew(there.0, here(asked), here(answered))
}

fn skew(there: f64, earliest: f64, latest: f64) -> f64 {
    if there < earliest { earliest - there } else { (there - latest).max(0.0) }
}

/// Whether this agent sends the pair's canaries: the primary's does, and another one while that one cannot be asked.
pub fn acts(pair: &PairConfig, evidence: &PairEvidence) -> bool {
    let Some(seat) = &pair.seat else { return true };
    let Some(primary) = evidence.roles.primary.as_ref().filter(|_| !evidence.roles.contradicted) else { return true };
    *primary == seat.node || evidence.peers.iter().any(|peer| peer.node == *primary && !peer.up)
}

#[cfg(test)]
mod tests;
