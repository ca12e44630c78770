//! What becomes of canaries that stay, and of writes without an answer: lost is told from evicted, emptied, late and slow.

use std::time::Duration;

use standbywatch_lab::{Agent, AgentOptions, Lab, Mode, Need, Persistence, RedisPair, Result, wait_until};

use crate::watched::{QUICK, SOON, agent, count, findings, finds, is_well, looked, more, pair, redis, tells};

async fn watched(lab: &Lab, persistence: Persistence) -> Result<(RedisPair, Agent)> {
    let stores = RedisPair::start(lab, persistence).await?;
    let agent = agent(lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), QUICK)).await?;
    is_well(&agent).await?;
    lanes_are_ok(&agent).await?;
    Ok((stores, agent))
}

/// Both canaries that stay were written and looked at.
async fn lanes_are_ok(agent: &Agent) -> Result<()> {
    wait_until("the slower lanes are ok", SOON, async || {
        let lanes = looked(agent).await?.0["lanes"].clone();
        Ok(lanes
            .as_array()
            .is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["outcome"] == "ok"))
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_emptied_side_is_diverged_although_new_writes_pass() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let (stores, agent) = watched(&lab, Persistence::Nothing).await?;
    for (store, outcome) in [(&stores.standby, "primary_only"), (&stores.primary, "primary_stale")] {
        let before = count(&agent, outcome).await?;
        let _: String = store.command(&["FLUSHALL"]).await?;
        let told = tells(&agent, "unknown", &["diverged"]).await?;
        finds(&agent, "StandbyKvstoreDiverged", true).await?;
        assert!(count(&agent, outcome).await? > before, "{outcome}: {told}");
        assert_eq!(count(&agent, "lost").await?, 0.0, "the other side still has it: {told}");
        is_well(&agent).await?;
        lanes_are_ok(&agent).await?;
    }
    finds(&agent, "StandbyKvstoreDiverged", false).await
}

#[tokio::test]
async fn what_both_sides_forget_is_lost_also_while_the_agent_was_away() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let channel = "interval: 500ms, timeout: 2s, sla: 1s, lanes: { medium: 20s, slow: 60s }";
    let agent = agent(&lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), channel)).await?;
    is_well(&agent).await?;
    lanes_are_ok(&agent).await?;
    assert!(agent.stop().await?.success());
    for store in [&stores.primary, &stores.standby] {
        let _: String = store.command(&["FLUSHALL"]).await?;
    }
    agent.start_again().await?;
    tells(&agent, "unknown", &["lost"]).await?;
    finds(&agent, "StandbyKvstoreLostWrite", true).await?;
    assert_eq!(agent.metrics().await?.value("standby_kvstore_lane_ok", &[("lane", "slow")])?, Some(0.0));
    Ok(())
}

#[tokio::test]
async fn a_store_that_is_killed_without_its_file_has_rolled_back_what_it_acknowledged() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let (stores, agent) = watched(&lab, Persistence::Nothing).await?;
    stores.primary.server.kill().await?;
    stores.primary.start_again().await?;
    tells(&agent, "unknown", &["lost"]).await?;
    finds(&agent, "StandbyKvstoreLostWrite", true).await?;
    is_well_or_only_remembered(&agent).await?;

    // With its file it keeps what it acknowledged.
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let (stores, agent) = watched(&lab, Persistence::AppendOnly).await?;
    stores.primary.server.kill().await?;
    stores.primary.start_again().await?;
    is_well(&agent).await?;
    lanes_are_ok(&agent).await?;
    more(&agent, "ok", 6.0).await?;
    assert_eq!((count(&agent, "lost").await?, count(&agent, "primary_stale").await?), (0.0, 0.0));
    Ok(())
}

/// Proven again; the loss itself is told for as long as the medium lane lasts.
async fn is_well_or_only_remembered(agent: &Agent) -> Result<()> {
    wait_until("it is proven again", SOON, async || {
        let up = agent.metrics().await?.value("standby_replication_up", &[("channel", "kvstore")])?;
        Ok((up == Some(1.0)).then_some(()))
    })
    .await?;
    finds(agent, "StandbyKvstoreLostWrite", false).await
}

#[tokio::test]
async fn what_a_full_store_throws_away_is_evicted_and_nothing_else() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let (stores, agent) = watched(&lab, Persistence::Nothing).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "10mb"]).await?;
    let fill = "for i = 1, 1000 do redis.call('SET', 'application:' .. ARGV[1] .. ':' .. i, string.rep('x', 500)) end return 1";
    let mut round = 0;
    wait_until("a canary is evicted", SOON, async || {
        round += 1;
        let _: i64 = stores.standby.command(&["EVAL", fill, "0", &round.to_string()]).await?;
        Ok((count(&agent, "evicted").await? > 0.0).then_some(()))
    })
    .await?;
    tells(&agent, "warning", &["evicted"]).await?;
    assert_eq!(findings(&agent).await?, ["StandbyKvstoreEviction"]);
    for outcome in ["lost", "primary_only", "primary_stale"] {
        assert_eq!(count(&agent, outcome).await?, 0.0, "{outcome}");
    }
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    is_well(&agent).await?;
    Ok(())
}

#[tokio::test]
async fn a_write_without_an_answer_lands_later_and_is_no_alarm() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let (stores, agent) = watched(&lab, Persistence::Nothing).await?;
    stores.standby.server.freeze()?;
    let told = tells(&agent, "unknown", &["blocked"]).await?;
    assert!(told["indeterminate_pending"].as_u64() >= Some(1), "{told}");
    // What lies in its socket is read and done now.
    stores.standby.server.thaw()?;
    wait_until("its fate is told", SOON, async || {
        let metrics = agent.metrics().await?;
        Ok((!metrics.all("standby_kvstore_indeterminate_resolved_total", &[]).is_empty()).then_some(()))
    })
    .await?;
    let told = is_well(&agent).await?;
    assert_eq!(told["indeterminate_pending"], 0, "{told}");
    for outcome in ["lost", "primary_only", "primary_stale", "primary_only_unacked"] {
        assert_eq!(count(&agent, outcome).await?, 0.0, "{outcome}");
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_store_that_answers_is_slow_and_not_blocked() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    stores.kv.set(Mode::Delay(Duration::from_secs(1)));
    let channel = "interval: 1s, timeout: 30s, sla: 1s";
    let config = pair(&redis(stores.primary_address()), &redis(stores.standby_address()), channel)
        + "rules:\n  StandbyKvstoreSlow: { for: 1s }\n";
    let agent = agent(&lab, config).await?;
    finds(&agent, "StandbyKvstoreSlow", true).await?;
    let told = tells(&agent, "warning", &["slow"]).await?;
    assert!(told["round_trip_seconds"].as_f64() > Some(2.0), "{told}");
    assert_eq!((count(&agent, "blocked").await?, count(&agent, "rejected").await?), (0.0, 0.0));
    Ok(())
}

/// The agent stands on the primary's node, whose clock is an hour ahead of the stores'.
#[tokio::test]
async fn a_clock_that_is_off_by_an_hour_is_of_no_matter() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis, Need::Faketime])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let options = AgentOptions {
        program: env!("CARGO_BIN_EXE_standbywatch").into(),
        config: Some(pair(&redis(stores.primary_address()), &redis(stores.standby_address()), QUICK)),
        wrapper: ["faketime", "-f", "+1h"].map(str::to_owned).to_vec(),
        env: vec![("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned())],
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    is_well(&agent).await?;
    lanes_are_ok(&agent).await?;
    more(&agent, "ok", 20.0).await?;
    is_well(&agent).await?;
    for outcome in ["lost", "primary_only", "primary_stale", "blocked", "rejected"] {
        assert_eq!(count(&agent, outcome).await?, 0.0, "{outcome}");
    }
    let there: Vec<String> = stores.primary.command(&["TIME"]).await?;
    let there: f64 = there[0].parse()?;
    let started = agent.metrics().await?.value("process_start_time_seconds", &[])?;
    assert!(
        started.is_some_and(|started| started - there > 3000.0),
        "its clock is ahead: {started:?}, the stores' {there}"
    );
    Ok(())
}
