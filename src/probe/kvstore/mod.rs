//! The key-value store's probe: each cycle a canary, written by the way that the configuration says and read back from both
//! stores, and a look at those of the slower lanes, which stay for a while.

mod apart;
mod bounded;
mod canary;
pub mod exchange;
mod exec;
mod http;
mod indeterminate;
mod keep;
mod lanes;
pub mod observe;
mod outcome;
mod redis;
mod store;
mod tcp;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use self::apart::Apart;
use self::canary::{Mark, Writer, time_to_live};
use self::indeterminate::{Indeterminate, Landing};
pub use self::outcome::{Ack, Held, outcome};
use self::store::Store;
use self::write::{Found, Sides, Way, Writing, Written};
use crate::clock;
use crate::config::{KvstoreChannel, KvstoreNode, PairConfig, WriteOrder};
use crate::evidence::Roles;
use crate::facts::{AtRisk, CanaryTracker, CycleFacts, Failure, KvstoreFacts, Reading, StoreAnswer};
use crate::names::{FailureKind, Lane, Name, Outcome, Proof};

/// Asks both stores of one pair.
pub struct KvstoreProbe {
    pair: Name,
    channel: KvstoreChannel,
    proof: Proof,
    stores: Vec<(Name, Store)>,
    gateway: Option<Store>,
    writer: Writer,
    tracker: CanaryTracker,
    /// When a lane is looked at again, and since when it stands badly.
    next_look: BTreeMap<Lane, Instant>,
    bad_since: BTreeMap<Lane, Instant>,
    /// One look only: nothing is kept, and what was written is taken away.
    fleeting: bool,
    indeterminate: Indeterminate,
    /// The two stores were found to be one server, and have not been found to be two since.
    one_server: bool,
    /// The same of stores that do not say who they are.
    apart: Apart,
}

/// One cycle's deadlines. A part of the time is kept for reading, so that the other side is looked at whatever happens to the
/// write.
#[derive(Clone, Copy)]
struct Deadlines {
    writes: Instant,
    all: Instant,
}

impl Deadlines {
    fn from_now(timeout: Duration) -> Self {
        let now = Instant::now();
        // Reports a little before the schedule's own deadline would cut it off.
        Self { writes: now + timeout.mul_f64(0.6), all: now + timeout.mul_f64(0.95) }
    }
}

/// What one attempt brought.
struct Attempt {
    facts: KvstoreFacts,
    /// A write of an earlier cycle landed over this one's.
    overtaken: bool,
}

impl KvstoreProbe {
    /// A probe of the pair's stores. Connects when it is first run.
    pub fn new(pair: &PairConfig, channel: &KvstoreChannel) -> Self {
        let configured: Vec<&KvstoreNode> = pair.nodes.iter().filter_map(|node| node.kvstore.as_ref()).collect();
        let writer = Writer::this_process();
        Self {
            pair: pair.name.clone(),
            proof: channel.proofs(&configured).first().copied().unwrap_or(Proof::Path),
            stores: Store::all(pair),
            gateway: channel.write_via.as_ref().map(|gateway| Store::new(&Name::new("the gateway"), gateway)),
            tracker: CanaryTracker { agent: writer.agent().to_owned(), ..CanaryTracker::default() },
            writer,
            next_look: BTreeMap::new(),
            bad_since: BTreeMap::new(),
            fleeting: false,
            indeterminate: Indeterminate::default(),
            one_server: false,
            apart: Apart::default(),
            channel: channel.clone(),
        }
    }

    /// Goes on from what was remembered.
    #[must_use]
    pub fn resuming(mut self, tracker: Option<CanaryTracker>) -> Self {
        if let Some(tracker) = tracker {
            self.writer = self.writer.resumed(&tracker.agent);
            self.tracker = CanaryTracker { agent: self.writer.agent().to_owned(), ..tracker };
        }
        self
    }

    /// For a single look: no slower lanes, and the canary is taken away again.
    #[must_use]
    pub const fn fleeting(mut self) -> Self {
        self.fleeting = true;
        self
    }

    /// One cycle, under one deadline. With the roles unknown nothing is written: the stores are only asked, the facts name them
    /// in the order of the configuration, and the outcome is `unknown`.
    pub async fn run(&mut self, roles: &Roles) -> Reading<KvstoreFacts> {
        let asked = clock::now();
        let deadlines = Deadlines::from_now(self.channel.schedule.timeout);
        let direction = self.direction(roles);
        let facts = if self.proof == Proof::Reachability {
            self.ports(direction.unwrap_or([1, 0]), deadlines).await
        } else {
            match direction.filter(|direction| self.channel.canaries && self.may_write(*direction)) {
                Some(direction) => self.cycle(direction, deadlines).await,
                None => self.look(direction.unwrap_or([1, 0]), deadlines).await,
            }
        };
        Reading { asked, answered: clock::now(), result: facts }
    }

    /// The places of the standby's and of the primary's store.
    fn direction(&self, roles: &Roles) -> Option<[usize; 2]> {
        if roles.contradicted {
            return None;
        }
        let place = |name: &Name| self.stores.iter().position(|(node, _)| node == name);
        let primary = place(roles.primary.as_ref()?)?;
        let standby = roles.standbys.iter().find_map(place)?;
        (standby != primary).then_some([standby, primary])
    }

    const fn way(&self) -> Way {
        match (self.gateway.is_some(), self.channel.order) {
            (true, _) => Way::Gateway,
            (false, WriteOrder::StandbyFirst) => Way::Both,
            (false, WriteOrder::PrimaryFirst) => Way::Primary,
        }
    }

    /// Whether the way of the writes begins here. One that begins at a store which only its own agent reaches begins there.
    fn may_write(&self, [standby, primary]: [usize; 2]) -> bool {
        let takes = |place: usize| self.stores.get(place).is_some_and(|(_, store)| store.takes_writes());
        match self.way() {
            Way::Gateway => true,
            Way::Primary => takes(primary),
            Way::Both => takes(standby) && takes(primary),
        }
    }

    fn key(&self, lane: Lane) -> String {
        self.writer.key(&self.channel.prefix, self.pair.as_str(), lane)
    }

    async fn cycle(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<KvstoreFacts, Failure> {
        let mut attempt = self.attempt(direction, deadlines).await?;
        if attempt.overtaken && Instant::now() < deadlines.writes {
            attempt = self.attempt(direction, deadlines).await?;
        }
        let facts = &mut attempt.facts;
        if attempt.overtaken {
            // Both stores take writes; what lies in one of them is an old canary of ours that came late. No proof, no alarm.
            facts.outcome = Outcome::Unknown;
            facts.round_trip = None;
        }
        if facts.outcome == Outcome::Ok && self.is_one_server(direction, deadlines.all).await? {
            facts.outcome = Outcome::Unknown;
            facts.round_trip = None;
            facts.more.same_server = true;
            facts.more.at_risk = None;
        }
        if facts.outcome == Outcome::Ok && self.are_doubted(direction, deadlines.all).await? {
            facts.outcome = Outcome::Unknown;
            facts.round_trip = None;
            // Found where it was written: that says nothing of another store.
            facts.more.at_risk = None;
            facts.more.same_server = self.apart.are_one();
        }
        if facts.outcome == Outcome::Ok {
            self.indeterminate.passed();
        }
        facts.indeterminate_resolved = self.indeterminate.take_resolved();
        facts.more.indeterminate_pending = self.indeterminate.pending();
        if self.fleeting {
            self.clean_up(deadlines.all).await;
        } else {
            facts.more.lanes = self.keep(direction, facts.outcome == Outcome::Ok, deadlines).await?;
        }
        facts.more.tracker = self.tracker.clone();
        Ok(attempt.facts)
    }

    /// Writes a canary and reads it back.
    async fn attempt(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<Attempt, Failure> {
        self.tracker.sequence += 1;
        let canary = self.writer.canary(self.tracker.sequence);
        let (way, key, begun) = (self.way(), self.key(Lane::Fast), clock::now());
        let patient = self.channel.order == WriteOrder::PrimaryFirst;
        let [(standby, standby_store), (primary, primary_store)] = pick(&mut self.stores, direction)?;
        let mut sides = Sides { standby: standby_store, primary: primary_store, gateway: self.gateway.as_mut() };

        let ttl = time_to_live(self.channel.schedule.interval);
        let writing = Writing { way, key: &key, canary: &canary, ttl, deadline: deadlines.writes };
        let written = writing.write(&mut sides, self.indeterminate.any()).await;
        for (node, before) in [(standby, &written.standby_before), (primary, &written.primary_before)] {
            self.indeterminate.seen(node, *before);
        }
        let ack = written.ack();
        // Sent after the acknowledgement.
        let found = write::find(&mut sides, &key, canary.mark, ack == Ack::Yes, patient, deadlines.all).await;

        let mut overtaken = false;
        for (node, read) in [(standby, &found.standby), (primary, &found.primary)] {
            let mark = read.as_ref().ok().copied().flatten();
            overtaken |= mark != Some(canary.mark) && self.indeterminate.seen(node, mark);
        }
        let [standby_landing, primary_landing] = landings(&written, &found, canary.mark);
        self.indeterminate.watch(canary.mark, (standby.clone(), standby_landing), (primary.clone(), primary_landing));

        let Written { left, acknowledged, .. } = written;
        let Found { standby_at, primary_at, .. } = found;
        let gateway = written.gateway.map(write::gateway_answer);
        let standby_answer = write::answer(written.standby, found.standby, canary.mark);
        let primary_answer = write::answer(written.primary, found.primary, canary.mark);
        let mut fate = outcome(ack, standby_answer.holds.into(), primary_answer.holds.into());
        if matches!(fate, Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::Lost) {
            let missing = |answer: &StoreAnswer| answer.holds == Some(false);
            let evicted = [
                !missing(&standby_answer) || evicts(sides.standby, deadlines.all).await,
                !missing(&primary_answer) || evicts(sides.primary, deadlines.all).await,
            ];
            if evicted == [true, true] {
                fate = Outcome::Evicted;
            }
        }
        let since_left = |moment: clock::Moment| left.map(|left| moment.since(left));
        let shown = |answer: &StoreAnswer, at| {
            (ack == Ack::Yes && answer.holds == Some(true)).then(|| since_left(at)).flatten()
        };
        let more = CycleFacts {
            standby_visible: shown(&standby_answer, standby_at),
            primary_visible: shown(&primary_answer, primary_at),
            gateway,
            at_risk: at_risk(&mut self.tracker, ack, standby_answer.holds, begun),
            ..CycleFacts::default()
        };
        let facts = KvstoreFacts {
            outcome: fate,
            proof: self.proof,
            round_trip: (fate == Outcome::Ok).then(|| since_left(standby_at.max(primary_at))).flatten(),
            write: acknowledged.and_then(since_left),
            standby: (standby.clone(), standby_answer),
            primary: (primary.clone(), primary_answer),
            sequence: canary.mark.sequence,
            indeterminate_resolved: None,
            more,
        };
        Ok(Attempt { overtaken: overtaken && ack == Ack::Yes, facts })
    }

    /// Whether both stores are one server by two names: then a canary that was written once is found twice.
    async fn is_one_server(&mut self, direction: [usize; 2], deadline: Instant) -> Result<bool, Failure> {
        let [(_, one), (_, other)] = pick(&mut self.stores, direction)?;
        if let Some(same) = store::are_one(one, other, deadline).await {
            self.one_server = same;
        }
        Ok(self.one_server)
    }

    /// Whether what is written to one of both is found in the other. Where a gateway, or the primary's store, passes writes on, it must be.
    async fn are_doubted(&mut self, direction: [usize; 2], deadline: Instant) -> Result<bool, Failure> {
        if self.way() != Way::Both {
            return Ok(false);
        }
        let (key, canary) = (self.key(Lane::Fast), self.writer.canary(self.tracker.sequence));
        let (ttl, every) = (time_to_live(self.channel.schedule.interval), self.channel.lanes.medium);
        let [(_, standby), (_, primary)] = pick(&mut self.stores, direction)?;
        self.apart.look((standby, primary), (&key, &canary, ttl), every, deadline).await;
        Ok(self.apart.is_doubted())
    }

    /// Takes away what was written, where it would not expire soon by itself or the store knows how.
    async fn clean_up(&mut self, deadline: Instant) {
        let key = self.key(Lane::Fast);
        for store in self.stores.iter_mut().map(|(_, store)| store).chain(self.gateway.as_mut()) {
            // What cannot be taken away now expires.
            let _ = store.delete(deadline, &key).await;
        }
    }

    /// Connects to both ports.
    async fn ports(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<KvstoreFacts, Failure> {
        let [(standby, standby_store), (primary, primary_store)] = pick(&mut self.stores, direction)?;
        let begun = clock::now();
        let timed = async {
            let reached = standby_store.connect(deadlines.all).await;
            (reached, clock::now().since(begun))
        };
        let ((on_standby, took), on_primary) = tokio::join!(timed, primary_store.connect(deadlines.all));
        let connect = on_standby.is_ok().then_some(took);
        let reached = |reached: Result<(), Failure>| StoreAnswer { failure: reached.err(), ..StoreAnswer::default() };
        let (standby, primary) = ((standby.clone(), reached(on_standby)), (primary.clone(), reached(on_primary)));
        let more = CycleFacts { connect, ..CycleFacts::default() };
        Ok(self.unwritten(standby, primary, more))
    }

    /// Asks both stores without writing.
    async fn look(&mut self, direction: [usize; 2], deadlines: Deadlines) -> Result<KvstoreFacts, Failure> {
        let key = self.key(Lane::Fast);
        let [(first, first_store), (second, second_store)] = pick(&mut self.stores, direction)?;
        let (on_first, on_second) =
            tokio::join!(first_store.mark(deadlines.all, &key), second_store.mark(deadlines.all, &key));
        let looked =
            |read: Result<Option<Mark>, Failure>| StoreAnswer { failure: read.err(), ..StoreAnswer::default() };
        let (standby, primary) = ((first.clone(), looked(on_first)), (second.clone(), looked(on_second)));
        let more = CycleFacts { tracker: self.tracker.clone(), ..CycleFacts::default() };
        Ok(self.unwritten(standby, primary, more))
    }

    const fn unwritten(
        &self,
        standby: (Name, StoreAnswer),
        primary: (Name, StoreAnswer),
        more: CycleFacts,
    ) -> KvstoreFacts {
        KvstoreFacts {
            outcome: Outcome::Unknown,
            proof: self.proof,
            standby,
            primary,
            sequence: self.tracker.sequence,
            round_trip: None,
            write: None,
            indeterminate_resolved: None,
            more,
        }
    }
}

/// A store that may throw keys away, and has.
async fn evicts(store: &mut Store, deadline: Instant) -> bool {
    let identity = store.identity(deadline).await;
    matches!(identity, Ok(Some(identity)) if identity.evicts && identity.evicted > 0)
}

/// Counts what was acknowledged and is not on the standby. `None` where that cannot be told.
fn at_risk(tracker: &mut CanaryTracker, ack: Ack, on_standby: Option<bool>, begun: clock::Moment) -> Option<AtRisk> {
    if on_standby == Some(true) {
        (tracker.at_risk, tracker.at_risk_since) = (0, None);
    } else if ack == Ack::Yes {
        tracker.at_risk = tracker.at_risk.saturating_add(1);
        tracker.at_risk_since.get_or_insert(begun);
    }
    on_standby?;
    let since = tracker.at_risk_since.map_or(Duration::ZERO, |since| clock::now().since(since));
    Some(AtRisk { canaries: tracker.at_risk, since })
}

type NamedStore<'a> = (&'a Name, &'a mut Store);

fn pick(stores: &mut [(Name, Store)], places: [usize; 2]) -> Result<[NamedStore<'_>; 2], Failure> {
    let picked = stores.get_disjoint_mut(places);
    let picked = picked.map_err(|_| {
        let cure = "give each node of the pair a kvstore";
        Failure::new(FailureKind::Protocol, format!("two stores are needed for a canary; {cure}"))
    })?;
    Ok(picked.map(|(name, store)| (&*name, store)))
}

/// How far this cycle's write got at each store, for those that are watched further.
fn landings(written: &Written, found: &Found, canary: Mark) -> [Landing; 2] {
    // Whoever passes a write on may pass it on late, to both.
    let passed_on = Written::may_land(written.gateway.as_ref());
    let replicated = written.standby.is_none() && Written::may_land(written.primary.as_ref());
    let landing = |write: Option<&Result<(), store::WriteFailure>>,
                   read: &Result<Option<Mark>, Failure>,
                   later: bool| {
        match write {
            _ if matches!(read, Ok(Some(mark)) if *mark == canary) => Landing::Landed,
            Some(Ok(())) => Landing::Landed,
            _ if later || Written::may_land(write) => Landing::Open,
            _ => Landing::Never,
        }
    };
    let later = passed_on || replicated;
    [
        landing(written.standby.as_ref(), &found.standby, later),
        landing(written.primary.as_ref(), &found.primary, passed_on),
    ]
}

#[cfg(test)]
mod tests;
