//! One written timeline for each rule: when it fires, and when it must not.

use crate::timelines::Labels;

/// Values as they are written: `(how often, value)` one after another.
pub fn runs(parts: &[(usize, Option<f64>)]) -> Vec<Option<f64>> {
    parts.iter().flat_map(|(count, value)| std::iter::repeat_n(*value, *count)).collect()
}

/// One written timeline of one rule.
pub struct Written {
    pub rule: &'static str,
    pub severity: &'static str,
    pub series: Vec<(&'static str, Labels, Vec<Option<f64>>)>,
    pub fires_at: Vec<usize>,
}

pub const NO: Option<f64> = None;

pub const fn is(value: f64) -> Option<f64> {
    Some(value)
}

pub fn written() -> Vec<Written> {
    let one = |rule, severity, metric, labels, values, fires_at: &[usize]| Written {
        rule,
        severity,
        series: vec![(metric, labels, values)],
        fires_at: fires_at.to_vec(),
    };
    let mib = 1_048_576.0;
    let lag = |parts: &[(usize, Option<f64>)]| runs(parts);
    vec![
        one(
            "StandbyReplicationUnknown",
            "critical",
            "standby_replication_up",
            &[("channel", "config")],
            // Unknown for 45 s, proven again, then unknown for good: fires a minute after that.
            runs(&[(2, is(1.0)), (4, is(0.0)), (1, is(1.0)), (7, is(0.0)), (2, is(1.0))]),
            &[11, 12, 13],
        ),
        one(
            "StandbyReplicationFlapping",
            "warning",
            "standby_replication_changes",
            &[("channel", "kvstore")],
            runs(&[(2, is(3.0)), (2, is(4.0)), (1, is(5.0)), (1, is(3.0)), (1, NO)]),
            &[2, 3, 4],
        ),
        one(
            "StandbyRolesChanged",
            "info",
            "standby_postgres_roles_changed",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (3, is(1.0)), (1, is(0.0))]),
            &[2, 3, 4],
        ),
        one(
            "StandbyPostgresNoPrimary",
            "critical",
            "standby_postgres_primary_up",
            &[],
            runs(&[(1, is(1.0)), (5, is(0.0)), (1, is(1.0))]),
            &[3, 4, 5],
        ),
        one(
            "StandbyPostgresSplitBrain",
            "critical",
            "standby_postgres_split_brain",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO), (1, is(1.0))]),
            &[1, 2, 5],
        ),
        one(
            "StandbyPostgresTimelineDiverged",
            "critical",
            "standby_postgres_timeline_diverged",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO), (1, is(1.0))]),
            &[1, 2, 5],
        ),
        one(
            "StandbyPostgresWrongCluster",
            "critical",
            "standby_postgres_wrong_cluster",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO), (1, is(1.0))]),
            &[1, 2, 5],
        ),
        one(
            "StandbyPostgresSameServer",
            "critical",
            "standby_postgres_same_server",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO), (1, is(1.0))]),
            &[1, 2, 5],
        ),
        one(
            "StandbyPostgresLagHigh",
            "warning",
            "standby_replication_undelayed_lag_bytes",
            &[],
            // Exactly the limit is not above it; five minutes above fire; kept for a minute after.
            lag(&[(3, is(256.0 * mib)), (22, is(257.0 * mib)), (6, is(0.0))]),
            &[23, 24, 25, 26, 27, 28],
        ),
        one(
            "StandbyPostgresLagCeiling",
            "critical",
            "standby_replication_undelayed_lag_bytes",
            &[],
            // A minute above the limit fires; kept for a minute after.
            lag(&[(2, is(4096.0 * mib)), (6, is(4097.0 * mib)), (6, is(0.0))]),
            &[6, 7, 8, 9, 10, 11],
        ),
        Written {
            rule: "StandbyPostgresLagGrowing",
            severity: "warning",
            series: vec![
                // Evidence holds its verdict over gaps, so the series has none; after ten minutes it fires.
                ("standby_postgres_lag_growing", &[], runs(&[(1, is(0.0)), (52, is(1.0)), (1, is(0.0))])),
                // It is mute while the standby has just been set up.
                ("standby_postgres_established", &[], runs(&[(11, is(0.0)), (43, is(1.0))])),
            ],
            fires_at: vec![51, 52],
        },
        Written {
            rule: "StandbyPostgresLagGrowingAtLowLoad",
            severity: "critical",
            series: vec![
                ("standby_postgres_lag_growing", &[], runs(&[(50, is(1.0))])),
                // Load too high, then low for less than five minutes, then not known, then low for long enough.
                (
                    "standby_postgres_low_load",
                    &[],
                    runs(&[(2, is(0.0)), (15, is(1.0)), (1, NO), (22, is(1.0)), (10, is(0.0))]),
                ),
            ],
            fires_at: vec![38, 39],
        },
        Written {
            rule: "StandbyPostgresInitialSyncNotCatchingUp",
            severity: "warning",
            series: vec![
                ("standby_postgres_lag_growing", &[], runs(&[(1, is(0.0)), (122, is(1.0)), (1, is(0.0))])),
                ("standby_postgres_established", &[], runs(&[(124, is(0.0))])),
            ],
            fires_at: vec![121, 122],
        },
        one(
            "StandbyPostgresReplayPaused",
            "critical",
            "standby_postgres_replay_state",
            &[("standby", "beta"), ("state", "paused")],
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO)]),
            &[2, 3],
        ),
        one(
            "StandbyPostgresReplayBlockedBySettings",
            "critical",
            "standby_postgres_replay_state",
            &[("standby", "beta"), ("state", "blocked_by_settings")],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, NO)]),
            &[1, 2],
        ),
        one(
            "StandbyPostgresReplayStuck",
            "critical",
            "standby_postgres_replay_state",
            &[("standby", "beta"), ("state", "stuck")],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, NO)]),
            &[1, 2],
        ),
        one(
            "StandbyPostgresCommitsBlocked",
            "critical",
            "standby_postgres_commits_blocked",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, is(0.0))]),
            &[2, 3],
        ),
        Written {
            rule: "StandbyPostgresSlotLossSoon",
            severity: "warning",
            series: vec![
                // One standby's slot has little time and hardly any use, another's is half full and has all the time: no alert. Then
                // the first one fills up.
                ("standby_postgres_slot_loss_seconds", &[("standby", "beta")], runs(&[(15, is(3600.0)), (2, NO)])),
                ("standby_postgres_slot_used_ratio", &[("standby", "beta")], runs(&[(8, is(0.25)), (9, is(0.26))])),
                ("standby_postgres_slot_loss_seconds", &[("standby", "gamma")], runs(&[(17, is(f64::INFINITY))])),
                ("standby_postgres_slot_used_ratio", &[("standby", "gamma")], runs(&[(17, is(0.5))])),
            ],
            fires_at: vec![12, 13, 14],
        },
        one(
            "StandbyPostgresWalDiskFullSoon",
            "critical",
            "standby_postgres_wal_disk_full_seconds",
            &[("standby", "beta")],
            runs(&[(2, is(43_200.0)), (21, is(40_000.0)), (1, is(f64::INFINITY)), (1, NO)]),
            &[22],
        ),
        one(
            "StandbyPostgresSlotLost",
            "critical",
            "standby_postgres_slot_lost",
            &[("standby", "beta")],
            runs(&[(1, NO), (1, is(0.0)), (3, is(1.0)), (1, NO)]),
            &[2, 3, 4],
        ),
        Written {
            rule: "StandbyPostgresNotAccepting",
            severity: "critical",
            // One node that refuses is enough, whatever the other does; not known is no refusal.
            series: vec![
                ("standby_postgres_not_accepting", &[("node", "alpha")], runs(&[(4, is(0.0)), (1, NO), (2, is(0.0))])),
                (
                    "standby_postgres_not_accepting",
                    &[("node", "beta")],
                    runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO), (1, is(1.0)), (1, NO)]),
                ),
            ],
            fires_at: vec![1, 2, 5],
        },
        one(
            "StandbyPostgresArchiverFailing",
            "warning",
            "standby_postgres_archiver_failing",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO)]),
            &[2, 3],
        ),
        one(
            "StandbySettingsParity",
            "warning",
            "standby_postgres_settings_differ",
            &[("standby", "beta")],
            runs(&[(1, NO), (1, is(0.0)), (3, is(1.0)), (1, NO)]),
            &[2, 3, 4],
        ),
        one(
            "StandbySpecParity",
            "warning",
            "standby_machine_differs",
            &[("standby", "beta")],
            runs(&[(1, is(0.0)), (22, is(1.0)), (1, is(0.0))]),
            &[21, 22],
        ),
        Written {
            rule: "StandbyAgentPeerUnreachable",
            severity: "warning",
            // One agent that cannot ask is enough, though the other one can.
            series: vec![
                ("standby_agent_peer_up", &[("peer", "alpha")], runs(&[(9, is(1.0))])),
                ("standby_agent_peer_up", &[("peer", "beta")], runs(&[(2, is(1.0)), (6, is(0.0)), (1, is(1.0))])),
            ],
            fires_at: vec![6, 7],
        },
        one(
            "StandbyAgentClockSkew",
            "warning",
            "standby_agent_clock_skew_seconds",
            &[("peer", "beta")],
            // Ten minutes are nobody's alarm.
            runs(&[(6, is(600.0)), (6, is(1200.0)), (1, is(0.0)), (1, NO)]),
            &[10, 11],
        ),
        one(
            "StandbyConfigSyncStale",
            "warning",
            "standby_config_sync_age_periods",
            &[],
            runs(&[(2, is(2.0)), (7, is(2.25)), (1, is(0.25))]),
            &[6, 7, 8],
        ),
        one(
            "StandbyConfigSyncStale",
            "critical",
            "standby_config_sync_age_periods",
            &[],
            runs(&[(2, is(2.75)), (6, is(3.0)), (1, is(0.25))]),
            &[6, 7],
        ),
        one(
            "StandbyConfigSyncFailing",
            "warning",
            "standby_config_sync_consecutive_failures",
            &[],
            runs(&[(1, is(2.0)), (2, is(3.0)), (1, is(0.0)), (1, is(2.0)), (1, is(4.0)), (1, NO)]),
            &[1, 2, 5],
        ),
        one(
            "StandbyConfigDrift",
            "warning",
            "standby_config_drifted_files",
            &[],
            // Not known is no drift, and no drift known to be none either.
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, NO), (1, is(40.0)), (1, is(0.0))]),
            &[2, 3, 5],
        ),
        one(
            "StandbyKvstoreWritesBlocked",
            "critical",
            "standby_kvstore_writes_blocked",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (4, is(1.0)), (1, NO)]),
            &[6, 7],
        ),
        one(
            "StandbyKvstoreDiverged",
            "critical",
            "standby_kvstore_diverged",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO)]),
            &[2, 3],
        ),
        one(
            "StandbyKvstoreLostWrite",
            "critical",
            "standby_kvstore_lost_write",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (3, is(1.0)), (1, NO)]),
            &[2, 3, 4],
        ),
        one(
            "StandbyKvstoreLinkDown",
            "critical",
            "standby_kvstore_link_up",
            &[],
            // One refused connection is not held long enough; where no port is watched there is no series and no alert.
            runs(&[(1, is(1.0)), (1, is(0.0)), (1, is(1.0)), (4, is(0.0)), (1, is(1.0)), (1, NO)]),
            &[5, 6],
        ),
        one(
            "StandbyKvstoreSlow",
            "warning",
            "standby_kvstore_slow",
            &[],
            runs(&[(2, is(0.0)), (42, is(1.0)), (1, is(0.0))]),
            &[42, 43],
        ),
        one(
            "StandbyKvstoreEviction",
            "warning",
            "standby_kvstore_evicted",
            &[],
            runs(&[(1, NO), (1, is(0.0)), (2, is(1.0)), (1, is(0.0))]),
            &[2, 3],
        ),
        one(
            "StandbySearchUnknown",
            "critical",
            "standby_search_primary_up",
            &[],
            runs(&[(1, is(1.0)), (6, is(0.0)), (1, is(1.0))]),
            &[5, 6],
        ),
        one(
            "StandbySearchRed",
            "critical",
            "standby_search_primary_red",
            &[],
            // For a moment, as an index is made or an engine starts; then for good.
            runs(&[(1, is(0.0)), (3, is(1.0)), (2, is(0.0)), (6, is(1.0)), (1, NO)]),
            &[10, 11],
        ),
        one(
            "StandbySearchIndexMissing",
            "critical",
            "standby_search_primary_index_missing",
            &[],
            // Deleted and created again; then deleted.
            runs(&[(1, NO), (2, is(1.0)), (1, is(0.0)), (5, is(1.0)), (1, is(0.0))]),
            &[8],
        ),
        one(
            "StandbySearchReadOnly",
            "critical",
            "standby_search_primary_read_only",
            &[],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, NO)]),
            &[1, 2],
        ),
        one(
            "StandbySearchDiskHigh",
            "critical",
            "standby_search_primary_disk_high",
            &[],
            runs(&[(1, NO), (1, is(1.0)), (1, is(0.0)), (1, is(1.0)), (1, is(0.0))]),
            &[1, 3],
        ),
        one(
            "StandbySearchYellow",
            "warning",
            "standby_search_primary_yellow",
            &[],
            runs(&[(1, is(0.0)), (120, is(1.0)), (1, is(0.0)), (122, is(1.0)), (1, NO)]),
            &[242, 243],
        ),
        one(
            "StandbySearchDocumentsDrift",
            "warning",
            "standby_search_documents_drift",
            &[],
            runs(&[(1, is(0.0)), (120, is(1.0)), (1, is(0.0)), (122, is(1.0)), (1, NO)]),
            &[242, 243],
        ),
        one(
            "StandbySearchStandbyUnknown",
            "warning",
            "standby_search_standby_up",
            &[],
            runs(&[(1, is(1.0)), (120, is(0.0)), (1, is(1.0)), (122, is(0.0)), (1, is(1.0))]),
            &[242, 243],
        ),
        one(
            "StandbySearchRebuildStalled",
            "critical",
            "standby_search_rebuild_state",
            &[("state", "stalled")],
            runs(&[(1, is(0.0)), (2, is(1.0)), (1, is(0.0)), (1, NO)]),
            &[1, 2],
        ),
        one(
            "StandbyFailoverNotReady",
            "warning",
            "standby_failover_verdict",
            &[("verdict", "not_ready")],
            // Ten minutes, not a step less.
            runs(&[(1, is(1.0)), (1, is(0.0)), (42, is(1.0)), (1, is(0.0)), (1, NO)]),
            &[42, 43],
        ),
        one(
            "StandbyAgentProbeFailing",
            "warning",
            "standby_probe_up",
            &[("channel", "search"), ("node", "beta")],
            // A reboot is no fault; a quarter of an hour is.
            runs(&[(2, is(1.0)), (20, is(0.0)), (1, is(1.0)), (62, is(0.0)), (2, is(1.0))]),
            &[83, 84],
        ),
        one(
            "StandbyAgentReloadFailed",
            "warning",
            "standby_agent_reload_successful",
            &[],
            runs(&[(2, is(1.0)), (3, is(0.0)), (1, is(1.0))]),
            &[2, 3, 4],
        ),
    ]
}
