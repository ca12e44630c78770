//! What servers tell of themselves beside their replication, and what of it must be the same on both.

use std::time::Duration;

use super::nodes::Node;
use super::outlook;
use super::standby::{Own, Surroundings};
use crate::clock::Moment;
use crate::evidence::{NodeTold, StandbyTold, WalStatus};
use crate::facts::{PostgresFacts, PostgresSettings};

/// What PostgreSQL refuses to start or to replay with, where a standby has it lower than its primary.
const MUST_NOT_BE_LOWER: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// One node's server, by its newest facts.
pub(super) fn node_told(node: Node<'_>, now: Moment) -> NodeTold {
    let (facts, asked) = match node {
        Node::Primary { facts, asked, .. } | Node::Standby { facts, asked, .. } => (facts, asked),
        Node::Silent(_) => return NodeTold::default(),
    };
    let age = now.since(asked);
    NodeTold {
        untested_version: facts.untested_version(),
        wal_directory: facts.slow.wal_directory.as_ref().and_then(|size| size.fresh(age)).copied(),
        archive_ready: facts.slow.archive_ready.as_ref().and_then(|ready| ready.fresh(age)).copied(),
    }
}

/// One standby, and its slot on the primary.
pub(super) fn standby_told(view: &Surroundings<'_>, slot: Option<&str>, own: Option<Own<'_>>) -> StandbyTold {
    let slot = outlook::row(view, slot);
    let differ = own.zip(view.primary).and_then(|(own, primary)| {
        let ages = [own.asked, primary.asked].map(|asked| view.now.since(asked));
        settings_differ(own.facts, primary.facts, ages)
    });
    StandbyTold {
        slot_active: slot.map(|slot| slot.active),
        slot_retained: slot.and_then(|slot| slot.retained),
        slot_wal_status: slot.and_then(|slot| WalStatus::from_text(slot.wal_status.as_deref()?)),
        conflicts: own.and_then(|own| own.standby.conflicts),
        settings_differ: differ,
    }
}

/// What the standby may not have lower than its primary and has, and what must be the same and is not. `ages` are those of the
/// standby's and of the primary's reading. One difference is enough to tell; that there is none takes knowing all.
fn settings_differ(standby: &PostgresFacts, primary: &PostgresFacts, ages: [Duration; 2]) -> Option<Vec<String>> {
    let lower = MUST_NOT_BE_LOWER.into_iter().map(|name| {
        let [theirs, ours] = [standby, primary].map(|facts| facts.settings.must_not_be_lower.get(name).copied());
        let (theirs, ours) = theirs.zip(ours)?;
        Some((theirs < ours).then(|| format!("{name} is {theirs}, on the primary {ours}")))
    });
    let same = |what: &str, values: Option<(String, String)>| {
        let (theirs, ours) = values?;
        Some((theirs != ours).then(|| format!("{what} is {theirs}, on the primary {ours}")))
    };
    let version = same("version", standby.major().zip(primary.major()).map(|(a, b)| (a.to_string(), b.to_string())));
    let on = |(facts, age): (&PostgresFacts, Duration)| {
        let checksums = *facts.slow.data_checksums.as_ref()?.fresh(age)?;
        Some(if checksums { "on" } else { "off" }.to_owned())
    };
    let checksums = on((standby, ages[0])).zip(on((primary, ages[1])));
    let compared: Vec<Option<Option<String>>> = lower.chain([version, same("data_checksums", checksums)]).collect();
    let all_known = compared.iter().all(Option::is_some);
    let differ: Vec<String> = compared.into_iter().flatten().flatten().collect();
    (all_known || !differ.is_empty()).then_some(differ)
}

/// The settings that the standby has lower than its primary though it may not, each in words. `None` while one of them is not known
/// and none is seen to be lower.
pub(in crate::judge) fn settings_too_low(
    standby: &PostgresSettings,
    primary: &PostgresSettings,
) -> Option<Vec<String>> {
    let compared = MUST_NOT_BE_LOWER.map(|name| {
        let theirs = standby.must_not_be_lower.get(name)?;
        let ours = primary.must_not_be_lower.get(name)?;
        Some((theirs < ours).then(|| format!("{name} is {theirs}, on the primary {ours}")))
    });
    let all_known = compared.iter().all(Option::is_some);
    let lower: Vec<String> = compared.into_iter().flatten().flatten().collect();
    (all_known || !lower.is_empty()).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Aged, PostgresRole, PrimaryFacts, SlowFacts};
    use crate::units::Bytes;

    const JUST_NOW: [Duration; 2] = [Duration::ZERO; 2];

    fn facts(checksums: Option<bool>) -> PostgresFacts {
        let must_not_be_lower = MUST_NOT_BE_LOWER.map(|name| (name.to_owned(), 100)).into();
        let aged = |value| Aged { value, age: Duration::from_secs(30) };
        PostgresFacts {
            version: Some(150_018),
            system_identifier: None,
            postmaster_start: None,
            data_directory: None,
            timeline: None,
            server_clock: None,
            role: PostgresRole::Primary(PrimaryFacts::default()),
            settings: PostgresSettings { must_not_be_lower, ..PostgresSettings::default() },
            slow: SlowFacts { data_checksums: checksums.map(aged), ..SlowFacts::default() },
            new_sessions: None,
        }
    }

    fn with(setting: &str, value: Option<i64>) -> PostgresFacts {
        let mut facts = facts(Some(true));
        match value {
            Some(value) => facts.settings.must_not_be_lower.insert(setting.to_owned(), value),
            None => facts.settings.must_not_be_lower.remove(setting),
        };
        facts
    }

    #[test]
    fn only_lower_is_wrong() {
        let same = facts(Some(true));
        assert_eq!(settings_differ(&same, &same, JUST_NOW), Some(Vec::new()));
        for name in MUST_NOT_BE_LOWER {
            assert_eq!(settings_differ(&with(name, Some(101)), &same, JUST_NOW), Some(Vec::new()), "{name}");
            let told = vec![format!("{name} is 99, on the primary 100")];
            assert_eq!(settings_differ(&with(name, Some(99)), &same, JUST_NOW), Some(told));
        }
    }

    #[test]
    fn checksums_and_major_version_must_be_the_same() {
        let (on, off) = (facts(Some(true)), facts(Some(false)));
        let told = vec!["data_checksums is off, on the primary on".to_owned()];
        assert_eq!(settings_differ(&off, &on, JUST_NOW), Some(told));
        let minor = PostgresFacts { version: Some(150_011), ..on.clone() };
        assert_eq!(settings_differ(&minor, &on, JUST_NOW), Some(Vec::new()));
        let major = PostgresFacts { version: Some(160_018), ..on.clone() };
        assert_eq!(settings_differ(&major, &on, JUST_NOW), Some(vec!["version is 16, on the primary 15".to_owned()]));
    }

    #[test]
    fn what_is_not_known_is_not_the_same() {
        let whole = facts(Some(true));
        let no_version = PostgresFacts { version: None, ..whole.clone() };
        for part in [facts(None), with("max_connections", None), no_version] {
            assert_eq!(settings_differ(&part, &whole, JUST_NOW), None);
            assert_eq!(settings_differ(&whole, &part, JUST_NOW), None);
            let lower = with("max_wal_senders", Some(7));
            let told = settings_differ(&lower, &part, JUST_NOW);
            assert_eq!(told.map(|told| told.len()), Some(1), "one difference is enough");
        }
        let old = [Duration::from_secs(160), Duration::ZERO];
        assert_eq!(settings_differ(&whole, &whole, old), None, "too old");
    }

    #[test]
    fn answers_of_long_ago_are_not_told() {
        let mut facts = facts(None);
        let age = Duration::from_secs(60);
        facts.slow.wal_directory = Some(Aged { value: Bytes::mib(16), age });
        facts.slow.archive_ready = Some(Aged { value: 0, age });
        let PostgresRole::Primary(primary) = &facts.role else { panic!("a primary") };
        let told = |seconds| {
            let asked = Moment::after_boot(Duration::from_secs(1000));
            node_told(Node::Primary { facts: &facts, primary, asked }, asked + Duration::from_secs(seconds))
        };
        let known =
            NodeTold { untested_version: Some(false), wal_directory: Some(Bytes::mib(16)), archive_ready: Some(0) };
        assert_eq!(told(5), known);
        assert_eq!(told(130), NodeTold { wal_directory: None, archive_ready: None, ..known });
    }
}
