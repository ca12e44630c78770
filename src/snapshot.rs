//! Everything known of a pair at one instant, immutable: what may be shown until a moment, and what is shown after it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, WallTime};
use crate::evidence::PairEvidence;
use crate::facts::{Failure, OwnReadings};
use crate::level::Level;
use crate::names::{Channel, Name, Reason, Severity};

mod sample;

pub use sample::{ByMetric, Label, LabelValue, Labels, Sample};

/// How one probe of one node fares.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeHealth {
    /// The channel that it serves.
    pub channel: Channel,
    /// The node that it asks.
    pub node: Name,
    /// Its last run brought facts, and they are fresh.
    pub up: bool,
    /// Wall time of the last success; kept over failures.
    pub last_success: Option<WallTime>,
    /// Why the last run brought nothing.
    pub failure: Option<Failure>,
    /// How long the last run took.
    pub took: Option<Duration>,
}

/// How far a rule whose condition is met has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// Met, but not yet for its hold time.
    Pending,
    /// Met for its hold time.
    Firing,
    /// No longer met, kept firing for a while.
    Kept,
}

/// A rule that is met, with since-when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The alert's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The channel that it is about; `None` for rules about the agent or the pair as a whole.
    pub channel: Option<Channel>,
    /// How far it has come.
    pub state: FindingState,
    /// Since when the condition is met.
    #[serde(skip)]
    pub since: Moment,
    /// The same as wall time, for people and for Alertmanager.
    pub since_wall: WallTime,
    /// One fixed sentence.
    pub summary: &'static str,
    /// The sentence with this pair's numbers in it.
    pub description: String,
    /// What to do, in the order to do it.
    pub remedy: &'static str,
    /// The reason that stands for this rule where the channel has no other.
    pub reason: Option<Reason>,
    /// The rule of another finding that fires and explains this one: Alertmanager mutes it meanwhile, where it is set up as shipped.
    pub explained_by: Option<&'static str>,
}

/// A channel's level with its reason.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    /// The channel.
    pub channel: Channel,
    /// How well it is.
    pub level: Level,
    /// Why; `None` only when ok.
    pub reason: Option<Reason>,
    /// Why, in words.
    pub detail: Option<String>,
    /// The moment that its evidence counts from.
    #[serde(skip)]
    pub as_of: Option<Moment>,
}

/// What is shown of a pair.
#[derive(Clone, Debug)]
pub struct View {
    /// The pair.
    pub pair: Name,
    /// When it was derived.
    pub made: Moment,
    /// When it was derived, for people.
    pub made_wall: WallTime,
    /// The worst of its channels and of the rules without a channel.
    pub level: Level,
    /// Each configured channel, in the order of [`Channel::ALL`].
    pub channels: Vec<ChannelView>,
    /// All evidence.
    pub evidence: PairEvidence,
    /// Every configured probe.
    pub probes: Vec<ProbeHealth>,
    /// Every number that `/metrics` shows of this pair.
    pub samples: Vec<Sample>,
    /// Every rule that is met (pending, firing or kept).
    pub findings: Vec<Finding>,
}

impl View {
    /// The view of one channel, if it is configured.
    pub fn channel(&self, channel: Channel) -> Option<&ChannelView> {
        self.channels.iter().find(|view| view.channel == channel)
    }
}

/// Two views: until a moment and after it. So an agent that was stopped and resumed shows nothing old, whoever asks first.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up by one with each snapshot of the pair.
    pub number: u64,
    /// Every configured probe has been run at least once.
    pub complete: bool,
    fresh: View,
    /// Made when somebody asks for it first, which hardly ever happens.
    expired: LazyLock<View, Box<dyn FnOnce() -> View + Send>>,
    shown_until: Moment,
    own: Option<Arc<OwnNode>>,
}

/// What an agent tells the other one, whenever it asks.
#[derive(Clone, Debug)]
pub struct OwnNode {
    /// Its node.
    pub node: Name,
    /// What it reads there.
    pub readings: OwnReadings,
}

impl Snapshot {
    /// Puts both views together. `expired` must not panic.
    pub fn new(
        number: u64,
        complete: bool,
        fresh: View,
        expired: impl FnOnce() -> View + Send + 'static,
        shown_until: Moment,
    ) -> Self {
        Self { number, complete, fresh, expired: LazyLock::new(Box::new(expired)), shown_until, own: None }
    }

    /// With what is read of the node that this process is the agent of, where it is one's.
    #[must_use]
    pub fn with_own(self, own: Option<Arc<OwnNode>>) -> Self {
        Self { own, ..self }
    }

    /// See [`Self::with_own`]. Its readings carry their own moments, so their ages are right whenever they are looked at.
    pub fn own(&self) -> Option<&OwnNode> {
        self.own.as_deref()
    }

    /// What may be shown at `now`. The only way to look into a snapshot.
    pub fn at(&self, now: Moment) -> &View {
        if now < self.shown_until { &self.fresh } else { &self.expired }
    }

    /// The moment from which only "unknown" is shown.
    pub const fn shown_until(&self) -> Moment {
        self.shown_until
    }
}
