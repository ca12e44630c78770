//! How long what was read may be shown, whoever brought it, and what a pause of the machine leaves of it.

use super::super::role_file::RoleFileReading;
use super::*;
use crate::clock;
use crate::config::Sitting;
use crate::facts::{Arrival, PeerFacts};

#[test]
fn nothing_is_shown_for_longer_than_the_hub_may_look_away() {
    let mut timeline = Timeline::new(config(STORES).pairs[0].clone());
    timeline.advance(25.0, Vec::new());
    assert!(timeline.snapshot.shown_until() <= at(55.25), "an alert's hold time runs out at 60 s only");
}

#[test]
fn a_snapshot_that_has_run_out_shows_no_canary_either_and_a_pause_drops_it() {
    let mut timeline = Timeline::new(config(STORES).pairs[0].clone());
    timeline.advance(1.0, vec![canary(1.0, None)]);
    assert_eq!(timeline.shown(1.0, Channel::Kvstore), (Level::Ok, None));
    let ended = timeline.snapshot.shown_until().since(at(0.0)).as_secs_f64();
    assert_eq!(timeline.shown(ended, Channel::Kvstore), (Level::Unknown, Some(Reason::Stale)));
    timeline.offset += 60.0;
    timeline.advance(2.0, Vec::new());
    assert_eq!(timeline.shown(2.0, Channel::Kvstore), (Level::Unknown, Some(Reason::Stale)));
}

#[test]
fn a_reading_that_comes_after_a_newer_one_tells_nothing_of_now() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    let late = |node| told(node, 4.5, Err(Failure::new(FailureKind::Refused, "refused")));
    timeline.advance(5.5, vec![late("alpha"), late("beta")]);
    assert_eq!(timeline.shown(5.5, Channel::Postgres), (Level::Ok, None));
}

const AGENTS: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { agent: 'http://127.0.0.1:1', search: { url: 'http://a:1' } }
      beta:  { agent: 'http://127.0.0.1:2', search: { url: 'http://b:1' } }
    role_from: { fixed: beta }
peer: { token_file: /t }
";

#[test]
fn a_pause_drops_what_another_agent_has_told() {
    let sitting = Sitting { observer: false, node: Some("alpha".to_owned()), host: String::new() };
    let config = config(AGENTS).seen_from(&sitting).expect("a seat");
    let mut timeline = Timeline::new(config.pairs[0].clone());
    let facts = PeerFacts { search: Arrival::NotYet, ..PeerFacts::of_nothing() };
    let up = |timeline: &Timeline, seconds| timeline.snapshot.at(at(seconds)).evidence.peers[0].up;
    timeline.advance(
        1.0,
        vec![Told::Peer(Name::new("beta"), Reading { asked: at(1.0), answered: at(1.0), result: Ok(facts) })],
    );
    assert!(up(&timeline, 1.0));
    timeline.offset += 60.0;
    timeline.advance(2.0, Vec::new());
    assert!(!up(&timeline, 2.0));
}

const BY_FILE: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { kvstore: { redis: { address: 'a:6379' } } }
      beta:  { kvstore: { redis: { address: 'b:6379' } } }
    role_from: { file: /run/role }
";

#[tokio::test]
async fn a_role_file_counts_for_a_while_not_after_a_pause_and_in_no_snapshot_that_has_run_out() {
    let path = std::env::temp_dir().join(format!("standbywatch-role-{}", std::process::id()));
    std::fs::write(&path, "alpha\n").expect("a file");
    let start = clock::now();
    let reading = RoleFileReading::read(&path).await;
    std::fs::remove_file(&path).expect("still there");
    let names = |core: &mut Core, told, later: u64, wall: f64| {
        let now = start + Duration::from_secs(later);
        let snapshot = core.advance(told, now, WallTime(wall));
        let ended = snapshot.at(snapshot.shown_until()).evidence.roles.primary.clone();
        assert_eq!(ended, None, "what has run out names nobody");
        snapshot.at(now).evidence.roles.primary.clone()
    };
    let fresh = || Timeline::from(config(BY_FILE).pairs[0].clone(), start).core;
    let (alpha, mut core) = (Some(Name::new("alpha")), fresh());
    assert_eq!(names(&mut core, vec![Told::RoleFile(reading.clone())], 1, 1e9 + 1.0), alpha);
    assert_eq!(names(&mut core, Vec::new(), 16, 1e9 + 16.0), alpha);
    assert_eq!(names(&mut core, Vec::new(), 25, 1e9 + 25.0), None, "asked too long ago");
    let mut core = fresh();
    assert_eq!(names(&mut core, vec![Told::RoleFile(reading)], 1, 1e9 + 1.0), alpha);
    assert_eq!(names(&mut core, Vec::new(), 2, 1e9 + 62.0), None, "nobody knows for how long the machine stood still");
}
