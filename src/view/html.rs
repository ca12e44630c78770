//! The page for a person at 3 a.m.: the verdict first, then what is wrong, then what to do.
//!
//! Templates and style are files in `assets`; whatever comes from outside passes through [`Html::text`].

mod agents;
mod config;
mod failover;
mod kvstore;
mod markup;
mod plots;
mod search;

use std::collections::BTreeMap;

use crate::level::Level;
use crate::names::{Name, Stage};
use crate::snapshot::FindingState;
use crate::view::api::{
    ChannelDocument, FindingDocument, PairDocument, PostgresNodeDocument, ProbeDocument, StageDocument,
    StandbyDocument, StatusDocument,
};
use crate::view::plots::PairDay;
use crate::view::wording::{
    UNKNOWN, ago, at, bytes, catch_up, headline, kind, lag_time, main_number, oldest_evidence, pair_sentence,
    postgres_version, primary, replay, seconds, steps, symbol, told_findings, told_standbys, words, worst_first,
};
use markup::{Html, table};

const PAGE: &str = include_str!("assets/page.html");
const PAIR: &str = include_str!("assets/pair.html");
const FINDING: &str = include_str!("assets/finding.html");
const STYLE: &str = include_str!("assets/page.css");

/// The whole page. `days` is how each pair was lately; `metrics_path` is where the footer's link leads.
pub fn render(status: &StatusDocument, days: &BTreeMap<Name, PairDay>, metrics_path: &str) -> String {
    let worst_first = worst_first(status);
    let pairs: Vec<_> = worst_first
        .iter()
        .enumerate()
        .map(|(index, pair)| pair_section(index, pair, days.get(&pair.pair), status))
        .collect();
    let title = format!("{} {} · standbywatch", symbol(status.level), status.level);
    Html::fill(
        PAGE,
        &[
            ("title", Html::text(&title)),
            ("style", Html::trusted(STYLE)),
            ("level", Html::text(status.level.as_str())),
            ("word", sign(status.level)),
            ("headline", Html::text(&headline(status))),
            ("time", Html::text(&status.time)),
            ("evidence", Html::text(&oldest_evidence(status))),
            ("contents", contents(&worst_first)),
            ("agent", agent(status)),
            ("pairs", Html::joined(&pairs)),
            ("version", Html::text(&status.agent_version)),
            ("metrics", Html::text(metrics_path)),
        ],
    )
    .into_string()
}

/// Links to the pairs with their levels, where there are several.
fn contents(pairs: &[&PairDocument]) -> Html {
    if pairs.len() < 2 {
        return Html::default();
    }
    let link = |(index, pair): (usize, &&PairDocument)| {
        Html::fill(
            "<li><a href=\"#pair-{{index}}\">{{pair}}</a> {{level}}</li>\n",
            &[
                ("index", Html::text(&index.to_string())),
                ("pair", Html::text(pair.pair.as_str())),
                ("level", level(pair.level)),
            ],
        )
    };
    let links: Vec<_> = pairs.iter().enumerate().map(link).collect();
    Html::fill("<nav aria-label=\"Pairs\"><ul>\n{{links}}</ul></nav>\n", &[("links", Html::joined(&links))])
}

fn pair_section(index: usize, pair: &PairDocument, day: Option<&PairDay>, status: &StatusDocument) -> Html {
    // The headline has said it already where there is one pair only.
    let sentence = match status.pairs.as_slice() {
        [_] => String::new(),
        _ => format!("{} ", capitalised(&pair_sentence(pair))),
    };
    let incomplete = match pair.complete {
        true => "",
        false => "<p>The first round of probes is not complete yet.</p>\n",
    };
    let postgres = pair.postgres.as_ref();
    let search = pair.search.as_ref();
    Html::fill(
        PAIR,
        &[
            ("id", Html::text(&format!("pair-{index}"))),
            ("pair", Html::text(pair.pair.as_str())),
            ("level", level(pair.level)),
            ("sentence", Html::text(&sentence)),
            ("incomplete", Html::trusted(incomplete)),
            ("primary", value(&primary(pair))),
            ("channels", channels(pair)),
            ("day", plots::day(day)),
            ("findings", findings(&pair.findings, &pair.channels)),
            ("failover", failover::failover(pair.pair.as_str(), pair.failover.as_ref())),
            ("changes", plots::changes(day)),
            ("probes", failing_probes(&pair.probes, &status.time)),
            ("nodes", postgres.map_or_else(Html::default, |postgres| nodes(pair, &postgres.nodes))),
            ("standbys", postgres.map_or_else(Html::default, |postgres| standbys(&told_standbys(pair, postgres)))),
            ("config", config::config(pair.config.as_ref())),
            ("kvstore", kvstore::part(pair)),
            ("search", search.map_or_else(Html::default, search::section)),
            ("agents", agents::agents(pair)),
        ],
    )
}

fn channels(pair: &PairDocument) -> Html {
    let row = |channel: &ChannelDocument| {
        let reason = channel.reason.map(|reason| words(reason.as_str()));
        let why = match (&channel.detail, reason) {
            (Some(detail), Some(reason)) => format!("{reason}: {detail}"),
            (Some(detail), None) => detail.clone(),
            (None, Some(reason)) => reason,
            (None, None) => String::new(),
        };
        vec![
            Html::text(channel.channel.as_str()),
            level(channel.level),
            value(&main_number(pair, channel.channel)),
            value(&ago(channel.age_seconds)),
            Html::text(&why),
        ]
    };
    let rows: Vec<_> = pair.channels.iter().map(row).collect();
    table("Channels", &["channel", "level", "number", "evidence from", "reason"], &rows)
}

/// What is wrong with whoever tells all this.
fn agent(status: &StatusDocument) -> Html {
    if status.agent_findings.is_empty() && status.agent_notes.is_empty() {
        return Html::default();
    }
    let note = |note: &String| Html::fill("<p>{{note}}</p>\n", &[("note", Html::text(note))]);
    let notes: Vec<_> = status.agent_notes.iter().map(note).collect();
    let inside = [("notes", Html::joined(&notes)), ("findings", findings(&status.agent_findings, &[]))];
    Html::fill("<section>\n<h2>The agent itself</h2>\n{{notes}}{{findings}}</section>\n", &inside)
}

/// What to do comes right after what is wrong.
fn findings(findings: &[FindingDocument], channels: &[ChannelDocument]) -> Html {
    let shown: Vec<_> = told_findings(findings, channels).into_iter().map(finding).collect();
    if shown.is_empty() {
        return Html::default();
    }
    Html::fill("<h3>Findings, and what to do</h3>\n{{findings}}", &[("findings", Html::joined(&shown))])
}

fn finding(finding: &FindingDocument) -> Html {
    let state = match finding.state {
        FindingState::Pending => "pending",
        FindingState::Firing => "firing",
        FindingState::Kept => "no longer met, kept firing",
    };
    Html::fill(
        FINDING,
        &[
            ("severity", Html::text(finding.severity.as_str())),
            ("channel", Html::text(&finding.channel.map_or_else(String::new, |channel| format!(", {channel}")))),
            ("summary", Html::text(&finding.summary)),
            ("description", Html::text(&finding.description)),
            ("remedy", Html::text(&steps(&finding.remedy))),
            ("rule", Html::text(&finding.rule)),
            ("state", Html::text(state)),
            ("for", Html::text(&seconds(Some(finding.for_seconds)))),
            ("since", Html::text(&finding.since)),
            ("explained", Html::text(&explained(finding))),
        ],
    )
}

/// Two alerts of one cause are one piece of news.
fn explained(finding: &FindingDocument) -> String {
    finding.explained_by.as_ref().map_or_else(String::new, |rule| format!(", explained by {rule}"))
}

fn nodes(pair: &PairDocument, nodes: &[PostgresNodeDocument]) -> Html {
    let row = |node: &PostgresNodeDocument| {
        let role = match node.role {
            Some(role) => role.to_string(),
            None if pair.roles.primary.as_ref() == Some(&node.node) => {
                "unknown (was primary when last proven)".to_owned()
            }
            None => UNKNOWN.to_owned(),
        };
        let version = |number| postgres_version(number, node.untested_version);
        let version = node.version.map_or_else(|| UNKNOWN.to_owned(), version);
        vec![
            Html::text(node.node.as_str()),
            value(&role),
            value(&node.timeline.map_or_else(|| UNKNOWN.to_owned(), |timeline| timeline.to_string())),
            value(node.position.as_deref().unwrap_or(UNKNOWN)),
            value(&version),
        ]
    };
    let rows: Vec<_> = nodes.iter().map(row).collect();
    table("PostgreSQL servers", &["node", "role", "timeline", "position", "version"], &rows)
}

fn standbys(standbys: &[&StandbyDocument]) -> Html {
    let row = |standby: &&StandbyDocument| {
        let stage = |wanted: Stage| {
            let of_stage = |stages: &Vec<StageDocument>| stages.iter().find(|stage| stage.stage == wanted).copied();
            bytes(standby.stages.as_ref().and_then(of_stage).map(|stage| stage.lag_bytes))
        };
        let mut row = vec![
            Html::text(standby.node.as_str()),
            value(&kind(standby)),
            value(&bytes(standby.total_lag_bytes)),
            value(&lag_time(standby)),
        ];
        row.extend(Stage::ALL.iter().map(|wanted| value(&stage(*wanted))));
        row.extend([
            value(&bytes(standby.gap_bytes)),
            value(&replay(standby)),
            value(&catch_up(standby.catch_up_seconds)),
        ]);
        row
    };
    let rows: Vec<_> = standbys.iter().map(row).collect();
    let head = [
        "standby",
        "kind",
        "behind",
        "in time",
        "not sent",
        "on the way",
        "not on disk",
        "not replayed",
        "lost by a failover",
        "replay",
        "caught up in",
    ];
    Html::joined(&[table("Standbys", &head, &rows), differences(standbys)])
}

/// What a standby has otherwise than its primary though it may not; nothing while there is nothing to say.
fn differences(standbys: &[&StandbyDocument]) -> Html {
    let told = |standby: &&StandbyDocument| {
        let differ = standby.settings_differ.as_ref().filter(|differ| !differ.is_empty())?;
        Some(vec![Html::text(standby.node.as_str()), Html::text(&differ.join("; "))])
    };
    let rows: Vec<_> = standbys.iter().filter_map(told).collect();
    if rows.is_empty() { Html::default() } else { table("Settings that differ", &["standby", "what"], &rows) }
}

fn failing_probes(probes: &[ProbeDocument], now: &str) -> Html {
    let row = |probe: &ProbeDocument| {
        let cause = match &probe.failure {
            Some(failure) => format!("{}: {}", words(failure.kind.as_str()), failure.message),
            None => "no answer lately".to_owned(),
        };
        vec![
            Html::text(&format!("{} of {}", probe.channel, probe.node)),
            Html::text(&cause),
            value(&at(probe.last_success.as_deref(), now)),
            value(&seconds(probe.took_seconds)),
        ]
    };
    let rows: Vec<_> = probes.iter().filter(|probe| !probe.up).map(row).collect();
    table("Probes that fail", &["probe", "cause", "last success", "last run took"], &rows)
}

/// A level as sign and word.
fn level(level: Level) -> Html {
    Html::fill(
        "<span class=\"level {{level}}\">{{sign}}</span>",
        &[("level", Html::text(level.as_str())), ("sign", sign(level))],
    )
}

/// The sign is left out when read aloud: the word says it all.
fn sign(level: Level) -> Html {
    Html::fill(
        "<span aria-hidden=\"true\">{{symbol}}</span> {{level}}",
        &[("symbol", Html::text(symbol(level))), ("level", Html::text(level.as_str()))],
    )
}

/// A value; where it is unknown the word stands out.
fn value(text: &str) -> Html {
    if !text.contains(UNKNOWN) {
        return Html::text(text);
    }
    Html::fill("<span class=\"unknown-value\">{{text}}</span>", &[("text", Html::text(text))])
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture;

    fn page() -> String {
        let (ok, warned, unknown) = (fixture::ok(), fixture::warned(), fixture::unknown());
        let views = [(&ok, true), (&warned, true), (&unknown, false)];
        render(&StatusDocument::new(views, fixture::now(), fixture::wall()), &BTreeMap::new(), "/metrics")
    }

    #[test]
    fn all_three_pairs() {
        insta::assert_snapshot!(page().replace(STYLE, "/* page.css */\n"));
    }

    #[test]
    fn nothing_is_left_to_fill_and_no_text_from_outside_becomes_markup() {
        let page = page();
        assert!(!page.contains("{{"), "{page}");
        assert!(page.contains("orders &lt;eu&gt; &amp; &quot;more&quot;") && !page.contains("<eu>"), "{page}");
        assert!(page.contains("is a firewall &lt;between&gt;?"));
    }

    #[test]
    fn a_finding_that_another_explains_says_so_and_notes_of_the_agent_are_shown() {
        let mut view = fixture::warned();
        view.findings[0].explained_by = Some("StandbyPostgresSplitBrain");
        let status = StatusDocument::new([(&view, true)], fixture::now(), fixture::wall());
        assert!(!render(&status, &BTreeMap::new(), "/metrics").contains("The agent itself"));
        let page =
            render(&status.with_agent_notes(vec!["The disk is <full>.".to_owned()]), &BTreeMap::new(), "/metrics");
        assert!(page.contains("), explained by StandbyPostgresSplitBrain</p>"), "{page}");
        assert_eq!(page.matches("explained by").count(), 1, "{page}");
        assert!(page.contains("The agent itself") && page.contains("The disk is &lt;full&gt;."), "{page}");
    }

    /// On a phone the plots fill the screen.
    #[test]
    fn what_to_do_stands_before_how_it_was() {
        let at = |part| PAIR.find(part).expect("a part of the page");
        assert!(at("{{channels}}") < at("{{findings}}") && at("{{findings}}") < at("{{day}}"), "{PAIR}");
    }

    #[test]
    fn an_untested_version_and_settings_that_differ_are_named() {
        let ok = fixture::ok();
        let mut status = StatusDocument::new([(&ok, true)], fixture::now(), fixture::wall());
        let told = ["untested version", "Settings that differ"];
        let page = render(&status, &BTreeMap::new(), "/metrics");
        assert!(!told.iter().any(|text| page.contains(text)), "{page}");
        let postgres = status.pairs[0].postgres.as_mut().unwrap();
        (postgres.nodes[1].version, postgres.nodes[1].untested_version) = (Some(190_001), Some(true));
        postgres.standbys[0].settings_differ = Some(vec!["max_connections is 9, on the primary 10".to_owned()]);
        let page = render(&status, &BTreeMap::new(), "/metrics");
        assert!(page.contains("19.1 (untested version)") && page.contains("max_connections is 9"), "{page}");
    }

    #[test]
    fn the_page_needs_no_other_resource_and_no_script() {
        let page = page();
        for wanted in ["<script", "src=", "@import", "url(", "http://", "https://", "<link", "<img"] {
            assert!(!page.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn each_of_several_standbys_has_its_row_and_says_what_kind_it_is() {
        let view = fixture::three_nodes();
        let page = render(
            &StatusDocument::new([(&view, true)], fixture::now(), fixture::wall()),
            &BTreeMap::new(),
            "/metrics",
        );
        for (node, kind) in [("beta", "streaming, synchronous"), ("gamma", "archive, delayed by 1h 0m")] {
            let row = format!("{node}</th><td role=\"cell\" data-label=\"kind\">{kind}</td>");
            assert!(page.contains(&row), "{row} in\n{page}");
        }
    }
}
