//! One session with one server: how it is opened, what it asks, how it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::{answer, failure, pgpass, versions};
use crate::clock::{self, Moment};
use crate::config::{PostgresNode, SslMode};
use crate::facts::{Failure, PostgresFacts, Reading, TESTED_VERSIONS};
use crate::names::FailureKind;
use crate::probe::password::password_of;
use crate::secret::Secret;

const FACTS: &str = include_str!("facts.sql");

/// How long a graceful end of a session may take before its socket is simply closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A live session, with the statement prepared at its first use.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// `facts.sql` for this server's version.
    statement: Arc<str>,
    /// Since when it is open.
    pub(super) opened: Moment,
}

/// Why the statement brought no facts.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The server ended the session or the connection broke: the server's present state is not known by it.
    SessionGone(Failure),
    /// The server answered, with something else than facts.
    Failed(Failure),
}

impl Session {
    /// Connects and authenticates. The caller sets the deadline; dropped in the middle, it leaves no task behind.
    ///
    /// # Errors
    /// What keeps the server from being asked, by kind.
    pub(super) async fn open(node: &PostgresNode, limits: ServerLimits) -> Result<Self, Failure> {
        let Credentials { password, note } = Credentials::of(node).await?;
        let options = options(node, limits, password.as_ref().map(Secret::expose));
        let connect =
            async |options| caught(PgConnection::connect_with(options)).await.unwrap_or_else(|| Err(nonsense()));
        let connection = match connect(&options.with_all).await {
            // A platform that cannot poll for a vanished client refuses the setting; the other limits still free the session.
            Err(sqlx::Error::Database(error)) if error.message().contains(CONNECTION_CHECK) => {
                connect(&options.without_connection_check).await
            }
            other => other,
        }
        .map_err(|error| {
            let Failure { kind, mut message } = failure::of(&error, node);
            if let (FailureKind::Authentication, Some(note)) = (kind, note) {
                message = format!("{message} ({note})");
            }
            // Whoever answers there was sent the password, and may repeat it.
            let masked = password.as_ref().map(|password| password.masked_in(&message));
            Failure { kind, message: masked.unwrap_or(message) }
        })?;
        let (version, oldest) = (connection.server_version_num(), TESTED_VERSIONS.start());
        if let Some(major) = version.map(|version| version / 10_000).filter(|major| major < oldest) {
            let text = format!("{} is version {major}; {oldest} is the oldest supported", failure::place(node));
            return Err(Failure::new(FailureKind::Protocol, text));
        }
        Ok(Self { connection, statement: versions::statement(FACTS, version).into(), opened: clock::now() })
    }

    /// The server's major version, if it is later than all that the statement was tried on.
    pub(super) fn untested_version(&self) -> Option<u32> {
        untested(self.connection.server_version_num()?)
    }

    /// Asks for all facts: one round trip (two at the first call, which prepares the statement).
    pub(super) async fn ask(&mut self, node: &PostgresNode) -> (Moment, Result<PostgresFacts, NoAnswer>) {
        let asked = clock::now();
        // The text comes from this crate alone.
        let statement = AssertSqlSafe(Arc::clone(&self.statement));
        let asking = caught(sqlx::query_scalar(statement).fetch_one(&mut self.connection));
        let row: Result<Option<String>, sqlx::Error> = asking.await.unwrap_or_else(|| Err(nonsense()));
        let result = match row {
            Ok(Some(text)) => answer::facts(&text).map_err(NoAnswer::Failed),
            Ok(None) => Err(NoAnswer::Failed(Failure::new(FailureKind::Protocol, "the server answered with NULL"))),
            Err(error) if failure::session_is_gone(&error) => Err(NoAnswer::SessionGone(failure::of(&error, node))),
            Err(error) => Err(NoAnswer::Failed(failure::of(&error, node))),
        };
        (asked, result)
    }

    /// Asks one question apart, as one message: the answer's text, or why there is none. Dropped in the middle, it leaves a
    /// session that reads past the late answer when it is asked next.
    pub(super) async fn ask_apart(&mut self, message: String) -> Result<String, String> {
        let asking = caught(sqlx::raw_sql(AssertSqlSafe(message)).fetch_all(&mut self.connection));
        let rows = asking.await.unwrap_or_else(|| Err(nonsense()));
        let row = rows.map_err(|error| error.to_string())?.pop().ok_or("no row")?;
        row.try_get::<Option<String>, _>(0).map_err(|error| error.to_string())?.ok_or_else(|| "NULL".to_owned())
    }

    /// Says goodbye in the background, so that a server that does not listen delays nothing.
    pub(super) fn close(self) {
        tokio::spawn(tokio::time::timeout(CLOSE_WITHIN, self.connection.close()));
    }
}

/// What the future gives; `None` if it panicked. The client of the protocol takes a message at its word that is shorter than its own
/// length; whoever answers so must not end the probe.
pub(super) async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let poll = |context: &mut Context<'_>| {
        // Nothing of it is used again: the session is dropped after any error.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    };
    std::future::poll_fn(poll).await
}

pub(super) fn nonsense() -> sqlx::Error {
    sqlx::Error::Protocol("a message that cannot be one".to_owned())
}

/// The password for a node, read anew for each session, so that a changed one is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) password: Option<Secret>,
    /// What a person should know of where it is from, if it is refused.
    note: Option<String>,
}

impl Credentials {
    /// As configured; if nothing is, from libpq's password file.
    ///
    /// # Errors
    /// The configured file cannot be read.
    pub(super) async fn of(node: &PostgresNode) -> Result<Self, Failure> {
        if node.password.is_some() {
            return Ok(Self { password: password_of(node.password.as_ref()).await?, note: None });
        }
        let node = node.clone();
        let found = tokio::task::spawn_blocking(move || pgpass::look(&node)).await;
        let pgpass::Found { password, note } = found.map_err(|gone| {
            Failure::new(FailureKind::Permission, format!("the password file could not be read: {gone}"))
        })?;
        Ok(Self { password, note })
    }
}

fn untested(version: u32) -> Option<u32> {
    Some(version / 10_000).filter(|major| major > TESTED_VERSIONS.end())
}

/// Limits that the server is asked to set on the session, since it must free a session whose client has vanished.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerLimits {
    /// A statement ends after this long.
    pub(super) statement: Duration,
    /// A session that has asked nothing for this long ends.
    pub(super) idle: Duration,
}

const CONNECTION_CHECK: &str = "client_connection_check_interval";

struct Options {
    with_all: PgConnectOptions,
    without_connection_check: PgConnectOptions,
}

fn options(node: &PostgresNode, limits: ServerLimits, password: Option<&str>) -> Options {
    let tls = match node.tls.mode {
        // As in libpq: a socket leads to this machine, and servers speak no TLS there.
        _ if node.host.starts_with('/') => PgSslMode::Disable,
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Prefer => PgSslMode::Prefer,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let mut base = PgConnectOptions::new_without_pgpass().host(&node.host).port(node.port).username(&node.user);
    base = base.database(&node.database).ssl_mode(tls).application_name("standbywatch").disable_statement_logging();
    if let Some(password) = password {
        base = base.password(password);
    }
    if let Some(certificate) = &node.tls.root_certificate {
        base = base.ssl_root_cert(certificate);
    }
    if let Some((certificate, key)) = &node.tls.client {
        base = base.ssl_client_cert(certificate).ssl_client_key(key);
    }
    let statement = limits.statement.as_millis().max(1).to_string();
    let idle = limits.idle.as_millis().max(1).to_string();
    let without_connection_check = base.options([
        ("statement_timeout", statement.as_str()),
        ("lock_timeout", statement.as_str()),
        ("idle_session_timeout", idle.as_str()),
        // Keepalives find a vanished client after 10 + 3 × 5 s; unacknowledged data gives up after 20 s.
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "20000"),
        // The probe reads, quickly, and only what belongs to the system.
        ("default_transaction_read_only", "on"),
        ("search_path", "pg_catalog"),
        // Foreign time stamps are compared as text: a changed time zone of the server must not look like a sign of life.
        ("timezone", "UTC"),
        ("datestyle", "ISO"),
        ("jit", "off"),
    ]);
    let with_all = without_connection_check.clone().options([(CONNECTION_CHECK, "5000")]);
    Options { with_all, without_connection_check }
}

/// Readings of a probe that failed before it could ask.
pub(super) fn failed(asked: Moment, failure: Failure) -> Reading<PostgresFacts> {
    Reading { asked, answered: clock::now(), result: Err(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PostgresTls, SecretSource};
    use crate::secret::Secret;

    fn node() -> PostgresNode {
        PostgresNode {
            host: "/run/postgresql".to_owned(),
            port: 5433,
            user: "probe & co".to_owned(),
            database: "post/gres".to_owned(),
            password: Some(SecretSource::Inline(Secret::new("hunter2"))),
            tls: PostgresTls::default(),
            replica: None,
            apply_delay: None,
        }
    }

    #[tokio::test]
    async fn the_server_sets_each_limit_on_the_session() -> standbywatch_lab::Result<()> {
        use standbywatch_lab::{Lab, Need, PgPair};
        let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
        let pair = PgPair::builder().start(&lab).await?;
        let address = pair.primary.address();
        let password = Some(SecretSource::Inline(Secret::new(pair.password())));
        let (host, user) = (address.ip().to_string(), pair.user().to_owned());
        let node =
            PostgresNode { host, port: address.port(), user, database: "postgres".to_owned(), password, ..node() };
        let limits = ServerLimits { statement: Duration::from_millis(2500), idle: Duration::from_secs(12) };
        let mut session = Session::open(&node, limits).await?;
        let expected = [
            ("application_name", "standbywatch"),
            ("client_connection_check_interval", "5s"),
            ("default_transaction_read_only", "on"),
            ("idle_session_timeout", "12s"),
            ("jit", "off"),
            ("lock_timeout", "2500ms"),
            ("search_path", "pg_catalog"),
            ("statement_timeout", "2500ms"),
            ("tcp_keepalives_count", "3"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_user_timeout", "20000"),
        ];
        for (setting, value) in expected {
            let shown: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&mut session.connection)
                .await?;
            assert_eq!(shown, value, "{setting}");
        }
        Ok(())
    }

    #[test]
    fn later_versions_are_untested() {
        assert_eq!([140_023, 189_999, 190_000, 1_000_001].map(untested), [None, None, Some(19), Some(100)]);
    }

    #[test]
    fn odd_names_reach_the_server_as_they_are() {
        let limits = ServerLimits { statement: Duration::from_secs(3), idle: Duration::from_secs(15) };
        let options = options(&node(), limits, Some("hunter2")).with_all;
        assert_eq!(options.get_host(), "/run/postgresql");
        assert_eq!(options.get_username(), "probe & co");
        assert_eq!(options.get_database(), Some("post/gres"));
        let session = options.get_options().unwrap();
        assert!(session.contains("-c statement_timeout=3000 "), "{session}");
        assert!(session.contains("-c idle_session_timeout=15000 "), "{session}");
    }
}
