//! What a promotion loses is foretold when the primary is gone: by the agent that is left, and by an observer alike.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, Context, Load, Mode, PgPair, PgServer, Result};

use crate::site::{Plan, Site};

/// The rate at which the primary writes is known once a quarter of the five minutes of the trend is filled.
const WITHIN: Duration = Duration::from_secs(150);
const PAGE: &str = "/api/v1/pairs/catalog";
/// The standby misses so much of what is known to have been written.
const MISSED: u64 = 20 << 10;

async fn answer(agent: &Agent, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    Ok(agent.wait_for_json(PAGE, what, WITHIN, |pair| wanted(pair)).await?["failover"].clone())
}

/// A position as a number.
fn position(text: &str) -> Result<u64> {
    let (high, low) = text.split_once('/').with_context(|| format!("{text:?} is no position"))?;
    Ok((u64::from_str_radix(high, 16)? << 32) | u64::from_str_radix(low, 16)?)
}

/// Where the promoted server left its primary's history: the last line of its own timeline's history.
fn parted_at(data: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(data.join("pg_wal/00000002.history")).context("the history of timeline 2")?;
    let line = text.lines().rfind(|line| line.starts_with('1')).context("a line of timeline 1")?;
    position(line.split('\t').nth(1).context("a position")?)
}

/// Where a killed server's WAL ended: at the first record that its recovery could not read. What it writes after that is its own.
fn end_of_wal(server: &PgServer) -> Result<u64> {
    let log = server.log();
    let (_, redo) = log.rsplit_once("redo starts at").context("a recovery in the log")?;
    let (redo, _) = redo.split_once("redo done at").with_context(|| format!("an end of the recovery in {redo}"))?;
    let is_position = |word: &&str| position(word).is_ok();
    let mut words = redo.split(|c: char| !c.is_ascii_hexdigit() && c != '/').filter(|word| word.contains('/'));
    position(words.rfind(is_position).with_context(|| format!("a position in {redo}"))?)
}

/// The rows of a table with a sequence that one server has and the other has not: how many, and the first and the last.
async fn missing(from: &PgServer, on: &PgServer) -> Result<(usize, u64, u64)> {
    let mut held = Vec::new();
    for server in [from, on] {
        let ids = server.value("SELECT string_agg(id::text, ',') FROM load").await?.context("rows")?;
        held.push(ids.split(',').map(str::parse).collect::<Result<BTreeSet<u64>, _>>()?);
    }
    let mut only = held[0].difference(&held[1]).copied();
    let first = only.next().context("rows were lost")?;
    let rest: Vec<u64> = only.collect();
    Ok((rest.len() + 1, first, rest.last().copied().unwrap_or(first)))
}

/// By the servers' own words, once the writer has stopped.
async fn really_lost(pair: &PgPair) -> Result<u64> {
    pair.standby.promote().await?;
    pair.primary.start().await?;
    let lost = end_of_wal(&pair.primary)?.saturating_sub(parted_at(&pair.standby.data_dir())?);
    let (rows, first, last) = missing(&pair.primary, &pair.standby).await?;
    println!("really lost: {lost} bytes of WAL; {rows} rows of the table are missing, {first} to {last}");
    Ok(lost)
}

#[tokio::test]
async fn what_a_promotion_loses_is_foretold_by_the_agent_that_is_left_and_by_an_observer() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    let pair = &site.postgres;
    // At once, so that the rate of the last minute is the writer's.
    let writer = pair.writer(Load::Tps(50)).await?;
    let observer = site.observer().await?;
    let askers = [("the agent of beta", &site.agents.beta), ("the observer", &observer)];
    for (name, agent) in askers {
        let ready = |pair: &Value| {
            pair["failover"]["verdict"] == "ready" && pair["postgres"]["wal_bytes_per_second"].is_number()
        };
        answer(agent, &format!("{name} says ready, and knows the rate of the load"), ready).await?;
    }

    // The standby misses some seconds of a steady load; then the primary's machine dies, and with it its agent.
    pair.repl.set(Mode::BlackHole);
    for (name, agent) in askers {
        let missed = |pair: &Value| pair["failover"]["loss"]["wal_bytes"].as_u64().is_some_and(|bytes| bytes > MISSED);
        let told = answer(agent, &format!("{name} sees what the standby misses"), missed).await?;
        assert_eq!(told["loss"]["at_least"], false, "{name}: the primary is seen: {told:#}");
    }
    let (server, agent) = tokio::join!(pair.primary.kill(), site.agents.alpha.server.kill());
    server?;
    agent?;
    pair.repl.set(Mode::Reset);
    let mut foretold = Vec::new();
    for (name, agent) in askers {
        let gone = |pair: &Value| pair["failover"]["verdict"] == "primary_gone";
        foretold.push((name, answer(agent, &format!("{name} says that the primary is gone"), gone).await?));
    }

    writer.stop().await;
    let lost = really_lost(pair).await?;
    for (name, told) in foretold {
        let [least, most] = ["wal_bytes", "wal_bytes_at_most"].map(|key| told["loss"][key].as_u64());
        let (least, most) = least.zip(most).with_context(|| format!("a loss in {told:#}"))?;
        println!("foretold by {name}: at least {least}, at most {most} bytes");
        assert!((least..=most).contains(&lost), "{name}: {lost} is not between {least} and {most}: {told:#}");
        assert!(least > MISSED, "{name}: what was seen to be missing is in it");
    }
    Ok(())
}
