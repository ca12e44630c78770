//! One Redis (or Valkey, KeyDB): a held connection, and the two commands that a canary needs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::bounded::{Bounded, Exceeded, MOST};
use super::store::{Identity, WriteFailure};
use crate::config::RedisNode;
use crate::facts::Failure;
use crate::http_client::trust;
use crate::names::{FailureKind, Name};
use crate::probe::password::password_of;
use crate::secret::Secret;
use crate::units::Bytes;

/// One node's Redis.
pub struct RedisStore {
    node: Name,
    settings: RedisNode,
    connection: Option<MultiplexedConnection>,
    /// The password that was sent last; the server may repeat it.
    password: Option<Secret>,
    /// The held connection was ended because an answer was too long.
    exceeded: Exceeded,
    /// Drives the connection; replacing it closes the connection, so that no timeout leaves one behind.
    driver: JoinSet<()>,
}

impl RedisStore {
    /// Connects when it is first needed.
    pub fn new(node: Name, settings: RedisNode) -> Self {
        let exceeded = Exceeded::default();
        Self { node, settings, connection: None, password: None, exceeded, driver: JoinSet::new() }
    }

    /// Makes a connection unless one is held.
    ///
    /// # Errors
    /// A closed kind. Nothing but a greeting has been sent then.
    pub async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        while self.driver.try_join_next().is_some() {}
        if self.driver.is_empty() {
            // The server closed it since the last cycle. An application's client would connect again, too.
            self.hang_up();
        }
        if self.connection.is_some() {
            return Ok(());
        }
        let opened = timeout_at(deadline, self.open()).await;
        self.connection = Some(opened.unwrap_or_else(|_| Err(self.too_slow("to connect")))?);
        // Without a password nothing has been exchanged so far. The answer to a greeting tells a server from a black hole
        // before a canary is on its way whose fate nobody would know.
        match self.ask::<redis::Value>(deadline, redis::cmd("PING"), "to PING").await {
            Ok(_) => Ok(()),
            Err(failure) => {
                self.hang_up();
                Err(failure)
            }
        }
    }

    /// Writes `value` under `key`; it expires by itself.
    ///
    /// # Errors
    /// With the failure, whether the write had left: then its fate is open.
    pub async fn put(
        &mut self,
        deadline: Instant,
        key: &str,
        value: &str,
        time_to_live: Duration,
    ) -> Result<(), WriteFailure> {
        self.connect(deadline).await.map_err(|failure| WriteFailure { failure, sent: false })?;
        let mut set = redis::cmd("SET");
        let millis = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
        set.arg(key).arg(value).arg("PX").arg(millis);
        let wrong = |failure| WriteFailure { failure, sent: true };
        let answer: redis::Value = self.ask(deadline, set, "to SET").await.map_err(wrong)?;
        if answer == redis::Value::Okay {
            return Ok(());
        }
        let message = format!("the store of {} answers SET as no Redis does: check the address", self.node);
        Err(wrong(Failure::new(FailureKind::Protocol, message)))
    }

    /// What is stored under `key`; `None` where nothing is.
    ///
    /// # Errors
    /// A closed kind.
    pub async fn get(&mut self, deadline: Instant, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.connect(deadline).await?;
        let mut get = redis::cmd("GET");
        get.arg(key);
        self.ask(deadline, get, "to GET").await
    }

    /// Takes `key` away.
    ///
    /// # Errors
    /// A closed kind.
    pub async fn delete(&mut self, deadline: Instant, key: &str) -> Result<(), Failure> {
        self.connect(deadline).await?;
        let mut delete = redis::cmd("DEL");
        delete.arg(key);
        self.ask::<redis::Value>(deadline, delete, "to DEL").await.map(drop)
    }

    /// Who the server is.
    ///
    /// # Errors
    /// A closed kind; an answer without what is needed is `protocol`.
    pub async fn identity(&mut self, deadline: Instant) -> Result<Identity, Failure> {
        self.connect(deadline).await?;
        let told: String = self.ask(deadline, redis::cmd("INFO"), "to tell INFO").await?;
        identity_in(&told).ok_or_else(|| {
            let message = format!("the store of {} tells INFO as no Redis does: check the address", self.node);
            Failure::new(FailureKind::Protocol, message)
        })
    }

    /// Reads several things in one go; an error of the server stands in its own place.
    ///
    /// # Errors
    /// A closed kind: no answer at all.
    pub async fn read_all(
        &mut self,
        deadline: Instant,
        mut commands: redis::Pipeline,
    ) -> Result<Vec<redis::RedisResult<redis::Value>>, Failure> {
        self.connect(deadline).await?;
        commands.ignore_errors();
        self.exchange(deadline, "to be read", async |connection| commands.query_async(connection).await).await
    }

    /// A refusal that a single command met, as a failure of this store.
    pub fn refusal(&self, error: &RedisError) -> Failure {
        self.failure_of(error)
    }

    async fn ask<T: redis::FromRedisValue>(
        &mut self,
        deadline: Instant,
        command: redis::Cmd,
        what: &str,
    ) -> Result<T, Failure> {
        self.exchange(deadline, what, async |connection| command.query_async(connection).await).await
    }

    async fn exchange<T>(
        &mut self,
        deadline: Instant,
        what: &str,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> redis::RedisResult<T>,
    ) -> Result<T, Failure> {
        // Taken out, so that a command that was given up half-way never leaves its connection to the next one.
        let Some(mut connection) = self.connection.take() else {
            return Err(Failure::new(FailureKind::Unreachable, format!("no connection to the store of {}", self.node)));
        };
        match timeout_at(deadline, ask(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Ok(Err(error)) => {
                let failure = self.failure_of(&error);
                // An error that the server answered leaves the connection in order; after a refused identity a new one asks
                // again with the password as it is then.
                if answered_by_server(&error) && failure.kind != FailureKind::Authentication {
                    self.connection = Some(connection);
                } else {
                    self.hang_up();
                }
                Err(failure)
            }
            Err(_) => {
                self.hang_up();
                Err(self.too_slow(what))
            }
        }
    }

    #[cfg(test)]
    pub(super) async fn moved_to(&mut self, settings: RedisNode) {
        self.settings = settings;
        self.driver.join_next().await;
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.driver = JoinSet::new();
    }

    fn too_slow(&self, what: &str) -> Failure {
        let (node, address) = (&self.node, &self.settings.address);
        let cure = "look at the link to it and at its load";
        Failure::new(FailureKind::Timeout, format!("the store of {node} ({address}) took too long {what}; {cure}"))
    }

    /// Connects and introduces itself. The caller sets the deadline.
    async fn open(&mut self) -> Result<MultiplexedConnection, Failure> {
        let mut identity = RedisConnectionInfo::default()
            .set_db(i64::from(self.settings.database))
            .set_protocol(ProtocolVersion::RESP2)
            // CLIENT SETINFO would be one more right to grant.
            .set_skip_set_lib_name();
        if let Some(user) = &self.settings.user {
            identity = identity.set_username(user);
        }
        self.password = password_of(self.settings.password.as_ref()).await?;
        if let Some(password) = &self.password {
            identity = identity.set_password(password.expose());
        }
        let address = &self.settings.address;
        let not_connected = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => FailureKind::Refused,
                std::io::ErrorKind::TimedOut => FailureKind::Timeout,
                _ => FailureKind::Unreachable,
            };
            Failure::new(kind, format!("connecting to the store of {} ({address}): {error}", self.node))
        };
        if let Some(socket) = self.settings.socket() {
            let stream = UnixStream::connect(socket).await.map_err(not_connected)?;
            return self.introduce(stream, &identity).await;
        }
        let tcp = TcpStream::connect(address).await.map_err(not_connected)?;
        // Commands are small and wait for their answer.
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.settings.tls else { return self.introduce(tcp, &identity).await };
        let trusts = match &tls.root_certificate {
            Some(file) => trust::of_file(file)?,
            None => trust::of_the_system()?,
        };
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let name = tls.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
        let broken = |error: &dyn std::fmt::Display| {
            Failure::new(FailureKind::Tls, format!("TLS with the store of {} ({address}): {error}", self.node))
        };
        let name = ServerName::try_from(name).map_err(|error| broken(&error))?;
        let stream = TlsConnector::from(trusts).connect(name, tcp).await.map_err(|error| broken(&error))?;
        self.introduce(stream, &identity).await
    }

    async fn introduce<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &mut self,
        stream: S,
        identity: &RedisConnectionInfo,
    ) -> Result<MultiplexedConnection, Failure> {
        let (stream, exceeded) = Bounded::new(stream);
        self.exceeded = exceeded;
        // Its own time limits are switched off: one deadline covers the whole cycle.
        let limits = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let (connection, driving) = MultiplexedConnection::new_with_config(identity, stream, limits)
            .await
            .map_err(|error| self.failure_of(&error))?;
        self.driver.spawn(driving);
        Ok(connection)
    }

    fn failure_of(&self, error: &RedisError) -> Failure {
        let (node, address) = (&self.node, &self.settings.address);
        if self.exceeded.load(Ordering::Relaxed) {
            let most = Bytes(MOST as u64);
            let message = format!("the store of {node} ({address}) answers more than {most}: check the address");
            return Failure::new(FailureKind::TooLarge, message);
        }
        let (kind, cure) = kind_and_cure(error);
        let told = error.to_string();
        let told = self.password.as_ref().map_or_else(|| told.clone(), |password| password.masked_in(&told));
        Failure::new(kind, format!("the store of {node} ({address}): {told}{cure}"))
    }
}

fn answered_by_server(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed)
}

/// The kind of a failure, by what the server answered (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
fn kind_and_cure(error: &RedisError) -> (FailureKind, &'static str) {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            (FailureKind::Authentication, "; check user and password of this node's store")
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            (FailureKind::Permission, "; grant it, see docs/kvstore.md: ~standbywatch/* +set +get +del +ping +info")
        }
        (_, Some("DENIED")) => (FailureKind::Permission, "; its protected mode is on: give it a password"),
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => (FailureKind::StartingUp, "; it loads its data set"),
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => (FailureKind::Refused, REPLICA),
        (_, Some("OOM")) => (FailureKind::Refused, "; it is full: raise its maxmemory, or find what fills it"),
        // Told apart from a refused connection by the write having left.
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => (FailureKind::Refused, ""),
        (ErrorKind::Io, _) if error.is_timeout() => (FailureKind::Timeout, ""),
        (ErrorKind::Io, _) => (FailureKind::Unreachable, "; it closed the connection"),
        _ => (FailureKind::Protocol, "; this is not how a Redis answers: check the address"),
    }
}

/// Whoever replicates by itself takes no writes on the other side.
const REPLICA: &str = "; it is a replica: say `replication: native`, or `write_via:` a gateway, or only `observe:`";

/// What INFO tells of the server (<https://redis.io/docs/latest/commands/info/>).
fn identity_in(told: &str) -> Option<Identity> {
    let field = |name: &str| told.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    Some(Identity {
        run_id: field("run_id")?.to_owned(),
        uptime: Duration::from_secs(field("uptime_in_seconds")?.parse().ok()?),
        evicted: field("evicted_keys")?.parse().ok()?,
        // Canaries expire, so the policies for keys that do hit them as well.
        evicts: field("maxmemory_policy").is_some_and(|policy| policy != "noeviction"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_who_it_is() {
        let told = "# Server\r\nrun_id:ab12\r\nuptime_in_seconds:77\r\n# Memory\r\nmaxmemory_policy:allkeys-lru\r\n# Stats\r\nevicted_keys:3\r\n";
        let identity = identity_in(told).unwrap();
        assert_eq!((identity.run_id.as_str(), identity.uptime.as_secs(), identity.evicted), ("ab12", 77, 3));
        assert!(identity.evicts && !identity_in(&told.replace("allkeys-lru", "noeviction")).unwrap().evicts);
        assert_eq!(identity_in("HTTP/1.1 400"), None);
        assert_eq!(identity_in(&told.replace("run_id", "id")), None);
    }
}
