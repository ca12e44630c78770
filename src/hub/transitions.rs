//! One line in the log per transition of a level, never one per sample.

use std::collections::BTreeMap;

use crate::level::Level;
use crate::names::{Channel, Reason};
use crate::snapshot::{ChannelView, View};

/// The levels that were told last. A pair's first ones are told once its snapshot is complete.
#[derive(Debug, Default)]
pub struct Transitions {
    told: BTreeMap<Channel, (Level, Option<Reason>)>,
}

impl Transitions {
    /// Tells what has changed since the last call.
    pub fn tell(&mut self, view: &View, complete: bool) {
        if !complete && self.told.is_empty() {
            return;
        }
        for channel in &view.channels {
            let before = self.told.insert(channel.channel, (channel.level, channel.reason));
            if before.map(|(level, _)| level) != Some(channel.level) {
                tell(view, channel, before.map(|(level, _)| level));
            }
        }
    }
}

fn tell(view: &View, channel: &ChannelView, before: Option<Level>) {
    let pair = view.pair.as_str();
    let name = channel.channel.as_str();
    let level = channel.level.as_str();
    let was = before.map(Level::as_str);
    let reason = channel.reason.map(Reason::as_str);
    let detail = channel.detail.as_deref();
    // ERROR means that a person must act. An agent that has just started has not heard of everything yet.
    let first_look = before.is_none() && matches!(channel.reason, Some(Reason::NotSeenYet | Reason::Starting));
    match channel.level {
        Level::Unknown if first_look => tracing::info!(pair, channel = name, level, reason, detail, "level"),
        Level::Ok => tracing::info!(pair, channel = name, level, was, "level"),
        Level::Warning => tracing::warn!(pair, channel = name, level, was, reason, detail, "level"),
        Level::Critical | Level::Unknown => {
            tracing::error!(pair, channel = name, level, was, reason, detail, "level");
        }
    }
}
