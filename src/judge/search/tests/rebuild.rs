//! Rebuilds, second by second: the rate's window is 10 minutes, a rebuild stalls after 15.

use super::*;
use crate::config::Expected;
use crate::facts::ConcreteIndex;
use crate::names::{EstimateBy, ExpectedBy};

/// An index with this uuid: `counted` documents when `indexed` was `.1`, and `indexed` now.
fn holds(uuid: &str, counted: Option<(u64, u64)>, indexed: u64) -> SearchFacts {
    let mut facts = green();
    facts.indices[0].documents = counted.map(|(documents, _)| documents);
    facts.indices[0].indexed_when_counted = counted.map(|(_, at)| at);
    facts.indices[0].indexed = Some(indexed);
    let name = "catalog".to_owned();
    facts.indices[0].behind = vec![ConcreteIndex { name, uuid: Some(uuid.to_owned()), created: None }];
    facts
}

impl Timeline {
    pub(super) fn holds(
        &mut self,
        seconds: u64,
        node: &str,
        uuid: &str,
        counted: Option<(u64, u64)>,
        indexed: u64,
    ) -> SearchEvidence {
        self.reads(seconds, node, Ok(holds(uuid, counted, indexed)));
        self.derive(seconds)
    }

    /// Alpha held 100 000 documents and died; beta, whose index is missing, was promoted.
    fn promoted() -> Self {
        let mut timeline = Self::new();
        timeline.reads(99, "beta", Ok(without_index()));
        timeline.holds(95, "alpha", "a", Some((100_000, 500)), 500);
        let before = timeline.holds(100, "alpha", "a", Some((100_000, 500)), 500);
        assert_eq!((before.rebuild.state, before.drift), (RebuildState::NotExpected, Some(false)));
        timeline.reads(101, "alpha", Err(Failure::new(FailureKind::Refused, "gone")));
        timeline.roles.primary = Some(name("beta"));
        timeline.reads(102, "beta", Ok(without_index()));
        timeline
    }

    /// From second 200 on 100 documents a second are written into beta's new index: the readings from `begin` to `end`, every 5 s.
    fn rebuilds(&mut self, begin: u64, end: u64) -> SearchEvidence {
        let mut last = None;
        for seconds in (begin..=end).step_by(5) {
            last = Some(self.holds(seconds, "beta", "b", Some((0, 0)), (seconds - 200) * 100));
        }
        last.unwrap()
    }
}

fn state_of(evidence: &SearchEvidence) -> (RebuildState, Option<Reason>) {
    (evidence.rebuild.state, evidence.verdict.reason)
}

#[test]
fn before_a_failover_nothing_is_said_of_an_empty_standby() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "beta", Ok(without_index()));
    let first = timeline.holds(95, "alpha", "a", Some((42, 42)), 42);
    assert_eq!(
        (state_of(&first), first.drift),
        ((RebuildState::NotExpected, None), None),
        "nothing to compare it with yet"
    );
    let evidence = timeline.holds(100, "alpha", "a", Some((42, 42)), 42);
    assert_eq!(state_of(&evidence), (RebuildState::NotExpected, None));
    assert_eq!((evidence.drift, evidence.rebuild.progress, evidence.rebuild.left), (Some(false), None, None));
    // Nor of one that is old.
    timeline.reads(105, "beta", Ok(holds("b", Some((7, 7)), 7)));
    assert_eq!(state_of(&timeline.holds(105, "alpha", "a", Some((43, 43)), 43)), (RebuildState::NotExpected, None));
}

#[test]
fn a_rebuild_from_a_missing_index_to_the_last_document() {
    let mut timeline = Timeline::promoted();
    let idle = timeline.derive(102);
    assert_eq!(state_of(&idle), (RebuildState::Idle, Some(Reason::IndexMissing)));
    assert_eq!(idle.nodes[1].indices[0].expected, Some(100_000), "the dead primary's last count is remembered");
    assert_eq!(idle.nodes[1].indices[0].expected_by, Some(ExpectedBy::Remembered));

    let early = timeline.rebuilds(200, 400);
    assert_eq!(state_of(&early), (RebuildState::Rebuilding, Some(Reason::Rebuilding)));
    assert_eq!(early.rebuild.progress, Some(0.2));
    assert_eq!(early.nodes[1].indices[0].progress, Some(0.2));
    assert_eq!(early.rebuild.left, None, "not in the first five minutes");
    assert_eq!(early.rebuild.uncounted, Some(name("beta")), "nothing is counted during a rebuild");
    assert_eq!(early.drift, None, "a rebuild explains what is missing");

    let half = timeline.rebuilds(405, 700);
    assert_eq!(half.rebuild.progress, Some(0.5));
    let (least, most) = half.rebuild.left.unwrap();
    assert!((490.0..=510.0).contains(&least) && (490.0..=510.0).contains(&most), "{least} {most}");
    assert!(
        half.rebuild.detail.as_ref().unwrap().contains("50000 of 100000 documents are written on beta"),
        "{half:?}"
    );

    // All is written; the last count says 0 still. Then counting is allowed, and says so.
    let written = timeline.rebuilds(705, 1200);
    assert_eq!((written.rebuild.state, written.rebuild.uncounted.clone()), (RebuildState::Rebuilding, None));
    assert_eq!(written.rebuild.left, None, "no time left is never 0");
    let whole = timeline.holds(1205, "beta", "b", Some((100_000, 100_000)), 100_000);
    assert_eq!(state_of(&whole), (RebuildState::Complete, None));
    let after = timeline.holds(1210, "beta", "b", Some((100_000, 100_000)), 100_000);
    assert_eq!((state_of(&after), after.drift), ((RebuildState::Complete, None), Some(false)));
    assert_eq!(after.estimate.by, EstimateBy::Measured);
    assert!((990.0..=1010.0).contains(&after.estimate.seconds.unwrap()), "{:?}", after.estimate);
}

#[test]
fn a_rebuild_that_stops_has_stalled_and_goes_on() {
    let mut timeline = Timeline::promoted();
    timeline.derive(102);
    timeline.rebuilds(200, 400);
    for seconds in (405..1301).step_by(5) {
        let evidence = timeline.holds(seconds, "beta", "b", Some((0, 0)), 20_000);
        let stopped_for = seconds - 400;
        let expected = if stopped_for < 900 { RebuildState::Rebuilding } else { RebuildState::Stalled };
        assert_eq!(evidence.rebuild.state, expected, "{stopped_for}");
        // That nobody has looked is no proof that nothing was written.
        let later = timeline.at(seconds + 4).0.rebuild.state;
        assert_eq!(later, expected, "{stopped_for} and 4 s without a look");
    }
    let (stalled, _) = timeline.at(1301);
    assert_eq!(state_of(&stalled), (RebuildState::Stalled, Some(Reason::RebuildStalled)));
    assert_eq!((stalled.rebuild.progress, stalled.rebuild.left), (Some(0.2), None));
    assert!(stalled.rebuild.detail.unwrap().ends_with("nothing has been written for 15m 1s"));
    let again = timeline.holds(1305, "beta", "b", Some((0, 0)), 20_100);
    assert_eq!(again.rebuild.state, RebuildState::Rebuilding);
}

#[test]
fn an_engine_that_is_started_anew_loses_no_progress() {
    let mut timeline = Timeline::promoted();
    timeline.derive(102);
    timeline.rebuilds(200, 400);
    timeline.reads(405, "beta", Err(Failure::new(FailureKind::Refused, "starts")));
    assert_eq!(timeline.derive(405).rebuild.state, RebuildState::Unknown);
    assert_eq!(timeline.derive(406).rebuild.uncounted, Some(name("beta")), "whatever it does, it is not counted");
    // Its counter begins at 0.
    let evidence = timeline.holds(410, "beta", "b", None, 1000);
    assert_eq!((evidence.rebuild.state, evidence.rebuild.progress), (RebuildState::Rebuilding, Some(0.21)));
}

#[test]
fn an_index_that_is_made_anew_on_the_primary_is_rebuilt() {
    let mut timeline = Timeline::new();
    timeline.reads(99, "beta", Ok(without_index()));
    timeline.holds(100, "alpha", "a", Some((1000, 1000)), 1000);
    let begun = timeline.holds(105, "alpha", "new", Some((10, 10)), 10);
    assert_eq!((begun.rebuild.state, begun.rebuild.progress), (RebuildState::Rebuilding, Some(0.01)));
    let whole = timeline.holds(110, "alpha", "new", Some((990, 990)), 990);
    assert_eq!(whole.rebuild.state, RebuildState::Complete, "within the drift");
}

#[test]
fn a_few_that_are_missing_drift_and_ordinary_writes_are_no_rebuild() {
    let mut timeline = Timeline::new();
    let minute = Duration::from_secs(60);
    let expected = Expected { sql: None, timeout: minute, period: minute, documents: Some(1000) };
    timeline.channel.expected.insert("catalog".to_owned(), expected);
    timeline.reads(99, "beta", Ok(without_index()));
    for (documents, drifts) in [(950, false), (949, true), (1050, false), (1051, true)] {
        let evidence = timeline.holds(100, "alpha", "a", Some((documents, 7)), 7);
        assert_eq!(evidence.drift, Some(drifts), "{documents}");
        assert_eq!(evidence.rebuild.state, RebuildState::NotExpected);
    }
    let evidence = timeline.holds(105, "alpha", "a", Some((900, 7)), 5000);
    assert_eq!(state_of(&evidence), (RebuildState::NotExpected, Some(Reason::DocumentsDrift)));
    assert_eq!(
        evidence.verdict.detail.as_deref(),
        Some("catalog on alpha holds 900 documents, expected are 1000 by the configuration")
    );
    let uncounted = timeline.holds(110, "alpha", "a", None, 5000);
    assert_eq!((uncounted.drift, uncounted.rebuild.state), (None, RebuildState::Unknown), "not counted is not known");
}

#[test]
fn the_database_counts_before_the_number_and_runs_out() {
    let mut timeline = Timeline::new();
    let seconds = Duration::from_secs;
    let expected =
        Expected { sql: Some("SELECT 1".to_owned()), timeout: seconds(1), period: seconds(10), documents: Some(9) };
    timeline.channel.expected.insert("catalog".to_owned(), expected);
    let expected_at = |timeline: &Timeline, at: u64| {
        let index = &timeline.at(at).0.nodes[0].indices[0];
        (index.expected, index.expected_by)
    };
    assert_eq!(expected_at(&timeline, 100), (Some(9), Some(ExpectedBy::Fixed)));
    let reading = |result| Reading { asked: at(100), answered: at(100), result };
    timeline.history.record_expected("catalog", &reading(Ok(12)));
    assert_eq!(expected_at(&timeline, 130), (Some(12), Some(ExpectedBy::Sql)));
    assert_eq!(expected_at(&timeline, 131), (Some(9), Some(ExpectedBy::Fixed)));
    timeline.history.record_expected("catalog", &reading(Err(Failure::new(FailureKind::Permission, "no"))));
    assert_eq!(
        expected_at(&timeline, 101),
        (Some(9), Some(ExpectedBy::Fixed)),
        "a failed query hides its number at once"
    );
}

#[test]
fn an_estimate_is_measured_declared_or_unknown() {
    let mut timeline = Timeline::new();
    timeline.holds(100, "alpha", "a", Some((1000, 1000)), 1000);
    let unknown = timeline.at(100).0.estimate;
    assert_eq!((unknown.seconds, unknown.by), (None, EstimateBy::Unknown));
    assert!(unknown.detail.contains("rebuild_takes"), "{}", unknown.detail);
    timeline.channel.rebuild_takes = Some(Duration::from_secs(14_400));
    let declared = timeline.at(100).0.estimate;
    assert_eq!((declared.seconds, declared.by), (Some(14_400.0), EstimateBy::Declared));
    assert!(declared.detail.contains("declared"), "{}", declared.detail);
}

#[test]
fn what_is_remembered_survives_a_restart_and_another_boot() {
    let mut timeline = Timeline::promoted();
    timeline.derive(102);
    timeline.rebuilds(200, 400);
    for (same, now) in [(true, 410), (false, 7)] {
        let saved = serde_json::to_string(&timeline.history.saved()).unwrap();
        let saved: crate::history::search::SavedSearch = serde_json::from_str(&saved).unwrap();
        let mut back = Timeline::new();
        back.roles.primary = Some(name("beta"));
        back.history.restore(saved.in_boot(same, at(400), at(now)), |_| true, &["catalog".to_owned()], at(now));
        assert_eq!(back.at(now).0.rebuild.uncounted, Some(name("beta")), "under way as far as anybody knows");
        let evidence = back.holds(now + 5, "beta", "b", None, 21_000);
        assert_eq!(
            (evidence.rebuild.state, evidence.rebuild.progress),
            (RebuildState::Rebuilding, Some(0.21)),
            "{same}"
        );
        assert_eq!(evidence.rebuild.left, None);
    }
}

#[test]
fn without_a_number_to_reach_the_end_is_not_known() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "alpha", Ok(without_index()));
    assert_eq!(timeline.derive(100).rebuild.state, RebuildState::Idle);
    let begun = timeline.holds(105, "alpha", "a", Some((0, 0)), 70);
    assert_eq!((begun.rebuild.state, begun.rebuild.progress), (RebuildState::Rebuilding, None));
    assert!(begun.rebuild.detail.unwrap().contains("expected"));
    let mut last = None;
    for seconds in (110..1100).step_by(5) {
        last = Some(timeline.holds(seconds, "alpha", "a", Some((0, 0)), 70));
    }
    assert_eq!(last.unwrap().rebuild.state, RebuildState::Unknown, "it may be over, or not");
}
