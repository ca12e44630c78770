//! Row P11: commits wait for a synchronous standby that is gone.

use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};

use crate::row::{Row, Tells};
use crate::site::{Plan, Site};

#[tokio::test]
async fn p11_synchronous_standby_gone() -> Result<()> {
    let postgres = PgPair::builder().primary_setting("synchronous_standby_names", "beta");
    let Some(site) = Site::start(Plan { postgres, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P11", "synchronous standby gone", &["postgres"]).await?;
    let blocked = async || site.agent.metrics().await?.value("standby_postgres_commits_blocked", &[]);
    let writer = site.postgres.writer(Load::Light).await?;
    wait_until("commits go through", Duration::from_secs(10), async || Ok((writer.done() > 10).then_some(()))).await?;
    assert_eq!(blocked().await?, Some(0.0), "commits that wait for milliseconds are not blocked");
    site.postgres.standby.stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    row.pages("StandbyPostgresCommitsBlocked", Duration::ZERO, Duration::ZERO, 20).await?;
    assert_eq!(blocked().await?, Some(1.0));
    let before = writer.done();
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some("StandbyPostgresCommitsBlocked"), 60).await?;
    assert!(writer.done() > before, "commits go on");
    row.finish().await
}
