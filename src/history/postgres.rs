//! What is remembered of a pair's PostgreSQL servers: signs of life, who is whose walsender, positions, roles.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::Moment;
use crate::config::PostgresChannel;
use crate::evidence::{Denied, PostgresEvidence, Recognised, Roles, SenderKey};
use crate::facts::{
    Opaque, PostgresFacts, PostgresRole, PostgresSettings, PrimaryFacts, Reading, StandbyFacts, Walsender,
};
use crate::history::catch_up::CatchUp;
use crate::history::feed::Feed;
use crate::history::lag_trend::LagTrend;
use crate::history::lsn_ring::LsnRing;
use crate::history::pulse::{PulseWait, Pulses};
use crate::history::roles_change::RolesChange;
use crate::history::saved::{RingOf, SavedPostgres};
pub use crate::history::sender::{Beat, SenderMemory, sender_key};
use crate::history::sender::{GAP, own_clock};
use crate::history::set_up::SetUp;
use crate::history::slot_room::SlotRoom;
use crate::names::{Name, StandbyKind};
use crate::units::Lsn;

/// The verdict "growing" outlives its proof by this much, since a `for` over a series with holes never completes.
pub const GROWING_HELD: Duration = Duration::from_secs(60);

/// A position that a standby has, and where that position means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Received or replayed up to here.
    pub lsn: Lsn,
    /// The cluster's system identifier.
    pub cluster: Option<String>,
    /// The standby's timeline.
    pub timeline: Option<u32>,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeMemory {
    last_good: Option<Moment>,
    was_primary: bool,
    /// It has answered as a primary without a break since this reading was answered, and that one server has.
    primary_run: Option<(Option<Opaque>, Moment)>,
    /// Its walsenders in its last good reading as a primary.
    pub senders: HashMap<SenderKey, SenderMemory>,
    /// Its receiver in its last good reading as a standby.
    pub receiver: Option<Beat>,
    /// The slot that its receiver named last; `None` also if that one named none.
    pub slot: Option<String>,
    /// Its settings, kept while it cannot be asked.
    pub settings: Option<PostgresSettings>,
    /// The furthest position that it is known to have.
    pub has: Option<Held>,
    /// Where its replay stands, and since when with WAL to replay.
    pub replay: Option<(Lsn, Moment)>,
    /// As a standby: how WAL comes to it.
    pub feed: Feed,
    /// As a standby: how its replay got on.
    pub replayed: LsnRing,
    /// As a primary: since when somebody has been waiting for a synchronous standby, without a reading in which nobody was.
    pub commits_wait_since: Option<Moment>,
    /// How many pairs of readings in a row showed it ahead of its primary.
    pub ahead: u8,
    ahead_seen: Option<Moment>,
    answered: Option<Moment>,
}

/// All memory of the channel.
#[derive(Clone, Debug)]
pub struct PostgresHistory {
    trend_window: Duration,
    slot_window: Duration,
    /// By node.
    pub nodes: BTreeMap<Name, NodeMemory>,
    /// By standby.
    pub recognised: BTreeMap<Name, Recognised>,
    /// By standby.
    pub denied: BTreeMap<Name, Denied>,
    /// Of the present primary.
    pub ring: LsnRing,
    ring_of: Option<RingOf>,
    position: Option<(Moment, Lsn)>,
    /// By name, the physical slots of the present primary.
    pub slots: BTreeMap<String, SlotRoom>,
    /// By standby.
    pub set_ups: BTreeMap<Name, SetUp>,
    /// By standby.
    pub trends: BTreeMap<Name, LagTrend>,
    /// By standby.
    pub catch_ups: BTreeMap<Name, CatchUp>,
    /// The last proven verdict "lag is large and growing".
    pub growing: Option<(bool, Moment)>,
    /// The last proven roles.
    pub roles: Roles,
    /// They were proven before this agent started, and not since.
    pub roles_are_of_before: bool,
    /// When they last changed.
    pub roles_change: RolesChange,
    /// How pulses went.
    pub pulses: Pulses,
}

impl PostgresHistory {
    /// Remembers nothing yet.
    pub fn new(channel: &PostgresChannel) -> Self {
        Self {
            trend_window: channel.trend_window,
            slot_window: channel.slot_window,
            nodes: BTreeMap::new(),
            recognised: BTreeMap::new(),
            denied: BTreeMap::new(),
            ring: LsnRing::default(),
            ring_of: None,
            position: None,
            slots: BTreeMap::new(),
            set_ups: BTreeMap::new(),
            trends: BTreeMap::new(),
            catch_ups: BTreeMap::new(),
            growing: None,
            roles: Roles::default(),
            roles_are_of_before: false,
            roles_change: RolesChange::default(),
            pulses: Pulses::default(),
        }
    }

    /// Takes in one node's newest reading. A failed one leaves everything as it is: nothing was learned. So does one that comes after
    /// a newer one.
    pub fn record(&mut self, node: &Name, reading: &Reading<PostgresFacts>) {
        let Some(facts) = reading.facts() else { return };
        let memory = self.nodes.entry(node.clone()).or_default();
        if memory.last_good.is_some_and(|last_good| reading.asked < last_good) {
            return;
        }
        memory.settings = Some(facts.settings.clone());
        match &facts.role {
            PostgresRole::Primary(primary) => {
                memory.record_run(facts.postmaster_start.as_ref(), reading.answered);
                memory.receiver = None;
                memory.replay = None;
                memory.feed = Feed::default();
                memory.replayed = LsnRing::default();
                // What it takes from now on is its own.
                memory.has = None;
                memory.record_senders(&primary.walsenders, primary.wal_lsn, reading.asked);
                memory.record_commits(primary, reading.asked);
                self.record_position(node, facts, primary, reading.asked);
                self.record_slots(node, facts, primary, reading.asked);
            }
            PostgresRole::Standby(standby) => {
                memory.primary_run = None;
                // It may pass WAL on to standbys of its own. No pulse is written here, so none is waited for.
                memory.record_senders(&standby.walsenders, None, reading.asked);
                memory.feed.record(standby, memory.last_good, reading.asked);
                memory.commits_wait_since = None;
                memory.record_receiver(standby, reading.asked);
                memory.record_has(facts, standby);
                memory.record_replay(standby, reading.asked);
            }
        }
        if let Some(memory) = self.nodes.get_mut(node) {
            memory.last_good = Some(reading.asked);
            memory.answered = Some(reading.answered);
            memory.was_primary = matches!(facts.role, PostgresRole::Primary(_));
        }
        self.compare_positions();
    }

    /// Takes in that a node wrote a pulse, or could not: from here on its standbys have something to answer.
    pub fn record_pulse(&mut self, node: &Name, reading: &Reading<Lsn>) {
        self.pulses.record(reading);
        let Some(end) = reading.facts() else { return };
        for sender in self.nodes.get_mut(node).into_iter().flat_map(|memory| memory.senders.values_mut()) {
            sender.pulse.sent(*end, reading.asked);
        }
    }

    /// The primary's position goes into the ring.
    fn record_position(&mut self, node: &Name, facts: &PostgresFacts, primary: &PrimaryFacts, asked: Moment) {
        let Some(lsn) = primary.wal_lsn else { return };
        let identity =
            RingOf { node: node.clone(), cluster: facts.system_identifier.clone(), timeline: facts.timeline };
        if self.ring_of.as_ref() != Some(&identity) {
            self.ring = LsnRing::default();
            self.slots.clear();
            self.position = None;
            self.ring_of = Some(identity);
        }
        self.ring.push(asked, lsn);
        self.position = Some((asked, lsn));
    }

    /// Each standby's position is compared with the primary's, whichever of the two came in last: a standby that is beyond a primary
    /// which was asked *after* the standby had answered is ahead. On an earlier timeline, too: the primary left that one at or before
    /// where it stands now.
    fn compare_positions(&mut self) {
        let (Some(of), Some((asked, lsn))) = (&self.ring_of, self.position) else { return };
        for (other, memory) in &mut self.nodes {
            memory.feed.record_primary(lsn, asked);
            let Some(held) = &memory.has else { continue };
            let followed =
                held.timeline.zip(of.timeline).map_or(held.timeline == of.timeline, |(theirs, ours)| theirs <= ours);
            let comparable = held.cluster == of.cluster && followed && *other != of.node;
            let before = memory.answered.filter(|answered| *answered < asked && memory.ahead_seen != Some(*answered));
            if let (true, Some(answered)) = (comparable, before) {
                memory.ahead_seen = Some(answered);
                memory.ahead = if held.lsn > lsn { memory.ahead.saturating_add(1) } else { 0 };
            }
        }
    }

    /// How much each slot keeps; slots that are no more are forgotten, and so are the replications that went by them.
    fn record_slots(&mut self, node: &Name, facts: &PostgresFacts, primary: &PrimaryFacts, asked: Moment) {
        let has = |name: &str| primary.slots.iter().any(|slot| slot.name == name);
        self.set_ups.retain(|_, set_up| !set_up.lost_its_slot(node, facts.system_identifier.as_ref(), has));
        self.slots.retain(|name, _| has(name));
        for slot in primary.slots.iter().filter(|slot| slot.physical) {
            let room = self.slots.entry(slot.name.clone()).or_insert_with(|| SlotRoom::new(asked));
            if let Some((wal, restart)) = primary.wal_lsn.zip(slot.restart_lsn) {
                room.push(self.slot_window, asked, wal, restart);
            }
        }
    }

    /// Whose positions the ring holds: the last primary that answered.
    pub const fn ring_of(&self) -> Option<&RingOf> {
        self.ring_of.as_ref()
    }

    /// What must survive a restart.
    pub fn saved(&self) -> SavedPostgres {
        let named = |(node, memory): (&Name, &NodeMemory)| Some((node.clone(), memory.slot.clone()?));
        let cascaded =
            |(node, memory): (&Name, &NodeMemory)| Some((node.clone(), memory.feed.cascaded_from()?.clone()));
        SavedPostgres {
            ring_of: self.ring_of.clone(),
            ring: self.ring.clone(),
            slots: self.slots.clone(),
            set_ups: self.set_ups.clone(),
            slot_names: self.nodes.iter().filter_map(named).collect(),
            cascaded: self.nodes.iter().filter_map(cascaded).collect(),
            trends: self.trends.clone(),
            growing: self.growing,
            roles_change: self.roles_change.clone(),
            roles_proven: self.roles.proven_at,
        }
    }

    /// Goes on from what was saved. What belongs to another primary or timeline is dropped with the first reading.
    pub fn restore(&mut self, saved: SavedPostgres, now: Moment) {
        let window = self.trend_window;
        self.ring_of = saved.ring_of;
        self.ring = saved.ring;
        self.slots = saved.slots;
        self.set_ups = saved.set_ups;
        self.trends = saved.trends.into_iter().filter(|(_, trend)| trend.is_sound(window, now)).collect();
        self.growing = saved.growing;
        self.roles_change = saved.roles_change;
        let primary = self.roles_change.primary().cloned();
        self.roles = Roles { primary, proven_at: saved.roles_proven, ..Roles::default() };
        self.roles_are_of_before = true;
        for (node, slot) in saved.slot_names {
            self.nodes.entry(node).or_default().slot = Some(slot);
        }
        for (node, sender) in saved.cascaded {
            self.nodes.entry(node).or_default().feed.cascaded_before = Some(sender);
        }
    }

    /// Which slot each standby named last, and which ones another server streamed to.
    pub fn remember_slots(&mut self, before: BTreeMap<Name, NodeMemory>) {
        for (node, memory) in before {
            let known = self.nodes.entry(node).or_default();
            known.slot = memory.slot;
            known.feed.cascaded = memory.feed.cascaded;
            known.feed.cascaded_before = memory.feed.cascaded_before;
        }
    }

    /// Takes in what was derived from the newest readings: who is whose walsender, lags for the trend, the verdict on growth, roles.
    pub fn note(&mut self, evidence: &PostgresEvidence, roles: &Roles, now: Moment) {
        for standby in &evidence.standbys {
            if let Some(recognised) = &standby.recognised {
                self.recognised.insert(standby.node.clone(), recognised.clone());
            }
            self.denied.insert(standby.node.clone(), standby.denied);
            if let Some(reported) = standby.reported {
                self.nodes.entry(standby.node.clone()).or_default().has_at_least(reported);
            }
            if let Some((of, age)) = standby.outlook.set_up_of.as_ref().zip(standby.outlook.set_up_age) {
                self.set_ups.insert(standby.node.clone(), SetUp::new(of.clone(), now, age));
            }
            if let Some((served, asked)) = standby.served {
                self.nodes.entry(standby.node.clone()).or_default().feed.record_served(served, asked);
            }
            if let Some(kind) = standby.kind {
                self.nodes.entry(standby.node.clone()).or_default().feed.record_source(kind == StandbyKind::Cascaded);
            }
            // What a declared delay holds back is no lag that could grow.
            if let Some(lag) = standby.undelayed {
                let fresh = || LagTrend::new(self.trend_window);
                self.trends.entry(standby.node.clone()).or_insert_with(fresh).push(now, lag);
                self.catch_ups.entry(standby.node.clone()).or_default().push(now, lag);
            }
        }
        if evidence.lag.is_some() {
            self.growing = Some((evidence.growing, now));
        }
        // Who was it last is remembered also while that is not enough to tell who it is.
        match roles.primary {
            Some(_) => self.roles.clone_from(roles),
            None => self.roles.contradicted = roles.contradicted,
        }
        self.roles_are_of_before &= evidence.primary.is_none() || roles.contradicted;
        let answers = evidence.nodes.iter().find(|node| Some(&node.node) == evidence.primary.as_ref());
        self.roles_change.record(roles, answers.and_then(|node| node.timeline), now);
    }
}

impl NodeMemory {
    /// What it said last of itself was that it takes writes.
    pub fn was_primary(&self) -> bool {
        self.was_primary
    }

    /// Since when it has been a primary for certain. (Only a restart makes a standby of it.)
    pub fn primary_since(&self) -> Option<Moment> {
        self.primary_run.as_ref().map(|(_, since)| *since)
    }

    fn record_run(&mut self, start: Option<&Opaque>, answered: Moment) {
        let goes_on = self.primary_run.as_ref().is_some_and(|(server, _)| server.as_ref() == start);
        if !goes_on {
            self.primary_run = Some((start.cloned(), answered));
        }
    }

    /// `position`: where the server's own WAL stands, by which pulses are told.
    fn record_senders(&mut self, rows: &[Walsender], position: Option<Lsn>, asked: Moment) {
        let mut before = std::mem::take(&mut self.senders);
        for row in rows {
            let key = sender_key(row);
            let moved = (row.write, row.flush);
            let memory = match (before.remove(&key), self.last_good) {
                (Some(memory), Some(last_good)) => memory.next(row, position, last_good, asked),
                // A row that the last reading did not have, or that is younger than any reading: its reply came since then.
                (_, last_good) => {
                    let since = own_clock(asked, row.backend_age).max(last_good);
                    let recent = since.filter(|since| asked.since(*since) <= GAP);
                    let mut pulse = PulseWait::default();
                    pulse.read(row, position, false, None, asked);
                    SenderMemory {
                        beat: Beat::first(row.reply_time.clone(), recent, asked),
                        moved,
                        progress: asked,
                        pulse,
                    }
                }
            };
            self.senders.insert(key, memory);
        }
    }

    /// The server tells when the oldest waiter's *statement* began, which may have run for long before it came to wait. So the time
    /// counts from the reading that first saw somebody wait, or from that statement's begin where it is later.
    fn record_commits(&mut self, primary: &PrimaryFacts, asked: Moment) {
        let waited = primary.longest_commit_wait.filter(|_| primary.commits_waiting.is_some_and(|waiting| waiting > 0));
        let unbroken = self.last_good.is_some_and(|last_good| asked.since(last_good) <= GAP);
        let before = match self.commits_wait_since {
            Some(since) if unbroken => since,
            _ => asked,
        };
        self.commits_wait_since = waited.map(|waited| before.max(asked.back(waited)));
    }

    fn record_receiver(&mut self, standby: &StandbyFacts, asked: Moment) {
        if let Some(receiver) = standby.receiver.as_ref().filter(|receiver| receiver.status.is_some()) {
            self.slot.clone_from(&receiver.slot);
        }
        self.receiver = standby.receiver.as_ref().map(|receiver| {
            let stamp = receiver.last_message.as_ref();
            let by_own_clock = own_clock(asked, receiver.last_message_age);
            match (self.receiver.take(), self.last_good) {
                (Some(mut beat), Some(last_good)) => {
                    beat.next(stamp, last_good, asked);
                    // Only while no change was seen: the standby's clock may be set at any time.
                    beat.proven = beat.proven.or(by_own_clock);
                    beat
                }
                _ => Beat::first(stamp.cloned(), by_own_clock, asked),
            }
        });
    }

    /// The standby's own word replaces what was known: one that was rebuilt from an old backup has less than before. But for the
    /// timeline: without a receiver it tells that of its control file, which is late after a switch.
    fn record_has(&mut self, facts: &PostgresFacts, standby: &StandbyFacts) {
        if let Some(lsn) = standby.receive_lsn.max(standby.replay_lsn) {
            let cluster = facts.system_identifier.clone();
            let goes_on = |before: &Held| before.cluster == cluster && before.lsn <= lsn;
            let before = self.has.take().filter(|before| standby.receiver.is_none() && goes_on(before));
            let timeline = facts.timeline.max(before.and_then(|before| before.timeline));
            self.has = Some(Held { lsn, cluster, timeline });
        }
    }

    /// What the primary heard from it counts besides, on the same timeline.
    fn has_at_least(&mut self, reported: Lsn) {
        if let Some(held) = &mut self.has {
            held.lsn = held.lsn.max(reported);
        }
    }

    /// Replay that has nothing to do does not stand still: the time counts from the last reading that found it so.
    fn record_replay(&mut self, standby: &StandbyFacts, asked: Moment) {
        let waits = standby.receive_lsn > standby.replay_lsn;
        let since = |lsn| match self.replay {
            Some((same, since)) if same == lsn && waits => (lsn, since),
            _ => (lsn, asked),
        };
        self.replay = standby.replay_lsn.map(since);
        if let Some(lsn) = standby.replay_lsn {
            self.replayed.push(asked, lsn);
        }
    }
}
