//! Every way into a PostgreSQL server, on real servers: who gets in how, and what is said to whom is kept out.

mod at_once;
mod certificates;
mod kept_out;
mod libpq;
mod new_sessions;
mod ways;

use std::time::Duration;

use standbywatch::config::{PostgresChannel, PostgresNode, PostgresTls, Replication, Schedule, SecretSource, SslMode};
use standbywatch::facts::{Failure, PostgresFacts, Reading};
use standbywatch::names::FailureKind;
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch::secret::Secret;
use standbywatch::units::Bytes;
use standbywatch_lab::{Context, PgPair, PgServer, Result};

/// For what comes within moments on a quiet machine.
const SOON: Duration = Duration::from_secs(30);

fn channel(reconnect_every: Duration) -> PostgresChannel {
    PostgresChannel {
        schedule: Schedule::new(Duration::from_secs(1), Duration::from_secs(3)),
        lag_large: Bytes::mib(64),
        trend_window: Duration::from_secs(300),
        slot_window: Duration::from_secs(600),
        initial_sync: Duration::from_hours(24),
        low_load: Bytes::mib(1),
        stall_after: Duration::from_secs(15),
        stuck_after: Duration::from_secs(600),
        reconnect_every,
        pulse: None,
        replication: Replication::Streaming,
        archive_period: Duration::from_secs(300),
        status_page: None,
    }
}

/// The pair's primary over TCP, with the password of the agent's role.
fn node(pair: &PgPair) -> PostgresNode {
    PostgresNode {
        host: "127.0.0.1".to_owned(),
        port: pair.primary.port(),
        user: pair.user().to_owned(),
        database: "postgres".to_owned(),
        password: Some(SecretSource::Inline(Secret::new(pair.password()))),
        tls: PostgresTls::default(),
        replica: None,
        apply_delay: None,
    }
}

fn tls(mode: SslMode) -> PostgresTls {
    PostgresTls { mode, ..PostgresTls::default() }
}

fn probe(node: &PostgresNode) -> PostgresProbe {
    PostgresProbe::new(node, &channel(Duration::from_secs(600)))
}

/// One run of a probe of its own, which is gone afterwards.
async fn asked(node: &PostgresNode) -> Reading<PostgresFacts> {
    probe(node).run().await
}

/// Why it was kept out.
async fn kept_out(node: &PostgresNode) -> Result<Failure> {
    asked(node).await.result.err().context("it was let in")
}

async fn kind(node: &PostgresNode) -> Option<FailureKind> {
    asked(node).await.failure().map(|failure| failure.kind)
}

/// How the agent's only session came in, as the server sees it: `true` over TLS; `None` while there is no session.
async fn came_by_tls(server: &PgServer) -> Result<Option<bool>> {
    let sql =
        "SELECT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'standbywatch'";
    Ok(server.value(sql).await?.map(|ssl| ssl == "true"))
}
