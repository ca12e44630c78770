use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::config::{Environment, PairConfig, Sitting, parse};
use crate::names::{FailureKind, Name};

fn pair(node: Option<&str>, channel: &str) -> PairConfig {
    let text = format!(
        "pairs:
  - name: shop
    role_from: {{ fixed: alpha }}
    nodes:
      alpha: {{ agent: 'http://127.0.0.1:1', kvstore: {{ redis: {{ address: 'localhost:1' }} }} }}
      beta:  {{ agent: 'http://127.0.0.1:2', kvstore: {{ redis: {{ address: 'localhost:1' }} }} }}
    kvstore: {{ timeout: 2s, {channel} }}
peer: {{ token_file: /t }}
"
    );
    let config = parse(&text, "test", &Environment::default()).expect("a right configuration");
    let sitting = Sitting { observer: node.is_none(), node: node.map(str::to_owned), host: String::new() };
    (*config.seen_from(&sitting).unwrap().pairs[0]).clone()
}

fn own(channel: &str) -> OwnStore {
    OwnStore::of(&pair(Some("beta"), channel)).expect("a store of its own")
}

async fn refused(store: &OwnStore, question: &str) -> String {
    match store.reply(question.as_bytes()).await {
        Replied::Refused(why) => why,
        Replied::Here(told) => panic!("{question} is answered by {told}"),
    }
}

async fn told(store: &OwnStore, question: &str) -> Told {
    match store.reply(question.as_bytes()).await {
        Replied::Here(told) => serde_json::from_str::<Body>(&told).unwrap().told,
        Replied::Refused(why) => panic!("{question} is refused: {why}"),
    }
}

/// Whoever has the token learns what the agents need of each other, and nothing else.
#[tokio::test]
async fn only_what_the_configuration_looks_at_is_told() {
    let sampled = own("observe: { sample: 5 }");
    let named = own("observe: { key: beat }");
    for question in [
        r#"{"protocol":1,"ask":{"canary":"standbywatch/other/a/fast"}}"#,
        r#"{"protocol":1,"ask":{"canary":"secret"}}"#,
        r#"{"protocol":1,"ask":{"random":6}}"#,
    ] {
        assert!(refused(&sampled, question).await.contains("lets be looked at"), "{question}");
    }
    for question in [
        r#"{"protocol":1,"ask":{"random":1}}"#,
        r#"{"protocol":1,"ask":{"keys":["b3RoZXI="]}}"#,
        r#"{"protocol":1,"ask":{"expires":"b3RoZXI="}}"#,
    ] {
        assert!(refused(&named, question).await.contains("lets be looked at"), "{question}");
    }
    let many = vec!["YQ=="; MAX_KEYS + 1];
    let many = serde_json::json!({ "protocol": 1, "ask": { "keys": many } }).to_string();
    assert!(refused(&sampled, &many).await.contains("lets be looked at"));
    // These are answered, here by a store that is not there.
    for (store, question) in [
        (&sampled, r#"{"protocol":1,"ask":{"canary":"standbywatch/shop/a/fast"}}"#),
        (&sampled, r#"{"protocol":1,"ask":"identity"}"#),
        (&sampled, r#"{"protocol":1,"ask":{"random":5}}"#),
        (&sampled, r#"{"protocol":1,"ask":{"keys":["b3RoZXI="]}}"#),
        (&named, r#"{"protocol":1,"ask":{"keys":["YmVhdA=="]}}"#),
    ] {
        let Told::Failed(failure) = told(store, question).await else { panic!("{question}") };
        assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    }
}

#[tokio::test]
async fn what_a_version_does_not_know_it_refuses_by_name() {
    let store = own("observe: { sample: 5 }");
    let version = env!("CARGO_PKG_VERSION");
    for question in [
        "",
        "[]",
        r#"{"protocol":1}"#,
        r#"{"protocol":1,"ask":{"write":"x"}}"#,
        r#"{"protocol":1,"ask":{"keys":["?"]}}"#,
        r#"{"protocol":99,"ask":"identity"}"#,
    ] {
        let why = refused(&store, question).await;
        assert!(why.contains(version), "{question}: {why}");
    }
    let long = serde_json::json!({ "protocol": 1, "ask": { "expires": BASE64.encode([b'x'; MAX_KEY + 1]) } });
    assert!(refused(&store, &long.to_string()).await.contains("too long"));
}

#[test]
fn only_a_store_of_its_own_is_answered_for() {
    assert!(OwnStore::of(&pair(None, "observe: { sample: 5 }")).is_none(), "an observer has none");
    let mut both_reach = pair(Some("beta"), "observe: { sample: 5 }");
    both_reach.kvstore.as_mut().unwrap().own_only.clear();
    assert!(OwnStore::of(&both_reach).is_none());
}

/// What alpha's agent makes of beta's answering its questions with this.
async fn made_of(status: &str, body: &str) -> Result<Option<Mark>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 4096];
            let _ = stream.read(&mut question).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let mut pair = pair(Some("alpha"), "observe: { sample: 5 }");
    pair.nodes[1].agent = Some(format!("http://{address}"));
    pair.seat.as_mut().unwrap().peer.token =
        crate::config::SecretSource::Inline(crate::secret::Secret::new("0123456789abcdef"));
    let mut store = PeerStore::new(&pair, &Name::new("beta"));
    store.mark(Instant::now() + Duration::from_secs(5), "standbywatch/shop/a/fast").await
}

fn envelope(protocol: u32, node: &str, rest: &str) -> String {
    format!(
        r#"{{"protocol":{protocol},"readable_by":{protocol},"version":"9.9.9","pair":"shop","node":"{node}",{rest}}}"#
    )
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_told_by_its_kind() {
    let canary = r#""reads":0,"told":{"canary":{"sequence":7,"nonce":8}}"#;
    let right = made_of("200 OK", &envelope(1, "beta", canary)).await;
    assert_eq!(right.unwrap(), Some(Mark { sequence: 7, nonce: 8 }));
    let none = made_of("200 OK", &envelope(1, "beta", r#""reads":0,"told":{"canary":null}"#)).await;
    assert_eq!(none.unwrap(), None);
    let table = [
        ("200 OK", envelope(2, "beta", r#""told":"news""#), FailureKind::Protocol, "version 9.9.9"),
        ("200 OK", envelope(1, "beta", r#""reads":0,"told":{"news":1}"#), FailureKind::Protocol, "version 9.9.9"),
        (
            "200 OK",
            envelope(1, "beta", r#""reads":0,"told":{"expires":true}"#),
            FailureKind::Protocol,
            "another question",
        ),
        ("200 OK", envelope(1, "alpha", canary), FailureKind::Protocol, "another node"),
        ("200 OK", "<html>".to_owned(), FailureKind::Protocol, "no answer of an agent"),
        ("404 Not Found", r#"{"error":"nothing"}"#.to_owned(), FailureKind::Protocol, "older version"),
        ("400 Bad Request", r#"{"error":"version 1.0.0 says no"}"#.to_owned(), FailureKind::Protocol, "version 1.0.0"),
        ("401 Unauthorized", String::new(), FailureKind::Authentication, "peer.token"),
        ("403 Forbidden", String::new(), FailureKind::Permission, "https://"),
        (
            "200 OK",
            envelope(1, "beta", r#""reads":0,"told":{"failed":{"kind":"refused","message":"nobody listens"}}"#),
            FailureKind::Refused,
            "nobody listens",
        ),
    ];
    for (status, body, kind, words) in table {
        let failure = made_of(status, &body).await.unwrap_err();
        assert!(failure.kind == kind && failure.message.contains(words), "{status} {body}: {:?}", failure);
    }
}

#[tokio::test]
async fn an_agent_that_is_gone_is_unreachable_and_an_observer_asks_none() {
    let soon = Instant::now() + Duration::from_secs(5);
    let mut alone = PeerStore::new(&pair(None, "observe: { sample: 5 }"), &Name::new("beta"));
    let failure = alone.mark(soon, "k").await.unwrap_err();
    assert!(failure.kind == FailureKind::PeerUnreachable && failure.message.contains("asks no agent"), "{failure}");
    let mut pair = pair(Some("alpha"), "observe: { sample: 5 }");
    pair.seat.as_mut().unwrap().peer.token =
        crate::config::SecretSource::Inline(crate::secret::Secret::new("0123456789abcdef"));
    let failure = PeerStore::new(&pair, &Name::new("beta")).mark(soon, "k").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PeerUnreachable, "{failure}");
    assert!(failure.message.contains("the store of beta"), "{failure}");
}
