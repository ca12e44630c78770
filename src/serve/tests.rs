//! Real sockets on free ports; time is real too, so limits are set short where they are waited for.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use standbywatch_lab::{Lab, Need};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{ServeState, WebSettings, serve};
use crate::clock;
use crate::metrics;
use crate::snapshot::{Snapshot, View};
use crate::view::api::{OnePairDocument, StatusDocument};
use crate::view::fixture;

/// A running server and the hub's end of its snapshots.
struct Server {
    address: std::net::SocketAddr,
    publish: Vec<watch::Sender<Arc<Snapshot>>>,
    state: Arc<ServeState>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(snapshots: Vec<Snapshot>, settings: WebSettings) -> Self {
        let (publish, pairs): (Vec<_>, Vec<_>) =
            snapshots.into_iter().map(|snapshot| watch::channel(Arc::new(snapshot))).unzip();
        let agent = metrics::agent_samples(&metrics::fixture::agent());
        let state = Arc::new(ServeState::new(settings, pairs, move || agent.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, state.clone(), async {
            let _ = stopped.await;
        }));
        Self { address, publish, state, stop, task }
    }

    async fn with(views: Vec<View>) -> Self {
        Self::start(views.into_iter().map(shown_for_long).collect(), WebSettings::default()).await
    }

    /// Sends `head` as it is and reads until the server closes.
    async fn raw(&self, head: &str) -> String {
        String::from_utf8_lossy(&self.bytes(head).await).into_owned()
    }

    async fn bytes(&self, head: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses the rest of a request may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_as(method, path, "localhost").await
    }

    async fn ask_as(&self, method: &str, path: &str, host: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        Answer::of(&self.raw(&head).await)
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// A snapshot of this view that is shown as long as any test takes.
fn shown_for_long(view: View) -> Snapshot {
    Snapshot::new(1, true, view, fixture::unknown, clock::now() + Duration::from_secs(3600))
}

#[tokio::test]
async fn every_path_answers_with_its_kind() {
    let server = Server::with(vec![fixture::ok(), fixture::warned()]).await;
    let kinds = [
        ("/metrics", "text/plain; version=0.0.4"),
        ("/monitor/replication", "application/json"),
        ("/monitor/replication/", "application/json"),
        ("/-/healthy", "text/plain"),
        ("/-/ready", "text/plain"),
        ("/", "text/html"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/pairs/catalog", "application/json"),
        ("/api/v1/pairs/orders%20%3Ceu%3E%20&%20%22more%22", "application/json"),
    ];
    for (path, kind) in kinds {
        let answer = server.ask("GET", path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}: {}", answer.head);
        for security in ["cache-control: no-store", "x-content-type-options: nosniff", "default-src 'none'"] {
            assert!(answer.head.contains(security), "{path}: {security} is missing in {}", answer.head);
        }
        assert!(answer.body.ends_with('\n'), "{path}");

        let head = server.ask("HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {path}");
        assert!(head.head.contains("content-length: "), "HEAD {path}: {}", head.head);
    }
}

#[tokio::test]
async fn the_documents_read_back() {
    let server = Server::with(vec![fixture::ok(), fixture::warned()]).await;
    let status: StatusDocument = serde_json::from_str(&server.ask("GET", "/api/v1/status").await.body).unwrap();
    assert_eq!((status.version, status.pairs.len()), (1, 2));
    let pair: OnePairDocument = serde_json::from_str(&server.ask("GET", "/api/v1/pairs/catalog").await.body).unwrap();
    assert_eq!(pair.pair.pair.as_str(), "catalog");
}

#[tokio::test]
async fn wrong_paths_methods_and_bodies() {
    let server = Server::with(vec![fixture::ok()]).await;
    for path in [
        "/nothing",
        "/metrics/",
        "/api/v1/pairs/",
        "/api/v1/pairs/nobody",
        "/failover/",
        "/failover/nobody",
        "/failover/catalog/",
        "/api/v1/pairs/nobody/history",
        "/monitor/replication?pair=nobody",
    ] {
        let answer = server.ask("GET", path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body.lines().count(), 1, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.ask(method, "/metrics").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    let with_body = "GET /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(Answer::of(&server.raw(with_body).await).status, 413);
}

/// They are the same everywhere; who is paged may be anywhere.
#[tokio::test]
async fn whoever_is_paged_can_read_the_runbooks() {
    let server = Server::with(vec![fixture::ok()]).await;
    for host in ["localhost", "monitor.example:19517"] {
        let one = server.ask_as("GET", "/runbooks/StandbySearchRed", host).await;
        assert!(one.status == 200 && one.body.starts_with("## StandbySearchRed\n"), "{}", one.body);
        let all = server.ask_as("GET", "/runbooks", host).await;
        assert!(all.status == 200 && all.body.starts_with("# Runbooks\n"), "{}", all.body);
    }
    let none = server.ask("GET", "/runbooks/StandbySearchBlue").await;
    assert_eq!((none.status, none.body.lines().count()), (404, 1), "{}", none.body);
}

#[tokio::test]
async fn an_oversized_head_is_answered_with_431() {
    let server = Server::with(vec![fixture::ok()]).await;
    let long = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(super::MAX_HEAD));
    assert_eq!(Answer::of(&server.raw(&long).await).status, 431);
    let many = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(super::MAX_HEADERS));
    assert_eq!(Answer::of(&server.raw(&many).await).status, 431);
    assert_eq!(Answer::of(&server.raw("what is this\r\n\r\n").await).status, 400);
}

#[tokio::test]
async fn only_this_machine_sees_the_page_and_the_api() {
    let server = Server::with(vec![fixture::ok()]).await;
    for path in ["/", "/api/v1/status", "/api/v1/pairs/catalog"] {
        let stranger = server.ask_as("GET", path, "monitor.example:19517").await;
        assert_eq!((stranger.status, stranger.body.lines().count()), (403, 1), "{path}");
        assert!(stranger.body.contains("ssh -L"), "{}", stranger.body);
        for host in ["127.0.0.1:19517", "[::1]", "localhost:1"] {
            assert_eq!(server.ask_as("GET", path, host).await.status, 200, "{path} {host}");
        }
    }
    for path in ["/metrics", "/monitor/replication", "/-/healthy", "/-/ready"] {
        assert_eq!(server.ask_as("GET", path, "monitor.example").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn strict_says_503_unless_ok() {
    let server = Server::with(vec![fixture::ok(), fixture::warned()]).await;
    assert_eq!(server.ask("GET", "/monitor/replication").await.status, 200);
    assert_eq!(server.ask("GET", "/monitor/replication?strict=1").await.status, 503);
    assert_eq!(server.ask("GET", "/monitor/replication?pair=catalog&strict=1").await.status, 200);
    let one = server.ask("GET", "/monitor/replication?pair=catalog").await.body;
    assert!(one.starts_with("{\"postgres_lag_bytes\":4096,") && !one.contains("\"pairs\""), "{one}");
}

#[tokio::test]
async fn an_expired_snapshot_shows_only_unknown_whoever_asks_first() {
    let expired = Snapshot::new(1, true, fixture::ok(), fixture::unknown, clock::now());
    let server = Server::start(vec![expired], WebSettings::default()).await;
    let metrics = server.ask("GET", "/metrics").await.body;
    assert!(metrics.contains("standby_replication_up{pair=\"far-away\",channel=\"postgres\"} 0"), "{metrics}");
    assert!(!metrics.contains("standby_replication_lag_bytes"), "{metrics}");
    let json = server.ask("GET", "/monitor/replication").await.body;
    assert!(json.starts_with("{\"postgres_lag_bytes\":\"unknown\""), "{json}");
    assert!(server.ask("GET", "/").await.body.contains("<header class=\"verdict unknown\">"));
}

#[tokio::test]
async fn healthy_until_the_hub_stops_and_ready_once_all_probes_have_run() {
    let first = Snapshot::new(1, false, fixture::unknown(), fixture::unknown, clock::now() + Duration::from_secs(60));
    let mut server = Server::start(vec![first], WebSettings::default()).await;
    assert_eq!(server.ask("GET", "/-/healthy").await.status, 200);
    assert_eq!(server.ask("GET", "/-/ready").await.status, 503);
    server.publish[0].send(Arc::new(shown_for_long(fixture::ok()))).unwrap();
    assert_eq!(server.ask("GET", "/-/ready").await.status, 200);
    server.publish.clear();
    server.state.reloads(true);
    assert_eq!(server.ask("GET", "/-/healthy").await.status, 200, "another one is about to follow");
    server.state.reloads(false);
    assert_eq!(server.ask("GET", "/-/healthy").await.status, 503, "the hub is gone");
}

#[tokio::test]
async fn a_hub_that_publishes_no_more_is_not_healthy() {
    let until = clock::now().back(Duration::from_secs(61));
    let old = Snapshot::new(1, true, fixture::ok(), fixture::unknown, until);
    let server = Server::start(vec![old], WebSettings::default()).await;
    assert_eq!(server.ask("GET", "/-/healthy").await.status, 503);
}

#[tokio::test]
async fn a_reload_replaces_the_pairs() {
    let server = Server::with(vec![fixture::ok()]).await;
    let (_publish, pair) = watch::channel(Arc::new(shown_for_long(fixture::warned())));
    server.state.replace_pairs(vec![pair]);
    let metrics = server.ask("GET", "/metrics").await.body;
    assert!(metrics.contains("orders") && !metrics.contains("standby_replication_up{pair=\"catalog\""), "{metrics}");
}

#[tokio::test]
async fn open_metrics_and_gzip_on_request() {
    let server = Server::with(vec![fixture::ok()]).await;
    let head = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: application/openmetrics-text;version=1.0.0\r\n";
    let plain = server.raw(&format!("{head}\r\n")).await;
    assert!(plain.contains("application/openmetrics-text; version=1.0.0") && plain.ends_with("# EOF\n"), "{plain}");

    let answer = server.bytes(&format!("{head}accept-encoding: gzip, br\r\n\r\n")).await;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&answer[..body]).contains("content-encoding: gzip"));
    let mut text = String::new();
    GzDecoder::new(&answer[body..]).read_to_string(&mut text).unwrap();
    assert!(
        text.contains("standby_replication_lag_bytes{pair=\"catalog\"} 4096") && text.ends_with("# EOF\n"),
        "{text}"
    );
    assert!(text.contains("standby_build_info{version="), "the agent's own samples: {text}");
}

#[tokio::test]
async fn promtool_has_nothing_to_say_of_the_metrics() -> standbywatch_lab::Result<()> {
    let Some(_lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let server = Server::with(vec![fixture::ok(), fixture::warned(), fixture::unknown()]).await;
    let metrics = server.ask("GET", "/metrics").await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().expect("it is piped").write_all(metrics.as_bytes()).await?;
    let output = promtool.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{metrics}", String::from_utf8_lossy(&said));
    Ok(())
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_hung_up_on() {
    let settings = WebSettings { head_timeout: Duration::from_millis(100), ..WebSettings::default() };
    let server = Server::start(vec![shown_for_long(fixture::ok())], settings).await;
    let dribble = server.raw("GET /metrics HTTP/1.1\r\nhost: lo");
    let answer = tokio::time::timeout(Duration::from_secs(5), dribble).await.expect("the server hangs up");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_reads_is_hung_up_on() {
    let settings = WebSettings { connection_lifetime: Duration::from_millis(200), ..WebSettings::default() };
    let server = Server::start(vec![shown_for_long(fixture::ok())], settings).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asks = async {
        // Until neither side's buffers take more; then the server waits for this client to read.
        while stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(10), asks).await.expect("the server hangs up");
}

#[tokio::test]
async fn connections_over_the_limit_get_503_and_the_others_their_answer() {
    let server = Server::start(vec![shown_for_long(fixture::ok())], WebSettings::default()).await;
    // All connections stand before the first request is sent.
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut statuses = Vec::new();
    for stream in &mut streams {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).await.unwrap();
        statuses.push(String::from_utf8_lossy(&beginning[9..]).into_owned());
    }
    assert_eq!(statuses.iter().filter(|status| *status == "200").count(), 40, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "503").count(), 10, "{statuses:?}");
    drop(streams);
    // Slots come back as soon as their connections are seen closed.
    let again = async { while server.ask("GET", "/-/ready").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("slots come back");
}

#[tokio::test]
async fn fifty_clients_one_after_the_other_in_parallel_all_get_their_answer() {
    let settings = WebSettings { max_requests: 50, ..WebSettings::default() };
    let server = Arc::new(Server::start(vec![shown_for_long(fixture::ok())], settings).await);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let server = server.clone();
        clients.spawn(async move { server.ask("GET", "/monitor/replication").await.status });
    }
    assert!(clients.join_all().await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn the_server_stops_and_frees_its_port() {
    let server = Server::with(vec![fixture::ok()]).await;
    // An idle connection does not hold the server up.
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /-/ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut beginning = [0; 15];
    idle.read_exact(&mut beginning).await.unwrap();
    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.expect("it stops").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

/// Printed, not asserted: times depend on the machine. `cargo test --release --lib a_scrape_is_quick -- --nocapture`
#[tokio::test]
async fn a_scrape_is_quick() {
    let server = Server::with(vec![fixture::ok(), fixture::warned()]).await;
    let mut connection = crate::http_client::Connection::new(&format!("http://{}", server.address)).unwrap();
    let mut took = Vec::new();
    for _ in 0..500 {
        let begun = clock::now();
        assert!(connection.get("/metrics", 1 << 20).await.unwrap().is_success());
        took.push(clock::now().since(begun));
    }
    took.sort();
    println!("scrape: median {:?}, 99th percentile {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
}
