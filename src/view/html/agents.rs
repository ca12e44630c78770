//! The other nodes' agents, and what a standby's machine has less of.

use super::{Html, PairDocument, UNKNOWN, seconds, table};

/// Nothing where nodes have no agents of their own.
pub(super) fn agents(pair: &PairDocument) -> Html {
    let peer = |peer: &crate::view::api::PeerDocument| {
        let state = match (&peer.failure, peer.up) {
            (_, true) => "answers".to_owned(),
            (Some(failure), false) => format!("cannot be asked: {failure}"),
            (None, false) => "has not answered lately".to_owned(),
        };
        let version = peer.version.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        let skew = seconds(peer.clock_skew_seconds);
        [peer.node.to_string(), state, version, skew].iter().map(|text| Html::text(text)).collect()
    };
    let peers: Vec<Vec<Html>> = pair.peers.iter().map(peer).collect();
    let less = pair.machines.iter().filter_map(|machine| {
        let differs = machine.differs.as_ref().filter(|differs| !differs.is_empty())?;
        Some(vec![Html::text(machine.standby.as_str()), Html::text(&differs.join("; "))])
    });
    let less: Vec<Vec<Html>> = less.collect();
    Html::joined(&[
        shown(&peers, "Agents of the other nodes", &["node", "agent", "version", "clocks differ by"]),
        shown(&less, "Machines that are less than the primary's", &["standby", "what"]),
    ])
}

fn shown(rows: &[Vec<Html>], title: &'static str, head: &[&'static str]) -> Html {
    if rows.is_empty() { Html::default() } else { table(title, head, rows) }
}
