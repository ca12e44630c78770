//! A client that scrapes as Prometheus does, over one connection that stays open, and measures each scrape.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const ANSWER: Duration = Duration::from_secs(10);

/// Asks one server again and again.
#[derive(Debug)]
pub(super) struct Scraper {
    host: String,
    path: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Scraper {
    /// It connects with the first scrape.
    pub fn of(url: &str) -> Result<Self> {
        let uri: hyper::Uri = url.parse()?;
        Ok(Self { host: uri.authority().context("a host")?.to_string(), path: uri.path().to_owned(), connection: None })
    }

    /// One scrape: its text, and the time from the request to the last byte of the answer.
    pub async fn scrape(&mut self) -> Result<(String, Duration)> {
        let begun = Instant::now();
        match tokio::time::timeout(ANSWER, self.ask()).await {
            Ok(answer) => Ok((answer?, begun.elapsed())),
            Err(_) => bail!("{}: no answer within {ANSWER:?}", self.host),
        }
    }

    /// Connects anew before the next scrape.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    /// The connection is put back only when it has carried a whole answer.
    async fn ask(&mut self) -> Result<String> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await?,
        };
        let request = Request::builder().uri(&self.path).header("host", &self.host).body(Empty::new())?;
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{}{} answered {status}", self.host, self.path);
        }
        self.connection = Some(connection);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let (sender, driving) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driving);
        Ok(sender)
    }
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timings(Vec<Duration>);

impl Timings {
    /// One more.
    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest value that at least this share of all do not exceed; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut timings = Timings::default();
        assert_eq!(timings.quantile(0.5), None);
        for millis in (1..=200).rev() {
            timings.push(Duration::from_millis(millis));
        }
        let millis = |share| timings.quantile(share).map(|took| took.as_millis());
        assert_eq!((millis(0.5), millis(0.99), millis(1.0), millis(0.0)), (Some(100), Some(198), Some(200), Some(1)));
    }
}
