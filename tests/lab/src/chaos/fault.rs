//! The faults that are drawn: which part each takes, and what is certain to be told of it, and by when.

use std::time::Duration;

/// A part of what is watched. One fault at a time has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Primary,
    Standby,
    /// The way of the WAL.
    Link,
    /// The ways by which the agents ask the servers.
    WayToPrimary,
    WayToStandby,
    StoreOfPrimary,
    StoreOfStandby,
    LinkOfStores,
    Sync,
    Load,
    /// An agent and what leads to it: of the only one, or of alpha's.
    Agent,
    /// Of beta's.
    OtherAgent,
    /// How the agents ask each other.
    Peers,
}

/// A channel of which something is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Postgres,
    Config,
    Kvstore,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Config, Self::Kvstore];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Config => "config",
            Self::Kvstore => "kvstore",
        }
    }
}

/// What a fault does to a channel for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It does not replicate: `up` is 0, the level `unknown`, and there is no number.
    Down,
    /// It is not `ok`.
    Trouble,
}

/// How long the two servers of a pair may hear nothing from each other.
#[derive(Clone, Copy, Debug)]
pub struct Silences {
    /// The primary from its standby.
    pub reply: Duration,
    /// The standby from its primary.
    pub message: Duration,
}

impl Silences {
    /// PostgreSQL's defaults: `wal_receiver_status_interval`, and half of `wal_receiver_timeout`.
    pub const USUAL: Self = Self { reply: Duration::from_secs(10), message: Duration::from_secs(30) };
    /// The laboratory's tenths.
    pub const TENTH: Self = Self { reply: Duration::from_secs(1), message: Duration::from_secs(3) };
}

/// After a sign of life has run out by the agent's measure (4 s more than the servers') and its reading with it (6 s): what a busy
/// machine may take.
const LATE: Duration = Duration::from_secs(4);
const MARGIN: Duration = Duration::from_secs(4);
const STALE: Duration = Duration::from_secs(6);
/// The period of the synchronisation.
pub const PERIOD: Duration = Duration::from_secs(5);

macro_rules! faults {
    ($($name:ident),+ $(,)?) => {
        /// One thing that is done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($name),+ }

        impl Fault {
            /// All of them. A course draws from here: a new one goes to the end, or old seeds tell another story.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As it is printed.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

faults! {
    StandbyKilled, StandbyStopped, StandbyRestarted, StandbyFrozen, ReceiverFrozen, ReplayFrozen, ReplayPaused, LockConflict,
    PostmasterOfStandbyFrozen,
    PrimaryKilled, PrimaryRestarted, PrimaryFrozen,
    LinkCut, LinkOnlyReplies, LinkOnlyWal, LinkReset, LinkSlow,
    WayToStandbyCut, WayToPrimaryCut, WayToStandbyReset, WayToPrimaryReset, WayToStandbySlow,
    Promoted,
    StoreLinkCut, StoreLinkOneWay, StoreOfStandbyFrozen, StoreOfPrimaryFrozen, StoreOfStandbyKilled, StoreOfPrimaryKilled,
    StoreOfStandbyFlushed,
    SyncStopped, SyncFails,
    Load, Burst,
    AgentKilled, AgentFrozen, AgentReloaded,
    OtherAgentKilled, OtherAgentFrozen, PeersCut, PeersHalfOpen,
}

impl Fault {
    /// What it takes.
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::StandbyKilled
            | Self::StandbyStopped
            | Self::StandbyRestarted
            | Self::StandbyFrozen
            | Self::ReceiverFrozen
            | Self::ReplayFrozen
            | Self::ReplayPaused
            | Self::PostmasterOfStandbyFrozen => &[Part::Standby],
            Self::LockConflict => &[Part::Standby, Part::Primary, Part::Link],
            Self::PrimaryKilled | Self::PrimaryRestarted | Self::PrimaryFrozen => &[Part::Primary],
            Self::LinkCut | Self::LinkOnlyReplies | Self::LinkOnlyWal | Self::LinkReset | Self::LinkSlow => {
                &[Part::Link]
            }
            Self::WayToStandbyCut | Self::WayToStandbyReset | Self::WayToStandbySlow => &[Part::WayToStandby],
            Self::WayToPrimaryCut | Self::WayToPrimaryReset => &[Part::WayToPrimary],
            Self::Promoted => {
                &[Part::Primary, Part::Standby, Part::Link, Part::WayToPrimary, Part::WayToStandby, Part::Agent]
            }
            Self::StoreLinkCut | Self::StoreLinkOneWay => &[Part::LinkOfStores],
            Self::StoreOfStandbyFrozen | Self::StoreOfStandbyKilled => &[Part::StoreOfStandby],
            Self::StoreOfPrimaryFrozen | Self::StoreOfPrimaryKilled => &[Part::StoreOfPrimary],
            Self::StoreOfStandbyFlushed => &[Part::StoreOfStandby, Part::StoreOfPrimary, Part::LinkOfStores],
            Self::SyncStopped | Self::SyncFails => &[Part::Sync],
            Self::Load | Self::Burst => &[Part::Load],
            Self::AgentKilled | Self::AgentFrozen | Self::AgentReloaded => &[Part::Agent],
            Self::OtherAgentKilled | Self::OtherAgentFrozen => &[Part::OtherAgent],
            Self::PeersCut | Self::PeersHalfOpen => &[Part::Peers],
        }
    }

    /// It needs an agent on each node.
    pub const fn needs_two_agents(self) -> bool {
        matches!(self, Self::OtherAgentKilled | Self::OtherAgentFrozen | Self::PeersCut | Self::PeersHalfOpen)
    }

    /// It is done in one go and has no end of its own.
    pub const fn is_an_act(self) -> bool {
        matches!(
            self,
            Self::StandbyRestarted
                | Self::PrimaryRestarted
                | Self::StoreOfStandbyFlushed
                | Self::Burst
                | Self::AgentReloaded
        )
    }

    /// It does no harm to anybody, nor to what is known of it: whatever is told besides is a false alarm.
    pub const fn is_benign(self) -> bool {
        matches!(self, Self::Load | Self::Burst | Self::AgentReloaded)
    }

    /// No WAL passes from the primary to the standby.
    pub const fn severs(self) -> bool {
        matches!(
            self,
            Self::StandbyKilled
                | Self::StandbyStopped
                | Self::StandbyFrozen
                | Self::ReceiverFrozen
                | Self::LinkCut
                | Self::LinkOnlyReplies
                | Self::LinkReset
        )
    }

    /// The standby is another process after it: its positions may go back.
    pub const fn moves_back(self) -> bool {
        matches!(self, Self::StandbyKilled | Self::StandbyStopped | Self::StandbyRestarted | Self::Promoted)
    }

    /// It is done by asking the primary.
    pub const fn needs_primary(self) -> bool {
        matches!(self, Self::LockConflict | Self::Burst)
    }

    /// The server does not answer while it lasts.
    pub const fn silences_primary(self) -> bool {
        matches!(self, Self::PrimaryKilled | Self::PrimaryFrozen)
    }

    /// The server does not answer new sessions while it lasts.
    pub const fn silences_standby(self) -> bool {
        matches!(
            self,
            Self::StandbyKilled | Self::StandbyStopped | Self::StandbyFrozen | Self::PostmasterOfStandbyFrozen
        )
    }

    /// An agent that does not answer while it lasts: the first or the second.
    pub const fn silences_agent(self) -> Option<usize> {
        match self {
            Self::AgentKilled | Self::AgentFrozen => Some(0),
            Self::OtherAgentKilled | Self::OtherAgentFrozen => Some(1),
            _ => None,
        }
    }

    /// The channels that may be told to be less than well while it lasts, and for a while after it.
    pub const fn touches(self) -> &'static [Channel] {
        match self {
            Self::StoreLinkCut
            | Self::StoreLinkOneWay
            | Self::StoreOfStandbyFrozen
            | Self::StoreOfPrimaryFrozen
            | Self::StoreOfStandbyKilled
            | Self::StoreOfPrimaryKilled
            | Self::StoreOfStandbyFlushed => &[Channel::Kvstore],
            Self::SyncStopped | Self::SyncFails => &[Channel::Config],
            Self::Load | Self::Burst | Self::AgentReloaded => &[],
            Self::Promoted
            | Self::AgentKilled
            | Self::AgentFrozen
            | Self::OtherAgentKilled
            | Self::OtherAgentFrozen
            | Self::PeersCut
            | Self::PeersHalfOpen => &Channel::ALL,
            _ => &[Channel::Postgres],
        }
    }

    /// What is certain to be told for as long as it lasts.
    pub const fn harms(self) -> Option<(Channel, Harm)> {
        match self {
            Self::StandbyKilled
            | Self::StandbyStopped
            | Self::StandbyFrozen
            | Self::ReceiverFrozen
            | Self::PrimaryKilled
            | Self::PrimaryFrozen
            | Self::LinkCut
            | Self::LinkOnlyReplies
            | Self::LinkOnlyWal
            | Self::LinkReset
            | Self::Promoted => Some((Channel::Postgres, Harm::Down)),
            Self::ReplayPaused
            | Self::WayToStandbyCut
            | Self::WayToStandbyReset
            | Self::WayToPrimaryCut
            | Self::WayToPrimaryReset => Some((Channel::Postgres, Harm::Trouble)),
            Self::StoreLinkCut
            | Self::StoreLinkOneWay
            | Self::StoreOfStandbyFrozen
            | Self::StoreOfPrimaryFrozen
            | Self::StoreOfStandbyKilled
            | Self::StoreOfPrimaryKilled => Some((Channel::Kvstore, Harm::Down)),
            Self::SyncStopped | Self::SyncFails => Some((Channel::Config, Harm::Trouble)),
            _ => None,
        }
    }

    /// From when on it must be told, counted from the moment at which it was there. `alone`: nothing else is or was wrong lately, so that
    /// both servers can be asked; otherwise the slower of both must do.
    pub fn bound(self, silences: Silences, alone: bool) -> Duration {
        let reply = silences.reply + LATE + MARGIN;
        let message = silences.message + LATE + MARGIN;
        match self {
            Self::StoreLinkCut
            | Self::StoreLinkOneWay
            | Self::StoreOfStandbyFrozen
            | Self::StoreOfPrimaryFrozen
            | Self::StoreOfStandbyKilled
            | Self::StoreOfPrimaryKilled => STALE + MARGIN,
            Self::SyncStopped | Self::SyncFails => PERIOD * 2 + STALE + MARGIN,
            _ if !alone => message + STALE,
            Self::StandbyKilled | Self::StandbyStopped | Self::LinkReset | Self::PrimaryKilled | Self::Promoted => {
                MARGIN + Duration::from_secs(2)
            }
            Self::ReplayPaused
            | Self::WayToStandbyCut
            | Self::WayToStandbyReset
            | Self::WayToPrimaryCut
            | Self::WayToPrimaryReset => STALE,
            Self::LinkOnlyReplies | Self::PrimaryFrozen => message,
            _ => reply,
        }
    }
}
