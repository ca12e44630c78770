//! The names of the rules, how bad they are, and what their thresholds count.

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// How bad a rule's condition is.
    Severity {
        None = "none",
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

closed_list! {
    /// The alert's name of each rule. What it means stands in the catalogue of rules; the names are here so that a
    /// configuration can be checked against them.
    RuleName {
        ReplicationUnknown = "StandbyReplicationUnknown",
        FailoverNotReady = "StandbyFailoverNotReady",
        ReplicationFlapping = "StandbyReplicationFlapping",
        RolesChanged = "StandbyRolesChanged",
        PostgresNoPrimary = "StandbyPostgresNoPrimary",
        PostgresSplitBrain = "StandbyPostgresSplitBrain",
        PostgresTimelineDiverged = "StandbyPostgresTimelineDiverged",
        PostgresWrongCluster = "StandbyPostgresWrongCluster",
        PostgresSameServer = "StandbyPostgresSameServer",
        PostgresLagHigh = "StandbyPostgresLagHigh",
        PostgresLagCeiling = "StandbyPostgresLagCeiling",
        PostgresLagGrowing = "StandbyPostgresLagGrowing",
        PostgresLagGrowingAtLowLoad = "StandbyPostgresLagGrowingAtLowLoad",
        PostgresInitialSyncNotCatchingUp = "StandbyPostgresInitialSyncNotCatchingUp",
        PostgresReplayPaused = "StandbyPostgresReplayPaused",
        PostgresReplayBlockedBySettings = "StandbyPostgresReplayBlockedBySettings",
        PostgresReplayStuck = "StandbyPostgresReplayStuck",
        PostgresCommitsBlocked = "StandbyPostgresCommitsBlocked",
        PostgresSlotLossSoon = "StandbyPostgresSlotLossSoon",
        PostgresSlotLost = "StandbyPostgresSlotLost",
        PostgresNotAccepting = "StandbyPostgresNotAccepting",
        PostgresArchiverFailing = "StandbyPostgresArchiverFailing",
        SettingsParity = "StandbySettingsParity",
        SpecParity = "StandbySpecParity",
        PostgresWalDiskFullSoon = "StandbyPostgresWalDiskFullSoon",
        ConfigSyncStale = "StandbyConfigSyncStale",
        ConfigSyncFailing = "StandbyConfigSyncFailing",
        ConfigDrift = "StandbyConfigDrift",
        KvstoreWritesBlocked = "StandbyKvstoreWritesBlocked",
        KvstoreDiverged = "StandbyKvstoreDiverged",
        KvstoreLostWrite = "StandbyKvstoreLostWrite",
        KvstoreLinkDown = "StandbyKvstoreLinkDown",
        KvstoreSlow = "StandbyKvstoreSlow",
        KvstoreEviction = "StandbyKvstoreEviction",
        SearchUnknown = "StandbySearchUnknown",
        SearchRed = "StandbySearchRed",
        SearchIndexMissing = "StandbySearchIndexMissing",
        SearchReadOnly = "StandbySearchReadOnly",
        SearchDiskHigh = "StandbySearchDiskHigh",
        SearchYellow = "StandbySearchYellow",
        SearchDocumentsDrift = "StandbySearchDocumentsDrift",
        SearchStandbyUnknown = "StandbySearchStandbyUnknown",
        SearchRebuildStalled = "StandbySearchRebuildStalled",
        AgentProbeFailing = "StandbyAgentProbeFailing",
        AgentReloadFailed = "StandbyAgentReloadFailed",
        AgentPeerUnreachable = "StandbyAgentPeerUnreachable",
        AgentClockSkew = "StandbyAgentClockSkew",
        AgentDown = "StandbyAgentDown",
        Watchdog = "StandbyWatchdog",
    }
}

/// What a rule's threshold counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdUnit {
    /// Bytes; written as a size, `256MiB`.
    Bytes,
    /// Seconds; written as a duration, `4h`.
    Seconds,
    /// Periods of the configuration's synchronisation; written as a plain number.
    Periods,
}

impl RuleName {
    /// The rule that speaks where this one leaves off: switched off alone, it leaves a gap that nobody is told of.
    pub const fn needs(self) -> Option<Self> {
        match self {
            // It is mute while a standby has just been set up.
            Self::PostgresLagGrowing => Some(Self::PostgresInitialSyncNotCatchingUp),
            _ => None,
        }
    }

    /// What the rule's threshold counts; `None` for a rule over a state, which has no threshold to set.
    pub const fn threshold_unit(self) -> Option<ThresholdUnit> {
        match self {
            Self::PostgresLagHigh | Self::PostgresLagCeiling => Some(ThresholdUnit::Bytes),
            Self::PostgresSlotLossSoon | Self::PostgresWalDiskFullSoon | Self::AgentClockSkew => {
                Some(ThresholdUnit::Seconds)
            }
            Self::ConfigSyncStale => Some(ThresholdUnit::Periods),
            _ => None,
        }
    }
}
