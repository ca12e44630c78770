//! The side that judges: a store that is read by its node's own agent. It is never written to from here.

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, timeout_at};

use super::{Ask, Body, Envelope, Key, MAX_ANSWER, MAX_KEY, MAX_KEYS, PATH, Told};
use crate::config::{Fingerprint, PairConfig, PeerConfig};
use crate::facts::{Failure, OLDEST_PROTOCOL, PROTOCOL};
use crate::http_client::{Connection, Response};
use crate::names::{FailureKind, Name};
use crate::probe::kvstore::canary::Mark;
use crate::probe::kvstore::observe::Seen;
use crate::probe::kvstore::store::{Identity, WriteFailure};
use crate::probe::password::password_of;

/// One node's store, behind that node's agent.
pub struct PeerStore {
    pair: Name,
    node: Name,
    path: String,
    /// How its agent is asked. `None`: this process asks no agent.
    agent: Option<(String, PeerConfig)>,
    held: Option<(Connection, String)>,
}

impl PeerStore {
    /// The store of `node`. Connects when it is first asked.
    pub fn new(pair: &PairConfig, node: &Name) -> Self {
        let url = pair.node(node).and_then(|node| node.agent.clone());
        let peer = pair.seat.as_ref().map(|seat| seat.peer.clone());
        Self {
            pair: pair.name.clone(),
            node: node.clone(),
            path: format!("{PATH}?pair={}", utf8_percent_encode(pair.name.as_str(), NON_ALPHANUMERIC)),
            agent: url.zip(peer),
            held: None,
        }
    }

    /// The canary under `key`.
    ///
    /// # Errors
    /// `peer_unreachable` where its agent cannot be asked, else the store's own failure as that agent tells it.
    pub async fn mark(&mut self, deadline: Instant, key: &str) -> Result<Option<Mark>, Failure> {
        match self.ask(deadline, Ask::Canary(key.to_owned())).await? {
            (Told::Canary(stored), _) => Ok(stored.map(Into::into)),
            _ => Err(self.not_an_answer()),
        }
    }

    /// Who the server is; `None` where its kind does not tell.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn identity(&mut self, deadline: Instant) -> Result<Option<Identity>, Failure> {
        match self.ask(deadline, Ask::Identity).await? {
            (Told::Identity(server), _) => Ok(server.map(Into::into)),
            _ => Err(self.not_an_answer()),
        }
    }

    /// How many keys there are, and keys at random. With them, how many reads that took.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn sample(
        &mut self,
        deadline: Instant,
        count: usize,
    ) -> Result<(Option<u64>, Vec<Vec<u8>>, usize), Failure> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.ask(deadline, Ask::Random(count)).await? {
            (Told::Random { size, keys }, reads) => Ok((size, keys.into_iter().map(|Key(key)| key).collect(), reads)),
            _ => Err(self.not_an_answer()),
        }
    }

    /// What there is under these keys, in their order. With it, how many reads that took.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn seen(&mut self, deadline: Instant, keys: &[Vec<u8>]) -> Result<(Vec<Seen>, usize), Failure> {
        // What cannot travel is not compared.
        let travels = |key: &&Vec<u8>| key.len() <= MAX_KEY;
        let asked: Vec<Key> = keys.iter().filter(travels).take(MAX_KEYS).map(|key| Key(key.clone())).collect();
        let wanted = asked.len();
        let (told, reads) = self.ask(deadline, Ask::Keys(asked)).await?;
        let Told::Keys(told) = told else { return Err(self.not_an_answer()) };
        if told.len() != wanted {
            return Err(self.not_an_answer());
        }
        let mut told = told.into_iter();
        let of = |key: &Vec<u8>| if travels(&key) { told.next().unwrap_or(Seen::Other) } else { Seen::Other };
        Ok((keys.iter().map(of).collect(), reads))
    }

    /// Whether the key goes away by itself. With it, how many reads that took.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn expires(&mut self, deadline: Instant, key: &[u8]) -> Result<(bool, usize), Failure> {
        match self.ask(deadline, Ask::Expires(Key(key.to_vec()))).await? {
            (Told::Expires(expires), reads) => Ok((expires, reads)),
            _ => Err(self.not_an_answer()),
        }
    }

    /// Nobody writes here but who stands on that node.
    pub fn no_write(&self) -> WriteFailure {
        let message = format!("the store of {} is written to on its own node only", self.node);
        WriteFailure::not_sent(Failure::new(FailureKind::Unreachable, message))
    }

    async fn ask(&mut self, deadline: Instant, ask: Ask) -> Result<(Told, usize), Failure> {
        let asked = match timeout_at(deadline, self.exchange(&ask)).await {
            Ok(answer) => answer.and_then(|response| self.understand(&response)),
            Err(_) => Err(Failure::new(FailureKind::PeerUnreachable, "no complete answer in time")),
        };
        let body = match asked {
            Ok(body) => body,
            Err(Failure { kind, message }) => {
                self.held = None;
                return Err(Failure::new(kind, format!("the store of {}, by its agent: {message}", self.node)));
            }
        };
        match body.told {
            Told::Failed(failure) => Err(Failure::new(failure.kind, failure.message)),
            told => Ok((told, body.reads)),
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Response, Failure> {
        let gone = |failure: Failure| Failure::new(FailureKind::PeerUnreachable, failure.message);
        let (mut connection, bearer) = match self.held.take() {
            Some(held) => held,
            None => self.connect().await?,
        };
        let headers =
            [("authorization", bearer.as_str()), ("accept", "application/json"), ("content-type", "application/json")];
        let question = serde_json::json!({ "protocol": PROTOCOL, "ask": ask });
        let question = question.to_string().into_bytes();
        let sent = connection.send(Method::POST, &self.path, &headers, question.clone(), MAX_ANSWER).await;
        let response = match sent {
            Ok(response) => response,
            // The connection had been closed meanwhile, perhaps; asking again does no harm.
            Err(_) => {
                let again = connection.send(Method::POST, &self.path, &headers, question, MAX_ANSWER).await;
                again.map_err(|error| gone(error.into()))?
            }
        };
        self.held = Some((connection, bearer));
        Ok(response)
    }

    /// The token is read anew each time.
    async fn connect(&self) -> Result<(Connection, String), Failure> {
        let Some((url, peer)) = &self.agent else {
            let message = "nobody but its own agent reaches it, and this process asks no agent: start one on each node";
            return Err(Failure::new(FailureKind::PeerUnreachable, message));
        };
        let mut connection = Connection::new(url)?;
        if let Some(Fingerprint(fingerprint)) = peer.fingerprint {
            connection.trust_fingerprint(fingerprint)?;
        }
        let token = password_of(Some(&peer.token)).await?;
        let token = token.as_ref().map_or("", |token| token.expose());
        Ok((connection, format!("Bearer {token}")))
    }

    fn understand(&self, response: &Response) -> Result<Body, Failure> {
        let wrong = |kind, message: &str| Err(Failure::new(kind, message));
        match response.status {
            200 => self.read(&response.body).map_err(|message| Failure::new(FailureKind::Protocol, message)),
            401 => wrong(
                FailureKind::Authentication,
                "it does not take our token: copy the same peer.token to both nodes, and reload both agents",
            ),
            403 => wrong(FailureKind::Permission, "it answers over TLS only: write https:// in `agent`"),
            404 => wrong(
                FailureKind::Protocol,
                "it is an older version that tells nothing of its store, or has none of its own: update it, and give both \
                 agents the same file",
            ),
            status => {
                wrong(FailureKind::Protocol, &format!("it answers with status {status}: {}", response.excerpt(300)))
            }
        }
    }

    fn read(&self, text: &[u8]) -> Result<Body, String> {
        let no_agent = |error: serde_json::Error| format!("this is no answer of an agent ({error}); check the URL");
        let Envelope { protocol, readable_by, version, pair, node } = serde_json::from_slice(text).map_err(no_agent)?;
        let version: String = version.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
        if protocol < OLDEST_PROTOCOL || readable_by > PROTOCOL {
            return Err(format!(
                "it is version {version} and speaks version {protocol} of the agents' exchange, this agent version {PROTOCOL}: \
                 update the older one"
            ));
        }
        if pair != self.pair.as_str() || node != self.node.as_str() {
            return Err("it is the agent of another node: check the agents' URLs and --node".to_owned());
        }
        serde_json::from_slice(text)
            .map_err(|error| format!("the answer of its version {version} is not understood: {error}"))
    }

    fn not_an_answer(&self) -> Failure {
        let message =
            format!("the agent of {} answers another question than was asked: update the older agent", self.node);
        Failure::new(FailureKind::Protocol, message)
    }
}
