//! HTTP: which path answers what (`routes`), who may ask (`openness`), how answers look (`answer`), and the limits here.
//!
//! A request only renders published snapshots: it touches no server and waits for nothing. (Two wait: `POST /-/reload`, and `POST /api/v1/node/store` for the store.)

mod answer;
mod openness;
pub mod peer;
pub mod peer_store;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::peer::PeerAccess;
use self::peer_store::OwnStores;
use crate::history::day::SharedDay;
use crate::names::Name;
use crate::snapshot::{Finding, Sample, Snapshot};

/// A request's head may be this long, in bytes; longer ones are answered with 431.
const MAX_HEAD: usize = 16 * 1024;
/// A request's head may have this many fields.
const MAX_HEADERS: usize = 64;
/// Where requests in progress get this long to finish when the agent stops.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// What the flags say about the server.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// `--web.telemetry-path`.
    pub telemetry_path: String,
    /// `--web.max-requests`: connections served at the same time; further ones are answered with 503.
    pub max_requests: usize,
    /// A request's head must be complete within this time; also the longest pause between two requests of a connection.
    pub head_timeout: Duration,
    /// A connection is closed at this age, whatever it does, so that a peer that never reads cannot hold one for ever.
    pub connection_lifetime: Duration,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            max_requests: 40,
            head_timeout: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(300),
        }
    }
}

/// The published snapshots of all pairs.
pub type Pairs = Arc<[watch::Receiver<Arc<Snapshot>>]>;

/// A reload that somebody waits for: is told what became of it, in words where it failed.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What requests are answered from.
pub struct ServeState {
    settings: WebSettings,
    pairs: RwLock<Pairs>,
    /// Pairs are being replaced: their hubs have stopped on purpose.
    reloading: AtomicBool,
    agent_samples: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    agent_findings: watch::Receiver<Arc<Vec<Finding>>>,
    agent_notes: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    reload: Option<mpsc::Sender<ReloadRequest>>,
    peer: RwLock<Option<Arc<PeerAccess>>>,
    stores: RwLock<OwnStores>,
    days: RwLock<BTreeMap<Name, SharedDay>>,
}

impl ServeState {
    /// `agent_samples` is called at each scrape; it gives the agent's own samples and must not block.
    pub fn new(
        settings: WebSettings,
        pairs: impl Into<Pairs>,
        agent_samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Self {
        Self {
            settings,
            pairs: RwLock::new(pairs.into()),
            reloading: AtomicBool::new(false),
            agent_samples: Box::new(agent_samples),
            agent_findings: watch::channel(Arc::default()).1,
            agent_notes: Box::new(Vec::new),
            reload: None,
            peer: RwLock::default(),
            stores: RwLock::default(),
            days: RwLock::default(),
        }
    }

    /// Shows what fires in the agent itself, too.
    #[must_use]
    pub fn with_findings(self, agent_findings: watch::Receiver<Arc<Vec<Finding>>>) -> Self {
        Self { agent_findings, ..self }
    }

    /// Shows what else is wrong with the agent, each a sentence; called at each look, and must not block.
    #[must_use]
    pub fn with_notes(self, agent_notes: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self { agent_notes: Box::new(agent_notes), ..self }
    }

    /// Who reloads when asked to by `POST /-/reload`; nobody, unless it is enabled.
    #[must_use]
    pub fn with_reload(self, reload: Option<mpsc::Sender<ReloadRequest>>) -> Self {
        Self { reload, ..self }
    }

    /// From here on hubs of pairs may stop, since others are about to follow; or no more.
    pub fn reloads(&self, now: bool) {
        self.reloading.store(now, Ordering::SeqCst);
    }

    fn is_reloading(&self) -> bool {
        self.reloading.load(Ordering::SeqCst)
    }

    /// After a reload: other pairs are watched from now on.
    pub fn replace_pairs(&self, pairs: impl Into<Pairs>) {
        *self.pairs.write().unwrap_or_else(PoisonError::into_inner) = pairs.into();
    }

    /// How other nodes' agents are let in from now on; `None`: not at all.
    pub fn let_in(&self, peer: Option<PeerAccess>) {
        *self.peer.write().unwrap_or_else(PoisonError::into_inner) = peer.map(Arc::new);
    }

    fn peer(&self) -> Option<Arc<PeerAccess>> {
        self.peer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stores that other nodes' agents may ask for from now on.
    pub fn replace_stores(&self, stores: OwnStores) {
        *self.stores.write().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    fn own_store(&self, pair: &str) -> Option<Arc<crate::probe::kvstore::exchange::OwnStore>> {
        self.stores.read().unwrap_or_else(PoisonError::into_inner).get(&Name::new(pair)).cloned()
    }

    /// Where the last day of each pair is read from.
    pub fn replace_days(&self, days: BTreeMap<Name, SharedDay>) {
        *self.days.write().unwrap_or_else(PoisonError::into_inner) = days;
    }

    fn day(&self, pair: &str) -> Option<SharedDay> {
        self.days.read().unwrap_or_else(PoisonError::into_inner).get(&Name::new(pair)).cloned()
    }

    fn pairs(&self) -> Pairs {
        self.pairs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers requests on `listener` until `shutdown` is done; then requests in progress may finish for a short time.
///
/// Connections over the limit get a polite 503; when there are twice as many as allowed, they are closed without a word.
pub async fn serve(listener: TcpListener, state: Arc<ServeState>, shutdown: impl Future<Output = ()>) {
    let served = Arc::new(Semaphore::new(state.settings.max_requests));
    let refused = Arc::new(Semaphore::new(state.settings.max_requests));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Finished connections are forgotten, so that the set stays as small as the limits.
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (permit, over_limit) = match served.clone().try_acquire_owned() {
                    Ok(permit) => (permit, false),
                    Err(_) => match refused.clone().try_acquire_owned() {
                        Ok(permit) => (permit, true),
                        Err(_) => continue,
                    },
                };
                connections.spawn(connection(stream, peer, state.clone(), over_limit, permit, graceful.watcher()));
                // An agent that was stopped finds a queue of peers that have long gone. Each gets its turn, and so its end,
                // before the next is let in; else they would fill the limit and keep out whoever asks now.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                // Out of file descriptors, mostly. Trying again at once would only burn the processor.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(FINISH_WITHIN, graceful.shutdown()).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<ServeState>,
    over_limit: bool,
    _permit: OwnedSemaphorePermit,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let access = state.peer();
    let Some(acceptor) = access.as_deref().and_then(PeerAccess::acceptor) else {
        return exchange(stream, Caller { address: peer, encrypted: false }, &state, over_limit, watcher).await;
    };
    // Other agents speak TLS on the port where everybody else speaks plainly; the first byte tells which it is.
    let (limit, plain) = (state.settings.head_timeout, Caller { address: peer, encrypted: false });
    match tokio::time::timeout(limit, peer::begins_tls(&stream)).await {
        Ok(Ok(true)) => match tokio::time::timeout(limit, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                exchange(stream, Caller { encrypted: true, ..plain }, &state, over_limit, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        },
        Ok(Ok(false)) => exchange(stream, plain, &state, over_limit, watcher).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
        Err(_) => tracing::debug!(%peer, "nothing was asked"),
    }
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    encrypted: bool,
}

/// Answers the requests of one connection.
async fn exchange<S>(
    stream: S,
    caller: Caller,
    state: &ServeState,
    over_limit: bool,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let settings = &state.settings;
    let service = service_fn(|request| async move {
        let response = match routes::asks_to_reload(&request) {
            _ if over_limit => answer::too_many_connections(),
            true => routes::reload(&request, caller.address, state).await,
            false if peer_store::asks_for_store(&request) => peer_store::store(request, caller, state).await,
            false => routes::respond(&request, caller, state),
        };
        Ok::<_, Infallible>(response)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(!over_limit)
        .serve_connection(TokioIo::new(stream), service);
    let peer = caller.address;
    // Dropping the connection closes it.
    match tokio::time::timeout(settings.connection_lifetime, watcher.watch(served)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
        Err(_) => tracing::debug!(%peer, "connection closed at the end of its lifetime"),
    }
}
