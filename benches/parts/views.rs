//! From one snapshot to everything that is shown of it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use standbywatch::clock::{self, Moment, WallTime};
use standbywatch::snapshot::Snapshot;
use standbywatch::view::api::StatusDocument;
use standbywatch::view::failover::{OneFailoverDocument, checklist};
use standbywatch::view::prometheus::{Format, catalogue};
use standbywatch::view::replication::Replication;
use standbywatch::view::{html, prometheus, table};

type Render = fn(&Snapshot, Moment, WallTime) -> usize;

/// What is rendered, as its path or command.
pub const VIEWS: [(&str, Render); 6] = [
    ("/metrics", metrics),
    ("/monitor/replication", replication),
    ("/api/v1/status", api),
    ("/", page),
    ("status", terminal),
    ("/failover/catalog, as text and as JSON", failover),
];

/// Renders each once; how long each took.
pub fn all(snapshot: &Snapshot, now: Moment, wall: WallTime) -> [Duration; VIEWS.len()] {
    VIEWS.map(|(what, render)| {
        let begun = clock::now();
        let length = black_box(render(black_box(snapshot), now, wall));
        let took = clock::now().since(begun);
        assert!(length > 100, "{what} shows nothing");
        took
    })
}

fn metrics(snapshot: &Snapshot, now: Moment, _: WallTime) -> usize {
    prometheus::render(catalogue(), &snapshot.at(now).samples, Format::Text).len()
}

fn replication(snapshot: &Snapshot, now: Moment, _: WallTime) -> usize {
    Replication::new(&[snapshot.at(now)], now).to_json().len()
}

fn document(snapshot: &Snapshot, now: Moment, wall: WallTime) -> StatusDocument {
    StatusDocument::new([(snapshot.at(now), snapshot.complete)], now, wall)
}

fn api(snapshot: &Snapshot, now: Moment, wall: WallTime) -> usize {
    serde_json::to_string(&document(snapshot, now, wall)).expect("a document").len()
}

fn page(snapshot: &Snapshot, now: Moment, wall: WallTime) -> usize {
    html::render(&document(snapshot, now, wall), &BTreeMap::new(), "/metrics").len()
}

fn terminal(snapshot: &Snapshot, now: Moment, wall: WallTime) -> usize {
    table::render(&document(snapshot, now, wall)).len()
}

fn failover(snapshot: &Snapshot, now: Moment, _: WallTime) -> usize {
    let told = OneFailoverDocument::new(snapshot.at(now)).expect("PostgreSQL is watched");
    let json = serde_json::to_string(&told).expect("a document");
    json.len() + checklist(told.pair.as_str(), &told.failover).len()
}
