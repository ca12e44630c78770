//! How WAL comes to a standby: by a stream from the primary, by files from an archive, or from another server.

use std::time::Duration;

use crate::clock::Moment;
use crate::facts::StandbyFacts;
use crate::units::Lsn;

/// What replay waits on while it has replayed all that it could get, and asks for more.
const ASKS_FOR_MORE: [&str; 3] = ["RecoveryRetrieveRetryInterval", "RestoreCommand", "RecoveryWalStream"];

/// Between readings further apart than this a receiver may have come and gone.
const GAP: Duration = Duration::from_secs(10);
/// A receiver that is refused shows for a moment at each attempt. One that is there in so many readings in a row has connected.
const CONNECTED: u8 = 3;

/// What is remembered of how WAL comes to one standby.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    /// How far replay had come, and the last moment at which it was seen to move.
    pub replayed: Position,
    /// How far it had received or replayed, and the last moment at which that was seen to move.
    pub held: Position,
    /// Where replay was last seen to ask for more: all that had arrived was replayed.
    pub asked_at: Option<Lsn>,
    /// It has no receiver, or had none a moment ago.
    pub alone: Option<Alone>,
    /// In so many readings in a row it has had one.
    pub receivers: u8,
    /// No reading since this one has been without a receiver; `None` while there is none.
    pub connected: Option<Moment>,
    /// Since when no reading of the primary has had a walsender for it; `None` while it has one.
    pub unserved: Option<Moment>,
    /// Another server than the primary was last proven to stream to it.
    pub cascaded: bool,
    /// Host and port that its receiver named last.
    pub sender: Option<String>,
    /// The same as `cascaded`, as it was proven before this agent started: from this host and port.
    pub cascaded_before: Option<String>,
}

/// A standby without a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// No reading since this one has had a receiver.
    pub since: Moment,
    /// How far it had replayed then.
    pub at: Option<Lsn>,
    /// Where the primary stood after that. What it wrote later can have come by no stream. `None` until it was asked.
    pub beyond: Option<Lsn>,
}

impl Feed {
    /// The standby's next reading; the one before it was asked at `last_good`.
    pub fn record(&mut self, standby: &StandbyFacts, last_good: Option<Moment>, asked: Moment) {
        self.replayed = moved(self.replayed, standby.replay_lsn, last_good);
        self.held = moved(self.held, standby.receive_lsn.max(standby.replay_lsn), last_good);
        if standby.startup_wait_event.as_deref().is_some_and(|event| ASKS_FOR_MORE.contains(&event)) {
            self.asked_at = standby.replay_lsn;
        }
        self.sender = standby.receiver.as_ref().and_then(|receiver| receiver.sender.clone()).or(self.sender.take());
        self.receivers = if standby.receiver.is_some() { self.receivers.saturating_add(1) } else { 0 };
        let watched = last_good.is_some_and(|last_good| asked.since(last_good) <= GAP);
        let connected = self.connected.filter(|_| watched).or(Some(asked));
        self.connected = connected.filter(|_| standby.receiver.is_some());
        self.alone = match self.alone {
            _ if self.receivers >= CONNECTED => None,
            None if self.receivers > 0 => None,
            None => Some(Alone { since: asked, at: standby.replay_lsn, beyond: None }),
            Some(alone) if self.receivers == 0 && watched => Some(alone),
            // What was written until the next reading of the primary may have come by a stream.
            Some(alone) => Some(Alone { at: standby.replay_lsn, beyond: None, ..alone }),
        };
    }

    /// The primary stood at `lsn` in a reading that was asked at `asked`.
    pub fn record_primary(&mut self, lsn: Lsn, asked: Moment) {
        if let Some(alone) = self.alone.as_mut().filter(|alone| self.receivers == 0 && alone.since <= asked) {
            alone.beyond.get_or_insert(lsn);
        }
    }

    /// Whether the primary's reading that was asked at `asked` had a walsender for it.
    pub fn record_served(&mut self, served: bool, asked: Moment) {
        self.unserved = if served { None } else { self.unserved.or(Some(asked)) };
    }

    /// Where its WAL comes from is known.
    pub fn record_source(&mut self, cascaded: bool) {
        self.cascaded = cascaded;
        self.cascaded_before = None;
    }

    /// Another server than the primary was last proven to stream to it: this host and port.
    pub fn cascaded_from(&self) -> Option<&String> {
        self.cascaded_before.as_ref().or(self.sender.as_ref().filter(|_| self.cascaded))
    }

    /// It was last proven to be cascaded, and its receiver still names the same sender, where that was before a restart of the agent.
    pub fn was_cascaded(&self) -> bool {
        self.cascaded || (self.cascaded_before.is_some() && self.cascaded_before == self.sender)
    }

    /// Replay has asked for more since it last moved.
    pub fn has_replayed_all(&self) -> bool {
        self.asked_at.is_some() && self.asked_at == self.replayed.map(|(lsn, _)| lsn)
    }
}

/// A position, and a moment after which it moved. The first one of all may have stood there for long.
pub type Position = Option<(Lsn, Option<Moment>)>;

fn moved(before: Position, lsn: Option<Lsn>, last_good: Option<Moment>) -> Position {
    let lsn = lsn?;
    match before {
        Some((same, since)) if same == lsn => Some((lsn, since)),
        Some(_) => Some((lsn, last_good)),
        None => Some((lsn, None)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::facts::Receiver;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn standby(replay: u64, receiver: bool, waits_on: Option<&str>) -> StandbyFacts {
        StandbyFacts {
            replay_lsn: Some(Lsn(replay)),
            receiver: receiver.then(Receiver::default),
            startup_wait_event: waits_on.map(str::to_owned),
            ..StandbyFacts::default()
        }
    }

    /// Readings a second apart, each with a position, whether there is a receiver, and what replay waits on.
    fn feed(readings: &[(u64, bool, Option<&str>)]) -> Feed {
        let mut feed = Feed::default();
        for (second, (replay, receiver, waits_on)) in (1..).zip(readings) {
            let before = (second > 1).then(|| at(second - 1));
            feed.record(&standby(*replay, *receiver, *waits_on), before, at(second));
        }
        feed
    }

    #[test]
    fn the_first_position_has_not_moved() {
        assert_eq!(feed(&[(5, true, None), (5, true, None)]).replayed, Some((Lsn(5), None)));
        let moved = feed(&[(5, true, None), (6, true, None), (6, true, None)]);
        assert_eq!(moved.replayed, Some((Lsn(6), Some(at(1)))), "after the reading that had it at 5");
    }

    #[test]
    fn who_asked_for_more_has_replayed_all_until_replay_goes_on() {
        let asks = (5, false, Some("RecoveryRetrieveRetryInterval"));
        assert!(feed(&[asks, (5, false, None)]).has_replayed_all(), "between two attempts it waits on nothing");
        assert!(!feed(&[asks, (6, false, None)]).has_replayed_all());
        assert!(!feed(&[asks, (6, false, Some("RecoveryConflictLock"))]).has_replayed_all());
        assert!(!Feed::default().has_replayed_all());
    }

    #[test]
    fn what_was_written_after_the_receiver_had_gone_came_by_no_stream() {
        let mut feed = feed(&[(5, true, None), (5, false, None)]);
        feed.record_primary(Lsn(100), at(1));
        assert_eq!(
            feed.alone,
            Some(Alone { since: at(2), at: Some(Lsn(5)), beyond: None }),
            "asked before it had gone"
        );
        feed.record_primary(Lsn(110), at(3));
        feed.record_primary(Lsn(120), at(4));
        assert_eq!(feed.alone, Some(Alone { since: at(2), at: Some(Lsn(5)), beyond: Some(Lsn(110)) }));
        feed.record(&standby(6, false, None), Some(at(4)), at(30));
        assert_eq!(
            feed.alone,
            Some(Alone { since: at(2), at: Some(Lsn(6)), beyond: None }),
            "nobody looked for a while"
        );
    }

    #[test]
    fn a_receiver_is_connected_since_the_first_reading_that_has_it() {
        let (with, without) = ((5, true, None), (5, false, None));
        assert_eq!(feed(&[with, with]).connected, Some(at(1)));
        assert_eq!(feed(&[with, without]).connected, None);
        let mut feed = feed(&[with, without, with, with]);
        assert_eq!(feed.connected, Some(at(3)));
        feed.record(&standby(5, true, None), Some(at(4)), at(60));
        assert_eq!(feed.connected, Some(at(60)), "it may be another one");
    }

    #[test]
    fn a_receiver_that_is_refused_does_not_end_the_time_alone() {
        let (with, without) = ((5, true, None), (5, false, None));
        let since = |readings: &[_]| feed(readings).alone.map(|alone| alone.since);
        assert_eq!(since(&[with, without, with, without]), Some(at(2)));
        assert_eq!(since(&[with, without, with, with, with]), None);
        assert_eq!(since(&[with, without, with, with, with, without]), Some(at(6)));
    }

    #[test]
    fn who_is_not_served_counts_from_the_first_reading_without_a_walsender() {
        let mut feed = Feed::default();
        feed.record_served(false, at(5));
        feed.record_served(false, at(6));
        assert_eq!(feed.unserved, Some(at(5)));
        feed.record_served(true, at(7));
        assert_eq!(feed.unserved, None);
    }

    #[test]
    fn what_the_primary_wrote_while_a_receiver_showed_may_have_come_by_a_stream() {
        let (with, without) = ((5, true, None), (5, false, None));
        let mut feed = feed(&[with, without, with]);
        feed.record_primary(Lsn(100), at(3));
        assert_eq!(feed.alone.map(|alone| alone.beyond), Some(None));
        let mut refused = self::feed(&[with, without, with, with]);
        assert_eq!(refused.alone.map(|alone| alone.since), Some(at(2)), "two readings are no connection yet");
        refused.record(&standby(5, true, None), Some(at(4)), at(5));
        assert_eq!(refused.alone, None);
    }

    #[test]
    fn a_standby_holds_what_it_received_or_replayed_whichever_is_more() {
        let mut feed = Feed::default();
        let told = |received, replayed| StandbyFacts {
            receive_lsn: Some(Lsn(received)),
            replay_lsn: Some(Lsn(replayed)),
            ..StandbyFacts::default()
        };
        feed.record(&told(9, 5), None, at(1));
        assert_eq!(feed.held, Some((Lsn(9), None)));
        feed.record(&told(9, 12), Some(at(1)), at(2));
        assert_eq!(feed.held, Some((Lsn(12), Some(at(1)))), "it went on from the archive");
    }
}
