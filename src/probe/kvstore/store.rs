//! The kinds of store behind one small face: write a value, read it, say who you are.

use std::time::Duration;

use tokio::time::Instant;

use super::canary::Mark;
use super::exchange::PeerStore;
use super::exec::ExecStore;
use super::http::HttpStore;
use super::redis::RedisStore;
use super::tcp::TcpStore;
use crate::config::{KvstoreNode, NodeConfig, PairConfig};
use crate::facts::Failure;
use crate::names::Name;

/// One store, or the gateway in front of both.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
pub(super) enum Store {
    Redis(RedisStore),
    Http(HttpStore),
    Exec(ExecStore),
    Tcp(TcpStore),
    /// Read by its own node's agent.
    Peer(PeerStore),
}

/// Whether two stores are one server; `None` where that cannot be told.
pub(super) async fn are_one(one: &mut Store, other: &mut Store, deadline: Instant) -> Option<bool> {
    let (one, other) = tokio::join!(one.identity(deadline), other.identity(deadline));
    // A server makes up another run id at each start, so that no two have the same.
    Some(one.ok()??.run_id == other.ok()??.run_id)
}

/// A write that was not acknowledged.
#[derive(Debug)]
pub(super) struct WriteFailure {
    pub(super) failure: Failure,
    /// It had left: unless the store answered an error, it may land later.
    pub(super) sent: bool,
}

impl WriteFailure {
    pub(super) const fn not_sent(failure: Failure) -> Self {
        Self { failure, sent: false }
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Another one after each start.
    pub(super) run_id: String,
    /// Since its start.
    pub(super) uptime: Duration,
    /// Keys thrown away since its start to make room.
    pub(super) evicted: u64,
    /// It may throw keys away.
    pub(super) evicts: bool,
}

impl Store {
    /// The stores of a pair that this process looks at, each by the way that leads there.
    pub(super) fn all(pair: &PairConfig) -> Vec<(Name, Self)> {
        let own_only = |name: &Name| pair.kvstore.as_ref().is_some_and(|channel| channel.own_only.contains(name));
        let here = |name: &Name| pair.seat.as_ref().is_some_and(|seat| seat.node == *name);
        let store = |node: &NodeConfig| {
            let (name, settings) = (node.name.clone(), node.kvstore.as_ref()?);
            let by_its_agent = own_only(&name) && !here(&name);
            let store = if by_its_agent { Self::Peer(PeerStore::new(pair, &name)) } else { Self::new(&name, settings) };
            Some((name, store))
        };
        pair.nodes.iter().filter_map(store).collect()
    }

    /// Whether this process may write to it.
    pub(super) const fn takes_writes(&self) -> bool {
        !matches!(self, Self::Peer(_))
    }

    pub(super) fn new(name: &Name, node: &KvstoreNode) -> Self {
        match node {
            KvstoreNode::Redis(settings) => Self::Redis(RedisStore::new(name.clone(), settings.clone())),
            KvstoreNode::Http(settings) => Self::Http(HttpStore::new(name.clone(), settings.clone())),
            KvstoreNode::Exec(settings) => Self::Exec(ExecStore::new(name.clone(), settings.clone())),
            KvstoreNode::Tcp(settings) => Self::Tcp(TcpStore::new(name.clone(), settings.clone())),
        }
    }

    /// Connects where connections are held, so that it is no part of what is measured.
    pub(super) async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Redis(store) => store.connect(deadline).await,
            Self::Tcp(store) => store.connect(deadline).await,
            Self::Http(_) | Self::Exec(_) | Self::Peer(_) => Ok(()),
        }
    }

    pub(super) async fn put(
        &mut self,
        deadline: Instant,
        key: &str,
        value: &str,
        ttl: Duration,
    ) -> Result<(), WriteFailure> {
        match self {
            Self::Redis(store) => store.put(deadline, key, value, ttl).await,
            Self::Http(store) => store.put(deadline, key, value, ttl).await,
            Self::Exec(store) => store.put(deadline, key, value, ttl).await,
            Self::Tcp(store) => Err(WriteFailure::not_sent(store.cannot())),
            Self::Peer(store) => Err(store.no_write()),
        }
    }

    /// What is stored under `key`; `None` where nothing is.
    pub(super) async fn get(&mut self, deadline: Instant, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Redis(store) => store.get(deadline, key).await,
            Self::Http(store) => store.get(deadline, key).await,
            Self::Exec(store) => store.get(deadline, key).await,
            Self::Tcp(store) => Err(store.cannot()),
            Self::Peer(store) => Err(store.no_write().failure),
        }
    }

    pub(super) async fn mark(&mut self, deadline: Instant, key: &str) -> Result<Option<Mark>, Failure> {
        if let Self::Peer(store) = self {
            return store.mark(deadline, key).await;
        }
        self.get(deadline, key).await.map(|value| value.as_deref().and_then(Mark::read))
    }

    /// Takes an own key away, where the store knows how.
    pub(super) async fn delete(&mut self, deadline: Instant, key: &str) -> Result<(), Failure> {
        match self {
            Self::Redis(store) => store.delete(deadline, key).await,
            Self::Http(store) => store.delete(deadline, key).await,
            Self::Exec(store) => store.delete(deadline, key).await,
            // What lies there expires, or is taken away by the gateway.
            Self::Tcp(_) | Self::Peer(_) => Ok(()),
        }
    }

    /// Its kind tells who the server is.
    pub(super) const fn says_who_it_is(&self) -> bool {
        matches!(self, Self::Redis(_) | Self::Peer(_))
    }

    /// Who the server is; `Ok(None)` where its kind does not tell.
    pub(super) async fn identity(&mut self, deadline: Instant) -> Result<Option<Identity>, Failure> {
        match self {
            Self::Redis(store) => store.identity(deadline).await.map(Some),
            Self::Peer(store) => store.identity(deadline).await,
            Self::Http(_) | Self::Exec(_) | Self::Tcp(_) => Ok(None),
        }
    }

    #[cfg(test)]
    pub(super) fn redis(&mut self) -> &mut RedisStore {
        match self {
            Self::Redis(store) => store,
            _ => panic!("another kind of store"),
        }
    }
}
