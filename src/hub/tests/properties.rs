//! What holds whatever happens, over all that is shown: evidence, samples, findings, levels.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::{Asked, Look, Step, World, any_course, any_node, looks, watched, watched_from};
use super::*;
use crate::evidence::PostgresEvidence;
use crate::snapshot::View;

/// The longest silence that the servers' own intervals allow: 10 s and 4 s from the standby, half of 60 s and 4 s from the primary.
const REPLY: f64 = 14.0;
const MESSAGE: f64 = 34.0;
const AT_ONCE: Duration = Duration::ZERO;

/// Everything of a view that does not name a moment of this machine's clock, a line each.
fn shown(view: &View) -> Vec<String> {
    let numbers = view.samples.iter().map(|sample| {
        let labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{labels:?} {}", sample.metric, sample.value)
    });
    let findings = view.findings.iter().map(|found| format!("{} {:?} {}", found.rule, found.state, found.since_wall.0));
    let channels = view.channels.iter().map(|view| format!("{:?} {:?} {:?}", view.level, view.reason, view.detail));
    numbers.chain(findings).chain(channels).chain([format!("{:?}", view.level)]).collect()
}

/// What two views show differently.
fn differences(one: &View, other: &View) -> Vec<(String, String)> {
    let (one, other) = (shown(one), shown(other));
    let lines = one.len().max(other.len());
    let line = |all: &[String], at: usize| all.get(at).cloned().unwrap_or_default();
    (0..lines).map(|at| (line(&one, at), line(&other, at))).filter(|(one, other)| one != other).take(3).collect()
}

/// A told reading of one look, so much later. Each takes a hundredth of a second.
fn of(look: &Look, later: Duration) -> Told {
    let Told::Observation(Observation::Postgres(node, reading)) =
        told(look.node.node(), look.world.now, look.result.clone())
    else {
        unreachable!("a reading of a server")
    };
    let Reading { asked, answered, result } = reading;
    Told::Observation(Observation::Postgres(node, Reading { asked: asked + later, answered: answered + later, result }))
}

impl Timeline {
    fn takes(&mut self, look: &Look) -> &View {
        self.advance(look.world.now, vec![of(look, AT_ONCE)]);
        self.view(look.world.now)
    }

    fn view(&self, seconds: f64) -> &View {
        self.snapshot.at(at(seconds))
    }
}

pub(super) fn postgres(view: &View) -> &PostgresEvidence {
    view.evidence.postgres.as_ref().expect("it is configured")
}

/// How good a verdict is: not proven, running with a reason, running. (How grave the reason is does not count: what a node that
/// cannot be asked had said of its replay cannot be said any more.)
fn goodness(view: &View) -> (bool, bool) {
    let verdict = &postgres(view).verdict;
    (verdict.up, verdict.up && verdict.reason.is_none())
}

/// Names of the amounts that are told of the replication, with their labels.
pub(super) fn amounts(view: &View) -> BTreeSet<String> {
    const AMOUNTS: [&str; 8] = [
        "standby_replication_lag_bytes",
        "standby_replication_lag_seconds",
        "standby_postgres_stage_lag_bytes",
        "standby_postgres_gap_bytes",
        "standby_postgres_catch_up_seconds",
        "standby_postgres_lag_slope_bytes_per_second",
        "standby_postgres_wal_rate_bytes_per_second",
        "standby_postgres_slot_loss_seconds",
    ];
    let told = view.samples.iter().filter(|sample| AMOUNTS.contains(&sample.metric));
    told.map(|sample| format!("{} {:?}", sample.metric, sample.labels)).collect()
}

pub(super) fn value(view: &View, metric: &str) -> Option<f64> {
    view.samples.iter().find(|sample| sample.metric == metric).map(|sample| sample.value)
}

/// What must be right in each view, whatever it was made from.
pub(super) fn is_sound(view: &View) -> Result<(), TestCaseError> {
    for sample in &view.samples {
        prop_assert!(!sample.value.is_nan(), "{sample:?}");
        let amount = sample.metric.ends_with("_bytes") || sample.metric.ends_with("lag_seconds");
        prop_assert!(!amount || sample.value >= 0.0, "{sample:?}");
    }
    let evidence = postgres(view);
    let (level, reason) = view.channel(Channel::Postgres).map(|view| (view.level, view.reason)).expect("configured");
    prop_assert_eq!(evidence.verdict.up, level != Level::Unknown);
    prop_assert_eq!(Some(f64::from(u8::from(evidence.verdict.up))), value(view, "standby_replication_up"));
    prop_assert!(level == Level::Ok || reason.is_some(), "{level:?} without a reason");
    prop_assert!(view.level >= level);
    if !evidence.verdict.up {
        for metric in ["standby_replication_lag_bytes", "standby_replication_lag_seconds"] {
            prop_assert_eq!(value(view, metric), None);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// The worst that could be told: that a standby runs which has not been heard of, or is less far behind than it is.
    #[test]
    fn nothing_is_called_running_or_near_that_is_not(course in any_course(), by_slot: bool) {
        let mut watch = watched(by_slot);
        let mut primary: Option<(f64, u64)> = None;
        for look in looks(&course) {
            let World { now, last_reply, last_message, replayed, .. } = look.world;
            if look.node == Asked::Alpha {
                primary = look.result.is_ok().then_some((now, look.world.lsn));
            }
            let view = watch.takes(&look);
            is_sound(view)?;
            if goodness(view).0 {
                let (reply, message) = (now - last_reply, now - last_message);
                let answers = primary.is_some_and(|(asked, _)| now - asked <= 6.0);
                prop_assert!(if answers { reply <= REPLY } else { message <= MESSAGE }, "{reply} s and {message} s: {:?}", postgres(view).verdict);
            }
            if let Some(lag) = postgres(view).lag {
                let (_, position) = primary.expect("whoever tells a lag has asked the primary");
                prop_assert!(lag.0 >= position.saturating_sub(replayed), "{lag} of {position}, replayed {replayed}");
            }
        }
    }

    /// At the moment of the loss: what was told before is not told better, and no amount comes up, unless a sign of life is newer
    /// than the last word of the node that is silent now.
    #[test]
    fn a_lost_reading_makes_no_verdict_better(course in any_course(), by_slot: bool, node in any_node(), kind in proptest::sample::select(FailureKind::ALL)) {
        let mut watch = watched(by_slot);
        let mut heard_of = None;
        for look in looks(&course) {
            if look.node == node && look.result.is_ok() {
                heard_of = Some(at(look.world.now - 0.01));
            }
            watch.takes(&look);
        }
        let now = looks(&course).last().map_or(1.0, |look| look.world.now) + 0.5;
        // Twice: what is derived at one moment goes into the trends of the next.
        watch.advance(now, Vec::new());
        watch.advance(now, Vec::new());
        let before = watch.view(now).clone();
        watch.advance(now, vec![told(node.node(), now, Err(Failure::new(kind, "lost")))]);
        let after = watch.view(now);
        is_sound(after)?;
        let newer = postgres(after).standbys.iter().any(|standby| standby.last_heartbeat > heard_of);
        if !newer {
            prop_assert!(goodness(after) <= goodness(&before), "{:?} after {:?}", postgres(after).verdict, postgres(&before).verdict);
            let new: Vec<_> = amounts(after).difference(&amounts(&before)).cloned().collect();
            prop_assert!(new.is_empty(), "told by losing a reading: {new:?}");
        }
    }

    /// Later, too: once both nodes have answered again, who missed a reading does not think better of the replication than who had it.
    #[test]
    fn a_reading_that_never_came_makes_no_later_verdict_better(course in any_course(), by_slot: bool, lost: prop::sample::Index, fails: bool) {
        let looks = looks(&course);
        prop_assume!(!looks.is_empty());
        let lost = lost.index(looks.len());
        let (mut whole, mut holed) = (watched(by_slot), watched(by_slot));
        let mut since = BTreeSet::new();
        for (n, look) in looks.iter().enumerate() {
            let all = whole.takes(look).clone();
            if n == lost {
                let failure = Look { result: Err(Failure::new(FailureKind::Timeout, "lost")), ..look.clone() };
                if fails { holed.takes(&failure); } else { holed.advance(look.world.now, Vec::new()); }
                continue;
            }
            let part = holed.takes(look);
            is_sound(part)?;
            if n > lost && look.result.is_ok() {
                since.insert(look.node.node());
            }
            if since.len() == 2 {
                prop_assert!(postgres(part).verdict.up <= postgres(&all).verdict.up, "{:?}, but {:?}", postgres(part).verdict, postgres(&all).verdict);
                prop_assert!(postgres(part).lag.is_none() || postgres(part).lag == postgres(&all).lag);
            }
        }
    }

    #[test]
    fn shifting_all_times_changes_nothing(course in any_course(), by_slot: bool, shift in 0_u64..10_000_000_000) {
        // Not by whole seconds: nothing may go by the machine's own.
        let shift = Duration::from_micros(shift);
        let (mut here, mut there) = (watched(by_slot), watched_from(by_slot, at(0.0) + shift));
        for look in looks(&course) {
            here.takes(&look);
            let (now, wall) = (at(look.world.now) + shift, WallTime(there.offset + look.world.now));
            there.snapshot = there.core.advance(vec![of(&look, shift)], now, wall);
            prop_assert_eq!(differences(here.view(look.world.now), there.snapshot.at(now)), []);
        }
    }

    /// Those that wait together are taken in by their moments; and in whatever order two nodes' readings of one moment get to the
    /// hub, the same is known once both are there.
    #[test]
    fn the_order_of_arrival_changes_nothing(course in any_course(), by_slot: bool, order in any::<u64>()) {
        order_changes_nothing(&course, by_slot, order)?;
    }
}

fn order_changes_nothing(course: &[Step], by_slot: bool, order: u64) -> Result<(), TestCaseError> {
    let (mut one, mut other, mut apart) = (watched(by_slot), watched(by_slot), watched(by_slot));
    // One node's readings come one after the other: only those of two nodes wait together, or overtake each other.
    for (n, pair) in looks(course).chunk_by(|one, next| one.node != next.node).flat_map(|run| run.chunks(2)).enumerate()
    {
        let now = pair.iter().map(|look| look.world.now).fold(0.0, f64::max);
        // What has run out since the last look is known, too: a hub wakes by itself for that.
        for watch in [&mut one, &mut other, &mut apart] {
            watch.advance(now, Vec::new());
        }
        let mut readings: Vec<&Look> = pair.iter().collect();
        one.advance(now, readings.iter().map(|look| of(look, AT_ONCE)).collect());
        if order >> (n % 64) & 1 == 1 {
            readings.reverse();
        }
        other.advance(now, readings.iter().map(|look| of(look, AT_ONCE)).collect());
        prop_assert_eq!(differences(one.view(now), other.view(now)), []);
        for look in readings {
            apart.advance(now, vec![of(look, AT_ONCE)]);
        }
        let [one, apart] = [&one, &apart].map(|watch| watch.view(now));
        prop_assert_eq!(goodness(one), goodness(apart), "{:?} {:?}", postgres(one).verdict, postgres(apart).verdict);
        // Who sees one of the two answer as a primary a moment before the other remembers that: silence is then another node's.
        if one.evidence.roles == apart.evidence.roles {
            prop_assert_eq!(postgres(one).verdict.reason, postgres(apart).verdict.reason);
        }
        prop_assert_eq!(
            (postgres(one).lag, postgres(one).contradiction),
            (postgres(apart).lag, postgres(apart).contradiction)
        );
    }
    Ok(())
}

/// A course that was told in two ways while nothing looked when the standby's reply was overdue.
#[test]
fn nor_does_it_where_a_frozen_standby_is_asked_again_and_its_primary_falls_silent() {
    use Step::{Ask, Fail, Freeze, Run, Wait};
    let beta = || Ask(Asked::Beta);
    let course = [
        Run(5),
        beta(),
        beta(),
        Run(2),
        Freeze(true),
        Run(3),
        Run(3),
        Wait(8),
        beta(),
        Run(1),
        Wait(8),
        beta(),
        Run(1),
        Fail(Asked::Alpha, FailureKind::Unreachable),
    ];
    for order in [0, u64::MAX, 2_836_367_653_197_053_952] {
        order_changes_nothing(&course, false, order).unwrap();
    }
}
