//! Every rule has its section, every section its rule, and both speak of things that exist.

use std::collections::BTreeSet;

use standbywatch::judge::rules::{self, RULES};
use standbywatch::metrics;
use standbywatch::names::{Reason, RuleName};

use crate::dashboard::metrics_of;
use crate::{repository, text_of};

/// What each section must answer.
const QUESTIONS: [&str; 5] = ["**Means.**", "**At risk.**", "**Check first.**", "**Fix.**", "**Ignore when.**"];

pub(crate) fn sections(document: &str) -> Vec<(&str, &str)> {
    let cut = |section| -> (&str, &str) { str::split_once(section, '\n').expect("a heading and a text") };
    document.split("\n## ").skip(1).map(cut).collect()
}

#[test]
fn rules_and_runbooks_fit_both_ways() {
    let document = text_of("docs/runbooks.md");
    let sections = sections(&document);
    let written: Vec<_> = sections.iter().map(|(heading, _)| *heading).collect();
    let named: Vec<_> = RuleName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(written, named, "one section for each rule, in the order of the catalogue");
    for (heading, text) in sections {
        let places: Vec<_> = QUESTIONS.iter().map(|question| text.find(question)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{heading} answers {QUESTIONS:?} in this order"
        );
    }
}

#[test]
fn runbooks_and_remedies_name_what_exists() {
    let remedies: String = RULES.iter().map(|rule| rule.remedy).collect();
    for text in [text_of("docs/runbooks.md"), remedies] {
        for name in metrics_of(&text) {
            assert!(metrics::find(&name).is_some(), "{name} is not in the catalogue of metrics");
        }
        let words: BTreeSet<_> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        for word in words.into_iter().filter(|word| word.len() > "Standby".len() && word.starts_with("Standby")) {
            assert!(RuleName::from_text(word).is_some(), "{word} is not in the catalogue of rules");
        }
    }
}

/// A pager shows the reason; whoever looks it up must find it.
#[test]
fn every_reason_of_an_unknown_channel_is_explained() {
    let document = text_of("docs/runbooks.md");
    for reason in Reason::ALL {
        assert!(document.contains(&format!("`{reason}`")), "the runbooks do not explain the reason {reason}");
    }
}

/// No fault is read off these: what the machine gives the process, and what only explains another number.
const MENTIONED_NOWHERE: &[&str] =
    &["process_start_time_seconds", "process_virtual_memory_bytes", "standby_agent_snapshots_total"];

/// The other way round: a number that is exported is judged, shown or explained somewhere.
#[test]
fn every_metric_is_judged_shown_or_explained() {
    let mut mentioned = metrics_of(&text_of("docs/runbooks.md"));
    let dashboards = std::fs::read_dir(repository("dashboards")).expect("the folder");
    for file in dashboards.map(|entry| entry.expect("an entry").path()) {
        mentioned.extend(metrics_of(&std::fs::read_to_string(&file).expect("a dashboard")));
    }
    mentioned.extend(RULES.iter().flat_map(|rule| rule.condition.metrics()).map(str::to_owned));
    let silent: Vec<_> = metrics::all().map(|metric| metric.name).filter(|name| !mentioned.contains(*name)).collect();
    let expected: BTreeSet<_> = MENTIONED_NOWHERE.iter().copied().collect();
    let silent: BTreeSet<_> = silent.into_iter().collect();
    let new: Vec<_> = silent.difference(&expected).collect();
    assert!(new.is_empty(), "give them a panel, or a sentence in a runbook: {new:?}");
    let gone: Vec<_> = expected.difference(&silent).collect();
    assert!(gone.is_empty(), "these are mentioned now; take them out of the list: {gone:?}");
}

/// An alert leads to its section, and its metrics to panels: by names that exist.
#[test]
fn an_alert_s_runbook_leads_to_a_section() {
    let document = text_of("docs/runbooks.md");
    for rule in RULES {
        let runbook = rules::runbook(rule.name.as_str());
        let (file, anchor) = runbook.split_once('#').expect("a file and an anchor");
        assert_eq!(file, "docs/runbooks.md");
        let heading =
            document.lines().find(|line| line.strip_prefix("## ").is_some_and(|it| it.to_lowercase() == anchor));
        assert!(heading.is_some(), "{runbook}");
    }
}
