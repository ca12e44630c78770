//! Two halves of one proof: that the primary hears its standby, and that the standby hears its primary.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::PostgresChannel;
use crate::facts::{PostgresSettings, Receiver, StandbyFacts, Walsender};
use crate::history::postgres::{Beat, SenderMemory};
use crate::history::pulse::Silence;
use crate::names::Reason;
use crate::units::{Lsn, short_duration};

/// Beyond the interval that the servers keep: one probe interval before and after, one lost sample, a busy machine.
const MARGIN: Duration = Duration::from_secs(4);
/// Shown while a limit cannot be worked out: what PostgreSQL's defaults give.
const USUAL_LIMIT: Duration = Duration::from_secs(14);

/// Proven, with the sign of life and the moment until which that holds; or the reason why not.
pub(super) type Proof = Result<Proven, (Reason, String)>;

/// A sign of life, and how long it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) heard: Moment,
    pub(super) until: Moment,
}

/// How long the primary may hear nothing from its standby. `None`: the servers are set so that silence means nothing.
pub(super) fn reply_limit(standby: Option<&PostgresSettings>, primary: &PostgresSettings) -> Option<Duration> {
    let on = |setting: Option<Duration>| setting.filter(|value| !value.is_zero());
    on(standby.and_then(|settings| settings.wal_receiver_status_interval))
        .or_else(|| on(primary.wal_sender_timeout).map(|timeout| timeout / 2))
        .map(|interval| interval.saturating_add(MARGIN))
}

/// How long the standby may hear nothing from its primary.
pub(super) fn message_limit(standby: &PostgresSettings) -> Option<Duration> {
    standby.wal_receiver_timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| timeout / 2 + MARGIN)
}

/// The primary's half: its walsender streams, and the standby replied lately.
pub(super) fn by_walsender(
    row: &Walsender,
    memory: Option<&SenderMemory>,
    current: Option<Lsn>,
    limit: Option<Duration>,
    channel: &PostgresChannel,
    now: Moment,
) -> Proof {
    let starting = |text: &str| Err((Reason::Starting, text.to_owned()));
    match row.state.as_deref() {
        Some("streaming" | "catchup") => {}
        Some("stopping") => {
            return Err((Reason::NotConnected, "the primary is ending the standby's connection".into()));
        }
        _ => return starting("the standby has connected and does not stream yet"),
    }
    let Some(memory) = memory.filter(|_| row.reply_time.is_some()) else {
        return starting("the standby has connected and has not replied yet");
    };
    let heard = heard(&memory.beat, limit, now, "the standby has not replied to the primary");
    if heard.as_ref().is_err_and(|(reason, _)| *reason == Reason::NotSeenYet) {
        return heard;
    }
    let outstanding = match (current, row.flush) {
        (Some(current), Some(flush)) => current > flush,
        _ => false,
    };
    let still = now.since(memory.progress);
    if outstanding && still >= channel.stall_after {
        let text = format!("WAL is outstanding and nothing has moved for {}", short_duration(still));
        return Err((Reason::Stalled, text));
    }
    let answer_due = match memory.pulse.silence(now) {
        Some(Silence::Missed(sent)) => {
            let text =
                format!("the standby has not answered what the primary wrote {} ago", short_duration(now.since(sent)));
            return Err((Reason::NotAnswering, text));
        }
        Some(Silence::DueAt(due)) => Some(due),
        None => None,
    };
    let stalls_at = memory.progress + channel.stall_after;
    let earlier = answer_due.into_iter().chain(outstanding.then_some(stalls_at)).min();
    heard.map(|proven| Proven { until: earlier.map_or(proven.until, |earlier| proven.until.min(earlier)), ..proven })
}

/// The standby's half: its receiver streams, on a timeline that fits, and the primary was heard lately.
pub(super) fn by_receiver(
    standby: &StandbyFacts,
    memory: Option<&Beat>,
    limit: Option<Duration>,
    primary_timeline: Option<u32>,
    now: Moment,
) -> Proof {
    let Some(receiver) = &standby.receiver else {
        return Err((
            Reason::NotConnected,
            "the standby has no WAL receiver: it is not connected to its primary".into(),
        ));
    };
    match receiver.status.as_deref() {
        Some("streaming") => {}
        None => {
            return Err((
                Reason::Permission,
                "the role may not see the WAL receiver's state: GRANT pg_monitor to it".into(),
            ));
        }
        Some(other) => return Err((Reason::Starting, format!("the standby's WAL receiver is {other:?}"))),
    }
    if receiver.timeline.is_none() {
        return Err((Reason::Protocol, "the standby's WAL receiver does not tell its timeline".into()));
    }
    if let Some((theirs, ours)) = older_timeline(receiver, primary_timeline) {
        return Err((
            Reason::Starting,
            format!("the standby still follows timeline {theirs}, the primary is on {ours}"),
        ));
    }
    let Some(memory) = memory else {
        return Err((Reason::NotSeenYet, "the standby has just connected".into()));
    };
    heard(memory, limit, now, "the standby has heard nothing from its primary")
}

fn older_timeline(receiver: &Receiver, primary: Option<u32>) -> Option<(u32, u32)> {
    receiver.timeline.zip(primary).filter(|(theirs, ours)| theirs < ours)
}

fn heard(beat: &Beat, limit: Option<Duration>, now: Moment, silence: &str) -> Proof {
    let bound = limit.unwrap_or(USUAL_LIMIT);
    let silent_since = beat.proven.unwrap_or(beat.since);
    let age = now.since(silent_since);
    match beat.proven {
        Some(heard) if age < bound => Ok(Proven { heard, until: heard + bound }),
        None if age < bound => {
            Err((Reason::NotSeenYet, "waiting for the first sign of life between the servers".into()))
        }
        _ if limit.is_none() => Err((
            Reason::IdleUnprovable,
            format!(
                "{silence} for {}, and the servers' timeouts are switched off: set wal_receiver_status_interval",
                short_duration(age)
            ),
        )),
        _ => Err((
            Reason::NotAnswering,
            format!("{silence} for {} (expected within {})", short_duration(age), short_duration(bound)),
        )),
    }
}
