//! A pair of which the truth is known: what its servers would say at each moment, and what a test may hold against what is told.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::ReplicaMatch;

/// Replies and messages of replication: each second, as under load.
const BEAT: f64 = 1.0;

/// What happens next. Moments are a quarter of a second apart at most, so that beats fall between looks.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// So many quarters of a second go by.
    Wait(u8),
    /// The primary writes so much.
    Write(u16),
    /// The standby's receiver stands still; it goes on.
    Freeze(bool),
    /// The standby has lost its connection; the primary's row for it may still be there.
    Lose { row_stays: bool },
    /// It connects anew.
    Connect,
    /// Replay is paused, or goes on.
    Pause(bool),
    /// The standby takes writes of its own; or it is a standby again, of its primary's history.
    Promote(bool),
    /// Both servers, or one of them, are asked.
    Ask(Asked),
    /// One is asked, and fails.
    Fail(Asked, FailureKind),
    /// So many seconds in which both are asked each second: time in which what is healthy gets proven.
    Run(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Alpha,
    Beta,
}

impl Asked {
    pub(super) fn node(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
        }
    }
}

pub(super) fn any_node() -> impl Strategy<Value = Asked> {
    select(vec![Asked::Alpha, Asked::Beta])
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_u8..40).prop_map(Step::Wait),
        3 => any::<u16>().prop_map(Step::Write),
        1 => any::<bool>().prop_map(Step::Freeze),
        1 => any::<bool>().prop_map(|row_stays| Step::Lose { row_stays }),
        2 => Just(Step::Connect),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => prop::bool::weighted(0.3).prop_map(Step::Promote),
        5 => any_node().prop_map(Step::Ask),
        2 => (any_node(), select(FailureKind::ALL)).prop_map(|(node, kind)| Step::Fail(node, kind)),
        5 => (1_u8..6).prop_map(Step::Run),
    ]
}

pub(super) fn any_course() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 1..30)
}

/// The pair's servers, and when they truly heard of each other.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: f64,
    pub(super) lsn: u64,
    /// The standby has received so far, and replayed so far.
    pub(super) received: u64,
    pub(super) replayed: u64,
    connected: bool,
    row: bool,
    frozen: bool,
    paused: bool,
    promoted: bool,
    connections: i32,
    /// The standby's last reply to its primary, and the last message that it got from it.
    pub(super) last_reply: f64,
    pub(super) last_message: f64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: 0.0,
            lsn: 1000,
            received: 1000,
            replayed: 1000,
            connected: true,
            row: true,
            frozen: false,
            paused: false,
            promoted: false,
            connections: 7,
            last_reply: 0.0,
            last_message: 0.0,
        }
    }

    pub(super) fn wait(&mut self, quarters: u8) {
        for _ in 0..quarters {
            self.now += 0.25;
            if self.connected && !self.frozen && !self.promoted {
                self.last_reply = (self.now / BEAT).floor() * BEAT;
                self.last_message = self.last_reply;
                self.received = self.lsn;
            }
            if !self.paused {
                self.replayed = self.received;
            }
        }
    }

    /// Anything but time and looks.
    pub(super) fn happens(&mut self, step: &Step) {
        match *step {
            Step::Write(bytes) => self.lsn += u64::from(bytes),
            Step::Freeze(frozen) => self.frozen = frozen,
            Step::Lose { row_stays } => {
                self.connected = false;
                self.row &= row_stays;
            }
            Step::Connect if !self.promoted => {
                (self.connected, self.row, self.frozen) = (true, true, false);
                self.connections += 1;
                // A new connection begins with words from both sides.
                (self.last_reply, self.last_message) = (self.now, self.now);
            }
            Step::Pause(paused) => self.paused = paused,
            Step::Promote(promoted) => {
                self.promoted = promoted;
                (self.connected, self.row) = (self.connected && !promoted, self.row && !promoted);
            }
            _ => {}
        }
    }

    /// What a server says when it is asked now.
    pub(super) fn says(&self, asked: Asked) -> PostgresFacts {
        match asked {
            Asked::Alpha => self.alpha(),
            Asked::Beta if self.promoted => self.promoted_beta(),
            Asked::Beta => self.beta(),
        }
    }

    fn alpha(&self) -> PostgresFacts {
        let mut facts = primary(0);
        let PostgresRole::Primary(own) = &mut facts.role else { unreachable!("a primary") };
        own.wal_lsn = Some(Lsn(self.lsn));
        let row = own.walsenders.remove(0);
        if self.row {
            own.walsenders.push(Walsender {
                pid: self.connections,
                backend_start: Some(Opaque(self.connections.to_string())),
                sent: Some(Lsn(self.lsn)),
                write: Some(Lsn(self.received)),
                flush: Some(Lsn(self.received)),
                replay: Some(Lsn(self.replayed)),
                reply_time: Some(Opaque(self.last_reply.to_string())),
                ..row
            });
        }
        facts
    }

    fn beta(&self) -> PostgresFacts {
        let mut facts = standby(0);
        let PostgresRole::Standby(own) = &mut facts.role else { unreachable!("a standby") };
        (own.receive_lsn, own.replay_lsn) = (Some(Lsn(self.received)), Some(Lsn(self.replayed)));
        own.replay_paused = Some(self.paused);
        own.receiver = own.receiver.take().filter(|_| self.connected).map(|receiver| Receiver {
            last_message: Some(Opaque(self.last_message.to_string())),
            last_message_age: Some(self.now - self.last_message),
            ..receiver
        });
        facts
    }

    fn promoted_beta(&self) -> PostgresFacts {
        let own = PrimaryFacts { wal_lsn: Some(Lsn(self.received)), ..PrimaryFacts::default() };
        PostgresFacts { timeline: Some(2), ..facts("b", PostgresRole::Primary(own)) }
    }
}

/// A course of events as readings, each with the state of the world in which it was made.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) node: Asked,
    pub(super) result: Result<PostgresFacts, Failure>,
    pub(super) world: World,
}

pub(super) fn looks(course: &[Step]) -> Vec<Look> {
    let mut world = World::new();
    let mut all = Vec::new();
    let mut look = |world: &World, node: Asked, kind: Option<FailureKind>| {
        let result = kind.map_or_else(|| Ok(world.says(node)), |kind| Err(Failure::new(kind, "made up")));
        all.push(Look { node, result, world: world.clone() });
    };
    for step in course {
        match *step {
            Step::Wait(quarters) => world.wait(quarters),
            Step::Ask(node) => {
                look(&world, node, None);
                world.wait(1);
            }
            Step::Fail(node, kind) => {
                look(&world, node, Some(kind));
                world.wait(1);
            }
            Step::Run(seconds) => {
                for _ in 0..seconds {
                    world.wait(2);
                    look(&world, Asked::Alpha, None);
                    world.wait(1);
                    look(&world, Asked::Beta, None);
                    world.wait(1);
                }
            }
            _ => world.happens(step),
        }
    }
    all
}

/// The usual pair, with a window of trends that a short course fills, and the standby known by its slot or by its own word.
pub(super) fn watched(by_slot: bool) -> Timeline {
    watched_from(by_slot, at(0.0))
}

/// The same, begun at another moment.
pub(super) fn watched_from(by_slot: bool, start: Moment) -> Timeline {
    let mut pair = (*config(CONFIG).pairs[0]).clone();
    if let Some(channel) = &mut pair.postgres {
        channel.trend_window = Duration::from_secs(60);
        channel.slot_window = Duration::from_secs(10);
        channel.lag_large = crate::units::Bytes(1000);
    }
    for node in &mut pair.nodes {
        if let Some(server) = &mut node.postgres {
            server.replica =
                server.replica.take().filter(|_| by_slot || !matches!(server.replica, Some(ReplicaMatch::Slot(_))));
        }
    }
    Timeline::from(Arc::new(pair), start)
}
