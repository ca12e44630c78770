//! The catalogue against what it emits, of a pair that knows everything, of one that knows nothing, and of a small one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fixture::{agent, all_known, name, nothing_known, pair, probes, search_known, views};
use super::*;
use crate::evidence::{PairEvidence, PostgresEvidence, SearchEvidence, Verdict};
use crate::names::{Channel, Outcome, PostgresSource, Reason};

fn value(samples: &[Sample], metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |sample: &&Sample| {
        sample.metric == metric && labels.iter().all(|(label, value)| sample.label(label) == Some(*value))
    };
    samples.iter().find(fits).map(|sample| sample.value)
}

#[test]
fn every_metric_is_emitted_with_its_own_labels_and_no_other_is() {
    let pair = pair(Channel::ALL);
    let mut samples = evidence_samples(&pair, &all_known(), &probes());
    add_verdict(&mut samples, &pair, Level::Unknown, &views());
    samples.extend(agent_samples(&agent()));
    for sample in &samples {
        let metric = find(sample.metric).expect("a metric of the catalogue");
        let labels: Vec<_> = sample.labels.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels, metric.labels, "{}", sample.metric);
        assert!(!sample.value.is_nan(), "{}", sample.metric);
    }
    let emitted: BTreeSet<_> = samples.iter().map(|sample| sample.metric).collect();
    let declared: BTreeSet<_> = all().map(|metric| metric.name).collect();
    assert_eq!(emitted, declared, "a pair that knows everything shows every metric");
    assert_eq!(all().count(), declared.len(), "no name twice");
    let mut seen = BTreeSet::new();
    let twice = samples
        .iter()
        .map(|sample| format!("{}{:?}", sample.metric, sample.labels))
        .find(|one| !seen.insert(one.clone()));
    assert_eq!(twice, None, "no series twice");
}

#[test]
fn a_page_shows_both_series_that_the_rule_of_a_growing_lag_reads() {
    let mut pair = pair(&[Channel::Postgres]);
    let page =
        "pairs:\n  - name: p\n    nodes: { alpha: {}, beta: {} }\n    postgres: { status_url: 'https://vendor/' }\n";
    let read = crate::config::parse(page, "test", &crate::config::Environment::default()).unwrap();
    pair.postgres.clone_from(&read.pairs[0].postgres);
    let mut evidence = nothing_known();
    let told = PostgresEvidence::nothing_of(PostgresSource::StatusPage);
    evidence.postgres = Some(PostgresEvidence { growing: true, established: true, ..told });
    let samples = evidence_samples(&pair, &evidence, &[]);
    for metric in ["standby_postgres_lag_growing", "standby_postgres_established"] {
        assert_eq!(value(&samples, metric, &[]), Some(1.0), "{metric}");
    }
    assert_eq!(value(&samples, "standby_postgres_primary_up", &[]), None, "a page does not tell");
}

#[test]
fn knowing_nothing_leaves_exactly_what_is_always_there() {
    let pair = pair(Channel::ALL);
    let mut samples = evidence_samples(&pair, &nothing_known(), &probes());
    add_verdict(&mut samples, &pair, Level::Unknown, &views());
    let emitted: BTreeSet<_> = samples.iter().map(|sample| sample.metric).collect();
    let always: BTreeSet<_> = all()
        .filter(|metric| metric.presence == Presence::Always && !matches!(metric.read, Read::Agent(_)))
        .map(|metric| metric.name)
        .chain(["standby_probe_duration_seconds"])
        .collect();
    assert_eq!(emitted, always);
    for channel in ["postgres", "config", "kvstore"] {
        assert_eq!(value(&samples, "standby_replication_up", &[("channel", channel)]), Some(0.0), "{channel}");
    }
    for node in ["alpha", "beta"] {
        assert_eq!(value(&samples, "standby_postgres_standby_up", &[("standby", node)]), Some(0.0));
        assert_eq!(value(&samples, "standby_search_up", &[("node", node)]), Some(0.0));
    }
    assert_eq!(value(&samples, "standby_postgres_primary_up", &[]), Some(0.0));
    assert_eq!(value(&samples, "standby_search_primary_up", &[]), Some(0.0));
}

#[test]
fn a_channel_that_is_not_configured_has_no_series() {
    let samples = evidence_samples(&pair(&[Channel::Config]), &nothing_known(), &[]);
    let emitted: Vec<_> = samples.iter().map(|sample| (sample.metric, sample.label("channel"))).collect();
    assert_eq!(emitted, [("standby_replication_up", Some("config")), ("standby_config_compared", None)]);
}

#[test]
fn a_probe_that_never_succeeded_says_so() {
    let samples = evidence_samples(&pair(&[]), &nothing_known(), &probes());
    let metric = "standby_probe_last_success_timestamp_seconds";
    assert_eq!(value(&samples, metric, &[("node", "alpha")]), Some(1.7e9));
    assert_eq!(value(&samples, metric, &[("node", "beta")]), Some(0.0));
}

#[test]
fn the_primary_s_engine_is_told_by_its_role_and_only_while_known() {
    let pair = pair(&[Channel::Search]);
    let metrics = ["standby_search_primary_red", "standby_search_primary_index_missing"];
    let told = |search: SearchEvidence| {
        let evidence = PairEvidence { search: Some(search), ..nothing_known() };
        let samples = evidence_samples(&pair, &evidence, &[]);
        metrics.map(|metric| value(&samples, metric, &[]))
    };
    let before = search_known();
    assert_eq!(told(before.clone()), [Some(0.0), Some(0.0)], "the standby's red and empty engine is expected");
    let promoted = SearchEvidence { primary: Some(name("beta")), ..before.clone() };
    assert_eq!(told(promoted), [Some(1.0), Some(1.0)]);
    let unproven = SearchEvidence { verdict: Verdict::unproven(Reason::Timeout, "", None), ..before.clone() };
    assert_eq!(told(unproven), [None, None]);
    let mut half_read = before;
    half_read.nodes[0].indices[0].exists = None;
    assert_eq!(told(half_read), [Some(0.0), None]);
}

#[test]
fn a_contradiction_is_1_and_all_others_are_0() {
    let pair = pair(&[Channel::Postgres]);
    let told = |contradiction| {
        let mut evidence = all_known();
        if let Some(postgres) = &mut evidence.postgres {
            postgres.contradiction = contradiction;
        }
        let samples = evidence_samples(&pair, &evidence, &[]);
        ["split_brain", "timeline_diverged", "wrong_cluster", "same_server"]
            .map(|what| value(&samples, &format!("standby_postgres_{what}"), &[]))
    };
    assert_eq!(told(None), [Some(0.0); 4]);
    assert_eq!(told(Some(Reason::TwoPrimaries)), [Some(1.0), Some(0.0), Some(0.0), Some(0.0)]);
    assert_eq!(told(Some(Reason::TimelineDiverged)), [Some(0.0), Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(told(Some(Reason::WrongCluster)), [Some(0.0), Some(0.0), Some(1.0), Some(0.0)]);
    assert_eq!(told(Some(Reason::SameServer)), [Some(0.0), Some(0.0), Some(0.0), Some(1.0)]);
}

#[test]
fn writes_are_unblocked_only_by_proof() {
    let pair = pair(&[Channel::Kvstore]);
    let told = |outcome, blocked_for| {
        let mut evidence = all_known();
        if let Some(kvstore) = &mut evidence.kvstore {
            kvstore.outcome = outcome;
            kvstore.blocked_for = blocked_for;
        }
        let samples = evidence_samples(&pair, &evidence, &[]);
        ["standby_kvstore_writes_blocked", "standby_kvstore_blocked_seconds"].map(|metric| value(&samples, metric, &[]))
    };
    assert_eq!(told(Some(Outcome::Ok), None), [Some(0.0), Some(0.0)]);
    assert_eq!(told(None, None), [None, None]);
    assert_eq!(told(Some(Outcome::Blocked), Some(Duration::ZERO)), [Some(1.0), Some(0.0)]);
    assert_eq!(told(None, Some(Duration::from_secs(9))), [Some(1.0), Some(9.0)]);
    for refused in [Outcome::Unknown, Outcome::StandbyOnly, Outcome::LostAck, Outcome::PrimaryOnlyUnacked] {
        assert_eq!(told(Some(refused), None), [None, None], "{refused}: nobody was told that the write was taken");
    }
}
