//! The pair and what can be done to it, on real servers.

use std::time::{Duration, Instant};

use standbywatch_lab::{Context, Lab, Load, Mode, Need, PgPair, Result, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn streams_over_its_cable_and_catches_up_under_load() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().start(&lab).await?;
    let slots = pair.primary.sql("SELECT slot_name, active::text FROM pg_replication_slots").await?;
    assert_eq!(slots, [[Some("beta".to_owned()), Some("true".to_owned())]]);
    let before = pair.repl.traffic();
    assert_eq!(before.open, 1);

    let writer = pair.writer(Load::Heavy).await?;
    wait_until("some bulk was written", SOON, async || Ok((writer.done() >= 5).then_some(()))).await?;
    let done = writer.stop().await;
    pair.wait_caught_up(SOON).await?;
    assert!(done >= 5);
    let passed = pair.repl.traffic().to_client - before.to_client;
    assert!(passed > 5_000_000, "{passed} bytes of WAL");

    let writer = pair.writer(Load::Tps(50)).await?;
    let began = Instant::now();
    wait_until("100 transactions", SOON, async || Ok((writer.done() >= 100).then_some(()))).await?;
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_500), "paced: {took:?}");
    assert_eq!(writer.failed(), 0);
    Ok(())
}

#[tokio::test]
async fn the_agents_role_needs_its_password_and_has_pg_monitor() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().start(&lab).await?;
    let connect = |password: &'static str| {
        sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(pair.standby_address().port())
            .username(pair.user())
            .password(password)
            .database("postgres")
    };
    use sqlx::ConnectOptions;
    let mut connection = connect(pair.password()).connect().await?;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(seen, 1);
    assert!(connect("wrong").connect().await.is_err());
    pair.primary.change_password("another").await?;
    pair.wait_caught_up(SOON).await?;
    assert!(connect(pair.password()).connect().await.is_err());
    connect("another").connect().await?;
    pair.primary.revoke_monitor().await?;
    pair.wait_caught_up(SOON).await?;
    let may = pair.standby.value("SELECT pg_has_role('standbywatch', 'pg_monitor', 'usage')").await?;
    assert_eq!(may.as_deref(), Some("f"));
    Ok(())
}

#[tokio::test]
async fn a_frozen_receiver_and_a_black_hole_stop_the_stream_until_repaired() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let receiver = pair.standby.receiver_pid().context("a receiver")?;

    pair.standby.freeze_receiver()?;
    assert_eq!(pair.standby.receiver_pid(), Some(receiver));
    let state = std::fs::read_to_string(format!("/proc/{receiver}/stat"))?;
    assert!(state.contains(") T "), "{state}");
    wait_until("the walsender gives up", SOON, async || {
        Ok(pair.primary.sender_pids("beta").await?.is_empty().then_some(()))
    })
    .await?;
    pair.standby.thaw_receiver()?;
    pair.wait_caught_up(SOON).await?;

    pair.repl.set(Mode::BlackHole);
    pair.primary.sql("CREATE TABLE behind ()").await?;
    let behind = "SELECT to_regclass('behind')::text";
    wait_until("the walsender gives up", SOON, async || {
        Ok(pair.primary.sender_pids("beta").await?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(pair.standby.value(behind).await?, None);
    pair.repl.set(Mode::Pass);
    pair.wait_caught_up(SOON).await?;
    assert!(pair.standby.value(behind).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn servers_stop_die_freeze_and_come_back() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().start(&lab).await?;
    pair.standby.stop().await?;
    assert!(!pair.standby.is_running());
    pair.standby.start().await?;
    pair.wait_caught_up(SOON).await?;

    pair.standby.freeze()?;
    pair.standby.kill().await?;
    pair.standby.start().await?;
    pair.wait_caught_up(SOON).await?;

    pair.primary.freeze()?;
    assert!(pair.primary.value("SELECT 1").await.is_err(), "no answer");
    pair.primary.thaw()?;
    assert_eq!(pair.primary.value("SELECT 1").await?.as_deref(), Some("1"));

    pair.primary.kill().await?;
    pair.primary.start().await?;
    pair.wait_caught_up(SOON).await
}

#[tokio::test]
async fn replay_pauses_and_the_standby_is_promoted() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().primary_setting("max_slot_wal_keep_size", "32MB").start(&lab).await?;
    let limit = pair.primary.value("SHOW max_slot_wal_keep_size").await?;
    assert_eq!(limit.as_deref(), Some("32MB"));
    pair.standby.pause_replay().await?;
    pair.primary.sql("CREATE TABLE later ()").await?;
    let later = "SELECT to_regclass('later')::text";
    wait_until("it was received", SOON, async || {
        let sql = "SELECT 1 WHERE pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()";
        Ok(pair.standby.value(sql).await?.map(|_| ()))
    })
    .await?;
    assert_eq!(pair.standby.value(later).await?, None);
    pair.standby.resume_replay().await?;
    pair.wait_caught_up(SOON).await?;
    assert!(pair.standby.value(later).await?.is_some());

    pair.standby.promote().await?;
    pair.standby.sql("CREATE TABLE written_on_beta ()").await?;
    Ok(())
}

#[tokio::test]
async fn a_standby_that_takes_no_questions_still_streams() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().standby_setting("hot_standby", "off").start(&lab).await?;
    assert!(pair.standby.value("SELECT 1").await.is_err());
    pair.wait_caught_up(SOON).await
}

#[tokio::test]
async fn other_receivers_stand_beside_the_standby() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().start(&lab).await?;
    let gamma = pair.add_standby("gamma", None).await?;
    let receivewal = pair.receivewal().await?;
    let backup = pair.basebackup(1024).await?;
    let rows = pair.primary.sql("SELECT application_name FROM pg_stat_replication ORDER BY 1").await?;
    let names: Vec<&str> = rows.iter().flatten().flatten().map(String::as_str).collect();
    assert_eq!(names, ["beta", "gamma", "pg_basebackup", "pg_receivewal"]);
    assert_eq!(gamma.name(), "gamma");
    backup.kill().await?;
    receivewal.stop().await?;
    assert_eq!(pair.primary.sender_pids("gamma").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_fresh_pair_is_another_cluster() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let ours = PgPair::builder().start(&lab).await?;
    let other = PgPair::builder().fresh_cluster().named("other-").start(&lab).await?;
    let sql = "SELECT system_identifier::text FROM pg_control_system()";
    let ids = [
        ours.primary.value(sql).await?,
        ours.standby.value(sql).await?,
        other.primary.value(sql).await?,
        other.standby.value(sql).await?,
    ];
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[0], ids[2]);
    Ok(())
}
