//! Rules over one state of PostgreSQL each, met as long as that state is told: no number, no threshold.

use super::{AT_ONCE, Rule};
use crate::judge::rules::condition::{About, Bound, Compare, Condition, Operator};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

/// What rules over one state have in common: critical, at once, about the channel `postgres`.
pub(super) const fn critical(
    name: RuleName,
    condition: Condition,
    summary: &'static str,
    description: &'static [Part],
    remedy: &'static str,
    reason: Reason,
) -> Rule {
    Rule {
        name,
        severity: Severity::Critical,
        about: About::Channel(Channel::Postgres),
        condition,
        threshold: None,
        hold: AT_ONCE,
        keep: AT_ONCE,
        summary,
        description,
        remedy,
        reason: Some(reason),
    }
}

/// A standby's replay is in this state.
const fn replay_is(state: &'static [(&'static str, &'static str); 1]) -> Compare {
    Compare {
        metric: "standby_postgres_replay_state",
        labels: state,
        operator: Operator::Equal,
        bound: Bound::Fixed(1.0),
    }
}

pub(super) const SPLIT_BRAIN: Rule = critical(
    RuleName::PostgresSplitBrain,
    Condition::All(&[Compare::holds("standby_postgres_split_brain")]),
    "Two servers of the pair take writes.",
    &[
        Part::Text("More than one node of pair "),
        Part::Pair,
        Part::Text(" answers as a primary. Each takes writes that the other will never have."),
    ],
    "1. Find out which one the application writes to. 2. Fence the other at once: stop it and keep it down. 3. Keep its \
     data directory until you know what was written there. 4. Rejoin it as a standby with pg_rewind, or rebuild it.",
    Reason::TwoPrimaries,
);

pub(super) const TIMELINE_DIVERGED: Rule = critical(
    RuleName::PostgresTimelineDiverged,
    Condition::All(&[Compare::holds("standby_postgres_timeline_diverged")]),
    "The standby has a history of its own and cannot follow its primary.",
    &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(" has WAL or a timeline that its primary does not have. It cannot replicate from it."),
    ],
    "1. Compare the timelines of both nodes on the status page. 2. Make sure that the server that answers as primary is \
     the one that should. 3. Rejoin the standby with pg_rewind, or rebuild it.",
    Reason::TimelineDiverged,
);

pub(super) const WRONG_CLUSTER: Rule = critical(
    RuleName::PostgresWrongCluster,
    Condition::All(&[Compare::holds("standby_postgres_wrong_cluster")]),
    "The nodes of the pair belong to different clusters.",
    &[
        Part::Text("The servers of pair "),
        Part::Pair,
        Part::Text(" have different system identifiers: one is no copy of the other and never will be."),
    ],
    "1. Compare SELECT system_identifier FROM pg_control_system(); on both. 2. If an address is wrong, correct the \
     configuration. 3. If the standby was built from another server, rebuild it from its primary.",
    Reason::WrongCluster,
);

pub(super) const SAME_SERVER: Rule = critical(
    RuleName::PostgresSameServer,
    Condition::All(&[Compare::holds("standby_postgres_same_server")]),
    "Two nodes of the pair are one and the same server.",
    &[
        Part::Text("Two nodes of pair "),
        Part::Pair,
        Part::Text(" are answered for by one server. Whether there is a standby at all is not known."),
    ],
    "1. Look up both configured addresses: does one float or is it a proxy's? 2. Name the machines themselves. 3. If they \
     are right, find out where the standby's address went: the machine may be down.",
    Reason::SameServer,
);

pub(super) const REPLAY_PAUSED: Rule = critical(
    RuleName::PostgresReplayPaused,
    Condition::All(&[replay_is(&[("state", "paused")])]),
    "Replay on the standby is paused.",
    &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(
            " receives WAL but does not replay it, since replay was paused. Its data stands still and its disk fills.",
        ),
    ],
    "1. Ask who paused it and why. 2. On the standby: SELECT pg_wal_replay_resume(); 3. Watch the lag fall.",
    Reason::ReplayPaused,
);

pub(super) const REPLAY_BLOCKED_BY_SETTINGS: Rule = critical(
    RuleName::PostgresReplayBlockedBySettings,
    Condition::All(&[replay_is(&[("state", "blocked_by_settings")])]),
    "Replay on the standby waits because a setting is lower than on its primary.",
    &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(
            " receives WAL but PostgreSQL stopped its replay: a setting that was raised on the primary is still lower there.",
        ),
    ],
    "1. Read on the status page which setting it is. 2. On the standby set it to the primary's value or higher. \
     3. Restart the standby: resuming the replay instead would shut it down.",
    Reason::ReplayBlockedBySettings,
);

pub(super) const REPLAY_STUCK: Rule = critical(
    RuleName::PostgresReplayStuck,
    Condition::All(&[replay_is(&[("state", "stuck")])]),
    "Replay on the standby does not move although WAL waits there.",
    &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(
            " has WAL to replay, and its replay has stood still for longer than it is allowed to wait for queries.",
        ),
    ],
    "1. On the standby look for the oldest transaction: SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY \
     xact_start; 2. End it: SELECT pg_terminate_backend(pid); 3. If there is none, look at the startup process, the disk \
     and the server's log.",
    Reason::ReplayStuck,
);

pub(super) const COMMITS_BLOCKED: Rule = critical(
    RuleName::PostgresCommitsBlocked,
    Condition::All(&[Compare::holds("standby_postgres_commits_blocked")]),
    "Commits on the primary wait for a synchronous standby.",
    &[
        Part::Text("The primary of pair "),
        Part::Pair,
        Part::Text(
            " waits for a synchronous standby that does not answer. Each commit hangs, so the application does, too.",
        ),
    ],
    "1. Bring back the standby or its link. 2. If that takes longer than users can wait: on the primary ALTER SYSTEM SET \
     synchronous_standby_names = ''; SELECT pg_reload_conf(); 3. From then on a failover may lose writes: set it again \
     once the standby is back.",
    Reason::CommitsBlocked,
);

pub(super) const SLOT_LOST: Rule = critical(
    RuleName::PostgresSlotLost,
    Condition::All(&[Compare::holds("standby_postgres_slot_lost")]),
    "The primary has thrown away WAL that the standby needs.",
    &[
        Part::Text("The slot of a standby of pair "),
        Part::Pair,
        Part::Text(
            " fell too far behind, and the primary has removed WAL that it was to keep. The standby cannot catch up any more.",
        ),
    ],
    "1. If the missing WAL is in an archive, set restore_command on the standby and let it fetch it. 2. Else drop the slot, \
     create it anew and rebuild the standby with pg_basebackup. 3. Give max_slot_wal_keep_size more room.",
    Reason::SlotLost,
);
