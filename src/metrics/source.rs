//! Whose word PostgreSQL's evidence is, and what that word lets one see; the pulses that go out to see more.

use super::Presence::{Always, WhenKnown};
use super::{Kind, Metric, Read, Unit};

pub(super) static METRICS: [Metric; 3] = [
    Metric {
        name: "standby_postgres_source_info",
        kind: Kind::Gauge,
        help: "1 for whose word the channel's evidence is: servers, asked and judged here, or status_page, a vendor's page that is \
               believed and proves nothing.",
        labels: &["pair", "source"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if let Some(source) = input.pair.postgres_source() {
                emit.put([source.as_str().into()], 1.0);
            }
        }),
    },
    Metric {
        name: "standby_postgres_status_page_unchanged_seconds",
        kind: Kind::Gauge,
        help: "For how long the vendor's page has told the same number. An idle pair's never changes, and neither does a dead page's.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let unchanged = input.evidence.postgres.as_ref().and_then(|postgres| postgres.unchanged_for);
            emit.put_known([], unchanged.map(|time| time.as_secs_f64()));
        }),
    },
    Metric {
        name: "standby_postgres_pulses_total",
        kind: Kind::Counter,
        help: "Pulses that the proven primary was made to write since the agent started, by outcome; absent where none are configured.",
        labels: &["pair", "outcome"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (outcome, count) in input.evidence.postgres.iter().flat_map(|postgres| &postgres.pulses) {
                #[allow(clippy::cast_precision_loss, reason = "a sample is a float by definition")]
                emit.put([outcome.as_str().into()], *count as f64);
            }
        }),
    },
];
