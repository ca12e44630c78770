//! Against servers that record what they get, and against a real Alertmanager where there is one.

mod answers;
mod endings;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standbywatch_lab::{Alertmanager, Lab, Need};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::WallTime;
use crate::config::{AlertingAccess, Heartbeat};
use crate::names::Severity;
use crate::secret::Secret;
use crate::snapshot::{FindingState, View};
use crate::view::fixture;

/// Pauses so short that a test need not wait for them, resends so long that none happens by itself.
const QUICK: Timing = Timing {
    resend: Duration::from_secs(600),
    lives: Duration::from_secs(180),
    deadline: Duration::from_millis(500),
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_millis(50),
};

/// Generous: what is waited for normally takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// Stands in for an Alertmanager: keeps each request, answers with the statuses given, then with 200.
struct Recorder {
    url: String,
    got: watch::Receiver<Vec<Value>>,
}

impl Recorder {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (keep, got) = watch::channel(Vec::new());
        let keep = Arc::new(keep);
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keep, statuses) = (keep.clone(), statuses.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (keep, statuses) = (keep.clone(), statuses.clone());
                    async move {
                        assert!(request.method() == "GET" || request.uri().path() == "/api/v2/alerts");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        // A GET has none.
                        keep.send_modify(|got| got.push(serde_json::from_slice(&body).unwrap_or_default()));
                        let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
                        let answer =
                            Response::builder().status(status).body(Full::new(Bytes::from("because\nof this")));
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { url, got }
    }

    /// Waits until it got so many requests; gives the last.
    async fn after(&mut self, requests: usize) -> Value {
        let got = tokio::time::timeout(SOON, self.got.wait_for(|got| got.len() >= requests)).await;
        got.expect("requests come").unwrap().last().cloned().unwrap()
    }

    fn count(&self) -> usize {
        self.got.borrow().len()
    }
}

/// A running push with the hub's end of its snapshot.
struct Pushing {
    publish: watch::Sender<Arc<Snapshot>>,
    counters: Arc<PushCounters>,
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pushing {
    fn start(alertmanagers: Vec<String>, view: View, timing: Timing) -> Self {
        Self::with(alerting(alertmanagers), view, timing)
    }

    fn with(alerting: Alerting, view: View, timing: Timing) -> Self {
        let (publish, pair) = watch::channel(snapshot(view));
        let counters = Arc::new(PushCounters::default());
        let standing = watch::channel(Arc::new(vec![fixture::watchdog()])).1;
        let push = Push {
            alerting,
            external_url: "http://agent.example:19517/".to_owned(),
            pairs: vec![pair],
            standing,
            counters: counters.clone(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run_timed(push, timing, async {
            let _ = stopped.await;
        }));
        Self { publish, counters, _stop: stop, task }
    }

    fn publish(&self, view: View) {
        self.publish.send_replace(snapshot(view));
    }

    fn count(&self, outcome: PushOutcome) -> u64 {
        self.counters.totals()[outcome as usize].1
    }

    async fn until_counted(&self, outcome: PushOutcome, at_least: u64) {
        let counted = async {
            while self.count(outcome) < at_least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, counted).await.expect("it is counted");
    }
}

fn alerting(alertmanagers: Vec<String>) -> Alerting {
    let external_labels = [("site", "fra1"), ("severity", "mine")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    Alerting {
        alertmanagers,
        external_labels: external_labels.into(),
        on_resolve: OnResolve::Expire,
        heartbeat: None,
        access: AlertingAccess::default(),
    }
}

fn snapshot(view: View) -> Arc<Snapshot> {
    Arc::new(Snapshot::new(1, true, view, fixture::unknown, clock::now() + Duration::from_secs(3600)))
}

/// One pair: a rule fires, another is pending.
fn firing_view() -> View {
    let mut view = fixture::warned();
    view.pair = crate::names::Name::new("catalog");
    view.findings.retain(|finding| finding.severity != Severity::None);
    view
}

fn quiet_view() -> View {
    View { findings: Vec::new(), ..fixture::ok() }
}

fn names(batch: &Value) -> Vec<&str> {
    batch.as_array().unwrap().iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_fires_reaches_every_alertmanager_with_its_labels() {
    let (mut one, mut other) = (Recorder::start(&[]).await, Recorder::start(&[]).await);
    let urls = vec![one.url.clone(), format!("{}/", other.url)];
    let pushing = Pushing::start(urls, firing_view(), QUICK);
    let batch = one.after(1).await;
    let names_in =
        |batch: &Value| batch.as_array().unwrap().iter().map(|alert| alert["labels"].clone()).collect::<Vec<_>>();
    assert_eq!(names_in(&other.after(1).await), names_in(&batch), "both get the same");
    assert_eq!(names(&batch), ["StandbyWatchdog", "StandbyPostgresReplayPaused"], "what is pending is not sent");

    let alert = &batch[1];
    let labels = serde_json::json!({
        "alertname": "StandbyPostgresReplayPaused", "severity": "critical", "pair": "catalog", "channel": "postgres",
        "site": "fra1", "source": "agent",
    });
    assert_eq!(alert["labels"], labels, "an external label replaces none of the alert's own");
    assert_eq!(alert["annotations"]["description"], "Replay on beta is paused; 700 MiB wait.");
    assert_eq!(alert["generatorURL"], "http://agent.example:19517/");
    assert_eq!(batch[0]["labels"].get("pair"), None, "the dead-man's switch is about no pair");
    let time = |key: &str| humantime::parse_rfc3339(alert[key].as_str().unwrap()).unwrap();
    let now = clock::wall().to_system_time().unwrap();
    let ahead = time("endsAt").duration_since(now).unwrap();
    assert!((170..=180).contains(&ahead.as_secs()), "{ahead:?}");
    assert!(time("startsAt") <= now);
    pushing.until_counted(PushOutcome::Ok, 2).await;
}

#[tokio::test]
async fn a_change_is_pushed_at_once_and_a_mere_new_number_is_not() {
    let mut recorder = Recorder::start(&[]).await;
    let pushing = Pushing::start(vec![recorder.url.clone()], quiet_view(), QUICK);
    assert_eq!(names(&recorder.after(1).await), ["StandbyWatchdog"]);
    pushing.publish(firing_view());
    assert_eq!(names(&recorder.after(2).await), ["StandbyWatchdog", "StandbyPostgresReplayPaused"]);
    let mut worse = firing_view();
    worse.findings[0].description = "Replay on beta is paused; 900 MiB wait.".to_owned();
    pushing.publish(worse);
    // One thread runs everything: the other tasks have their turns, and would push if they wanted to.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    pushing.publish(quiet_view());
    // What is over is left out, and the batch with only a new number was never sent.
    assert_eq!(names(&recorder.after(3).await), ["StandbyWatchdog"]);
    assert_eq!(recorder.count(), 3);
}

#[tokio::test]
async fn what_fires_is_sent_again_and_again() {
    let mut recorder = Recorder::start(&[]).await;
    let timing = Timing { resend: Duration::from_millis(30), ..QUICK };
    let _pushing = Pushing::start(vec![recorder.url.clone()], firing_view(), timing);
    assert_eq!(names(&recorder.after(4).await).len(), 2);
}

#[tokio::test]
async fn a_failed_push_is_repeated_and_a_refused_one_is_not() {
    let mut recorder = Recorder::start(&[500, 503, 429, 200, 400]).await;
    let pushing = Pushing::start(vec![recorder.url.clone()], quiet_view(), QUICK);
    recorder.after(4).await;
    pushing.until_counted(PushOutcome::Ok, 1).await;
    assert_eq!(pushing.count(PushOutcome::Failed), 3);

    pushing.publish(firing_view());
    pushing.until_counted(PushOutcome::Refused, 1).await;
    // A repetition would come within the pauses; the next request is the next change.
    pushing.publish(quiet_view());
    assert_eq!(names(&recorder.after(6).await), ["StandbyWatchdog"]);
    assert_eq!(recorder.count(), 6);
}

#[tokio::test]
async fn one_silent_alertmanager_does_not_hold_up_another() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut recorder = Recorder::start(&[]).await;
    let urls =
        vec![format!("http://{}", silent.local_addr().unwrap()), "http://127.0.0.1:1".to_owned(), recorder.url.clone()];
    let pushing = Pushing::start(urls, quiet_view(), QUICK);
    recorder.after(1).await;
    pushing.publish(firing_view());
    assert_eq!(names(&recorder.after(2).await).len(), 2);
    pushing.until_counted(PushOutcome::Failed, 2).await;
}

#[tokio::test]
async fn the_newest_state_wins_over_what_could_not_be_sent() {
    // Nobody listens while both changes happen; then somebody does.
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let pushing = Pushing::start(vec![format!("http://{address}")], firing_view(), QUICK);
    pushing.until_counted(PushOutcome::Failed, 1).await;
    pushing.publish(quiet_view());
    pushing.until_counted(PushOutcome::Failed, 3).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (first, taken) = oneshot::channel();
    let first = Mutex::new(Some(first));
    let service = service_fn(|request: Request<Incoming>| {
        let first = first.lock().unwrap().take();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if let Some(first) = first {
                let _ = first.send(serde_json::from_slice::<Value>(&body).unwrap());
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let batch = tokio::select! {
        batch = taken => batch.unwrap(),
        ended = connection => panic!("the connection ended: {ended:?}"),
    };
    assert_eq!(names(&batch), ["StandbyWatchdog"], "what is over is not sent late");
}

#[tokio::test]
async fn it_stops_when_told_also_while_a_push_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timing = Timing { deadline: Duration::from_secs(600), ..QUICK };
    let Pushing { task, _stop: stop, .. } =
        Pushing::start(vec![format!("http://{}", silent.local_addr().unwrap())], firing_view(), timing);
    silent.accept().await.unwrap();
    drop(stop);
    tokio::time::timeout(SOON, task).await.expect("it stops").unwrap();
}

#[test]
fn kept_findings_are_sent_and_pending_ones_are_not() {
    let mut findings = firing_view().findings;
    findings[0].state = FindingState::Kept;
    let pair = crate::names::Name::new("catalog");
    let alerts = alerts_of(Some(&pair), &findings, &[], &std::collections::BTreeMap::new());
    assert_eq!(alerts.len(), 1);
}

/// Whoever is woken by an agent's own alert reads why, as with Prometheus's.
#[test]
fn an_alert_of_what_is_unknown_says_why() {
    let view = fixture::unknown();
    let sent = |channels: &[crate::snapshot::ChannelView]| {
        let alerts = alerts_of(Some(&view.pair), &view.findings, channels, &std::collections::BTreeMap::new());
        let body = alert::body(&alerts, "", WallTime(2e9), Duration::from_secs(180));
        let body: Value = serde_json::from_slice(&body).unwrap();
        body[0]["annotations"]["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(sent(&view.channels).as_deref(), Some("timeout"));
    assert_eq!(sent(&[]).as_deref(), Some("not told"));
    let paused = alerts_of(None, &firing_view().findings, &view.channels, &std::collections::BTreeMap::new());
    let body = String::from_utf8(alert::body(&paused, "", WallTime(2e9), Duration::from_secs(180))).unwrap();
    assert!(!body.contains("\"reason\""), "its summary says it: {body}");
}

#[tokio::test]
async fn a_real_alertmanager_takes_the_alert_and_lets_it_end() -> standbywatch_lab::Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let alertmanager = Alertmanager::start(&lab).await?;
    let timing = Timing { resend: Duration::from_secs(1), lives: Duration::from_secs(3), ..QUICK };
    let pushing = Pushing::start(vec![alertmanager.url()], firing_view(), timing);
    let labels = [("pair", "catalog"), ("source", "agent"), ("site", "fra1")];
    let alert = alertmanager.wait_for_alert("StandbyPostgresReplayPaused", &labels, SOON).await?;
    assert_eq!(alert.annotations["summary"], "Replay on the standby is paused.");
    alertmanager.wait_for_alert("StandbyWatchdog", &[("severity", "none")], SOON).await?;

    pushing.publish(quiet_view());
    alertmanager.wait_until_gone("StandbyPostgresReplayPaused", &labels, SOON).await?;
    alertmanager.wait_for_alert("StandbyWatchdog", &[], SOON).await?;
    assert_eq!(pushing.count(PushOutcome::Refused), 0);
    Ok(())
}
