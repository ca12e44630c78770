//! The dashboard's expressions, as Grafana sends them, and what they may use.

use std::collections::BTreeSet;

use serde_json::Value;
use standbywatch::metrics;
use standbywatch::names::Stage;

/// One query of one panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The panel's title.
    pub title: String,
    /// With the dashboard's variables filled in.
    pub expression: String,
}

/// Every query of `dashboards/pair.json` for a pair named `pair`, rates over a minute.
pub fn expressions_for(pair: &str) -> Vec<Panel> {
    expressions_of("pair.json", pair)
}

/// The same for any of the dashboards.
pub fn expressions_of(file: &str, pair: &str) -> Vec<Panel> {
    let path = format!("{}/dashboards/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let dashboard: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut panels = Vec::new();
    collect(&dashboard, pair, &mut panels);
    panels
}

/// Panels may lie in rows, which are panels themselves.
fn collect(holder: &Value, pair: &str, panels: &mut Vec<Panel>) {
    for panel in holder["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_else(|| panic!("{target} has no expression"));
            let expression = expression.replace("$pair", pair).replace("$__rate_interval", "1m");
            let title = panel["title"].as_str().unwrap_or_else(|| panic!("{panel} has no title")).to_owned();
            panels.push(Panel { title, expression });
        }
        collect(panel, pair, panels);
    }
}

pub(crate) fn expressions() -> Vec<Panel> {
    [expressions_for("catalog"), expressions_of("kvstore-config.json", "catalog")].concat()
}

/// The words of a text that look like a metric of this agent (and are no stage of the lag).
pub(crate) fn metrics_of(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("standby_") || word.starts_with("process_");
    words.filter(ours).filter(|word| Stage::from_text(word).is_none()).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_uses_metrics_of_the_catalogue_only() {
    let panels = expressions();
    assert!(panels.len() > 15, "only {} queries were found", panels.len());
    for Panel { title, expression } in panels {
        let used = metrics_of(&expression);
        assert!(!used.is_empty(), "{title}: no metric of ours in {expression}");
        assert!(!expression.contains('$'), "{title}: a variable is left in {expression}");
        for name in used {
            // A histogram's counts by edge are one of its series.
            let name = name.trim_end_matches("_bucket").to_owned();
            assert!(metrics::find(&name).is_some(), "{title}: {name} is not in the catalogue");
        }
    }
}

/// Both ways: what an operator needs while a rule fires is on a dashboard.
#[test]
fn what_rules_are_about_is_on_the_dashboard() {
    let shown: BTreeSet<_> = expressions().iter().flat_map(|panel| metrics_of(&panel.expression)).collect();
    for rule in standbywatch::judge::rules::RULES {
        for name in rule.condition.metrics() {
            assert!(shown.contains(name), "{} is judged over {name}, which no panel shows", rule.name);
        }
    }
}
