//! A canary's write, by the way that the configuration says, and the looks at what came of it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::canary::{Canary, Mark};
use super::outcome::Ack;
use super::store::{Store, WriteFailure};
use crate::clock::{self, Moment};
use crate::facts::{Failure, StoreAnswer};
use crate::names::FailureKind;

/// Between the two looks that a loss needs, and at most between two looks for a write that is under way.
const AGAIN: Duration = Duration::from_millis(50);

/// By which way a canary reaches the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the standby's store, then to the primary's, as the application's client would.
    Both,
    /// To the primary's store, which replicates by itself.
    Primary,
    /// Through the application's own write path.
    Gateway,
}

/// What a canary's writes need.
pub(super) struct Writing<'a> {
    pub(super) way: Way,
    pub(super) key: &'a str,
    pub(super) canary: &'a Canary,
    pub(super) ttl: Duration,
    pub(super) deadline: Instant,
}

type Write = Result<(), WriteFailure>;

/// How a canary's writes ended. A side is `None` if its write was not attempted.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) standby: Option<Write>,
    pub(super) primary: Option<Write>,
    pub(super) gateway: Option<Write>,
    /// What each store held before, where that was looked at.
    pub(super) standby_before: Option<Mark>,
    pub(super) primary_before: Option<Mark>,
    /// When the first write left, and when all had been acknowledged.
    pub(super) left: Option<Moment>,
    pub(super) acknowledged: Option<Moment>,
}

/// The stores of one cycle.
pub(super) struct Sides<'a> {
    pub(super) standby: &'a mut Store,
    pub(super) primary: &'a mut Store,
    pub(super) gateway: Option<&'a mut Store>,
}

impl Writing<'_> {
    pub(super) async fn write(&self, sides: &mut Sides<'_>, look_before: bool) -> Written {
        match self.way {
            Way::Both => self.both(sides.standby, sides.primary, look_before).await,
            Way::Primary => {
                let mut written = self.before(sides, look_before).await;
                let write = self.one(sides.primary, &mut written.left).await;
                written.acknowledged = write.is_ok().then(clock::now);
                written.primary = Some(write);
                written
            }
            Way::Gateway => {
                let mut written = self.before(sides, look_before).await;
                if let Some(gateway) = &mut sides.gateway {
                    let write = self.one(gateway, &mut written.left).await;
                    written.acknowledged = write.is_ok().then(clock::now);
                    written.gateway = Some(write);
                }
                written
            }
        }
    }

    /// What lies there before the write, where that matters. A store that cannot be asked is asked again after it.
    async fn before(&self, sides: &mut Sides<'_>, look_before: bool) -> Written {
        if !look_before {
            return Written::default();
        }
        let half = Instant::now() + self.deadline.saturating_duration_since(Instant::now()) / 4;
        let (standby, primary) = tokio::join!(sides.standby.mark(half, self.key), sides.primary.mark(half, self.key));
        Written { standby_before: standby.ok().flatten(), primary_before: primary.ok().flatten(), ..Written::default() }
    }

    async fn one(&self, store: &mut Store, left: &mut Option<Moment>) -> Write {
        store.connect(self.deadline).await.map_err(WriteFailure::not_sent)?;
        *left = Some(clock::now());
        store.put(self.deadline, self.key, &self.canary.to_string(), self.ttl).await
    }

    /// The standby's store first; the primary's only after its acknowledgement.
    async fn both(&self, standby: &mut Store, primary: &mut Store, look_before: bool) -> Written {
        let mut written = Written::default();
        // Connecting is not part of the round trip. The primary's connection is made meanwhile.
        let standby_side = async {
            standby.connect(self.deadline).await.map_err(WriteFailure::not_sent)?;
            if look_before {
                let before = standby.mark(self.deadline, self.key).await;
                written.standby_before = before.map_err(WriteFailure::not_sent)?;
            }
            written.left = Some(clock::now());
            standby.put(self.deadline, self.key, &self.canary.to_string(), self.ttl).await
        };
        let (standby_written, primary_connected) = tokio::join!(standby_side, primary.connect(self.deadline));
        let acknowledged = standby_written.is_ok();
        written.standby = Some(standby_written);
        if !acknowledged {
            return written;
        }
        let primary_side = async {
            primary_connected.map_err(WriteFailure::not_sent)?;
            if look_before {
                let before = primary.mark(self.deadline, self.key).await;
                written.primary_before = before.map_err(WriteFailure::not_sent)?;
            }
            primary.put(self.deadline, self.key, &self.canary.to_string(), self.ttl).await
        };
        let primary_written = primary_side.await;
        written.acknowledged = primary_written.is_ok().then(clock::now);
        written.primary = Some(primary_written);
        written
    }
}

impl Written {
    /// An application's client would report success only after all.
    pub(super) fn ack(&self) -> Ack {
        let attempted = [&self.gateway, &self.standby, &self.primary].into_iter().flatten();
        let failure = attempted.into_iter().find_map(|side| side.as_ref().err());
        match failure {
            None if self.acknowledged.is_some() => Ack::Yes,
            None => Ack::Failed,
            Some(write) => Ack::of_failure(write.failure.kind),
        }
    }

    /// A write that left and was not answered may still land: at the store that it was sent to, or behind the one store that
    /// passes it on, at both.
    pub(super) fn may_land(write: Option<&Write>) -> bool {
        use FailureKind::{Timeout, Unreachable};
        write.is_some_and(|write| {
            write.as_ref().is_err_and(|write| write.sent && matches!(write.failure.kind, Timeout | Unreachable))
        })
    }
}

type Read = Result<Option<Mark>, Failure>;

/// What was found after a write, and when each side showed it.
pub(super) struct Found {
    pub(super) standby: Read,
    pub(super) primary: Read,
    pub(super) standby_at: Moment,
    pub(super) primary_at: Moment,
}

/// Looks for `mark` on both sides at once, so that a store that hangs does not hide the other. `patient`: on the standby it may
/// still be under way. What was acknowledged and is missing is looked for twice.
pub(super) async fn find(
    sides: &mut Sides<'_>,
    key: &str,
    mark: Mark,
    acknowledged: bool,
    patient: bool,
    until: Instant,
) -> Found {
    let (standby, primary) = tokio::join!(
        look(sides.standby, key, mark, acknowledged, patient, until),
        look(sides.primary, key, mark, acknowledged, false, until)
    );
    Found { standby: standby.0, primary: primary.0, standby_at: standby.1, primary_at: primary.1 }
}

async fn look(
    store: &mut Store,
    key: &str,
    mark: Mark,
    acknowledged: bool,
    patient: bool,
    until: Instant,
) -> (Read, Moment) {
    let mut pause = Duration::from_millis(2);
    let mut looks = 0;
    loop {
        let read = store.mark(until, key).await;
        let at = clock::now();
        looks += 1;
        let there = !matches!(&read, Ok(found) if *found != Some(mark));
        let enough = if patient { false } else { looks == 2 };
        if there || !acknowledged || enough {
            return (read, at);
        }
        pause = if patient { (pause * 2).min(AGAIN) } else { AGAIN };
        let next = Instant::now() + pause;
        // The last look must come back in time, too.
        if next + pause * 2 > until {
            return (read, at);
        }
        sleep_until(next).await;
    }
}

/// How one side took its part.
pub(super) fn answer(written: Option<Write>, read: Read, canary: Mark) -> StoreAnswer {
    let (acknowledged, write_failure) = parts(written);
    let (holds, read_failure) = match read {
        Ok(mark) => (Some(mark == Some(canary)), None),
        Err(failure) => (None, Some(failure)),
    };
    StoreAnswer { acknowledged, holds, failure: write_failure.or(read_failure) }
}

/// The gateway's part: it is written to and never read.
pub(super) fn gateway_answer(written: Write) -> StoreAnswer {
    let (acknowledged, failure) = parts(Some(written));
    StoreAnswer { acknowledged, holds: None, failure }
}

fn parts(written: Option<Write>) -> (Option<bool>, Option<Failure>) {
    match written {
        None => (None, None),
        Some(Ok(())) => (Some(true), None),
        Some(Err(write)) => (write.sent.then_some(false), Some(write.failure)),
    }
}
