//! How far behind: bytes by stage, what a failover would lose, what replay does.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::PostgresChannel;
use crate::facts::{PostgresSettings, PrimaryFacts, StandbyFacts, Walsender};
use crate::names::{ReplayState, Stage};
use crate::units::{Bytes, Lsn};

/// Replay is stuck once it has stood still for this much longer than the delay that it is allowed.
const STUCK_MARGIN: Duration = Duration::from_secs(60);

/// Lag by stage; the four add up to the whole.
pub(super) type Stages = [(Stage, Bytes); 4];

/// Lag at each stage. The position reached at a stage is the greatest of its own and every later stage's LSN, since receive,
/// flush and write restart *below* replay after a restart of the standby. A position beyond the primary's reading is caught up to it.
pub(super) fn stages(primary: &PrimaryFacts, row: &Walsender, standby: Option<&StandbyFacts>) -> Option<Stages> {
    let current = primary.wal_lsn?;
    let replay = row.replay.max(standby.and_then(|standby| standby.replay_lsn))?;
    let flush = row.flush.max(standby.and_then(|standby| standby.receive_lsn)).max(Some(replay))?;
    let write = row.write.max(Some(flush))?;
    let sent = row.sent.max(Some(write))?;
    let [sent, write, flush, replay] = [sent, write, flush, replay].map(|lsn| lsn.min(current));
    Some([
        (Stage::Pending, current.bytes_after(sent)),
        (Stage::Network, sent.bytes_after(write)),
        (Stage::StandbyDisk, write.bytes_after(flush)),
        (Stage::Replay, flush.bytes_after(replay)),
    ])
}

/// The sum of the stages.
pub(super) fn total(stages: &Stages) -> Bytes {
    Bytes(stages.iter().map(|(_, bytes)| bytes.0).sum())
}

/// The stage with the most bytes, if there are any. What waits to be sent waits for the network, too: a link that is too slow shows
/// in what the primary could not send yet.
pub(super) fn bottleneck(stages: &Stages) -> Option<Stage> {
    let of = |wanted: Stage| stages.iter().filter(|(stage, _)| *stage == wanted).map(|(_, bytes)| bytes.0).sum::<u64>();
    let all = [
        (Stage::Network, of(Stage::Pending) + of(Stage::Network)),
        (Stage::StandbyDisk, of(Stage::StandbyDisk)),
        (Stage::Replay, of(Stage::Replay)),
    ];
    all.into_iter().filter(|(_, bytes)| *bytes > 0).max_by_key(|(_, bytes)| *bytes).map(|(stage, _)| stage)
}

/// The position that the standby has replayed, by the newer of both servers' words.
pub(super) fn replayed(row: Option<&Walsender>, standby: Option<&StandbyFacts>) -> Option<Lsn> {
    row.and_then(|row| row.replay).max(standby.and_then(|standby| standby.replay_lsn))
}

/// What is remembered of a replay that does not move.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Where it stands, and since when with WAL to replay.
    pub(super) since: Option<(Lsn, Moment)>,
    /// It has asked for more since it last moved.
    pub(super) waits_for_more: Option<bool>,
    /// The delay that was declared for it.
    pub(super) delay: Duration,
}

/// What replay does now, and the moment from which it would be called stuck.
pub(super) fn replay_state(
    standby: &StandbyFacts,
    settings: &PostgresSettings,
    primary: Option<&PostgresSettings>,
    standing: Standing,
    channel: &PostgresChannel,
    now: Moment,
) -> (Option<ReplayState>, Option<Moment>) {
    let received = standby.receive_lsn.zip(standby.replay_lsn).map(|(received, replayed)| received > replayed);
    let asks = standing.waits_for_more.filter(|_| standby.receiver.is_none() && received != Some(true));
    let outstanding = asks.map(|asks| !asks).or(received);
    let stuck_at = standing.since.filter(|_| received == Some(true)).and_then(|(_, since)| {
        let allowed = match settings.standby_waits_for_ever {
            Some(true) => channel.stuck_after,
            _ => settings.max_standby_streaming_delay? + STUCK_MARGIN,
        };
        Some(since + allowed + standing.delay)
    });
    let waits_on = standby.startup_wait_event.as_deref();
    let state = if standby.replay_paused == Some(true) {
        let blocked = primary.is_some_and(|primary| lower_setting(settings, primary).is_some());
        Some(if blocked { ReplayState::BlockedBySettings } else { ReplayState::Paused })
    } else if waits_on == Some("RecoveryApplyDelay") {
        Some(ReplayState::Delayed)
    } else if stuck_at.is_some_and(|stuck_at| now >= stuck_at) {
        Some(ReplayState::Stuck)
    } else if waits_on.is_some_and(is_conflict) {
        Some(ReplayState::Conflict)
    } else {
        // Not known to be paused is not known to go on.
        outstanding
            .filter(|_| standby.replay_paused.is_some())
            .map(|outstanding| if outstanding { ReplayState::Applying } else { ReplayState::CaughtUp })
    };
    (state, stuck_at)
}

/// Replay waits for a query on the standby. A table's lock and a buffer's pin have the names that they have for everybody; replay
/// waits for neither but in a conflict (`ResolveRecoveryConflictWithLock`, `…WithBufferPin`).
fn is_conflict(wait_event: &str) -> bool {
    wait_event.starts_with("RecoveryConflict") || matches!(wait_event, "relation" | "BufferPin")
}

/// A setting that the standby has lower than its primary, though it may not.
pub(super) fn lower_setting<'a>(
    standby: &'a PostgresSettings,
    primary: &PostgresSettings,
) -> Option<(&'a str, i64, i64)> {
    standby.must_not_be_lower.iter().find_map(|(name, theirs)| {
        let ours = *primary.must_not_be_lower.get(name)?;
        (*theirs < ours).then_some((name.as_str(), *theirs, ours))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(primary: u64, row: [Option<u64>; 4], standby: Option<[u64; 2]>) -> Option<[u64; 4]> {
        let [sent, write, flush, replay] = row.map(|lsn| lsn.map(Lsn));
        let row = Walsender { sent, write, flush, replay, ..Walsender::default() };
        let primary = PrimaryFacts { wal_lsn: Some(Lsn(primary)), ..PrimaryFacts::default() };
        let standby = standby.map(|[receive, replay]| StandbyFacts {
            receive_lsn: Some(Lsn(receive)),
            replay_lsn: Some(Lsn(replay)),
            ..StandbyFacts::default()
        });
        stages(&primary, &row, standby.as_ref()).map(|stages| stages.map(|(_, bytes)| bytes.0))
    }

    fn all(sent: u64, write: u64, flush: u64, replay: u64) -> [Option<u64>; 4] {
        [sent, write, flush, replay].map(Some)
    }

    #[test]
    fn each_stage_has_its_own_bytes() {
        assert_eq!(bytes(1000, all(900, 700, 600, 100), None), Some([100, 200, 100, 500]));
    }

    #[test]
    fn positions_that_restart_below_replay_count_as_what_was_replayed() {
        assert_eq!(bytes(1000, all(500, 400, 300, 900), None), Some([100, 0, 0, 0]));
        assert_eq!(bytes(1000, [Some(1000), Some(900), None, Some(800)], None), Some([0, 100, 100, 0]));
    }

    #[test]
    fn what_the_standby_says_itself_may_be_newer() {
        assert_eq!(bytes(1000, all(1000, 1000, 1000, 400), Some([1000, 900])), Some([0, 0, 0, 100]));
        assert_eq!(bytes(1000, all(1000, 1000, 900, 400), Some([1000, 900])), Some([0, 0, 0, 100]), "flushed by now");
        assert_eq!(
            bytes(1000, all(1000, 900, 900, 900), Some([2000, 1500])),
            Some([0, 0, 0, 0]),
            "read later: caught up"
        );
    }

    #[test]
    fn the_bottleneck_is_where_most_bytes_wait() {
        let most = |bytes: [u64; 4]| {
            let stages = [Stage::Pending, Stage::Network, Stage::StandbyDisk, Stage::Replay];
            bottleneck(&[0, 1, 2, 3].map(|at| (stages[at], Bytes(bytes[at]))))
        };
        assert_eq!(most([0, 0, 0, 0]), None);
        assert_eq!(most([900, 0, 0, 10]), Some(Stage::Network), "not sent, since the link does not take it");
        assert_eq!(most([300, 300, 0, 500]), Some(Stage::Network));
        assert_eq!(most([10, 0, 20, 5]), Some(Stage::StandbyDisk));
        assert_eq!(most([10, 10, 10, 500]), Some(Stage::Replay));
    }

    #[test]
    fn without_a_replayed_position_nothing_is_known() {
        assert_eq!(bytes(1000, [Some(1000), Some(1000), Some(1000), None], None), None);
    }

    #[test]
    fn a_standby_that_waits_for_ever_is_stuck_by_the_configured_time_and_one_of_unknown_patience_never() {
        let channel = crate::config::parse(
            "pairs:\n  - name: catalog\n    nodes:\n      a: { postgres: { host: h, user: u } }\n      b: { postgres: { host: g, user: u } }\n",
            "test",
            &crate::config::Environment::default(),
        )
        .expect("a right configuration")
        .pairs[0]
            .postgres
            .clone()
            .expect("configured");
        let at = |seconds| Moment::after_boot(Duration::from_secs(seconds));
        let standing = Standing { since: Some((Lsn(5), at(100))), ..Standing::default() };
        let standby = StandbyFacts {
            receive_lsn: Some(Lsn(9)),
            replay_lsn: Some(Lsn(5)),
            replay_paused: Some(false),
            ..StandbyFacts::default()
        };
        let stuck_at = |waits_for_ever| {
            let settings = PostgresSettings { standby_waits_for_ever: waits_for_ever, ..PostgresSettings::default() };
            replay_state(&standby, &settings, None, standing, &channel, at(200)).1
        };
        assert_eq!(stuck_at(Some(true)), Some(at(100) + channel.stuck_after));
        assert_eq!(stuck_at(None), None);
    }
}
