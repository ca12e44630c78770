//! Asks the other node's agent for what it reads there.
//!
//! One connection is held, over TLS with a certificate that is known by its fingerprint; made anew after any failure.

use std::time::Duration;

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::{self, Moment};
use crate::config::{Fingerprint, Schedule, Seat, SecretSource};
use crate::facts::{Failure, PeerFacts, Reading};
use crate::http_client::{Connection, Response};
use crate::names::{FailureKind, Name};
use crate::probe::password::password_of;
use crate::units::duration_text;

/// An answer is this long at most, in bytes: some thousand connections or indices. Reading more would keep other probes waiting.
const MAX_BODY: usize = 1 << 20;

/// Asks one other agent.
pub struct PeerProbe {
    pair: Name,
    node: Name,
    url: String,
    path: String,
    token: SecretSource,
    fingerprint: Option<Fingerprint>,
    timeout: Duration,
    held: Option<(Connection, String)>,
}

impl PeerProbe {
    /// A probe of the agent of `node`, which listens at `url`. Connects at its first run.
    pub fn new(pair: &Name, node: &Name, url: &str, seat: &Seat, schedule: Schedule) -> Self {
        Self {
            pair: pair.clone(),
            node: node.clone(),
            url: url.to_owned(),
            path: format!("/api/v1/node?pair={}", utf8_percent_encode(pair.as_str(), NON_ALPHANUMERIC)),
            token: seat.peer.token.clone(),
            fingerprint: seat.peer.fingerprint,
            timeout: schedule.timeout,
            held: None,
        }
    }

    /// One question, under one deadline.
    pub async fn run(&mut self) -> Reading<PeerFacts> {
        let asked = clock::now();
        let answer = match tokio::time::timeout(self.timeout, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => {
                let limit = duration_text(self.timeout);
                Err(Failure::new(FailureKind::Timeout, format!("no complete answer within {limit}")))
            }
        };
        let answered = clock::now();
        let understood = answer.and_then(|response| self.understand(&response, asked, answered));
        if understood.is_err() {
            self.held = None;
        }
        let result = understood.map_err(|Failure { kind, message }| {
            // The cure comes first to mind; a long message would push it out.
            let message: String = message.chars().take(300).collect();
            Failure::new(kind, format!("the agent of {}: {message}{}", self.node, cure(kind, &message)))
        });
        Reading { asked, answered, result }
    }

    async fn ask(&mut self) -> Result<Response, Failure> {
        let (mut connection, bearer) = match self.held.take() {
            Some(held) => held,
            None => self.connect().await?,
        };
        let headers = [("authorization", bearer.as_str()), ("accept", "application/json")];
        let response = connection.send(Method::GET, &self.path, &headers, Vec::new(), MAX_BODY).await?;
        self.held = Some((connection, bearer));
        Ok(response)
    }

    /// The token is read anew each time.
    async fn connect(&self) -> Result<(Connection, String), Failure> {
        let mut connection = Connection::new(&self.url)?;
        if let Some(Fingerprint(fingerprint)) = self.fingerprint {
            connection.trust_fingerprint(fingerprint)?;
        }
        let token = password_of(Some(&self.token)).await?;
        let token = token.as_ref().map_or("", |token| token.expose());
        Ok((connection, format!("Bearer {token}")))
    }

    fn understand(&self, response: &Response, asked: Moment, answered: Moment) -> Result<PeerFacts, Failure> {
        let wrong = |kind, message: String| Err(Failure::new(kind, message));
        match response.status {
            200 => PeerFacts::read(&response.body, &self.pair, &self.node, asked, answered)
                .or_else(|message| wrong(FailureKind::Protocol, message)),
            401 => wrong(
                FailureKind::Authentication,
                "it does not take our token: copy the same peer.token to both nodes, and reload both agents".to_owned(),
            ),
            403 => wrong(FailureKind::Permission, "it answers over TLS only: write https:// in `agent`".to_owned()),
            404 => wrong(
                FailureKind::Protocol,
                format!("it is no agent of a node of pair {}, or an older version: check its configuration", self.pair),
            ),
            300..=399 => wrong(
                FailureKind::Protocol,
                "it answers with a redirect, which is not followed: write its own address in `agent`".to_owned(),
            ),
            status => wrong(FailureKind::Protocol, format!("it answers with status {status}; look at its log")),
        }
    }
}

/// What helps against failures on the way there, which do not say it themselves.
fn cure(kind: FailureKind, message: &str) -> &'static str {
    match kind {
        FailureKind::Unreachable | FailureKind::Refused | FailureKind::Timeout => {
            "; is it running, and is the way to it open? check `agent` and the firewall"
        }
        FailureKind::Tls => {
            "; the same peer.crt, peer.key and peer.fingerprint belong on every node, and `agent` must name the agent's port"
        }
        FailureKind::TooLarge => "; check the URL in `agent`",
        FailureKind::Protocol if message.starts_with("asking ") => "; check the URL in `agent`",
        _ => "",
    }
}
