//! What one agent tells the other of its own node. Moments mean nothing on another machine, so readings travel with their ages.
//!
//! A reading counts here as old as it was there when the answer was made, and the whole round trip more.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    Age, BeaconTime, ConfigFacts, Failure, HostFacts, KvstoreFacts, Latest, ObservedFacts, PostgresFacts, Reading,
    SearchFacts, SearchMemory, TreeFacts, TreeSummary, summary_of,
};
use crate::clock::{Moment, WallTime};
use crate::names::Name;
use crate::units::Lsn;

/// The version of this exchange. It goes up when an older agent would misread an answer, or could not read it at all; what is only
/// added is passed over by those who do not know it.
pub const PROTOCOL: u32 = 1;
/// The oldest version that is understood here, and that an answer from here can be read by.
pub const OLDEST_PROTOCOL: u32 = 1;

/// The newest that an agent holds of its own node.
#[derive(Clone, Debug, Default)]
pub struct OwnReadings {
    /// Of its PostgreSQL server.
    pub postgres: Latest<PostgresFacts>,
    /// The newest pulse that it was made to write.
    pub pulse: Latest<Lsn>,
    /// Of its copy of the configuration.
    pub config: Latest<ConfigFacts>,
    /// Of its tree of configuration.
    pub tree: Latest<TreeFacts>,
    /// The newest canary that this agent sent.
    pub kvstore: Latest<KvstoreFacts>,
    /// The newest comparison that this agent made.
    pub observed: Latest<ObservedFacts>,
    /// Of its search engine.
    pub search: Latest<SearchFacts>,
    /// By index, how many documents its database says that there should be.
    pub search_expected: BTreeMap<String, Latest<u64>>,
    /// What it remembers of the primary's indices.
    pub search_memory: SearchMemory<Age>,
    /// The node that it is told to be the primary, where no server proves that.
    pub role: Latest<Name>,
    /// Of its machine.
    pub host: Latest<HostFacts>,
}

/// An agent's answer to the other one.
#[derive(Clone, Debug, Serialize)]
pub struct NodeReport {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The oldest version of the exchange that can read this answer.
    pub readable_by: u32,
    /// The agent's version, for people.
    pub version: String,
    /// The pair that it is about.
    pub pair: Name,
    /// The node that it is about.
    pub node: Name,
    /// One run of the agent: readings of another run have names of their own.
    pub run: String,
    /// The wall clock there when the answer was made.
    pub wall: WallTime,
    /// All of its clocks at that time: a beacon that was written there is read off by them.
    pub clock: BeaconTime,
    /// By what was read. What is not there was not asked.
    pub readings: BTreeMap<String, serde_json::Value>,
}

/// One reading as it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried<T> {
    /// The probe has not come back since that agent started.
    NotYet,
    /// There was one, and it may no longer be believed there.
    Dropped,
    /// What it brought back.
    Facts(AtAge<T>),
    /// Why it brought nothing.
    Failure(AtAge<Failure>),
}

/// Something with its age when the answer was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtAge<T> {
    /// Tells it from the one before; means nothing else.
    pub id: String,
    /// Seconds since the probe's request left.
    pub asked_ago: f64,
    /// Seconds since its answer came.
    pub answered_ago: f64,
    /// What it is.
    pub told: T,
}

impl<T> AtAge<T> {
    /// As of `now`, by the moments of its reading.
    pub(super) fn new(told: T, (asked, answered): (Moment, Moment), now: Moment) -> Self {
        Self {
            id: asked.since_boot().as_nanos().to_string(),
            asked_ago: now.since(asked).as_secs_f64(),
            answered_ago: now.since(answered).as_secs_f64(),
            told,
        }
    }

    /// Which reading of which run it is.
    pub(super) fn id_in(&self, run: &str) -> String {
        format!("{run}/{}", self.id)
    }

    /// Its moments on the clock here, where the answer was asked for and came. The answer was made somewhere between the two:
    /// each age is put at the end where it is the worse one. `None`: from before this machine booted, so that no moment here says
    /// how old it is.
    ///
    /// # Errors
    /// Ages that are none.
    pub(super) fn moments(&self, asked: Moment, answered: Moment) -> Result<Option<(Moment, Moment)>, NoAge> {
        let ages = [self.asked_ago, self.answered_ago].map(Duration::try_from_secs_f64);
        let [Ok(asked_ago), Ok(answered_ago)] = ages else { return Err(NoAge) };
        if answered_ago > asked_ago {
            // An answer that is older than its question.
            return Err(NoAge);
        }
        Ok((asked_ago < asked.since_boot()).then(|| (asked.back(asked_ago), answered.back(answered_ago))))
    }
}

/// What was sent as an age is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoAge;

impl NodeReport {
    /// The answer made at the `present` there.
    pub fn new(pair: &Name, node: &Name, run: &str, own: &OwnReadings, present: BeaconTime) -> Self {
        let now = present.moment;
        let mut readings = BTreeMap::new();
        let mut put = |name: &str, carried: Result<serde_json::Value, serde_json::Error>| {
            // Facts are plain data: there is nothing in them that JSON cannot say.
            if let Ok(carried) = carried {
                readings.insert(name.to_owned(), carried);
            }
        };
        put(POSTGRES, carry(&own.postgres, now));
        put(PULSE, carry(&own.pulse, now));
        put(CONFIG, carry(&own.config, now));
        put(TREE, carry(&summary_of(&own.tree), now));
        put(KVSTORE, carry(&own.kvstore, now));
        put(OBSERVED, carry(&own.observed, now));
        put(SEARCH, carry(&own.search, now));
        put(HOST, carry(&own.host, now));
        put(ROLE, carry(&own.role, now));
        let expected = own.search_expected.iter().map(|(index, told)| Ok((index.clone(), carry(told, now)?)));
        put(SEARCH_EXPECTED, expected.collect::<Result<_, _>>().map(serde_json::Value::Object));
        put(
            SEARCH_MEMORY,
            serde_json::to_value(own.search_memory.with_ages(|age| Some(Some(age.at(now).as_secs_f64())))),
        );
        Self {
            protocol: PROTOCOL,
            readable_by: OLDEST_PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pair: pair.clone(),
            node: node.clone(),
            run: run.to_owned(),
            wall: present.wall,
            clock: present,
            readings,
        }
    }
}

const POSTGRES: &str = "postgres";
const PULSE: &str = "pulse";
const CONFIG: &str = "config";
const TREE: &str = "tree";
const KVSTORE: &str = "kvstore";
const OBSERVED: &str = "observed";
const SEARCH: &str = "search";
const HOST: &str = "host";
const ROLE: &str = "role";
const SEARCH_EXPECTED: &str = "search_expected";
const SEARCH_MEMORY: &str = "search_memory";

fn carry<T: Clone + Serialize>(latest: &Latest<T>, now: Moment) -> Result<serde_json::Value, serde_json::Error> {
    let carried = match latest {
        Latest::NeverAsked => Carried::NotYet,
        Latest::Dropped => Carried::Dropped,
        Latest::Have(reading) => match &reading.result {
            Ok(facts) => Carried::Facts(AtAge::new(facts, (reading.asked, reading.answered), now)),
            Err(failure) => Carried::Failure(AtAge::new(failure.clone(), (reading.asked, reading.answered), now)),
        },
    };
    serde_json::to_value(&carried)
}

/// One reading of the other agent's, on this agent's clock.
#[derive(Clone, Debug)]
pub struct Arrived<T> {
    /// Which reading of which run it is.
    pub id: String,
    /// As if it had been made here.
    pub reading: Reading<T>,
}

/// What has become of one probe of the other agent's.
#[derive(Clone, Debug)]
pub enum Arrival<T> {
    /// It says nothing of it.
    Absent,
    /// Its probe has not come back yet.
    NotYet,
    /// It does not believe it any more.
    Dropped,
    /// It can be read, and cannot be understood: why.
    NotUnderstood(String),
    /// A reading.
    Here(Arrived<T>),
}

/// The other agent's answer, understood.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    /// That agent's version, for people.
    pub version: String,
    /// Its wall clock when it made the answer.
    pub wall: WallTime,
    /// All of its clocks at that time, where it tells them.
    pub clock: Option<BeaconTime>,
    /// Of its PostgreSQL server.
    pub postgres: Arrival<PostgresFacts>,
    /// The newest pulse there.
    pub pulse: Arrival<Lsn>,
    /// Of its copy of the configuration.
    pub config: Arrival<ConfigFacts>,
    /// Of its tree of configuration, in short.
    pub tree: Arrival<TreeSummary>,
    /// The newest canary that it sent.
    pub kvstore: Arrival<KvstoreFacts>,
    /// The newest comparison that it made.
    pub observed: Arrival<ObservedFacts>,
    /// Of its search engine.
    pub search: Arrival<SearchFacts>,
    /// By index, how many documents its database says that there should be. An older agent tells none.
    pub search_expected: BTreeMap<String, Arrived<u64>>,
    /// What it remembers of the primary's indices.
    pub search_memory: SearchMemory<Age>,
    /// The node that it is told to be the primary. An older agent does not say.
    pub role: Arrival<Name>,
    /// Of its machine.
    pub host: Arrival<HostFacts>,
}

/// What every version of the answer has.
#[derive(Deserialize)]
struct Envelope {
    protocol: u32,
    readable_by: Option<u32>,
    version: String,
}

/// The rest, of the versions that are understood.
#[derive(Deserialize)]
struct Body {
    pair: String,
    node: String,
    run: String,
    wall: f64,
    clock: Option<serde_json::Value>,
    readings: BTreeMap<String, serde_json::Value>,
}

impl PeerFacts {
    /// An answer that tells nothing of anything.
    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Self {
            version: "1.0.0".to_owned(),
            wall: WallTime(0.0),
            clock: None,
            postgres: Arrival::Absent,
            pulse: Arrival::Absent,
            config: Arrival::Absent,
            tree: Arrival::Absent,
            kvstore: Arrival::Absent,
            observed: Arrival::Absent,
            search: Arrival::Absent,
            search_expected: BTreeMap::new(),
            search_memory: SearchMemory::default(),
            role: Arrival::Absent,
            host: Arrival::Absent,
        }
    }

    /// Reads an answer about `node` of `pair` whose request left at `asked` and which came at `answered`.
    ///
    /// # Errors
    /// What is wrong with it, with the cure.
    pub fn read(text: &[u8], pair: &Name, node: &Name, asked: Moment, answered: Moment) -> Result<Self, String> {
        let no_agent = |error: serde_json::Error| format!("this is no answer of an agent ({error}); check the URL");
        let Envelope { protocol, readable_by, version } = serde_json::from_slice(text).map_err(no_agent)?;
        let version: String = version.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
        if protocol < OLDEST_PROTOCOL {
            return Err(format!(
                "it is version {version} and speaks version {protocol} of the agents' exchange, which is too old for this \
                 agent: update it"
            ));
        }
        if readable_by.unwrap_or(protocol) > PROTOCOL {
            return Err(format!(
                "it is version {version} and speaks version {protocol} of the agents' exchange, which this agent does not \
                 understand yet: update this one"
            ));
        }
        let body: Body = serde_json::from_slice(text)
            .map_err(|error| format!("the answer of its version {version} is not understood: {error}"))?;
        if body.pair != pair.as_str() || body.node != node.as_str() {
            let short = |name: &str| name.chars().take(80).collect::<String>();
            let (its_node, its_pair) = (short(&body.node), short(&body.pair));
            return Err(format!(
                "it is the agent of {its_node} of pair {its_pair}, not of {node} of pair {pair}: check the agents' URLs and --node"
            ));
        }
        let arrive = Arrive { run: &body.run, version: &version, asked, answered };
        Ok(Self {
            wall: WallTime(body.wall),
            clock: body.clock.and_then(|clock| serde_json::from_value(clock).ok()),
            postgres: arrive.one(body.readings.get(POSTGRES)),
            pulse: arrive.one(body.readings.get(PULSE)),
            config: arrive.one(body.readings.get(CONFIG)),
            tree: arrive.one(body.readings.get(TREE)),
            kvstore: arrive.one(body.readings.get(KVSTORE)),
            observed: arrive.one(body.readings.get(OBSERVED)),
            search: arrive.one(body.readings.get(SEARCH)),
            host: arrive.one(body.readings.get(HOST)),
            role: arrive.one(body.readings.get(ROLE)),
            search_expected: arrive.each(body.readings.get(SEARCH_EXPECTED)),
            search_memory: arrive.memory(body.readings.get(SEARCH_MEMORY)),
            version: version.clone(),
        })
    }
}

struct Arrive<'a> {
    run: &'a str,
    version: &'a str,
    asked: Moment,
    answered: Moment,
}

impl Arrive<'_> {
    /// A word that this version does not know spoils one reading, not the answer.
    fn one<T: DeserializeOwned>(&self, value: Option<&serde_json::Value>) -> Arrival<T> {
        let Some(value) = value else { return Arrival::Absent };
        match Carried::<T>::deserialize(value) {
            Err(error) => Arrival::NotUnderstood(format!("its version {} tells {error}", self.version)),
            Ok(Carried::NotYet) => Arrival::NotYet,
            Ok(Carried::Dropped) => Arrival::Dropped,
            Ok(Carried::Facts(aged)) => self.here(aged, Ok),
            Ok(Carried::Failure(aged)) => self.here(aged, Err),
        }
    }

    /// By name. What is not understood is not there.
    fn each<T: DeserializeOwned>(&self, value: Option<&serde_json::Value>) -> BTreeMap<String, Arrived<T>> {
        let all = value.and_then(serde_json::Value::as_object).into_iter().flatten();
        let here = all.filter_map(|(name, value)| match self.one(Some(value)) {
            Arrival::Here(arrived) => Some((name.clone(), arrived)),
            _ => None,
        });
        here.collect()
    }

    fn memory(&self, value: Option<&serde_json::Value>) -> SearchMemory<Age> {
        let told = value.and_then(|value| SearchMemory::<Option<f64>>::deserialize(value).ok());
        told.map(|told| told.with_ages(|seconds| Age::told(self.asked, seconds?))).unwrap_or_default()
    }

    fn here<A, T>(&self, aged: AtAge<A>, result: fn(A) -> Result<T, Failure>) -> Arrival<T> {
        let (asked, answered) = match aged.moments(self.asked, self.answered) {
            Ok(Some(moments)) => moments,
            Ok(None) => return Arrival::Dropped,
            Err(NoAge) => {
                return Arrival::NotUnderstood(format!("its version {} tells an age that is none", self.version));
            }
        };
        let id = aged.id_in(self.run);
        let reading = Reading { asked, answered, result: result(aged.told) };
        Arrival::Here(Arrived { id, reading })
    }
}

#[cfg(test)]
mod tests;
