//! The same answers in every form.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::evidence::{Loss, TimeToServe, Unseen};
use crate::units::Bytes;
use crate::view::fixture;

/// The primary is gone; the standby has less than was seen of it.
pub(in crate::view) fn gone() -> Readiness {
    Readiness {
        verdict: FailoverVerdict::PrimaryGone,
        reasons: vec!["nobody sees the primary alpha any more: connection <refused>".to_owned()],
        primary: Some(Name::new("alpha")),
        primary_life: PrimaryLife::Gone,
        standby: Some(Name::new("beta")),
        blockers: Vec::new(),
        loss: Loss {
            wal: Some(Bytes(30 << 10)),
            seconds: Some(12.0),
            unseen: Some(Unseen { since: Duration::from_secs(90), wal_rate: Some(1024.0) }),
            ..Loss::default()
        },
        serve: TimeToServe { replay_left: Some(Bytes::mib(4)), replay: None, rebuild: None },
        besides: vec!["configuration: 2 files differ on the standby".to_owned()],
        steps: vec!["make sure that alpha stays down".to_owned(), "promote beta".to_owned()],
    }
}

#[test]
fn a_person_reads_the_verdict_first_and_what_to_do_last() {
    let text = checklist("catalog", &FailoverDocument::new(&gone()));
    let wanted = "\
catalog: promote beta now? THE PRIMARY IS GONE
  because     nobody sees the primary alpha any more: connection <refused>
  would lose  at least 30 KiB of WAL, at most about 120 KiB, 12s of transactions
  to replay   4 MiB, how long that takes is unknown
  besides     configuration: 2 files differ on the standby

  In this order:
  [ ] 1. make sure that alpha stays down
  [ ] 2. promote beta
";
    assert_eq!(text, wanted);
}

/// A paused standby had kept up before: at the pace of then 24 KiB take minutes, at its own an instant.
#[test]
fn how_long_replay_takes_is_told_as_the_longest() {
    let serve = TimeToServe { replay: Some(Duration::from_secs(103)), ..gone().serve };
    let text = checklist("catalog", &FailoverDocument::new(&Readiness { serve, ..gone() }));
    assert!(text.contains("  to replay   4 MiB, at most about 1m 43s\n"), "{text}");
}

#[test]
fn what_is_not_known_is_no_number() {
    let told = Readiness { loss: Loss::default(), serve: TimeToServe::default(), ..gone() };
    let document = FailoverDocument::new(&told);
    let text = checklist("catalog", &document);
    assert!(text.contains("would lose  unknown\n") && text.contains("to replay   unknown\n"), "{text}");
    let json = serde_json::to_value(&document).expect("plain data");
    assert!(json["loss"]["wal_bytes"].is_null() && json["loss"]["wal_bytes_at_most"].is_null(), "{json}");
    let mut rateless = gone();
    rateless.loss.unseen = Some(Unseen { since: Duration::from_secs(90), wal_rate: None });
    let text = checklist("catalog", &FailoverDocument::new(&rateless));
    assert!(text.contains("at least 30 KiB of WAL, how much more is unknown"), "{text}");
}

#[test]
fn a_document_reads_back_as_it_was_written() {
    let mut view = fixture::ok();
    view.evidence.readiness = Some(gone());
    let document = OneFailoverDocument::new(&view).expect("told");
    let json = serde_json::to_string(&document).expect("plain data");
    assert_eq!(serde_json::from_str::<OneFailoverDocument>(&json).expect("its own"), document);
}

#[test]
fn the_page_tells_it_without_making_markup_of_it() {
    let mut view = fixture::ok();
    let page = |view: &View| {
        let status = crate::view::api::StatusDocument::new([(view, true)], fixture::now(), fixture::wall());
        crate::view::html::render(&status, &BTreeMap::new(), "/metrics")
    };
    assert!(!page(&view).contains("Promote now?"));
    view.evidence.readiness = Some(gone());
    let page = page(&view);
    for told in [
        "Promote now?",
        "beta: THE PRIMARY IS GONE",
        "at least 30 KiB of WAL",
        "connection &lt;refused&gt;",
        "<li>promote beta</li>",
    ] {
        assert!(page.contains(told), "{told} is not on the page:\n{page}");
    }
}
