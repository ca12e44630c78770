//! `/api/v1/pairs/{pair}/history`: the last day, for plots and for the morning after.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::Moment;
use crate::history::day::{Change, Day, STEP, names_of};
use crate::level::Level;
use crate::names::{Channel, Reason};
use crate::view::api::VERSION;

/// The document of one pair.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryDocument {
    /// [`VERSION`].
    pub version: u32,
    /// Its name.
    pub pair: String,
    /// What one point stands for.
    pub step_seconds: u64,
    /// Each channel that is asked for.
    pub channels: Vec<ChannelHistory>,
    /// Each change of a level, the oldest first; those before a restart too.
    pub transitions: Vec<TransitionDocument>,
}

/// One channel's day.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelHistory {
    /// Which.
    pub channel: Channel,
    /// The minutes in which somebody looked; in those left out nobody did.
    pub points: Vec<PointDocument>,
}

/// The worst of one minute.
#[derive(Clone, Debug, Serialize)]
pub struct PointDocument {
    /// When it began (RFC 3339).
    pub time: String,
    /// The worst level.
    pub level: Level,
    /// The worst numbers by their names; `null` where nothing was known.
    #[serde(flatten)]
    pub numbers: BTreeMap<&'static str, Option<f64>>,
}

/// A change of a level.
#[derive(Clone, Debug, Serialize)]
pub struct TransitionDocument {
    /// When (RFC 3339).
    pub time: String,
    /// Of which channel.
    pub channel: Channel,
    /// From this; `null` where the agent had just started.
    pub was: Option<Level>,
    /// To this.
    pub level: Level,
    /// Why.
    pub reason: Option<Reason>,
}

impl HistoryDocument {
    /// Of one channel, or of all that are configured.
    pub fn new(pair: &str, day: &Day, only: Option<Channel>, now: Moment) -> Self {
        let wanted = |channel: Channel| only.is_none_or(|only| only == channel);
        let channels = Channel::ALL.iter().filter(|channel| wanted(**channel)).map(|channel| {
            let points = day.points(now).filter_map(|point| {
                let slot = point.slot(*channel);
                let numbers = names_of(*channel).zip(slot.numbers).collect();
                Some(PointDocument { time: point.wall.to_string(), level: slot.level?, numbers })
            });
            ChannelHistory { channel: *channel, points: points.collect() }
        });
        Self {
            version: VERSION,
            pair: pair.to_owned(),
            step_seconds: STEP.as_secs(),
            channels: channels.filter(|history| !history.points.is_empty()).collect(),
            transitions: day.changes().filter(|change| wanted(change.channel)).map(TransitionDocument::new).collect(),
        }
    }
}

impl TransitionDocument {
    /// As it is told.
    pub fn new(change: &Change) -> Self {
        Self {
            time: change.time.to_string(),
            channel: change.channel,
            was: change.was,
            level: change.level,
            reason: change.reason,
        }
    }
}
