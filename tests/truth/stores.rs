//! More of rows K2: what happens to a store itself.

use std::time::Duration;

use standbywatch_lab::{Context, Mode, RedisServer, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::row::{Number, Row, Tells};
use crate::site::{Channel, Plan, Site};

const BLOCKED: &str = "StandbyKvstoreWritesBlocked";
const HELD: Duration = Duration::from_secs(2);
const USUAL: Duration = Duration::from_secs(30);

fn plan() -> Plan {
    let rules = "StandbyKvstoreWritesBlocked: { for: 2s }";
    let channel = Channel { through_gateway: false, lines: "interval: 1s, timeout: 2s, sla: 3s" };
    Plan { kvstore: true, channel, rules, ..Plan::postgres() }
}

#[tokio::test]
async fn k2_standby_s_store_takes_no_writes() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store read-only (somebody made it a replica)", &["kvstore"]).await?;
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["rejected"], 15)).await?;
    row.pages(BLOCKED, HELD, USUAL, 40).await?;
    let _: String = stores.standby.command(&["REPLICAOF", "NO", "ONE"]).await?;
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish()
}

#[tokio::test]
async fn k2_standby_s_store_is_full() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K2", "standby's store out of memory (noeviction)", &["kvstore"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    row.fault();
    row.tells(Tells::unknown("kvstore", &["rejected"], 15)).await?;
    row.pages(BLOCKED, HELD, USUAL, 40).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish()
}

#[tokio::test]
async fn k2_standby_s_store_has_another_password() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
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
    row.finish()
}

/// Slow is not blocked: nobody is got out of bed.
#[tokio::test]
async fn k2_a_store_that_answers_after_two_seconds() -> Result<()> {
    let rules = "StandbyKvstoreSlow: { for: 2s }";
    let channel = Channel { through_gateway: false, lines: "interval: 1s, timeout: 30s, sla: 1s" };
    let Some(site) = Site::start(Plan { rules, channel, ..plan() }).await? else { return Ok(()) };
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
    row.finish()
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
