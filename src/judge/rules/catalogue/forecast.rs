//! Rules that tell before it is too late, and those that keep an eye on the long run.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Bound, Compare, Condition, Operator};
use crate::judge::rules::description::{Form, Part};
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const FLAPPING: Rule = Rule {
    name: RuleName::ReplicationFlapping,
    severity: Severity::Warning,
    about: About::EachChannel,
    condition: Condition::All(&[Compare {
        metric: "standby_replication_changes",
        labels: &[],
        operator: Operator::AtLeast,
        bound: Bound::Fixed(4.0),
    }]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "Replication of this channel comes and goes.",
    description: &[
        Part::Text("Channel "),
        Part::Channel,
        Part::Text(" of pair "),
        Part::Pair,
        Part::Text(" has changed between proven and not proven "),
        Part::Value(Form::Plain),
        Part::Text(" times in 15 minutes. Any time it may not come back."),
    ],
    remedy: "1. Look at the reasons in the agent's log: one line for each change. 2. Look at the link between the nodes and \
             at restarts of the servers in those minutes. 3. Mend the cause before the next failover.",
    reason: Some(Reason::Flapping),
};

pub(super) const LAG_CEILING: Rule = Rule {
    name: RuleName::PostgresLagCeiling,
    severity: Severity::Critical,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare::above_threshold("standby_replication_undelayed_lag_bytes")]),
    threshold: Some(4_294_967_296.0),
    hold: minutes(1),
    keep: minutes(1),
    summary: "The standby is so far behind that no load excuses it.",
    description: &[
        Part::Text("The standby of pair "),
        Part::Pair,
        Part::Text(" is "),
        Part::Value(Form::Bytes),
        Part::Text(" of WAL behind (limit "),
        Part::Threshold(Form::Bytes),
        Part::Text("). Replication runs, but a failover now would cost too much data or too much time."),
    ],
    remedy: "1. See at which stage the bytes wait and when it will have caught up. 2. If never: remove that bottleneck, or \
             stop the load that causes it. 3. Watch the slot: its WAL must not be lost meanwhile.",
    reason: Some(Reason::LagHigh),
};

pub(super) const INITIAL_SYNC_NOT_CATCHING_UP: Rule = Rule {
    name: RuleName::PostgresInitialSyncNotCatchingUp,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[
        Compare::holds("standby_postgres_lag_growing"),
        Compare::holds_not("standby_postgres_established"),
    ]),
    threshold: None,
    hold: minutes(30),
    keep: AT_ONCE,
    summary: "A new standby does not catch up: its lag goes on growing.",
    description: &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(" that was set up lately is far behind and falls further behind (told once that has lasted for "),
        Part::Hold,
        Part::Text("). At this pace it never becomes a standby."),
    ],
    remedy: "1. See at which stage the bytes wait. 2. network: give the copy more bandwidth. 3. replay or standby_disk: the \
             standby's machine is too slow for this primary. 4. Let it catch up while the primary writes little.",
    reason: Some(Reason::LagGrowing),
};

pub(super) const SLOT_LOSS_SOON: Rule = Rule {
    name: RuleName::PostgresSlotLossSoon,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::OfOneStandby(&[
        Compare::below_threshold("standby_postgres_slot_loss_seconds"),
        Compare {
            metric: "standby_postgres_slot_used_ratio",
            labels: &[],
            operator: Operator::Above,
            bound: Bound::Fixed(0.25),
        },
    ]),
    threshold: Some(14_400.0),
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "The primary will soon throw away WAL that the standby needs.",
    description: &[
        Part::Text("The slot of a standby of pair "),
        Part::Pair,
        Part::Text(" reaches its limit in "),
        Part::Value(Form::Duration),
        Part::Text(
            " if nothing changes. From then on the primary removes WAL that the standby lacks, and it must be rebuilt.",
        ),
    ],
    remedy: "1. Bring the standby or its link back, or remove what slows it. 2. If that takes longer and the disk has room: on \
             the primary raise max_slot_wal_keep_size and reload. 3. Stop bulk loads until it has caught up.",
    reason: Some(Reason::SlotLossSoon),
};

pub(super) const WAL_DISK_FULL_SOON: Rule = Rule {
    name: RuleName::PostgresWalDiskFullSoon,
    severity: Severity::Critical,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare::below_threshold("standby_postgres_wal_disk_full_seconds")]),
    threshold: Some(43_200.0),
    hold: minutes(5),
    keep: AT_ONCE,
    summary: "WAL that is kept for a standby will soon fill the primary's disk.",
    description: &[
        Part::Text("The slot of a standby of pair "),
        Part::Pair,
        Part::Text(" has no limit and fills the disk with the primary's WAL in "),
        Part::Value(Form::Duration),
        Part::Text(" if nothing changes. A primary without room for WAL stops."),
    ],
    remedy: "1. Bring the standby or its link back. 2. If that takes longer than the disk lasts: on the primary set \
             max_slot_wal_keep_size, or drop the slot; the standby must be rebuilt then. 3. Never delete files in pg_wal.",
    reason: Some(Reason::WalDiskFullSoon),
};
