//! Answers that are no Alertmanager's, and strange forms of those that are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers each connection with these bytes, after the whole request, and closes.
async fn canned(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_alertmanager_s_answer_is_never_taken_for_one() {
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 301 Moved Permanently\r\nlocation: https://am/api/v2/alerts\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: https://login/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 5\r\n\r\nlogin",
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML\r\ncontent-length: 5\r\n\r\nlogin",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf",
        b"220 mail.example ESMTP\r\n",
    ];
    for answer in answers {
        let pushing = Pushing::start(vec![canned(answer.to_vec()).await], firing_view(), QUICK);
        pushing.until_counted(PushOutcome::Failed, 2).await;
        let text = String::from_utf8_lossy(answer);
        assert_eq!((pushing.count(PushOutcome::Ok), pushing.count(PushOutcome::Refused)), (0, 0), "{text}");
    }
}

#[tokio::test]
async fn an_answer_of_any_form_that_takes_the_alerts_is_taken() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"status\":\"success\"}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ];
    for answer in answers {
        let pushing = Pushing::start(vec![canned(answer.to_vec()).await], firing_view(), QUICK);
        pushing.until_counted(PushOutcome::Ok, 1).await;
        assert_eq!(pushing.count(PushOutcome::Failed), 0, "{}", String::from_utf8_lossy(answer));
    }
}
