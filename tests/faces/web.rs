//! One request as it goes over the wire, with any head, and the answer's head too.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use standbywatch_lab::{Agent, Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub head: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, unpacked if it came packed.
    pub fn text(&self) -> Result<String> {
        if self.head.get("content-encoding").is_none_or(|encoding| encoding != "gzip") {
            return Ok(String::from_utf8(self.body.clone())?);
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(self.body.as_slice()).read_to_string(&mut text).context("unpack")?;
        Ok(text)
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("not JSON")
    }
}

/// `METHOD path` with these lines in the head beside `Host`.
pub async fn ask(agent: &Agent, method: &str, path: &str, head: &[&str]) -> Result<Answer> {
    let address = agent.address()?;
    let mut stream = TcpStream::connect(address).await?;
    let more: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.context("no answer")??;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    let text = std::str::from_utf8(&bytes[..end])?;
    let (status, fields) = text.split_once("\r\n").unwrap_or((text, ""));
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    let fields = fields.lines().filter_map(|line| line.split_once(": "));
    let head = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Ok(Answer { status, head, body: bytes[end + 4..].to_vec() })
}

/// `GET path`.
pub async fn get(agent: &Agent, path: &str) -> Result<Answer> {
    ask(agent, "GET", path, &[]).await
}
