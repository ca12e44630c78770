//! What is said of an end, who is let in, and the heartbeat.

use super::*;
use crate::clock::WallTime;

fn ended_before(alert: &Value, now: WallTime) -> bool {
    let time = humantime::parse_rfc3339(alert["endsAt"].as_str().unwrap()).unwrap();
    time <= now.to_system_time().unwrap()
}

#[tokio::test]
async fn an_end_is_said_where_that_is_wanted_and_taken_back_when_it_begins_again() {
    let mut recorder = Recorder::start(&[]).await;
    let alerting = Alerting { on_resolve: OnResolve::Send, ..alerting(vec![recorder.url.clone()]) };
    let pushing = Pushing::with(alerting, firing_view(), QUICK);
    assert!(!ended_before(&recorder.after(1).await[1], clock::wall()));
    pushing.publish(quiet_view());
    let batch = recorder.after(2).await;
    assert_eq!(names(&batch), ["StandbyWatchdog", "StandbyPostgresReplayPaused"]);
    assert!(ended_before(&batch[1], clock::wall()) && !ended_before(&batch[0], clock::wall()), "{batch}");
    assert!(batch[1]["startsAt"].as_str() <= batch[1]["endsAt"].as_str(), "Alertmanager refuses it else");
    pushing.publish(firing_view());
    let batch = recorder.after(3).await;
    assert_eq!(names(&batch).len(), 2, "not beside its own end");
    assert!(!ended_before(&batch[1], clock::wall()));
}

#[tokio::test]
async fn an_end_is_said_for_as_long_as_the_alert_would_have_gone_on() {
    let mut recorder = Recorder::start(&[]).await;
    let alerting = Alerting { on_resolve: OnResolve::Send, ..alerting(vec![recorder.url.clone()]) };
    let timing = Timing { resend: Duration::from_millis(30), lives: Duration::from_millis(100), ..QUICK };
    let pushing = Pushing::with(alerting, firing_view(), timing);
    recorder.after(1).await;
    pushing.publish(quiet_view());
    let got = recorder.got.wait_for(|got| got.last().is_some_and(|batch| names(batch).len() == 1));
    tokio::time::timeout(SOON, got).await.expect("it is left out at last").unwrap();
}

/// Its own password or token may be wrong for a while: that is no reason to give the alerts up.
#[tokio::test]
async fn who_is_not_let_in_tries_again() {
    let mut recorder = Recorder::start(&[401, 403, 200]).await;
    let pushing = Pushing::start(vec![recorder.url.clone()], quiet_view(), QUICK);
    recorder.after(3).await;
    pushing.until_counted(PushOutcome::Ok, 1).await;
    assert_eq!(pushing.count(PushOutcome::Refused), 0);
}

#[tokio::test]
async fn the_heartbeat_is_called_only_while_alerts_get_through() {
    let (mut recorder, mut switch) = (Recorder::start(&[500, 500, 500, 200]).await, Recorder::start(&[]).await);
    let url = Secret::new(format!("{}/ping/secret", switch.url));
    let heartbeat = Some(Heartbeat { url, shown: switch.url.clone() });
    let alerting = Alerting { heartbeat, ..alerting(vec![recorder.url.clone()]) };
    let timing = Timing { resend: Duration::from_millis(100), ..QUICK };
    let _pushing = Pushing::with(alerting, quiet_view(), timing);
    switch.after(2).await;
    assert!(recorder.count() >= 4, "not before something was taken");
    assert_eq!(switch.got.borrow()[0], Value::Null, "a mere GET");
    recorder.after(5).await;
}

#[tokio::test]
async fn no_heartbeat_while_a_pair_is_not_looked_at() {
    let (mut recorder, switch) = (Recorder::start(&[]).await, Recorder::start(&[]).await);
    let heartbeat = Some(Heartbeat { url: Secret::new(switch.url.clone()), shown: switch.url.clone() });
    let alerting = Alerting { heartbeat, ..alerting(vec![recorder.url.clone()]) };
    let timing = Timing { resend: Duration::from_millis(50), ..QUICK };
    let pushing = Pushing::with(alerting, quiet_view(), timing);
    pushing.publish.send_replace(Arc::new(Snapshot::new(2, true, quiet_view(), fixture::unknown, clock::now())));
    recorder.after(6).await;
    assert_eq!(switch.count(), 0);
}

/// Its alerts would be pending for ever.
#[tokio::test]
async fn a_pair_that_nobody_judges_any_more_is_told() {
    let mut recorder = Recorder::start(&[]).await;
    let timing = Timing { resend: Duration::from_millis(50), ..QUICK };
    let pushing = Pushing::with(alerting(vec![recorder.url.clone()]), quiet_view(), timing);
    let mut unknown = fixture::unknown();
    unknown.findings.iter_mut().for_each(|finding| finding.state = FindingState::Pending);
    let long_ago = clock::now().back(GONE + Duration::from_secs(1));
    pushing.publish.send_replace(Arc::new(Snapshot::new(2, true, quiet_view(), move || unknown, long_ago)));
    let sent = recorder.count();
    assert_eq!(names(&recorder.after(sent + 4).await), ["StandbyWatchdog"], "a hub that is late");
    let Pushing { publish, _stop, .. } = pushing;
    drop(publish);
    let told = recorder
        .got
        .wait_for(|got| got.last().is_some_and(|batch| names(batch).contains(&"StandbyReplicationUnknown")));
    tokio::time::timeout(SOON, told).await.expect("it is told").unwrap();
}
