//! Rows K: the key-value store.

use std::time::Duration;

use standbywatch_lab::{Context, Mode, RedisServer, Result, Skips, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::row::{Number, Row, Tells};
use crate::site::{Channel, Paging, Plan, Site};

const BLOCKED: &str = "StandbyKvstoreWritesBlocked";

async fn link_cut(paging: Paging, fault: &'static str) -> Result<()> {
    let rules = "StandbyKvstoreWritesBlocked: { for: 2s }";
    let Some(site) = Site::start(Plan { paging, kvstore: true, rules, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K1", fault, &["postgres", "kvstore"]).await?;
    stores.kv.set(Mode::BlackHole);
    row.fault();
    row.tells(Tells::unknown("kvstore", &["blocked"], 15)).await?;
    row.pages(BLOCKED, Duration::from_secs(2), Duration::from_secs(30), 30).await?;
    row.pages("StandbyReplicationUnknown", crate::site::HELD, crate::site::USUAL, 30).await?;
    stores.kv.set(Mode::Pass);
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish().await
}

#[tokio::test]
async fn k1_link_cut() -> Result<()> {
    link_cut(Paging::Prometheus, "link to the standby's store cut").await
}

#[tokio::test]
async fn k1_link_cut_pushed() -> Result<()> {
    link_cut(Paging::Agent, "link to the standby's store cut (pushed by the agent)").await
}

/// The application writes through a gateway that leaves the standby out: canaries go the same way.
#[tokio::test]
async fn k2_the_write_path_leaves_the_standby_out() -> Result<()> {
    let channel = Channel { through_gateway: true, lines: "interval: 1s, sla: 3s" };
    let Some(site) = Site::start(Plan { kvstore: true, channel, ..Plan::postgres() }).await? else { return Ok(()) };
    let gateway = site.gateway.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "the application's write path leaves the standby out", &["kvstore"]).await?;
    gateway.skip(Skips::Standby);
    row.fault();
    row.tells(Tells::unknown("kvstore", &["diverged"], 10)).await?;
    row.pages(DIVERGED, Duration::ZERO, Duration::ZERO, 40).await?;
    gateway.skip(Skips::Nothing);
    row.is_well_again("kvstore", Some(DIVERGED), 40).await?;
    row.finish().await
}

/// New writes pass; what stays shows it.
#[tokio::test]
async fn k2_standby_wiped() -> Result<()> {
    let Some(site) = Site::start(Plan { kvstore: true, channel: LANES, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store emptied", &["kvstore"]).await?;
    lanes_are_ok(&site).await?;
    let _: String = stores.standby.command(&["FLUSHALL"]).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["diverged"], 10)).await?;
    row.pages(DIVERGED, Duration::ZERO, Duration::ZERO, 40).await?;
    row.is_well_again("kvstore", Some(DIVERGED), 90).await?;
    row.finish().await
}

#[tokio::test]
async fn k2_acknowledged_write_rolled_back_by_a_restart() -> Result<()> {
    let Some(site) = Site::start(Plan { kvstore: true, channel: LANES, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "primary's store killed without an append-only file", &["kvstore"]).await?;
    lanes_are_ok(&site).await?;
    stores.primary.server.kill().await?;
    row.fault();
    stores.primary.start_again().await?;
    row.tells(Tells::unknown("kvstore", &["lost"], 15)).await?;
    row.pages("StandbyKvstoreLostWrite", Duration::ZERO, Duration::ZERO, 40).await?;
    row.is_well_again("kvstore", Some("StandbyKvstoreLostWrite"), 120).await?;
    row.finish().await
}

#[tokio::test]
async fn k2_canary_evicted() -> Result<()> {
    let Some(site) = Site::start(Plan { kvstore: true, channel: LANES, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store evicts (allkeys-lru)", &["kvstore"]).await?;
    lanes_are_ok(&site).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "10mb"]).await?;
    row.fault();
    let fill =
        "for i = 1, 1000 do redis.call('SET', 'data:' .. ARGV[1] .. ':' .. i, string.rep('x', 500)) end return 1";
    let mut round = 0;
    wait_until("a canary is evicted", Duration::from_secs(60), async || {
        round += 1;
        let _: i64 = stores.standby.command(&["EVAL", fill, "0", &round.to_string()]).await?;
        let evicted = site.agent.metrics().await?.value("standby_kvstore_outcomes_total", &[("outcome", "evicted")])?;
        Ok((evicted > Some(0.0)).then_some(()))
    })
    .await?;
    row.fault();
    row.tells(Tells::running("kvstore", "warning", &["evicted"], Number::Known, 20)).await?;
    row.pages("StandbyKvstoreEviction", Duration::ZERO, Duration::ZERO, 40).await?;
    for loud in [DIVERGED, "StandbyKvstoreLostWrite", "StandbyReplicationUnknown"] {
        let there = site.alertmanager().alerts().await?.iter().any(|alert| alert.labels["alertname"] == loud);
        assert!(!there, "{loud} in Alertmanager");
    }
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    row.is_well_again("kvstore", Some("StandbyKvstoreEviction"), 120).await?;
    row.finish().await
}

/// The write lies in the frozen store's socket and lands when it goes on.
#[tokio::test]
async fn k3_write_times_out_and_lands_later() -> Result<()> {
    let Some(site) =
        Site::start(Plan { kvstore: true, channel: LANES, held: crate::site::USUAL, ..Plan::postgres() }).await?
    else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K3", "a write times out and lands later", &["kvstore"]).await?;
    stores.standby.server.freeze()?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["blocked"], 15)).await?;
    stores.standby.server.thaw()?;
    row.is_well_again("kvstore", None, 30).await?;
    let metrics = site.agent.metrics().await?;
    assert!(!metrics.all("standby_kvstore_indeterminate_resolved_total", &[]).is_empty(), "its fate is told");
    for outcome in ["lost", "primary_only", "primary_stale"] {
        assert_eq!(metrics.value("standby_kvstore_outcomes_total", &[("outcome", outcome)])?, Some(0.0), "{outcome}");
    }
    row.pages_nobody("over before any alert's hold time").await?;
    row.finish().await
}

const DIVERGED: &str = "StandbyKvstoreDiverged";

/// Canaries that stay are written anew after some seconds, not after 10 minutes and an hour.
const LANES: Channel =
    Channel { through_gateway: false, lines: "interval: 1s, timeout: 2s, sla: 3s, lanes: { medium: 8s, slow: 16s }" };

async fn lanes_are_ok(site: &Site) -> Result<()> {
    wait_until("the canaries that stay are there", Duration::from_secs(60), async || {
        let metrics = site.agent.metrics().await?;
        let lanes = metrics.all("standby_kvstore_lane_ok", &[]);
        Ok((lanes.len() == 2 && lanes.iter().all(|(_, ok)| *ok == 1.0)).then_some(()))
    })
    .await
}

/// How long writes are blocked before that pages: here, and as the rule has it.
const HELD: Duration = Duration::from_secs(2);
const USUAL: Duration = Duration::from_secs(30);

fn held_shortly() -> Plan {
    let rules = "StandbyKvstoreWritesBlocked: { for: 2s }";
    let channel = Channel { through_gateway: false, lines: "interval: 1s, timeout: 2s, sla: 3s" };
    Plan { kvstore: true, channel, rules, ..Plan::postgres() }
}

#[tokio::test]
async fn k2_standby_s_store_takes_no_writes() -> Result<()> {
    let Some(site) = Site::start(held_shortly()).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store read-only (somebody made it a replica)", &["kvstore"]).await?;
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["rejected"], 15)).await?;
    row.pages(BLOCKED, HELD, USUAL, 40).await?;
    let _: String = stores.standby.command(&["REPLICAOF", "NO", "ONE"]).await?;
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish().await
}

#[tokio::test]
async fn k2_standby_s_store_is_full() -> Result<()> {
    let Some(site) = Site::start(held_shortly()).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store out of memory (noeviction)", &["kvstore"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["rejected"], 15)).await?;
    row.pages(BLOCKED, HELD, USUAL, 40).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish().await
}

#[tokio::test]
async fn k2_standby_s_store_has_another_password() -> Result<()> {
    let Some(site) = Site::start(held_shortly()).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "password of the standby's store changed", &["kvstore"]).await?;
    // What is connected stays connected, so it is ended.
    let lock = ["CONFIG SET requirepass second", "CLIENT KILL TYPE normal SKIPME yes"];
    in_one_session(&stores.standby, &lock).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["authentication"], 15)).await?;
    row.pages(BLOCKED, HELD, USUAL, 40).await?;
    in_one_session(&stores.standby, &["AUTH second", "CONFIG SET requirepass \"\""]).await?;
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish().await
}

/// Slow is not blocked: nobody is got out of bed.
#[tokio::test]
async fn k2_a_store_that_answers_after_two_seconds() -> Result<()> {
    let rules = "StandbyKvstoreSlow: { for: 2s }";
    let channel = Channel { through_gateway: false, lines: "interval: 1s, timeout: 30s, sla: 1s" };
    let Some(site) = Site::start(Plan { rules, channel, ..held_shortly() }).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store answers after 2 s", &["kvstore"]).await?;
    stores.kv.set(Mode::Delay(Duration::from_secs(1)));
    row.fault();
    row.tells(Tells::running("kvstore", "warning", &["slow"], Number::Known, 60)).await?;
    row.pages("StandbyKvstoreSlow", HELD, Duration::from_secs(600), 60).await?;
    let alerts = site.alertmanager().alerts().await?;
    for loud in [BLOCKED, "StandbyKvstoreDiverged", "StandbyReplicationUnknown"] {
        assert!(alerts.iter().all(|alert| alert.labels["alertname"] != loud), "{loud} in Alertmanager");
    }
    row.finish().await
}

/// Commands one after the other in one session, which keeps what it has become.
async fn in_one_session(store: &RedisServer, commands: &[&str]) -> Result<()> {
    let mut stream = TcpStream::connect(store.address()).await?;
    for command in commands {
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = [0; 200];
        let read = stream.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        if !answer.starts_with(['+', ':']) {
            return Err(std::io::Error::other(answer)).with_context(|| command.to_string());
        }
    }
    Ok(())
}
