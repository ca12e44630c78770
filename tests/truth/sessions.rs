//! Rows P10: servers that restart, die again and again, come back as another version; and the agent's sessions with them meanwhile.

use std::time::Duration;

use standbywatch_lab::{Context, Lab, Mode, Need, PgPair, PgServer, Result, wait_until};
use tokio::time::interval;

use crate::row::{Row, Tells};
use crate::site::{Plan, Site, USUAL};

const POSTGRES: &[&str] = &["postgres"];
const AGENT: &str = "standbywatch";
const SOON_OVER: &str = "over within the minute of StandbyReplicationUnknown";
/// `wal_retrieve_retry_interval` (5 s) and 4 s, from the moment that the server lets sessions in.
const RECOVERS_WITHIN: u64 = 9;
/// A session that was lost leaves its seat within this time.
const FREED_WITHIN: Duration = Duration::from_secs(60);

/// Does it, and says how many of the agent's sessions one of the pair's servers showed at most meanwhile.
async fn while_counting<T>(pair: &PgPair, doing: impl Future<Output = Result<T>>) -> Result<(T, usize)> {
    let mut most = 0;
    let mut looks = interval(Duration::from_millis(100));
    tokio::pin!(doing);
    loop {
        tokio::select! {
            done = &mut doing => return Ok((done?, most)),
            _ = looks.tick() => for server in [&pair.primary, &pair.standby] {
                // A server that is down or starting shows none.
                most = most.max(server.sessions_of(AGENT).await.unwrap_or(0));
            },
        }
    }
}

/// Each server has one session of the agent, and no more.
async fn one_session_each(pair: &PgPair) -> Result<()> {
    wait_until("one session with each server", FREED_WITHIN, async || {
        let of = async |server: &PgServer| server.sessions_of(AGENT).await;
        Ok((of(&pair.primary).await? == 1 && of(&pair.standby).await? == 1).then_some(()))
    })
    .await
}

async fn restarts(fault: &'static str, server: fn(&PgPair) -> &PgServer, reasons: &[&str]) -> Result<()> {
    let Some(site) = Site::start(Plan { held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P10", fault, POSTGRES).await?;
    let pair = &site.postgres;
    server(pair).stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", reasons, 10)).await?;
    server(pair).start().await?;
    let ((), most) = while_counting(pair, row.is_well_again("postgres", None, RECOVERS_WITHIN)).await?;
    assert!(most <= 2, "{most} sessions at once");
    one_session_each(pair).await?;
    row.pages_nobody(SOON_OVER).await?;
    row.finish().await
}

#[tokio::test]
async fn p10_primary_restarts() -> Result<()> {
    restarts("primary restarts", |pair| &pair.primary, &["refused", "starting_up"]).await
}

#[tokio::test]
async fn p10_standby_restarts() -> Result<()> {
    restarts("standby restarts", |pair| &pair.standby, &["not_connected"]).await
}

/// Both servers are taken down and come back, at their old addresses, as servers of another major version.
#[tokio::test]
async fn p10_version_differs_between_ticks() -> Result<()> {
    const OTHER: u32 = 16;
    if Lab::open(&[Need::PostgresVersion(OTHER)])?.is_none() {
        return Ok(());
    }
    let Some(site) = Site::start(Plan { held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P10", "version differs between ticks", POSTGRES).await?;
    let later = PgPair::builder().version(OTHER).named("later-").start(&site.lab).await?;
    let old = &site.postgres;
    assert!(!majors(&site).await?.contains(&OTHER), "another version than before");
    old.standby.stop().await?;
    old.primary.stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["refused", "starting_up"], 10)).await?;
    old.probe_primary.lead_to(later.primary.address()).await?;
    old.probe.lead_to(later.standby.address()).await?;
    let ((), most) = while_counting(&later, row.is_well_again("postgres", None, RECOVERS_WITHIN)).await?;
    assert!(most <= 2, "{most} sessions at once");
    assert_eq!(majors(&site).await?, [OTHER, OTHER]);
    one_session_each(&later).await?;
    row.pages_nobody(SOON_OVER).await?;
    row.finish().await
}

/// The major version that each node tells.
async fn majors(site: &Site) -> Result<Vec<u32>> {
    let page = site.agent.json("/api/v1/status").await?;
    let nodes = page["pairs"][0]["postgres"]["nodes"].as_array().context("nodes")?;
    nodes.iter().map(|node| Ok(u32::try_from(node["version"].as_u64().context("a version")? / 10_000)?)).collect()
}

#[tokio::test]
async fn p10_primary_killed_ten_times_in_a_row() -> Result<()> {
    let Some(site) = Site::start(Plan { held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P10", "primary killed and restarted ten times in a row", POSTGRES).await?;
    let pair = &site.postgres;
    let down = Tells::unknown("postgres", &["refused", "starting_up"], 10);
    let mut files = Vec::new();
    for _ in 0..10 {
        pair.primary.kill().await?;
        row.fault();
        row.tells(down.clone()).await?;
        // Nothing may turn it well while there is no primary.
        let still = site.agent.json("/monitor/replication").await?;
        assert_eq!((&still["status"], &still["postgres_lag_bytes"]), (&"unknown".into(), &"unknown".into()), "{still}");
        pair.primary.start().await?;
        let ((), most) = while_counting(pair, row.is_well_again("postgres", None, RECOVERS_WITHIN)).await?;
        assert!(most <= 2, "{most} sessions at once");
        // Ok was told of a standby that does stream.
        assert_eq!(pair.primary.sender_pids("beta").await?.len(), 1);
        one_session_each(pair).await?;
        files.push(open_files(&site)?);
    }
    let (first, last) = (files[0], files[files.len() - 1]);
    assert!(last <= first + 3, "open files after each round: {files:?}");
    row.pages_nobody_but(
        &["StandbyReplicationFlapping"],
        "each time over within a minute; StandbyReplicationFlapping may warn",
    )
    .await?;
    row.finish().await
}

fn open_files(site: &Site) -> Result<usize> {
    let pid = site.agent.server.pid().context("the agent runs")?;
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The agent gives the session up and opens another; the frozen backend outlives its client until it goes on.
#[tokio::test]
async fn p10_agents_backend_frozen() -> Result<()> {
    let Some(site) = Site::start(Plan { held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P10", "backend of the agent's session frozen", POSTGRES).await?;
    let pair = &site.postgres;
    pair.primary.freeze_sessions_of(AGENT).await?;
    row.fault();
    let both = wait_until("another session beside the frozen one", Duration::from_secs(30), async || {
        Ok((pair.primary.sessions_of(AGENT).await? == 2).then_some(()))
    });
    let ((), most) = while_counting(pair, both).await?;
    assert!(most <= 2, "{most} sessions at once");
    let ((), most) = while_counting(pair, row.is_well_again("postgres", None, 30)).await?;
    assert!(most <= 2, "{most} sessions at once");
    pair.primary.thaw()?;
    one_session_each(pair).await?;
    row.pages_nobody(SOON_OVER).await?;
    row.finish().await
}

/// The server itself ends a session whose client has vanished behind a black hole.
#[tokio::test]
async fn p10_lost_session_leaves_its_seat() -> Result<()> {
    let Some(site) = Site::start(Plan { held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P10", "way to the primary in a black hole", POSTGRES).await?;
    let pair = &site.postgres;
    pair.probe_primary.set(Mode::BlackHole);
    row.fault();
    wait_until("the session leaves its seat", FREED_WITHIN, async || {
        Ok((pair.primary.sessions_of(AGENT).await? == 0).then_some(()))
    })
    .await?;
    pair.repair();
    let ((), most) = while_counting(pair, row.is_well_again("postgres", None, 30)).await?;
    assert!(most <= 2, "{most} sessions at once");
    one_session_each(pair).await?;
    row.pages_nobody(SOON_OVER).await?;
    row.finish().await
}
