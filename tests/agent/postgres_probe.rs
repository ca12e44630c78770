//! The probe against real servers.

use std::time::Duration;

use standbywatch::config::{PostgresChannel, PostgresNode, PostgresTls, Replication, Schedule, SecretSource, SslMode};
use standbywatch::facts::{PostgresFacts, PostgresRole, Reading};
use standbywatch::names::FailureKind;
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch::secret::Secret;
use standbywatch::units::Bytes;
use standbywatch_lab::{Context, Lab, Load, Need, PgPair, PgServer, Result, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);

fn channel(timeout: Duration) -> PostgresChannel {
    PostgresChannel {
        schedule: Schedule::new(Duration::from_secs(1), timeout),
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

fn node(port: u16, pair: Option<&PgPair>) -> PostgresNode {
    PostgresNode {
        host: "127.0.0.1".to_owned(),
        port,
        user: pair.map_or("standbywatch", PgPair::user).to_owned(),
        database: "postgres".to_owned(),
        password: pair.map(|pair| SecretSource::Inline(Secret::new(pair.password()))),
        tls: PostgresTls::default(),
        replica: None,
        apply_delay: None,
    }
}

fn probe(port: u16, pair: Option<&PgPair>) -> PostgresProbe {
    PostgresProbe::new(&node(port, pair), &channel(Duration::from_secs(2)))
}

fn kind(reading: &Reading<PostgresFacts>) -> Option<FailureKind> {
    reading.failure().map(|failure| failure.kind)
}

async fn sessions(server: &PgServer) -> Result<String> {
    let count = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    server.value(count).await?.context("a count")
}

#[tokio::test]
async fn both_sides_tell_what_they_are() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().setting("max_slot_wal_keep_size", "64MB").start(&lab).await?;
    pair.wait_caught_up(SOON).await?;
    let primary = probe(pair.primary_address().port(), Some(&pair)).run().await;
    let standby = probe(pair.standby_address().port(), Some(&pair)).run().await;
    let (primary, standby) = (primary.result?, standby.result?);
    assert_eq!(primary.system_identifier, standby.system_identifier);
    assert_ne!(primary.postmaster_start, standby.postmaster_start);
    assert_eq!((primary.timeline, standby.timeline), (Some(1), Some(1)));
    assert_eq!(primary.settings.max_slot_wal_keep_size, Some(Bytes::mib(64)));
    assert_eq!(primary.settings.wal_receiver_status_interval, Some(Duration::from_secs(10)));
    assert_eq!(primary.data_directory.as_deref(), pair.primary.data_dir().to_str());
    let PostgresRole::Primary(primary) = primary.role else { panic!("a primary") };
    let PostgresRole::Standby(standby) = standby.role else { panic!("a standby") };
    let receiver = standby.receiver.context("a receiver")?;
    assert_eq!(receiver.status.as_deref(), Some("streaming"));
    assert_eq!(receiver.slot.as_deref(), Some("beta"));
    assert!(receiver.last_message_age.is_some_and(|age| (0.0..40.0).contains(&age)));
    let [walsender] = primary.walsenders.as_slice() else { panic!("one walsender: {:?}", primary.walsenders) };
    assert_eq!(walsender.slot, receiver.slot);
    assert_eq!(walsender.application_name, receiver.application_name);
    assert!(walsender.replay.is_some() && walsender.replay <= standby.replay_lsn, "what it reported, it has");
    assert_eq!(standby.replay_paused, Some(false));
    Ok(())
}

#[tokio::test]
async fn the_primary_is_never_behind_what_it_has_sent() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let writer = pair.writer(Load::Heavy).await?;
    wait_until("some was written", SOON, async || Ok((writer.done() >= 5).then_some(()))).await?;
    let mut probe = probe(pair.primary_address().port(), Some(&pair));
    let (mut moved, mut last) = (0, None);
    for _ in 0..400 {
        let PostgresRole::Primary(primary) = probe.run().await.result?.role else { panic!("a primary") };
        for walsender in &primary.walsenders {
            assert!(walsender.sent <= primary.wal_lsn, "{walsender:?} beyond {:?}", primary.wal_lsn);
        }
        moved += usize::from(primary.wal_lsn != last);
        last = primary.wal_lsn;
    }
    assert!(moved > 50, "it was busy: {moved}");
    writer.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_missing_right_is_no_lag() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = probe(pair.primary_address().port(), Some(&pair));
    assert_eq!(kind(&probe.run().await), None);
    pair.primary.revoke_monitor().await?;
    let reading = probe.run().await;
    assert_eq!(kind(&reading), Some(FailureKind::Permission));
    assert!(reading.failure().context("a failure")?.message.contains("GRANT pg_monitor"));
    pair.primary.grant_monitor().await?;
    assert_eq!(kind(&probe.run().await), None, "within the same session");
    Ok(())
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again_until_its_file_changes() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut node = node(pair.primary_address().port(), Some(&pair));
    node.password = Some(SecretSource::File(lab.write("wrong", "not this\n")?));
    let mut probe = PostgresProbe::new(&node, &channel(Duration::from_secs(2)));
    for _ in 0..5 {
        assert_eq!(kind(&probe.run().await), Some(FailureKind::Authentication));
    }
    let refusals = pair.primary.log().matches("password authentication failed").count();
    assert_eq!(refusals, 1, "one attempt, however often it is asked");
    lab.write("wrong", pair.password())?;
    assert_eq!(kind(&probe.run().await), None);
    Ok(())
}

#[tokio::test]
async fn servers_that_come_and_go() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = probe(pair.primary.port(), Some(&pair));
    assert_eq!(kind(&probe.run().await), None);
    let end_it = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    pair.primary.value(end_it).await?;
    assert_eq!(kind(&probe.run().await), None, "a session that was ended is opened anew in the same run");
    pair.primary.stop().await?;
    assert_eq!(kind(&probe.run().await), Some(FailureKind::Refused));
    pair.primary.start().await?;
    wait_until("facts again", SOON, async || Ok(kind(&probe.run().await).is_none().then_some(()))).await?;
    Ok(())
}

#[tokio::test]
async fn a_frozen_server_times_out_and_never_holds_more_than_two_sessions() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = probe(pair.primary.port(), Some(&pair));
    assert_eq!(kind(&probe.run().await), None);
    pair.primary.freeze()?;
    for _ in 0..2 {
        let reading = probe.run().await;
        assert_eq!(kind(&reading), Some(FailureKind::Timeout));
        assert!(reading.took() < Duration::from_secs(3), "the deadline holds: {:?}", reading.took());
    }
    pair.primary.thaw()?;
    let mut most = 0;
    wait_until("facts again", SOON, async || {
        let reading = probe.run().await;
        most = most.max(sessions(&pair.primary).await?.parse::<u32>()?);
        Ok(kind(&reading).is_none().then_some(()))
    })
    .await?;
    assert!(most <= 2, "{most} sessions");
    wait_until("one session", SOON, async || Ok((sessions(&pair.primary).await? == "1").then_some(()))).await?;
    Ok(())
}

/// Answers the first bytes of each connection with `text`; then holds it open, or says no more.
async fn stranger(text: &'static [u8], ends: bool) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, text, ends));
        }
    });
    Ok(port)
}

async fn answer(mut stream: TcpStream, text: &'static [u8], ends: bool) {
    let mut asked = [0; 64];
    let _ = stream.read(&mut asked).await;
    let _ = stream.write_all(text).await;
    if ends {
        let _ = stream.shutdown().await;
    }
    // Until the other side goes, so that nothing is reset.
    while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {}
}

#[tokio::test]
async fn what_is_no_postgresql_fails_by_kind() -> Result<()> {
    let silent = stranger(b"", false).await?;
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await?;
    let half = stranger(b"NR\0\0", true).await?;
    let cases = [(silent, FailureKind::Timeout), (web, FailureKind::Protocol), (half, FailureKind::Protocol)];
    for (port, expected) in cases {
        let reading = probe(port, None).run().await;
        assert_eq!(kind(&reading), Some(expected), "{:?}", reading.failure());
    }
    let mut nowhere = node(1, None);
    nowhere.host = "no-such-host.invalid".to_owned();
    let reading = PostgresProbe::new(&nowhere, &channel(Duration::from_secs(5))).run().await;
    assert_eq!(kind(&reading), Some(FailureKind::Unreachable), "{:?}", reading.failure());
    let mut plain = node(stranger(b"N", false).await?, None);
    plain.tls.mode = SslMode::Require;
    let reading = PostgresProbe::new(&plain, &channel(Duration::from_secs(2))).run().await;
    assert_eq!(kind(&reading), Some(FailureKind::Tls), "{:?}", reading.failure());
    Ok(())
}
