//! Asks the other node's agent for the whole manifest of its tree of configuration. Only when one is wanted that is not held here,
//! over a connection of its own, so that it keeps no other question waiting.

use std::time::Duration;

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::peer::{connect, refusal};
use crate::clock;
use crate::config::Seat;
use crate::facts::manifest::MOST_BYTES;
use crate::facts::{Arrived, Failure, Reading, TREE_HEAD, TreeFacts, TreeHead};
use crate::http_client::Response;
use crate::names::{FailureKind, Name};
use crate::units::duration_text;

/// A manifest of 32 MiB comes within this time where a mebibyte comes each second.
const DEADLINE: Duration = Duration::from_secs(30);

/// Asks one other agent.
pub struct PeerTreeProbe {
    pair: Name,
    node: Name,
    url: String,
    path: String,
    seat: Seat,
    most_entries: u32,
}

impl PeerTreeProbe {
    /// A probe of the agent of `node`, which listens at `url`, for a tree of at most so many entries.
    pub fn new(pair: &Name, node: &Name, url: &str, seat: &Seat, most_entries: u32) -> Self {
        Self {
            pair: pair.clone(),
            node: node.clone(),
            url: url.to_owned(),
            path: format!("/api/v1/node/tree?pair={}", utf8_percent_encode(pair.as_str(), NON_ALPHANUMERIC)),
            seat: seat.clone(),
            most_entries,
        }
    }

    /// One question, under one deadline.
    ///
    /// # Errors
    /// A reading of its own of the failure.
    pub async fn run(&self) -> Result<Arrived<TreeFacts>, Reading<TreeFacts>> {
        let asked = clock::now();
        let answer = match tokio::time::timeout(DEADLINE, self.ask()).await {
            Ok(answer) => answer,
            Err(_) => {
                let message = format!("no complete answer within {}", duration_text(DEADLINE));
                Err(Failure::new(FailureKind::Timeout, message))
            }
        };
        let answered = clock::now();
        let understood = match answer {
            Ok(response) => self.understand(response, (asked, answered)).await,
            Err(failure) => Err(failure),
        };
        understood.map_err(|Failure { kind, message }| {
            let failure = Failure::new(kind, format!("the agent of {}, asked for its tree: {message}", self.node));
            Reading { asked, answered, result: Err(failure) }
        })
    }

    async fn ask(&self) -> Result<Response, Failure> {
        let (mut connection, bearer) = connect(&self.url, &self.seat.peer.token, self.seat.peer.fingerprint).await?;
        let headers = [("authorization", bearer.as_str())];
        Ok(connection.send(Method::GET, &self.path, &headers, Vec::new(), MOST_BYTES).await?)
    }

    /// Aside, since there may be a million entries to be looked at.
    async fn understand(
        &self,
        response: Response,
        moments: (clock::Moment, clock::Moment),
    ) -> Result<Arrived<TreeFacts>, Failure> {
        let wrong = |kind, message: String| Err(Failure::new(kind, message));
        match response.status {
            200 => {}
            404 => {
                let message = "it is an older version, which does not tell its tree: update it";
                return wrong(FailureKind::Protocol, message.to_owned());
            }
            503 => return wrong(FailureKind::StartingUp, "it has not read its tree, or cannot".to_owned()),
            status => return Err(refusal(status, &self.pair)),
        }
        let head = response.headers.get(TREE_HEAD).map(|head| serde_json::from_slice::<TreeHead>(head.as_bytes()));
        let Some(Ok(head)) = head else {
            return wrong(FailureKind::Protocol, "this is no answer of an agent; check the URL".to_owned());
        };
        let (pair, node, most) = (self.pair.clone(), self.node.clone(), self.most_entries);
        let reading = tokio::task::spawn_blocking(move || head.read(&response.body, (&pair, &node), moments, most));
        match reading.await {
            Ok(Ok(arrived)) => Ok(arrived),
            Ok(Err(message)) => wrong(FailureKind::Protocol, message),
            Err(error) => wrong(FailureKind::Protocol, error.to_string()),
        }
    }
}
