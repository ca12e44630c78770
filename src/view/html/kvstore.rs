//! The key-value store on the page.

use super::markup::{Html, table};
use super::value;
use crate::names::Proof;
use crate::view::api::{KvstoreDocument, ObservedDocument, PairDocument};
use crate::view::wording::{UNKNOWN, seconds, words};

pub(super) fn part(pair: &PairDocument) -> Html {
    let Some(kvstore) = &pair.kvstore else { return Html::default() };
    if kvstore.proof == Proof::Reachability {
        return ports(kvstore);
    }
    let parts = [Some(canaries(kvstore)), kvstore.observed.as_ref().map(observed)];
    Html::joined(&parts.into_iter().flatten().collect::<Vec<_>>())
}

fn proofs(kvstore: &KvstoreDocument) -> Html {
    let all: Vec<_> = kvstore.proofs.iter().map(|proof| words(proof.as_str())).collect();
    Html::text(&all.join(", "))
}

fn stores(kvstore: &KvstoreDocument) -> Html {
    let store = |store: &crate::view::api::StoreDocument| {
        format!("{} {}", store.node, if store.up { "answers" } else { "does not answer" })
    };
    Html::text(&kvstore.stores.iter().map(store).collect::<Vec<_>>().join(", "))
}

/// Nothing but ports: no word of replication.
fn ports(kvstore: &KvstoreDocument) -> Html {
    let link = match kvstore.link_up {
        Some(true) => "the standby's port answers",
        Some(false) => "the standby's port does not answer",
        None => UNKNOWN,
    };
    table("Key-value store", &["proof", "link", "stores"], &[vec![proofs(kvstore), value(link), stores(kvstore)]])
}

fn canaries(kvstore: &KvstoreDocument) -> Html {
    let counts: Vec<_> = kvstore
        .outcomes
        .iter()
        .filter(|outcome| outcome.count > 0)
        .map(|outcome| format!("{} {}", outcome.count, words(outcome.outcome.as_str())))
        .collect();
    let outcome = kvstore.outcome.map_or_else(|| UNKNOWN.to_owned(), |outcome| words(outcome.as_str()));
    let blocked = match (kvstore.blocked_seconds, kvstore.outcome) {
        (Some(blocked), _) => format!("for {}", seconds(Some(blocked))),
        (None, Some(outcome)) if outcome.was_acknowledged() => "no".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    };
    let lanes: Vec<_> = kvstore
        .lanes
        .iter()
        .filter_map(|lane| Some(format!("{} {}", lane.lane, words(lane.outcome?.as_str()))))
        .collect();
    let at_risk = match (kvstore.at_risk_canaries, kvstore.at_risk_seconds) {
        (Some(0), _) => "nothing".to_owned(),
        (Some(canaries), since) => format!("{canaries} canaries, {}", seconds(since)),
        (None, _) => UNKNOWN.to_owned(),
    };
    let row = vec![
        proofs(kvstore),
        value(&outcome),
        value(&seconds(kvstore.round_trip_seconds)),
        value(&blocked),
        value(&at_risk),
        Html::text(&lanes.join(", ")),
        stores(kvstore),
        Html::text(&counts.join(", ")),
    ];
    let head = [
        "proof",
        "last canary",
        "round trip",
        "writes blocked",
        "lost by a failover",
        "canaries that stay",
        "stores",
        "canaries since start",
    ];
    table("Key-value store", &head, &[row])
}

fn observed(observed: &ObservedDocument) -> Html {
    let count = |count: Option<u64>| value(&count.map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string()));
    let row = vec![
        count(observed.compared),
        count(observed.differing),
        count(observed.missing_on_standby),
        count(observed.missing_on_primary),
    ];
    let head = ["keys compared", "differ", "missing on the standby", "missing on the primary"];
    table("The application's own data", &head, &[row])
}
