//! The dashboards' expressions, as Grafana sends them, and what they may use.

use std::collections::BTreeSet;

use serde_json::Value;
use standbywatch::metrics;
use standbywatch::names::Stage;

/// One query of one panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The dashboard's file and the panel's title.
    pub title: String,
    /// With the dashboard's variables filled in.
    pub expression: String,
    /// How its series are called, with labels in braces.
    pub legend: String,
}

/// Every dashboard of the repository: its file's name and its text.
fn dashboards() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        all.push((name.clone(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))));
    }
    assert!(!all.is_empty(), "no dashboard in {folder}");
    all
}

/// Every query of one file of `dashboards` for a pair named `pair`, rates over a minute.
pub fn expressions_in(file: &str, pair: &str) -> Vec<Panel> {
    let mut panels = Vec::new();
    for (file, dashboard) in dashboards().into_iter().filter(|(name, _)| name == file) {
        collect(&file, &dashboard, pair, &mut panels);
    }
    panels
}

/// What only an agent on each node tells.
#[allow(dead_code, reason = "only those ask it that look for data")]
pub fn needs_agents(panel: &Panel) -> bool {
    let of_agents = ["standby_agent_peer_", "standby_agent_clock_skew_", "standby_machine_"];
    metrics_of(&panel.expression).iter().any(|metric| of_agents.iter().any(|prefix| metric.starts_with(prefix)))
}

/// Panels may lie in rows, which are panels themselves.
fn collect(file: &str, holder: &Value, pair: &str, panels: &mut Vec<Panel>) {
    for panel in holder["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_else(|| panic!("{target} has no expression"));
            let expression = expression.replace("$pair", pair).replace("$__rate_interval", "1m");
            let title = panel["title"].as_str().unwrap_or_else(|| panic!("{panel} has no title"));
            let legend = target["legendFormat"].as_str().unwrap_or_else(|| panic!("{target} has no legend")).to_owned();
            panels.push(Panel { title: format!("{file}, {title}"), expression, legend });
        }
        collect(file, panel, pair, panels);
    }
}

/// Of all dashboards.
pub(crate) fn expressions() -> Vec<Panel> {
    dashboards().iter().flat_map(|(file, _)| expressions_in(file, "catalog")).collect()
}

/// The words of a text that look like a metric of this agent (and are no stage of the lag).
pub(crate) fn metrics_of(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("standby_") || word.starts_with("process_");
    words.filter(ours).filter(|word| Stage::from_text(word).is_none()).map(str::to_owned).collect()
}

#[test]
fn dashboards_use_metrics_of_the_catalogue_only() {
    let panels = expressions();
    assert!(panels.len() > 60, "only {} queries were found", panels.len());
    for Panel { title, expression, .. } in panels {
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
fn what_rules_are_about_is_on_a_dashboard() {
    let shown: BTreeSet<_> = expressions().iter().flat_map(|panel| metrics_of(&panel.expression)).collect();
    for rule in standbywatch::judge::rules::RULES {
        for name in rule.condition.metrics() {
            assert!(shown.contains(name), "{} is judged over {name}, which no panel shows", rule.name);
        }
    }
}

/// A label that the query has aggregated away leaves a hole in the legend, and two series that nobody can tell apart.
#[test]
fn legends_name_labels_that_their_query_keeps() {
    for Panel { title, expression, legend } in expressions() {
        // Without an aggregation a series keeps all its labels.
        let aggregates = expression.contains(" by (");
        let words: BTreeSet<_> = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")) {
            let label = label.0.trim();
            assert!(!aggregates || words.contains(label), "{title}: {label} of {legend} is not in {expression}");
        }
    }
}

/// Of a pair each of its two agents tells all: a sum would tell it twice. Only what an agent does by itself adds up, and shares do not
/// change when both sides are doubled.
#[test]
fn two_agents_double_nothing() {
    for Panel { title, expression, .. } in expressions() {
        if expression.starts_with("histogram_quantile(") {
            continue;
        }
        for summed in expression.split("sum by (").skip(1) {
            let metric = summed
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .find(|word| word.starts_with("standby_"));
            let own = metric.is_some_and(|metric| metric.starts_with("standby_agent_"));
            assert!(own, "{title}: {metric:?} comes from each agent of a pair: {expression}");
        }
    }
}

/// What is not known stays away: no query makes up a number where there is none.
#[test]
fn no_query_makes_up_a_number() {
    for Panel { title, expression, .. } in expressions() {
        assert!(!expression.contains("vector("), "{title}: {expression}");
    }
}

/// A level of 3 is one agent's ignorance: it counts where no agent knows better.
#[test]
fn an_agent_that_sees_nothing_does_not_hide_what_another_proves() {
    let of_level = |name: &str| matches!(name, "standby_level" | "standby_pair_level");
    for Panel { title, expression, .. } in expressions() {
        if metrics_of(&expression).iter().any(|name| of_level(name)) && !expression.contains("_reason") {
            assert!(expression.contains(" < 3) or max by ("), "{title}: {expression}");
        }
    }
}

/// Grafana silently drops the second of two panels with one id, and finds a dashboard again by its uid.
#[test]
fn ids_are_not_given_twice() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().map(str::to_owned)), "{file}: its uid is another's");
        let panels = dashboard["panels"].as_array().unwrap_or_else(|| panic!("{file} has no panels"));
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_u64()), "{file}: id {} is given twice", panel["id"]);
        }
    }
}
