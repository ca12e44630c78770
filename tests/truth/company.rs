//! Row B3: others take the primary's WAL, too, and none of them is the pair's standby, nor is anything told of them.

use std::time::Duration;

use standbywatch_lab::{PgPair, Result, wait_until};

use crate::postgres::stays;
use crate::row::Row;
use crate::site::{Plan, Site};

/// As long as each of them stays before the next one comes.
const A_WHILE: u64 = 8;

/// A server of another cluster subscribes to a table of the primary. Waits until its changes flow.
async fn subscriber(site: &Site) -> Result<PgPair> {
    let other = PgPair::builder().version(crate::MAJOR).fresh_cluster().named("subscriber-").slot(None);
    let other = other.start(&site.lab).await?;
    let primary = &site.postgres.primary;
    primary.sql("CREATE PUBLICATION of_the_load FOR TABLE load").await?;
    let socket = primary.socket_dir().display();
    let connection = format!("host={socket} port={} user=lab dbname=postgres", primary.port());
    other
        .primary
        .sql(&format!("CREATE SUBSCRIPTION subscriber CONNECTION '{connection}' PUBLICATION of_the_load"))
        .await?;
    primary.sql("INSERT INTO load (filler) VALUES ('published')").await?;
    wait_until("a change has come to the subscriber", Duration::from_secs(30), async || {
        other.primary.value("SELECT 1 FROM load WHERE filler = 'published'").await
    })
    .await?;
    Ok(other)
}

#[tokio::test]
async fn b3_others_at_the_primary() -> Result<()> {
    let postgres = PgPair::builder().setting("wal_level", "logical");
    // Nothing but what the standby itself says tells its row from the others'.
    let Some(site) = Site::start(Plan { postgres, replica: None, ..Plan::silent() }).await? else { return Ok(()) };
    let fault = "pg_basebackup, pg_receivewal, a logical subscriber, a second standby, one after the other";
    let mut row = Row::of(&site, "B3", fault, &["postgres"]).await?;
    let pair = &site.postgres;
    let backup = pair.basebackup(32).await?;
    stays(&site, "ok", A_WHILE).await?;
    let archiver = pair.receivewal().await?;
    stays(&site, "ok", A_WHILE).await?;
    let subscribed = subscriber(&site).await?;
    stays(&site, "ok", A_WHILE).await?;
    let second = pair.add_standby("gamma", Some("gamma")).await?;
    stays(&site, "ok", A_WHILE).await?;

    assert!(backup.is_running() && archiver.is_running() && second.is_running(), "all are still there");
    let senders = pair.primary.value("SELECT count(*)::text FROM pg_stat_replication").await?;
    assert_eq!(senders.as_deref(), Some("5"), "each has its walsender");
    let metrics = site.agent.metrics().await?;
    let of: Vec<_> = metrics.all("standby_postgres_stage_lag_bytes", &[]);
    assert!(of.iter().all(|(labels, _)| labels.get("standby").is_none_or(|name| name == "beta")), "{of:?}");

    // They go again, each in its own way.
    second.kill().await?;
    stays(&site, "ok", A_WHILE / 2).await?;
    archiver.kill().await?;
    backup.kill().await?;
    drop(subscribed);
    stays(&site, "ok", A_WHILE).await?;
    row.is_well_again("postgres", None, 5).await?;
    row.finish().await
}
