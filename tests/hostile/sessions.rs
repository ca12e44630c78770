//! One live session per node, whatever happens to the network.

use std::time::Duration;

use standbywatch_lab::{Lab, Mode, Need, PgPair, PgServer, Result, wait_until};
use tokio::time::Instant;

use crate::watch::{self, SOON, tells_ok};

/// Sessions that the server holds for the agent.
async fn sessions(server: &PgServer) -> Result<u64> {
    let sql = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    Ok(server.value(sql).await?.unwrap_or_default().parse()?)
}

/// Looks at both nodes until `done`; returns the most sessions that one of them held.
async fn most_sessions(pair: &PgPair, within: Duration, mut done: impl AsyncFnMut([u64; 2]) -> bool) -> Result<u64> {
    let mut most = 0;
    wait_until("the sessions are as wanted", within, async || {
        let now = [sessions(&pair.primary).await?, sessions(&pair.standby).await?];
        most = most.max(now[0]).max(now[1]);
        Ok(done(now).await.then_some(()))
    })
    .await?;
    Ok(most)
}

#[tokio::test]
async fn one_session_per_node_while_all_is_well() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let made = [pair.probe_primary.traffic().connections, pair.probe.traffic().connections];
    let until = Instant::now() + Duration::from_secs(30);
    let most = most_sessions(&pair, Duration::from_secs(60), async |now| {
        assert_eq!(now, [1, 1]);
        Instant::now() >= until
    })
    .await?;
    assert_eq!(most, 1);
    let made_then = [pair.probe_primary.traffic().connections, pair.probe.traffic().connections];
    assert_eq!(made_then, made, "sessions are held, not made anew");
    Ok(())
}

#[tokio::test]
async fn a_replaced_session_leaves_none_behind() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let config =
        watch::catalog(&pair, &pair.password_file().display().to_string()) + "    postgres: { reconnect_every: 10s }\n";
    let agent = watch::agent(&lab, config).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let before = pair.probe.traffic().connections;
    let replaced = async |now: [u64; 2]| now == [1, 1] && pair.probe.traffic().connections >= before + 2;
    let most = most_sessions(&pair, Duration::from_secs(60), replaced).await?;
    assert!(most <= 2, "{most}");
    tells_ok(&agent, "catalog", "postgres").await
}

/// The cable's two ends fall apart: the server does not see that the agent has given up.
async fn cut_and_mended(mode: Mode) -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let mut most = 0;
    for cable in [&pair.probe, &pair.probe_primary] {
        cable.set(mode);
        let until = Instant::now() + Duration::from_secs(12);
        most = most.max(most_sessions(&pair, SOON, async |_| Instant::now() >= until).await?);
        cable.set(Mode::Pass);
        // As soon as it tells again, and for a while after it: what came through late may make sessions, too.
        most = most.max(
            most_sessions(&pair, SOON, async |_| {
                let told = watch::channel_of(&agent, "catalog", "postgres").await;
                told.is_ok_and(|told| told["level"] == "ok")
            })
            .await?,
        );
        let mut single_since = None;
        let one_for_a_while = async |now: [u64; 2]| {
            if now != [1, 1] {
                single_since = None;
                return false;
            }
            single_since.get_or_insert_with(Instant::now).elapsed() >= Duration::from_secs(5)
        };
        most = most.max(most_sessions(&pair, Duration::from_secs(60), one_for_a_while).await?);
    }
    println!("{mode:?}: at most {most} sessions on a node");
    assert!(most <= 2, "{most} sessions on one node");
    Ok(())
}

#[tokio::test]
async fn a_black_hole_leaves_no_crowd_of_sessions() -> Result<()> {
    cut_and_mended(Mode::BlackHole).await
}

#[tokio::test]
async fn a_cable_that_resets_leaves_no_crowd_of_sessions() -> Result<()> {
    cut_and_mended(Mode::Reset).await
}

/// Each frozen backend outlives its client, and cannot notice that it is idle.
#[tokio::test]
async fn a_frozen_server_is_not_crowded() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    pair.primary.freeze()?;
    let until = Instant::now() + Duration::from_secs(15);
    wait_until("fifteen seconds have gone by", SOON, async || Ok((Instant::now() >= until).then_some(()))).await?;
    pair.primary.thaw()?;
    let most = most_sessions(&pair, Duration::from_secs(60), async |now| {
        let told = watch::channel_of(&agent, "catalog", "postgres").await;
        now == [1, 1] && told.is_ok_and(|told| told["level"] == "ok")
    })
    .await?;
    println!("at most {most} sessions after the thaw");
    assert!(most <= 2, "{most} sessions after the thaw");
    Ok(())
}
