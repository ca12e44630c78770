//! Every rule has its section, every section its rule, and both speak of things that exist.

use std::collections::BTreeSet;

use standbywatch::judge::rules::RULES;
use standbywatch::metrics;
use standbywatch::names::{Reason, RuleName};

use crate::dashboard::metrics_of;
use crate::text_of;

/// What each section must answer.
const QUESTIONS: [&str; 5] = ["**Means.**", "**At risk.**", "**Check first.**", "**Fix.**", "**Ignore when.**"];

fn sections(document: &str) -> Vec<(&str, &str)> {
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
