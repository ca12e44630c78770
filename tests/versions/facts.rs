//! Every fact of the statement, asked by the probe itself on both nodes of a pair of one version.

use std::time::Duration;

use standbywatch::config::{PostgresChannel, PostgresNode, PostgresTls, Replication, Schedule, SecretSource};
use standbywatch::facts::{PostgresFacts, PostgresRole, PostgresSettings, PrimaryFacts, Slot, StandbyFacts};
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch::secret::Secret;
use standbywatch::units::Bytes;
use standbywatch_lab::{Context, Lab, Load, Need, PgPair, Result, wait_until};

const SOON: Duration = Duration::from_secs(30);

pub async fn no_fact_is_missing(major: u32) -> Result<()> {
    let Some(lab) = Lab::open(&[Need::PostgresVersion(major)])? else { return Ok(()) };
    let pair = PgPair::builder()
        .version(major)
        .setting("max_slot_wal_keep_size", "64MB")
        .setting("wal_receiver_status_interval", "1s")
        .primary_setting("archive_mode", "on")
        .primary_setting("archive_command", "false")
        .standby_setting("recovery_min_apply_delay", "250ms")
        .start(&lab)
        .await?;
    // Lags by time are there only while something is written.
    let writer = pair.writer(Load::Tps(50)).await?;
    let mut alpha = PostgresProbe::new(&node(&pair, pair.primary_address().port()), &channel());
    let mut beta = PostgresProbe::new(&node(&pair, pair.standby_address().port()), &channel());
    let (alpha, beta) = wait_until("the standby has replayed and reported", SOON, async || {
        let (alpha, beta) = (alpha.run().await.result?, beta.run().await.result?);
        Ok(has_settled(&alpha, &beta).then_some((alpha, beta)))
    })
    .await?;
    writer.stop().await;
    assert_eq!(alpha.data_directory.as_deref(), pair.primary.data_dir().to_str());
    assert_eq!(beta.data_directory.as_deref(), pair.standby.data_dir().to_str());
    assert_eq!(alpha.system_identifier, beta.system_identifier);
    for facts in [&alpha, &beta] {
        of_any_server(facts, major);
    }
    settings(&alpha.settings, Duration::ZERO);
    settings(&beta.settings, Duration::from_millis(250));
    let PostgresRole::Primary(alpha) = &alpha.role else { panic!("a primary") };
    let PostgresRole::Standby(beta) = &beta.role else { panic!("a standby") };
    of_a_primary(alpha);
    of_a_standby(beta, pair.repl.port())?;
    asked_apart(&pair, major).await?;
    a_slot_that_nobody_streams_from(&pair, major).await
}

/// What a new probe knows once it has asked everything: the fast questions at each run, the slow ones in the pauses.
async fn all_of(pair: &PgPair, port: u16) -> Result<PostgresFacts> {
    let mut probe = PostgresProbe::new(&node(pair, port), &channel());
    probe.run().await.result?;
    for _ in 0..5 {
        probe.ask_apart(Duration::from_secs(5)).await;
    }
    Ok(probe.run().await.result?)
}

/// The slow questions, and the counters that version 14 gives among them.
async fn asked_apart(pair: &PgPair, major: u32) -> Result<()> {
    pair.primary.sql("INSERT INTO load (filler) VALUES ('one'); SELECT pg_switch_wal()").await?;
    let primary = wait_until("archiving fails, and a file waits", SOON, async || {
        let facts = all_of(pair, pair.primary_address().port()).await?;
        let PostgresRole::Primary(primary) = &facts.role else { panic!("a primary") };
        let waits = facts.slow.archive_ready.is_some_and(|ready| ready.value > 0);
        Ok((waits && primary.archiver_failing == Some(true)).then_some(facts))
    })
    .await?;
    pair.primary.set("archive_command", "true")?;
    wait_until("archiving works, and none waits", SOON, async || {
        let facts = all_of(pair, pair.primary_address().port()).await?;
        let PostgresRole::Primary(primary) = &facts.role else { panic!("a primary") };
        let none_waits = facts.slow.archive_ready.is_some_and(|ready| ready.value == 0);
        Ok((none_waits && primary.archiver_failing == Some(false)).then_some(()))
    })
    .await?;
    let standby = all_of(pair, pair.standby_address().port()).await?;
    let checksums = pair.primary.value("SHOW data_checksums").await?.context("a setting")? == "on";
    for facts in [&primary, &standby] {
        let slow = &facts.slow;
        assert!(slow.wal_directory.is_some_and(|size| size.value >= Bytes::mib(16)), "{slow:?}");
        assert_eq!(slow.data_checksums.map(|checksums| checksums.value), Some(checksums));
        let text = slow.version_text.as_ref().context("a version")?;
        assert!(text.value.starts_with(&format!("PostgreSQL {major}")), "{slow:?}");
        assert!(text.age < Duration::from_secs(60), "{slow:?}");
        assert_eq!(facts.untested_version(), Some(false));
    }
    let PostgresRole::Standby(standby) = &standby.role else { panic!("a standby") };
    assert_eq!(standby.conflicts, Some(0));
    assert_eq!(standby.prefetch.is_some(), major >= 15, "{standby:?}");
    if let Some(prefetch) = standby.prefetch {
        let all = [prefetch.prefetched, prefetch.hit, prefetch.block_distance, prefetch.io_depth];
        assert!(all.iter().all(Option::is_some) && prefetch.wal_distance.is_some(), "{prefetch:?}");
    }
    Ok(())
}

/// It keeps WAL until the primary throws it away; since when it is idle, and why it is lost, is told from 17 on.
async fn a_slot_that_nobody_streams_from(pair: &PgPair, major: u32) -> Result<()> {
    pair.primary.sql("SELECT pg_create_physical_replication_slot('idle', true)").await?;
    let mut probe = PostgresProbe::new(&node(pair, pair.primary_address().port()), &channel());
    let mut idle = async || -> Result<Slot> {
        let PostgresRole::Primary(primary) = probe.run().await.result?.role else { panic!("a primary") };
        primary.slots.into_iter().find(|slot| slot.name == "idle").context("the slot")
    };
    pair.primary.sql("INSERT INTO load (filler) VALUES ('one')").await?;
    let kept = idle().await?;
    assert_eq!((kept.active, kept.active_pid, &kept.invalidation_reason), (false, None, &None));
    assert!(kept.retained.is_some_and(|kept| kept.0 > 0), "{kept:?}");
    assert_eq!((kept.inactive_since.is_some(), kept.inactive_age.is_some()), (major >= 17, major >= 17), "{kept:?}");
    assert!(kept.inactive_age.is_none_or(|age| (0.0..60.0).contains(&age)), "{kept:?}");
    let lost = wait_until("the slot is lost", SOON, async || {
        pair.primary.sql("INSERT INTO load (filler) VALUES ('one'); SELECT pg_switch_wal()").await?;
        pair.primary.sql("CHECKPOINT").await?;
        let slot = idle().await?;
        Ok((slot.wal_status.as_deref() == Some("lost")).then_some(slot))
    })
    .await?;
    assert_eq!((lost.retained, lost.safe_wal_size), (None, None), "unknown is no number");
    assert_eq!(lost.invalidation_reason.as_deref(), (major >= 17).then_some("wal_removed"));
    Ok(())
}

/// What is there only now and then is there: lags by time, a replayed commit, a startup process that waits.
fn has_settled(alpha: &PostgresFacts, beta: &PostgresFacts) -> bool {
    let PostgresRole::Primary(primary) = &alpha.role else { panic!("a primary") };
    let PostgresRole::Standby(standby) = &beta.role else { panic!("a standby") };
    primary.walsenders.iter().all(|sender| sender.replay_lag.is_some())
        && standby.last_replayed_commit.is_some()
        && standby.startup_wait_event.is_some()
}

fn of_any_server(facts: &PostgresFacts, major: u32) {
    assert_eq!(facts.version.map(|version| version / 10_000), Some(major));
    assert_eq!(facts.timeline, Some(1));
    assert!(facts.system_identifier.as_ref().is_some_and(|id| id.len() > 10), "{facts:?}");
    assert!(facts.postmaster_start.is_some() && facts.server_clock.is_some(), "{facts:?}");
}

fn settings(settings: &PostgresSettings, apply_delay: Duration) {
    // All but the first, the slots' limit and the delay are PostgreSQL's defaults, the same in all versions.
    let bounds = [
        (settings.wal_receiver_status_interval, 1),
        (settings.wal_receiver_timeout, 60),
        (settings.wal_sender_timeout, 60),
        (settings.max_standby_streaming_delay, 30),
    ];
    for (told, seconds) in bounds {
        assert_eq!(told, Some(Duration::from_secs(seconds)), "{settings:?}");
    }
    assert_eq!(settings.standby_waits_for_ever, Some(false));
    assert_eq!(settings.recovery_min_apply_delay, Some(apply_delay));
    assert_eq!(settings.max_slot_wal_keep_size, Some(Bytes::mib(64)));
    let lower: Vec<_> = settings.must_not_be_lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let defaults = [
        ("max_connections", 100),
        ("max_locks_per_transaction", 64),
        ("max_prepared_transactions", 0),
        ("max_wal_senders", 10),
        ("max_worker_processes", 8),
    ];
    assert_eq!(lower, defaults);
}

fn of_a_primary(primary: &PrimaryFacts) {
    let [sender] = primary.walsenders.as_slice() else { panic!("one walsender: {primary:?}") };
    assert_eq!(sender.application_name.as_deref(), Some("beta"));
    assert_eq!(sender.slot.as_deref(), Some("beta"));
    assert_eq!(sender.state.as_deref(), Some("streaming"));
    assert_eq!(sender.sync_state.as_deref(), Some("async"));
    assert_eq!(sender.client_addr.map(|address| address.is_loopback()), Some(true));
    let on_its_way = [primary.wal_lsn, sender.sent, sender.write, sender.flush, sender.replay];
    assert!(on_its_way.iter().all(Option::is_some) && on_its_way.is_sorted_by(|a, b| a >= b), "{primary:?}");
    assert!(sender.backend_start.is_some() && sender.reply_time.is_some(), "{sender:?}");
    assert!(sender.backend_age.is_some_and(|age| age > 0.0), "{sender:?}");
    for lag in [sender.write_lag, sender.flush_lag, sender.replay_lag] {
        assert!(lag.is_some_and(|lag| lag >= 0.0), "{sender:?}");
    }
    let [slot] = primary.slots.as_slice() else { panic!("one slot: {primary:?}") };
    assert_eq!((slot.name.as_str(), slot.physical, slot.active), ("beta", true, true));
    assert_eq!(slot.active_pid, Some(sender.pid));
    assert_eq!(slot.wal_status.as_deref(), Some("reserved"));
    assert!(slot.restart_lsn.is_some() && slot.restart_lsn <= primary.wal_lsn, "{slot:?}");
    assert!(slot.safe_wal_size.is_some_and(|size| size > 0), "{slot:?}");
    assert!(slot.retained.is_some(), "{slot:?}");
    assert_eq!((&slot.inactive_since, slot.inactive_age, &slot.invalidation_reason), (&None, None, &None));
    assert_eq!(primary.synchronous_standby_names.as_deref(), Some(""));
    assert_eq!((primary.commits_waiting, primary.longest_commit_wait), (Some(0), None));
}

fn of_a_standby(standby: &StandbyFacts, upstream: u16) -> Result<()> {
    assert!(standby.replay_lsn.is_some() && standby.replay_lsn <= standby.receive_lsn, "{standby:?}");
    assert_eq!(standby.replay_paused, Some(false));
    let receiver = standby.receiver.as_ref().context("a receiver")?;
    assert_eq!(receiver.status.as_deref(), Some("streaming"));
    assert_eq!(receiver.slot.as_deref(), Some("beta"));
    assert_eq!(receiver.application_name.as_deref(), Some("beta"));
    assert_eq!(receiver.timeline, Some(1));
    assert_eq!(receiver.sender, Some(format!("127.0.0.1:{upstream}")));
    assert!(receiver.last_message.is_some() && receiver.latest_end.is_some(), "{receiver:?}");
    assert!(receiver.last_message_age.is_some_and(|age| (0.0..40.0).contains(&age)), "{receiver:?}");
    Ok(())
}

pub fn channel() -> PostgresChannel {
    PostgresChannel {
        schedule: Schedule::new(Duration::from_secs(1), Duration::from_secs(5)),
        lag_large: Bytes::mib(64),
        trend_window: Duration::from_secs(300),
        slot_window: Duration::from_secs(600),
        initial_sync: Duration::from_hours(24),
        low_load: Bytes::mib(1),
        stall_after: Duration::from_secs(15),
        stuck_after: Duration::from_secs(600),
        reconnect_every: Duration::from_secs(600),
        pulse: None,
        replication: Replication::Streaming,
        archive_period: Duration::from_secs(300),
        status_page: None,
    }
}

pub fn node(pair: &PgPair, port: u16) -> PostgresNode {
    PostgresNode {
        host: "127.0.0.1".to_owned(),
        port,
        user: pair.user().to_owned(),
        database: "postgres".to_owned(),
        password: Some(SecretSource::Inline(Secret::new(pair.password()))),
        tls: PostgresTls::default(),
        replica: None,
        apply_delay: None,
    }
}
