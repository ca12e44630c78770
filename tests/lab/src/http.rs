//! A small HTTP client for the servers of the lab: plain, on loopback, one connection for each request.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

const ANSWER: Duration = Duration::from_secs(30);

/// An answer with whatever status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("not JSON (status {}): {}", self.status, self.text))
    }

    /// Itself if the status is 2xx, else an error with the body.
    pub fn ok(self) -> Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("status {}: {}", self.status, self.text);
        }
        Ok(self)
    }
}

/// `GET url`, e.g. `http://127.0.0.1:19517/metrics`.
///
/// # Errors
/// No connection, or no whole answer within 30 s. A status is no error.
pub async fn get(url: &str) -> Result<Answer> {
    send(Method::GET, url, None).await
}

/// Any request, with a JSON body if one is given.
pub async fn send(method: Method, url: &str, body: Option<&Value>) -> Result<Answer> {
    send_text(method, url, body.map(Value::to_string).unwrap_or_default()).await
}

/// Any request with a body as it is, sent as JSON.
pub async fn send_text(method: Method, url: &str, body: String) -> Result<Answer> {
    let ask = exchange(method.clone(), url, body);
    match tokio::time::timeout(ANSWER, ask).await {
        Ok(answer) => answer.with_context(|| format!("{method} {url}")),
        Err(_) => bail!("{method} {url}: no answer within {ANSWER:?}"),
    }
}

async fn exchange(method: Method, url: &str, body: String) -> Result<Answer> {
    let uri: Uri = url.parse()?;
    let host = uri.authority().context("a URL with a host")?.to_string();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let stream = TcpStream::connect(&host).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", &host).header("content-type", "application/json");
    let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    driving.abort();
    Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}
