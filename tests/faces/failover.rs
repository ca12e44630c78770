//! "Promote now?", asked of a real agent over a real pair, and what really was lost.

use std::path::Path;

use serde_json::Value;
use standbywatch_lab::{Agent, Context, Load, Mode, PgPair, PgServer, Result};

use crate::site::{SOON, Site, standbywatch, wait_for_level};

/// Waits until the answer is as wanted; returns it.
async fn answer(agent: &Agent, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let page = "/api/v1/pairs/catalog";
    let told = agent.wait_for_json(page, what, SOON, |pair| wanted(&pair["failover"])).await?;
    Ok(told["failover"].clone())
}

fn is(verdict: &'static str) -> impl Fn(&Value) -> bool {
    move |told| told["verdict"] == verdict
}

/// The same answer over HTTP and at a terminal: the status of `?strict=1`, the text, the exit code.
async fn everywhere(agent: &Agent, strict: u16, code: i32, text: &str) -> Result<()> {
    let page = agent.get("/failover/catalog").await?;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains(text), "{text} is not in\n{}", page.text);
    assert_eq!(agent.get("/failover/catalog?strict=1").await?.status, strict);
    let said = standbywatch(&["failover", "catalog", "--url", &agent.url("")?], &[]).await?;
    assert_eq!(said.code, Some(code));
    assert!(said.out.contains(text), "{text} is not in\n{}", said.out);
    Ok(())
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

async fn rows(server: &PgServer) -> Result<u64> {
    let count = server.value("SELECT count(*)::text FROM load").await?.context("a count")?;
    Ok(count.parse()?)
}

/// Beside the servers' own words, once the writer has stopped.
async fn really_lost(pair: &PgPair) -> Result<u64> {
    pair.standby.promote().await?;
    pair.primary.start().await?;
    let lost = end_of_wal(&pair.primary)?.saturating_sub(parted_at(&pair.standby.data_dir())?);
    let [before, after] = [rows(&pair.primary).await?, rows(&pair.standby).await?];
    println!("really lost: {lost} bytes of WAL, {} rows of {before}", before.saturating_sub(after));
    assert!(before > after, "rows were lost");
    Ok(lost)
}

#[tokio::test]
async fn what_a_promotion_loses_is_foretold_when_the_primary_is_gone() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let pair = &site.postgres;
    // At once, so that the rate of the last minute is the writer's.
    let writer = pair.writer(Load::Tps(50)).await?;
    let agent = site.agent(site.config("")).await?;
    wait_for_level(&agent, "ok").await?;
    let told = answer(&agent, "ready", is("ready")).await?;
    assert!(told["steps"][0].as_str().is_some_and(|step| step.contains("fence it first")), "{told:#}");
    everywhere(&agent, 200, 0, "READY").await?;
    let rate = |pair: &Value| pair["postgres"]["wal_bytes_per_second"].is_number();
    agent.wait_for_json("/api/v1/pairs/catalog", "the rate of the load is known", SOON, rate).await?;

    // The standby misses some seconds of a steady load; then the primary dies, and its standby's connection with it.
    pair.repl.set(Mode::BlackHole);
    let missed = |told: &Value| told["loss"]["wal_bytes"].as_u64().is_some_and(|bytes| bytes > 20 << 10);
    let before = answer(&agent, "the standby misses something", missed).await?;
    assert_eq!(before["loss"]["at_least"], false, "the primary is seen: {before:#}");
    pair.primary.kill().await?;
    pair.repl.set(Mode::Reset);
    let told = answer(&agent, "the primary is gone", is("primary_gone")).await?;
    println!("{told:#}");
    everywhere(&agent, 503, 3, "at least").await?;
    let metrics = agent.metrics().await?;
    let gone = metrics.value("standby_failover_verdict", &[("verdict", "primary_gone")])?;
    assert_eq!(gone, Some(1.0));

    writer.stop().await;
    let lost = really_lost(pair).await?;
    let [least, most] = ["wal_bytes", "wal_bytes_at_most"].map(|key| told["loss"][key].as_u64());
    let (least, most) = least.zip(most).with_context(|| format!("a loss in {told:#}"))?;
    println!("foretold: at least {least}, at most {most} bytes");
    assert!((least..=most).contains(&lost), "{lost} is not between {least} and {most}");
    assert!(least > 20 << 10, "what was seen to be missing is in it");
    Ok(())
}
