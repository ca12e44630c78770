//! The search engine's probe: version, health of the cluster and of the configured indices, their blocks and documents.
//!
//! A few small requests over one held connection, one after the other, all under one deadline.

mod answers;
mod disk;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::answers::{
    ClusterHealth, Concrete, Identity, cluster_health, concrete_indices, documents, identity, identity_of_node,
    index_stats, recoveries,
};
use self::disk::Watermarks;
use crate::clock;
use crate::config::{SearchChannel, SearchNode, SearchTls};
use crate::facts::{Failure, IndexFacts, Reading, SearchDisk, SearchFacts};
use crate::http_client::{Connection, HttpError, Response};
use crate::names::{FailureKind, SearchHealth};
use crate::probe::password::password_of;

/// An answer is this long at most, in bytes.
const MAX_BODY: usize = 4 << 20;

/// The version is asked for again after this long.
const IDENTITY_EVERY: Duration = Duration::from_secs(600);

/// The disks fill slowly: they are asked for this seldom, and so are the watermarks.
const DISK_EVERY: Duration = Duration::from_secs(15);

/// A count that failed is tried again after this long.
const COUNT_AGAIN: Duration = Duration::from_secs(30);

/// Asks one node's search engine.
pub struct SearchProbe {
    node: SearchNode,
    timeout: Duration,
    /// Counting is a search: it wakes idle shards. So it is done this seldom.
    count_every: Duration,
    connection: Option<Connection>,
    identity: Option<(Identity, Instant)>,
    disk: Option<(Option<SearchDisk>, Instant)>,
    indices: Vec<Index>,
}

/// One configured index or alias, and its last count.
struct Index {
    name: String,
    /// The uuids of the indices behind the name. Deleted and made again, an index is another one.
    behind: Vec<Option<String>>,
    count: Option<Count>,
}

impl Index {
    /// A count of other indices than these is forgotten.
    fn now_behind(&mut self, behind: Vec<Option<String>>) {
        if self.behind != behind {
            self.count = None;
            self.behind = behind;
        }
    }
}

/// A count of what an index held.
struct Count {
    /// `None`: it could not be counted.
    documents: Option<u64>,
    /// What was written into it until then.
    indexed: Option<u64>,
    next: Instant,
}

impl Count {
    /// Counts are three periods old at most, as other readings: while an index is being rebuilt nothing is counted for hours.
    fn is_fresh(&self, now: Instant, every: Duration) -> bool {
        now < self.next + every.saturating_mul(2)
    }
}

impl SearchProbe {
    /// A probe of one node's engine. Connects when it is first run.
    pub fn new(node: &SearchNode, channel: &SearchChannel) -> Self {
        let indices = channel.indices.iter().map(|name| Index { name: name.clone(), behind: Vec::new(), count: None });
        Self {
            node: node.clone(),
            timeout: channel.schedule.timeout,
            count_every: channel.count_every,
            connection: None,
            identity: None,
            disk: None,
            indices: indices.collect(),
        }
    }

    /// One look, under one deadline. Nothing is counted where `may_count` forbids it: that would slow a rebuild.
    pub async fn run(&mut self, may_count: bool) -> Reading<SearchFacts> {
        let deadline = Instant::now() + self.timeout.mul_f64(0.95);
        let asked = clock::now();
        let result = match timeout_at(deadline, self.look()).await {
            Ok(result) => result,
            Err(_) => {
                let limit = crate::units::duration_text(self.timeout);
                let message =
                    format!("the search engine did not answer within {limit}; look at its load and garbage collection");
                Err(Failure::new(FailureKind::Timeout, message))
            }
        };
        let result = match result {
            Ok(mut facts) => {
                self.add_stats(&mut facts, deadline).await;
                self.add_documents(&mut facts, deadline, may_count).await;
                self.add_disk(&mut facts, deadline).await;
                Ok(facts)
            }
            Err(failure) => {
                self.forget();
                Err(failure)
            }
        };
        Reading { asked, answered: clock::now(), result }
    }

    /// After a failure nothing of before is believed, and the password is read anew. But for the counts, which are as old as they may be
    /// in any case and belong to one index: an engine that is overloaded, and fails now and then, is not to be counted each time.
    fn forget(&mut self) {
        self.connection = None;
        self.identity = None;
        self.disk = None;
    }

    /// All but the counts.
    async fn look(&mut self) -> Result<SearchFacts, Failure> {
        self.connect().await?;
        let identity = self.identity().await?;
        let path = if self.indices.is_empty() {
            HEALTH.to_owned()
        } else {
            format!("{HEALTH},indices.*.status&level=indices")
        };
        let ClusterHealth { mut facts, indices: colours } = cluster_health(&self.get(&path).await?)?;
        facts.distribution = identity.distribution;
        facts.version = identity.version;
        for place in 0..self.indices.len() {
            let name = self.indices[place].name.clone();
            let path = format!(
                "/{}/_settings/index.blocks.*,index.uuid,index.creation_date?flat_settings=true",
                encoded(&name)
            );
            let concrete = concrete_indices(&self.get(&path).await?)?;
            let behind = concrete.iter().map(|concrete| concrete.index.uuid.clone()).collect();
            self.indices[place].now_behind(behind);
            facts.indices.push(index_facts(name, &concrete, |name| colours.get(name).copied()));
        }
        Ok(facts)
    }

    /// Adds what was written into each index, its size, and how many shards are on their way. That one of these questions fails
    /// hides nothing else.
    async fn add_stats(&mut self, facts: &mut SearchFacts, deadline: Instant) {
        for shown in facts.indices.iter_mut().filter(|index| index.exists == Some(true)) {
            // On a red index a part would be summed up.
            if shown.health == Some(SearchHealth::Red) {
                continue;
            }
            let path = format!("/{}/_stats/indexing,store?filter_path={STATS}", encoded(&shown.name));
            let Some(stats) = self.by(deadline, &path).await.and_then(|answer| index_stats(&answer).ok()) else {
                continue;
            };
            (shown.indexed, shown.store) = (stats.indexed, stats.store);
        }
        let initialise = facts.initializing_shards.is_some_and(|shards| shards > 0);
        let there: Vec<_> = facts.indices.iter().filter(|index| index.exists == Some(true)).collect();
        if initialise && !there.is_empty() {
            let names: Vec<_> = there.iter().map(|index| encoded(&index.name)).collect();
            let path = format!("/{}/_recovery?active_only=true&filter_path=*.shards.id", names.join(","));
            facts.recoveries = self.by(deadline, &path).await.and_then(|answer| recoveries(&answer).ok());
        }
    }

    /// Adds the documents of each index, as last counted. That a count fails or takes too long hides nothing else.
    async fn add_documents(&mut self, facts: &mut SearchFacts, deadline: Instant, may_count: bool) {
        for place in 0..self.indices.len() {
            let (index, shown) = (&mut self.indices[place], &mut facts.indices[place]);
            // On a red index a part would be counted, or nothing.
            if shown.exists != Some(true) || shown.health == Some(SearchHealth::Red) {
                index.count = None;
                continue;
            }
            let now = Instant::now();
            if may_count && index.count.as_ref().is_none_or(|count| count.next <= now) {
                let path = format!("/{}/_count?filter_path=count,_shards.failed", encoded(&index.name));
                let counted = self.by(deadline, &path).await.and_then(|answer| documents(&answer).ok()).flatten();
                let wait = if counted.is_some() { self.count_every } else { COUNT_AGAIN.min(self.count_every) };
                let count = Count { documents: counted, indexed: shown.indexed, next: now + wait };
                self.indices[place].count = Some(count);
            }
            let count = self.indices[place].count.as_ref().filter(|count| count.is_fresh(now, self.count_every));
            shown.documents = count.and_then(|count| count.documents);
            shown.indexed_when_counted =
                count.filter(|count| count.documents.is_some()).and_then(|count| count.indexed);
        }
    }

    /// Adds the fill of the disks, as last asked. A role that may not ask for it hides nothing else.
    async fn add_disk(&mut self, facts: &mut SearchFacts, deadline: Instant) {
        let now = Instant::now();
        if self.disk.as_ref().is_none_or(|(_, next)| *next <= now) {
            let marks = self.by(deadline, disk::WATERMARKS).await;
            // a default is right: it knows no mark.
            let marks: Watermarks = marks.and_then(|answer| disk::watermarks(&answer).ok()).unwrap_or_default();
            let disks = self.by(deadline, disk::DISKS).await;
            let fullest = disks.and_then(|answer| disk::fullest(&answer, marks).ok()).flatten();
            self.disk = Some((fullest, now + DISK_EVERY));
        }
        facts.disk = self.disk.as_ref().and_then(|(disk, _)| *disk);
    }

    /// An answer that came in time, whatever it says.
    async fn by(&mut self, deadline: Instant, path: &str) -> Option<Response> {
        timeout_at(deadline, self.get(path)).await.ok()?.ok()
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if self.connection.is_none() {
            let mut connection = Connection::new(&self.node.url)?;
            if self.node.url.starts_with("https:") && self.node.tls != SearchTls::default() {
                let tls = self.node.tls.clone();
                let with = tokio::task::spawn_blocking(move || {
                    let client = tls.client.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
                    connection.secure(tls.root_certificate.as_deref(), client).map(|()| connection)
                });
                let gone = |error| Failure::new(FailureKind::Tls, format!("certificates could not be read: {error}"));
                connection = with.await.map_err(gone)??;
            }
            if let Some(user) = &self.node.user {
                let password = password_of(self.node.password.as_ref()).await?;
                connection.authenticate(user, password.as_ref().map_or("", |password| password.expose()));
            }
            for (scheme, source) in [("ApiKey", &self.node.api_key), ("Bearer", &self.node.bearer)] {
                if let Some(secret) = password_of(source.as_ref()).await? {
                    connection.authorize(scheme, &secret)?;
                }
            }
            self.connection = Some(connection);
        }
        Ok(())
    }

    async fn identity(&mut self) -> Result<Identity, Failure> {
        if let Some((identity, _)) = self.identity.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Ok(identity.clone());
        }
        let response = self.get("/").await?;
        // A role may be kept from asking this, and a slim engine may not have it; nothing depends on it.
        let known = match response.status {
            403 => Identity::default(),
            405 => identity_of_node(&self.get(NODE).await?),
            _ => identity(&response)?,
        };
        self.identity = Some((known.clone(), Instant::now() + IDENTITY_EVERY));
        Ok(known)
    }

    async fn get(&mut self, path: &str) -> Result<Response, Failure> {
        let Some(connection) = &mut self.connection else {
            return Err(Failure::new(FailureKind::Unreachable, "not connected"));
        };
        connection.get(path, MAX_BODY).await.map_err(|error: HttpError| error.into())
    }
}

/// Only what is needed, so that a cluster with thousands of indices gives a small answer too.
const HEALTH: &str = "/_cluster/health?filter_path=status,timed_out,number_of_nodes,active_shards_percent_as_number,\
                      active_shards_percent,unassigned_shards,initializing_shards,relocating_shards,\
                      number_of_pending_tasks,number_of_in_flight_fetch";

/// Tells the version, too.
const NODE: &str = "/_nodes/_local?filter_path=nodes.*.version,nodes.*.build_flavor";

/// Of an index's numbers.
const STATS: &str = "_shards.failed,_all.primaries.indexing.index_total,_all.primaries.store.size_in_bytes";

/// So many indices of an alias are told by name.
const MOST_BEHIND: usize = 50;

/// Puts together what is known of one configured name. Of an alias's indices the worst colour counts; it is read-only if every
/// one is (older ones behind an alias may be closed for writing on purpose), or if the disk's flood stage blocked one.
fn index_facts(name: String, concrete: &[Concrete], colour: impl Fn(&str) -> Option<SearchHealth>) -> IndexFacts {
    let exists = !concrete.is_empty();
    let colours: Option<Vec<_>> = concrete.iter().map(|index| colour(&index.index.name)).collect();
    let blocked = concrete.iter().all(|index| index.write_blocked) || concrete.iter().any(|index| index.flooded);
    IndexFacts {
        name,
        exists: Some(exists),
        health: colours.and_then(|colours| colours.into_iter().max()),
        read_only: exists.then_some(blocked),
        behind: concrete.iter().take(MOST_BEHIND).map(|concrete| concrete.index.clone()).collect(),
        ..IndexFacts::default()
    }
}

/// A name as one segment of a path.
fn encoded(name: &str) -> String {
    use std::fmt::Write;
    name.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            _ => {
                let _ = write!(path, "%{byte:02X}");
            }
        }
        path
    })
}

#[cfg(test)]
mod tests;
