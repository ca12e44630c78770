//! The probe against a small HTTP server that answers as it is told and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::config::{Schedule, SecretSource};
use crate::facts::{ConcreteIndex, Opaque};
use crate::secret::Secret;
use crate::units::Bytes;

#[derive(Default)]
struct Inner {
    /// Status and body by the beginning of the path; the longest that fits counts. Without one: silence.
    answers: BTreeMap<String, (u16, Vec<u8>)>,
    asked: Vec<String>,
    authorization: Option<String>,
    connections: usize,
}

struct Server {
    url: String,
    inner: Arc<Mutex<Inner>>,
    _server: JoinSet<()>,
}

const HEALTHY: &str = r#"{"status":"green","timed_out":false,"number_of_nodes":1,"unassigned_shards":0,
    "initializing_shards":0,"active_shards_percent_as_number":100.0,"indices":{"catalog-1":{"status":"green"}}}"#;

const STATS_OF_42: &str = r#"{"_shards":{"failed":0},"_all":{"primaries":{"indexing":{"index_total":"42"},
    "store":{"size_in_bytes":4200}}}}"#;
const WATERMARK_OF_NINETY: &str = r#"{"defaults":{"cluster.routing.allocation.disk.threshold_enabled":"true",
    "cluster.routing.allocation.disk.watermark.high":"90%"}}"#;
const HALF_FULL: &str = r#"{"nodes":{"a":{"fs":{"total":{"total_in_bytes":1000,"available_in_bytes":500}}}}}"#;

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/es/", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner::default()));
        let state = inner.clone();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                state.lock().unwrap().connections += 1;
                clients.spawn(serve(stream, state.clone()));
            }
        });
        let server = Self { url, inner, _server: server };
        server.answers("/es/", 200, r#"{"version":{"number":"2.19.3","distribution":"opensearch"}}"#);
        server.answers("/es/_cluster/health", 200, HEALTHY);
        server.answers(
            "/es/catalog/_settings",
            200,
            r#"{"catalog-1":{"settings":{"index.uuid":"u1","index.creation_date":"1700000000000"}}}"#,
        );
        server.answers("/es/catalog/_count", 200, r#"{"count":42,"_shards":{"failed":0}}"#);
        server.answers("/es/catalog/_stats", 200, STATS_OF_42);
        server.answers("/es/_cluster/settings", 200, WATERMARK_OF_NINETY);
        server.answers("/es/_nodes/stats/fs", 200, HALF_FULL);
        server
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn answers(&self, path: &str, status: u16, body: &str) {
        self.lock().answers.insert(path.to_owned(), (status, body.as_bytes().to_vec()));
    }

    fn silent(&self, path: &str) {
        self.lock().answers.insert(path.to_owned(), (0, Vec::new()));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }

    fn probe(&self) -> SearchProbe {
        self.probe_within(Duration::from_millis(500))
    }

    /// One that a busy machine does not make fail.
    fn patient_probe(&self) -> SearchProbe {
        self.probe_within(Duration::from_secs(20))
    }

    fn probe_within(&self, timeout: Duration) -> SearchProbe {
        let node = SearchNode {
            url: self.url.clone(),
            user: Some("watch".to_owned()),
            password: Some(SecretSource::Inline(Secret::new("hunter2"))),
            ..SearchNode::default()
        };
        let schedule = Schedule::new(Duration::from_secs(5), timeout);
        let channel = SearchChannel::new(schedule, vec!["catalog".to_owned()]);
        SearchProbe::new(&node, &channel)
    }

    async fn failure(&self) -> Failure {
        self.probe().run(true).await.result.unwrap_err()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<Inner>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut line) = (None, String::new());
        while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) && line != "\r\n" {
            if path.is_none() {
                path = line.split(' ').nth(1).map(str::to_owned);
            }
            if let Some(value) = line.strip_prefix("authorization: ") {
                state.lock().unwrap().authorization = Some(value.trim().to_owned());
            }
            line.clear();
        }
        let Some(path) = path else { return };
        let answer = {
            let mut inner = state.lock().unwrap();
            let fits = inner.answers.iter().filter(|(start, _)| path.starts_with(start.as_str()));
            let answer = fits.max_by_key(|(start, _)| start.len()).map(|(_, answer)| answer.clone());
            inner.asked.push(path);
            answer
        };
        // Asked for what no test has made up: never answered.
        let Some((status, body)) = answer else { return std::future::pending().await };
        if status == 0 {
            return std::future::pending().await;
        }
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn all_facts_over_one_connection_and_few_requests() {
    let server = Server::start().await;
    let mut probe = server.patient_probe();
    let reading = probe.run(true).await;
    assert!(reading.answered >= reading.asked);
    let facts = reading.result.unwrap();
    assert_eq!((facts.distribution.as_deref(), facts.version.as_deref()), (Some("opensearch"), Some("2.19.3")));
    assert_eq!((facts.health, facts.active_shards_percent), (Some(SearchHealth::Green), Some(100.0)));
    let catalog = IndexFacts {
        name: "catalog".to_owned(),
        exists: Some(true),
        health: Some(SearchHealth::Green),
        documents: Some(42),
        indexed: Some(42),
        indexed_when_counted: Some(42),
        store: Some(Bytes(4200)),
        read_only: Some(false),
        behind: vec![ConcreteIndex {
            name: "catalog-1".to_owned(),
            uuid: Some("u1".to_owned()),
            created: Some(Opaque("1700000000000".to_owned())),
        }],
    };
    assert_eq!(facts.disk.map(|disk| (disk.used, disk.high)), Some((0.5, Some(0.9))));
    assert_eq!(facts.indices, std::slice::from_ref(&catalog));
    assert_eq!(server.asked().len(), 7);
    assert_eq!(server.lock().authorization.as_deref(), Some("Basic d2F0Y2g6aHVudGVyMg=="));

    server.answers("/es/catalog/_count", 200, r#"{"count":43,"_shards":{"failed":0}}"#);
    let facts = probe.run(true).await.result.unwrap();
    assert_eq!(facts.indices, [catalog], "counted seldom");
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].starts_with("/es/_cluster/health?filter_path=status,"), "the prefix is kept: {asked:?}");
    assert_eq!(server.lock().connections, 1);
}

#[tokio::test]
async fn an_index_that_is_not_there_is_a_fact() {
    let server = Server::start().await;
    server.answers("/es/catalog/_settings", 404, r#"{"error":{"type":"index_not_found_exception"},"status":404}"#);
    let index = server.probe().run(true).await.result.unwrap().indices.remove(0);
    assert_eq!((index.exists, index.health, index.documents, index.read_only), (Some(false), None, None, None));
    assert!(!server.asked().iter().any(|path| path.contains("_count")), "nothing to count");
}

#[tokio::test]
async fn a_count_belongs_to_one_index_and_is_not_made_anew_for_a_failure_in_between() {
    let server = Server::start().await;
    let counts = || server.asked().iter().filter(|path| path.contains("_count")).count();
    let mut probe = server.patient_probe();
    let mut documents = async || probe.run(true).await.result.map(|facts| facts.indices[0].documents);
    assert_eq!(documents().await, Ok(Some(42)));
    server.answers("/es/catalog/_count", 200, r#"{"count":0,"_shards":{"failed":0}}"#);
    server.answers("/es/catalog/_settings", 200, r#"{"catalog-1":{"settings":{"index.uuid":"u2"}}}"#);
    assert_eq!(documents().await, Ok(Some(0)), "made anew, counted anew");
    assert_eq!(counts(), 2);
    for _ in 0..3 {
        server.answers("/es/_cluster/health", 503, "{}");
        assert_eq!(documents().await.map_err(|failure| failure.kind), Err(FailureKind::StartingUp));
        server.answers("/es/_cluster/health", 200, HEALTHY);
        assert_eq!(documents().await, Ok(Some(0)), "as old as it may be in any case");
    }
    assert_eq!(counts(), 0, "an engine that fails now and then is overloaded, perhaps");
    let gone = r#"{"error":{"type":"index_not_found_exception"},"status":404}"#;
    server.answers("/es/catalog/_settings", 404, gone);
    assert_eq!(documents().await, Ok(None));
    server.answers("/es/catalog/_settings", 200, r#"{"catalog-1":{"settings":{"index.uuid":"u2"}}}"#);
    probe.timeout = Duration::from_secs(3);
    server.silent("/es/catalog/_count");
    let facts = probe.run(true).await.result.unwrap();
    assert_eq!(facts.indices[0].documents, None, "that a count hangs hides nothing else, and no old one is shown");
    assert_eq!(facts.health, Some(SearchHealth::Green));
}

#[tokio::test]
async fn a_red_index_is_not_counted() {
    let server = Server::start().await;
    server.answers("/es/_cluster/health", 200, &HEALTHY.replace("green", "red"));
    let facts = server.probe().run(true).await.result.unwrap();
    assert_eq!((facts.indices[0].health, facts.indices[0].documents), (Some(SearchHealth::Red), None));
    assert!(!server.asked().iter().any(|path| path.contains("_count")));
}

#[tokio::test]
async fn every_failure_has_its_kind_and_no_secret_in_it() {
    let server = Server::start().await;
    for (status, body, kind) in [
        (401, "{}", FailureKind::Authentication),
        (403, "{}", FailureKind::Permission),
        (302, "", FailureKind::Protocol),
        (200, "<html>Welcome</html>", FailureKind::Protocol),
        (200, r#"{"status":"green""#, FailureKind::Protocol),
    ] {
        server.answers("/es/_cluster/health", status, body);
        let failure = server.failure().await;
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(!failure.message.contains("hunter2") && !failure.message.contains("d2F0Y2g6"), "{failure}");
    }
    server.answers("/es/_cluster/health", 200, &" ".repeat(MAX_BODY + 1));
    assert_eq!(server.failure().await.kind, FailureKind::TooLarge);
    server.silent("/es/_cluster/health");
    assert_eq!(server.failure().await.kind, FailureKind::Timeout);
}

#[tokio::test]
async fn it_comes_back_by_itself() {
    let server = Server::start().await;
    let mut probe = server.probe();
    server.silent("/es/_cluster/health");
    let started = Instant::now();
    assert!(probe.run(true).await.result.is_err());
    assert!(started.elapsed() < Duration::from_millis(500), "it reports within its deadline");
    server.answers("/es/_cluster/health", 200, HEALTHY);
    assert!(probe.run(true).await.result.is_ok());
}

#[tokio::test]
async fn a_role_that_may_not_ask_for_the_version_is_enough() {
    let server = Server::start().await;
    server.answers("/es/", 403, "{}");
    let facts = server.probe().run(true).await.result.unwrap();
    assert_eq!((facts.version, facts.health), (None, Some(SearchHealth::Green)));
}

#[test]
fn of_several_indices_behind_an_alias() {
    let index = |name: &str, write_blocked, flooded| Concrete {
        index: ConcreteIndex { name: name.to_owned(), ..ConcreteIndex::default() },
        write_blocked,
        flooded,
    };
    let colours = |name: &str| Some(if name == "old" { SearchHealth::Yellow } else { SearchHealth::Green });
    let facts = |concrete: &[Concrete]| index_facts("logs".to_owned(), concrete, colours);
    let closed_old = facts(&[index("old", true, false), index("new", false, false)]);
    assert_eq!((closed_old.read_only, closed_old.health), (Some(false), Some(SearchHealth::Yellow)));
    assert_eq!(facts(&[index("old", true, true), index("new", false, false)]).read_only, Some(true));
    assert_eq!(facts(&[index("new", true, false)]).read_only, Some(true));
    let unknown = index_facts("logs".to_owned(), &[index("new", false, false)], |_| None);
    assert_eq!((unknown.exists, unknown.health), (Some(true), None));
}

#[test]
fn names_are_one_segment_of_the_path() {
    assert_eq!(encoded("logs-2024.01_a"), "logs-2024.01_a");
    assert_eq!(encoded("../_all?x=ä"), "..%2F_all%3Fx%3D%C3%A4");
}

#[tokio::test]
async fn nothing_is_counted_while_that_is_forbidden() {
    let server = Server::start().await;
    let mut probe = server.patient_probe();
    let index = probe.run(false).await.result.unwrap().indices.remove(0);
    assert_eq!((index.documents, index.indexed_when_counted, index.indexed), (None, None, Some(42)));
    assert!(!server.asked().iter().any(|path| path.contains("_count")));
    let index = probe.run(true).await.result.unwrap().indices.remove(0);
    assert_eq!((index.documents, index.indexed_when_counted), (Some(42), Some(42)));
    server.answers("/es/catalog/_stats", 200, &STATS_OF_42.replace("\"42\"", "50"));
    let index = probe.run(false).await.result.unwrap().indices.remove(0);
    assert_eq!(
        (index.documents, index.indexed_when_counted, index.indexed),
        (Some(42), Some(42), Some(50)),
        "as last counted"
    );
}

#[tokio::test]
async fn what_is_asked_besides_hides_nothing_when_it_fails() {
    let server = Server::start().await;
    for (status, body) in [(403, "{}"), (200, "<html>"), (500, ""), (200, "{\"_all\":"), (302, "")] {
        for path in ["/es/catalog/_stats", "/es/_cluster/settings", "/es/_nodes/stats/fs"] {
            server.answers(path, status, body);
        }
        let facts = server.patient_probe().run(true).await.result.unwrap();
        let index = &facts.indices[0];
        assert_eq!((facts.health, index.documents), (Some(SearchHealth::Green), Some(42)), "{status} {body}");
        assert_eq!((index.indexed, index.store, facts.disk), (None, None, None), "{status} {body}");
    }
    server.answers("/es/catalog/_stats", 200, &" ".repeat(MAX_BODY + 1));
    assert_eq!(server.patient_probe().run(true).await.result.unwrap().indices[0].documents, Some(42));
    server.silent("/es/catalog/_stats");
    let facts = server.probe_within(Duration::from_secs(3)).run(true).await.result.unwrap();
    assert_eq!((facts.health, facts.indices[0].documents), (Some(SearchHealth::Green), None));
}

#[tokio::test]
async fn each_way_in_is_sent_and_never_shown() {
    let server = Server::start().await;
    let file = std::env::temp_dir().join(format!("standbywatch-key-{}", std::process::id()));
    std::fs::write(&file, "s3cret\n").unwrap();
    let secret = Some(SecretSource::File(file.clone()));
    let plain = SearchNode { url: server.url.clone(), ..SearchNode::default() };
    let with_key = SearchNode { api_key: secret.clone(), ..plain.clone() };
    let with_token = SearchNode { bearer: secret, ..plain };
    let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(20));
    for (node, sent) in [(with_key, "ApiKey s3cret"), (with_token, "Bearer s3cret")] {
        let channel = SearchChannel::new(schedule, Vec::new());
        server.answers("/es/_cluster/health", 200, HEALTHY);
        SearchProbe::new(&node, &channel).run(true).await.result.unwrap();
        assert_eq!(server.lock().authorization.as_deref(), Some(sent));
        server.answers("/es/_cluster/health", 401, "who is s3cret?");
        let failure = SearchProbe::new(&node, &channel).run(true).await.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Authentication);
        assert!(!failure.message.contains("s3cret"), "{failure}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_count_of_long_ago_is_not_told() {
    let (now, every) = (Instant::now(), Duration::from_secs(300));
    let count = Count { documents: Some(42), indexed: None, next: now + every };
    assert!(count.is_fresh(now, every) && count.is_fresh(now + Duration::from_secs(899), every));
    assert!(!count.is_fresh(now + Duration::from_secs(900), every));
}
