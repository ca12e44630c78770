//! Canned answers over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Answers each connection's first request with `answer`, keeps what was asked, then closes.
async fn server(answer: Vec<u8>, connections: usize) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            asked.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            // The client may hang up first when the answer is too long for it.
            let _ = stream.write_all(&answer).await;
        }
        asked
    });
    (url, task)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn asks_with_path_headers_and_basic_authentication() {
    let (url, server) = server(ok("hello"), 1).await;
    let url = url.replace("http://", "http://me:p%40ss@");
    let response = get(&format!("{url}/a/b?c=d"), &[("accept", "text/plain")], SECOND, 100).await.unwrap();
    assert_eq!((response.status, response.excerpt(3)), (200, "hel…".to_owned()));
    let asked = server.await.unwrap().remove(0);
    assert!(asked.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: 127.0.0.1:") && asked.contains("accept: text/plain"), "{asked}");
    assert!(asked.contains(&format!("authorization: Basic {}", BASE64.encode("me:p@ss"))), "{asked}");
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let (url, server) = server(ok("{}"), 2).await;
    let mut connection = Connection::new(&format!("{url}/prefix/")).unwrap();
    assert!(connection.get("/one", 100).await.unwrap().is_success());
    assert!(connection.get("/two", 100).await.unwrap().is_success());
    let asked = server.await.unwrap();
    assert!(asked[1].starts_with("GET /prefix/two HTTP/1.1\r\n"), "{asked:?}");
}

#[tokio::test]
async fn every_failure_has_its_kind() {
    let kind_of = async |url: &str, deadline| get(url, &[], deadline, 100).await.unwrap_err().kind;

    let (url, _server) = server(ok(&"x".repeat(200)), 1).await;
    assert_eq!(kind_of(&url, SECOND).await, FailureKind::TooLarge);
    let (url, _server) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf".to_vec(), 1).await;
    assert_eq!(kind_of(&url, SECOND).await, FailureKind::Protocol);
    let (url, _server) = server(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), 1).await;
    assert_eq!(kind_of(&url, SECOND).await, FailureKind::Protocol);
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 2 * MAX_HEAD]].concat();
    let (url, _server) = server(endless, 1).await;
    assert_eq!(kind_of(&url, SECOND).await, FailureKind::TooLarge);
    let (url, _server) = server(b"no tls here, sorry".to_vec(), 1).await;
    assert_eq!(kind_of(&url.replace("http:", "https:"), SECOND).await, FailureKind::Tls);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    assert_eq!(kind_of(&url, Duration::from_millis(50)).await, FailureKind::Timeout);
    drop(silent);
    assert_eq!(kind_of(&url, SECOND).await, FailureKind::Refused);
    for wrong in ["", "ftp://x/", "127.0.0.1:9200", "http://", "http:///x"] {
        assert_eq!(kind_of(wrong, SECOND).await, FailureKind::Unreachable, "{wrong}");
    }
}

#[tokio::test]
async fn a_post_carries_its_body() {
    let (url, server) = server(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno\n".to_vec(), 1).await;
    let json = [("content-type", "application/json")];
    let response = post(&url, &json, b"[1]".to_vec(), SECOND, 100).await.unwrap();
    assert_eq!((response.status, response.is_success(), response.excerpt(10)), (400, false, "no".to_owned()));
    let asked = server.await.unwrap().remove(0);
    assert!(asked.starts_with("POST / HTTP/1.1\r\n") && asked.ends_with("[1]"), "{asked}");
}
