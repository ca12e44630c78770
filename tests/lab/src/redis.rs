//! Two key-value stores and a writer that writes to the standby's first.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cable::Cable;
use crate::lab::{Lab, stage};
use crate::postgres::Certificate;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{find, ports};

const ANSWER: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(20);
/// The application writes this often at most, and then all that is due.
const BEAT: Duration = Duration::from_millis(20);

/// What a store keeps over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: a restart wipes it.
    #[default]
    Nothing,
    /// An append-only file, written at each command.
    AppendOnly,
}

/// One `redis-server`.
#[derive(Debug)]
pub struct RedisServer {
    /// The process: freeze, thaw, stop, kill.
    pub server: Server,
    port: u16,
    persistence: Persistence,
    extra: Vec<String>,
}

impl RedisServer {
    /// Starts a store of this name and waits until it answers.
    pub async fn start(lab: &Lab, name: &str, persistence: Persistence) -> Result<Self> {
        Self::start_with(lab, name, persistence, &[]).await
    }

    /// The same with further arguments, e.g. `["--maxmemory", "2mb"]`.
    pub async fn start_with(lab: &Lab, name: &str, persistence: Persistence, extra: &[&str]) -> Result<Self> {
        let dir = lab.server_dir(name)?;
        let extra = extra.iter().map(|&word| word.to_owned()).collect();
        let this = Self { server: Server::new(lab, name, &dir), port: ports::lease()?, persistence, extra };
        this.start_again().await?;
        Ok(this)
    }

    /// A store that speaks TLS on a port of its own, besides the plain one that the laboratory uses.
    pub async fn start_with_tls(lab: &Lab, name: &str, certificate: &Certificate) -> Result<(Self, SocketAddr)> {
        let port = ports::lease()?;
        // The store is another user, who must read them.
        let copy = |file: &Path, kind: &str| -> Result<String> {
            let path = lab.write(&format!("{name}-{kind}.pem"), &std::fs::read_to_string(file)?)?;
            Ok(path.to_string_lossy().into_owned())
        };
        let (file, key) = (copy(&certificate.certificate, "certificate")?, copy(&certificate.key, "key")?);
        let extra = [
            ["--tls-port", &port.to_string()],
            ["--tls-cert-file", &file],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &file],
            ["--tls-auth-clients", "no"],
        ];
        let this = Self::start_with(lab, name, Persistence::Nothing, extra.as_flattened()).await?;
        Ok((this, (Ipv4Addr::LOCALHOST, port).into()))
    }

    /// Starts it after it was stopped or killed, on the same port.
    pub async fn start_again(&self) -> Result<()> {
        let mut command = Command::new(find::program("redis-server")?);
        let append = match self.persistence {
            Persistence::Nothing => "no",
            Persistence::AppendOnly => "yes",
        };
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", append])
            .args(["--appendfsync", "always", "--daemonize", "no"])
            .args(["--port", &self.port.to_string()])
            .args(&self.extra);
        self.server.launch(command, As::Server)?;
        wait_until("the store answers", START, async || {
            if !self.server.is_running() {
                bail!("it ended");
            }
            let answer: String = self.command(&["PING"]).await?;
            Ok((answer == "PONG").then_some(()))
        })
        .await
        .with_context(|| self.server.log_tail())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Runs one command, directly on the store, e.g. `["GET", "key"]`.
    ///
    /// # Errors
    /// The store's, or no answer within 5 s.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        let mut connection = connect(self.address()).await?;
        run(&mut connection, words).await
    }
}

/// The two stores of a pair: `kv-alpha` of the primary, `kv-beta` of the standby.
#[derive(Debug)]
pub struct RedisPair {
    /// The primary's store.
    pub primary: RedisServer,
    /// The standby's store.
    pub standby: RedisServer,
    /// The way of every write to the standby's store; the agent stands on the primary's side and uses it, too.
    pub kv: Cable,
}

impl RedisPair {
    /// Starts both stores.
    pub async fn start(lab: &Lab, persistence: Persistence) -> Result<Self> {
        let primary = RedisServer::start(lab, "kv-alpha", persistence).await?;
        let standby = RedisServer::start(lab, "kv-beta", persistence).await?;
        let kv = Cable::to(standby.address()).await?;
        Ok(Self { primary, standby, kv })
    }

    /// Where the agent reaches the primary's store.
    pub fn primary_address(&self) -> SocketAddr {
        self.primary.address()
    }

    /// Where the agent reaches the standby's store: through the cable.
    pub fn standby_address(&self) -> SocketAddr {
        self.kv.address()
    }

    /// Starts the application: `per_second` writes, each to the standby's store and, once that has
    /// acknowledged it, to the primary's. It fails a write that takes over a second.
    pub fn writer(&self, per_second: u32) -> Result<KvWriter> {
        let counters = Arc::new(KvCounters::default());
        let mut tasks = JoinSet::new();
        tasks.spawn_on(
            write(self.kv.address(), self.primary.address(), per_second.max(1), Arc::clone(&counters)),
            &stage()?,
        );
        Ok(KvWriter { counters, tasks })
    }
}

/// A running application that writes to both stores. Ends when dropped.
#[derive(Debug)]
pub struct KvWriter {
    counters: Arc<KvCounters>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct KvCounters {
    done: AtomicU64,
    failed: AtomicU64,
}

impl KvWriter {
    /// Writes acknowledged by both stores.
    pub fn done(&self) -> u64 {
        self.counters.done.load(Ordering::Relaxed)
    }

    /// Writes that failed or took too long.
    pub fn failed(&self) -> u64 {
        self.counters.failed.load(Ordering::Relaxed)
    }

    /// Stops it; returns the writes done.
    pub async fn stop(mut self) -> u64 {
        self.tasks.shutdown().await;
        self.done()
    }
}

/// Writes what is due by now in one go, so that the rate is kept on a busy machine too.
async fn write(standby: SocketAddr, primary: SocketAddr, per_second: u32, counters: Arc<KvCounters>) {
    let second = Duration::from_secs(1);
    let mut ticks = interval((second / per_second).max(BEAT));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (begun, mut connections, mut next) = (Instant::now(), None, 0_u64);
    loop {
        ticks.tick().await;
        let due = begun.elapsed().as_secs_f64() * f64::from(per_second);
        // Never more than what a second asks for at once: a link that was cut is not followed by a flood.
        let until = (due as u64 + 1).min(next + u64::from(per_second));
        if until <= next {
            continue;
        }
        let wrote = tokio::time::timeout(second, write_both(standby, primary, &mut connections, next..until));
        if matches!(wrote.await, Ok(Ok(()))) {
            counters.done.fetch_add(until - next, Ordering::Relaxed);
        } else {
            connections = None;
            counters.failed.fetch_add(until - next, Ordering::Relaxed);
        }
        next = until;
    }
}

type Connections = Option<[MultiplexedConnection; 2]>;

/// Some writes of the application: the standby's store first.
async fn write_both(
    standby: SocketAddr,
    primary: SocketAddr,
    connections: &mut Connections,
    numbers: Range<u64>,
) -> Result<()> {
    let both = match connections {
        Some(both) => both,
        None => connections.insert([connect(standby).await?, connect(primary).await?]),
    };
    let mut writes = redis::pipe();
    for number in numbers {
        writes.set(format!("application:{}", number % 1000), number.to_string()).ignore();
    }
    for connection in both {
        let () = writes.query_async(connection).await?;
    }
    Ok(())
}

pub(crate) async fn connect(address: SocketAddr) -> Result<MultiplexedConnection> {
    let client = Client::open(format!("redis://{address}"))?;
    tokio::time::timeout(ANSWER, client.get_multiplexed_async_connection())
        .await
        .context("the store does not answer")?
        .with_context(|| format!("connect to {address}"))
}

pub(crate) async fn run<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<T> {
    let (name, rest) = words.split_first().context("an empty command")?;
    let mut command = redis::cmd(name);
    for word in rest {
        command.arg(word);
    }
    tokio::time::timeout(ANSWER, command.query_async(connection))
        .await
        .context("the store does not answer")?
        .with_context(|| format!("{words:?}"))
}
