//! What to do, in the order to do it: for a person at three in the morning.

use super::{Candidate, Situation, turn};
use crate::evidence::Readiness;
use crate::names::{FailoverVerdict, Name, PrimaryLife, ReplayState};

/// The steps of this promotion. Without a standby that answers there is none to promote.
pub(super) fn steps(
    situation: &Situation<'_>,
    readiness: &Readiness,
    candidate: Option<&Candidate<'_>>,
) -> Vec<String> {
    let mut steps = Vec::new();
    let Some(candidate) = candidate else {
        return vec!["find out why no standby answers; nothing can be promoted before".to_owned()];
    };
    if readiness.verdict == FailoverVerdict::NotReady {
        let found = readiness
            .blockers
            .iter()
            .map(|(_, detail)| format!("do not promote {} before this is mended: {detail}", candidate.name));
        steps.extend(found);
        return steps;
    }
    if readiness.verdict == FailoverVerdict::Unknown {
        steps.push(format!(
            "find out first what cannot be told; promoting {} now is a risk that nobody can size",
            candidate.name
        ));
    }
    if let (Some(_), Some(primary)) = (situation.beside.outdated(), &readiness.primary) {
        steps.push(format!("copy the configuration of {primary} to {} once more, if it can be read", candidate.name));
    }
    steps.extend(readiness.primary.as_ref().map(|primary| fence(situation, readiness, primary, candidate)));
    steps.extend(turn::stop_copying(situation, readiness.primary.as_ref(), candidate));
    steps.extend(replay(situation, readiness, candidate));
    steps.push(format!(
        "promote {} ({}), as a superuser there: SELECT pg_promote();",
        candidate.name,
        place(situation, candidate.name)
    ));
    steps.extend(turn::no_standby_to_wait_for(candidate));
    steps.extend(turn::slot(situation, readiness.primary.as_ref(), candidate));
    steps.extend(turn::stores(situation, readiness.primary.as_ref(), candidate));
    steps.push(format!("wait until {} answers as a primary, then lead the application to it", candidate.name));
    steps.extend(turn::others(situation, readiness.primary.as_ref(), candidate));
    if readiness.serve.rebuild.is_some() {
        steps.push(format!(
            "rebuild the search index on {}: until then a search finds only what that index holds already",
            candidate.name
        ));
    }
    if let Some(primary) = &readiness.primary {
        steps.push(format!(
            "keep the data directory of {primary} until you know what was lost; rejoin it with pg_rewind, or rebuild it"
        ));
        steps.extend(turn::back(situation, primary, candidate));
    }
    steps
}

/// What replay needs before a promotion can end: it replays all that the standby has first.
fn replay(situation: &Situation<'_>, readiness: &Readiness, candidate: &Candidate<'_>) -> Option<String> {
    let name = candidate.name;
    let left = readiness.serve.replay_left.map_or_else(|| "what is left".to_owned(), |left| left.to_string());
    if candidate.standby.replay_paused == Some(true) {
        return Some(format!("replay on {name} is paused: the promotion ends the pause and will replay {left} first"));
    }
    let standby = situation.evidence.standbys.iter().find(|standby| standby.node == *name);
    // With max_standby_streaming_delay = -1 a promotion waits for the query for as long as replay would.
    match standby?.replay_state? {
        ReplayState::Conflict => Some(format!(
            "replay on {name} waits for a query there: end the queries on {name}, or the promotion waits for them, too"
        )),
        ReplayState::Stuck => Some(format!(
            "replay on {name} stands still: end the queries there and look at its log; the promotion has to replay {left} first"
        )),
        ReplayState::Delayed => {
            Some(format!("{name} replays late on purpose: the promotion will replay {left} first, without waiting"))
        }
        _ => None,
    }
}

fn fence(situation: &Situation<'_>, readiness: &Readiness, primary: &Name, candidate: &Candidate<'_>) -> String {
    let place = place(situation, primary);
    match readiness.primary_life {
        PrimaryLife::Answers => {
            format!(
                "primary {primary} still answers on {place}: fence it first (stop it and keep it down; a clean stop sends \
                 what is left to a standby that streams)"
            )
        }
        PrimaryLife::Heard => format!(
            "primary {primary} ({place}) lives, {} hears it: fence it first (stop it and keep it down)",
            candidate.name
        ),
        PrimaryLife::Gone => {
            format!("make sure that primary {primary} ({place}) stays down and cannot come back by itself")
        }
        PrimaryLife::Unknown => format!("whether primary {primary} ({place}) lives is not known: fence it first"),
    }
}

/// Where a node's server is asked.
fn place(situation: &Situation<'_>, name: &Name) -> String {
    match situation.pair.node(name).and_then(|node| node.postgres.as_ref()) {
        Some(server) => format!("{}:{}", server.host, server.port),
        None => "where it is not configured".to_owned(),
    }
}
