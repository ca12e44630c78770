//! Reloads, in this process: what ended by a mistake of ours begins again, and nothing else does.

use std::time::Duration;

use super::*;
use crate::config::{Environment, parse};
use crate::names::RuleName;
use crate::snapshot::{Finding, FindingState};

/// Nobody listens on these ports.
const PAIRS: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: 127.0.0.1, port: 1, user: x } }
      beta:  { postgres: { host: 127.0.0.1, port: 2, user: x } }
  - name: orders
    nodes:
      alpha: { postgres: { host: 127.0.0.1, port: 1, user: x } }
      beta:  { postgres: { host: 127.0.0.1, port: 2, user: x } }
rules:
  StandbyReplicationUnknown: { for: 1s }
";
const SOON: Duration = Duration::from_secs(60);

fn config() -> Config {
    parse(PAIRS, "test", &Environment::default()).expect("a right configuration")
}

fn unknown(snapshot: &Snapshot) -> Option<Finding> {
    let findings = &snapshot.at(clock::now()).findings;
    findings.iter().find(|one| one.rule == RuleName::ReplicationUnknown.as_str()).cloned()
}

async fn firing(pair: &watch::Receiver<Arc<Snapshot>>) -> Finding {
    let fires = |snapshot: &Arc<Snapshot>| unknown(snapshot).is_some_and(|one| one.state == FindingState::Firing);
    let mut pair = pair.clone();
    let found = tokio::time::timeout(SOON, pair.wait_for(fires)).await.expect("soon").expect("its hub is there");
    unknown(&found).expect("it fires")
}

#[tokio::test]
async fn a_pair_whose_hub_has_ended_is_watched_again_after_a_reload_and_the_others_go_on() {
    let state_directory = std::env::temp_dir().join(format!("standbywatch-app-{}", std::process::id()));
    let options = Options {
        listen: vec!["127.0.0.1:0".to_owned()],
        web: WebSettings::default(),
        state_directory: state_directory.clone(),
        lifecycle: None,
    };
    let mut app = App::start(config(), options).await.expect("it starts");
    let before = app.snapshots();
    let since = [firing(&before[0]).await.since, firing(&before[1]).await.since];

    app.hubs[0].end_by_mistake();
    let mut gone = before[0].clone();
    tokio::time::timeout(SOON, async { while gone.changed().await.is_ok() {} }).await.expect("nobody publishes");
    app.reload(config()).await.expect("it reloads");
    let after = app.snapshots();
    assert!(!after[0].same_channel(&before[0]), "another hub");
    assert!(after[1].same_channel(&before[1]), "the same hub");
    let again = [firing(&after[0]).await.since, firing(&after[1]).await.since];
    assert_eq!(again, since, "nothing was forgotten");
    let number = after[0].borrow().number;
    let mut news = after[0].clone();
    let goes_on = news.wait_for(|snapshot| snapshot.number > number);
    tokio::time::timeout(SOON, goes_on).await.expect("soon").expect("it is watched");
    drop((news, before));

    app.stop().await;
    let _ = std::fs::remove_dir_all(state_directory);
}
