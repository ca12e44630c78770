//! What the agent costs a server: one session, one statement that is prepared once, one round trip at each look; what is slow is
//! asked apart, and holds nothing up.

use std::time::Duration;

use standbywatch_lab::{Context, Lab, Need, PgPair, PgServer, Result, Spoken, Wire, wait_until};

use crate::watch::{self, SOON, tells_ok};

/// Waits until the agent has looked this many times more; returns what it has said by then.
async fn looks(wire: &Wire, more: u64) -> Result<Spoken> {
    let before = wire.spoken().count('E');
    wait_until("the agent has looked", Duration::from_secs(90), async || {
        let spoken = wire.spoken();
        Ok((spoken.count('E') >= before + more).then_some(spoken))
    })
    .await
}

#[tokio::test]
async fn one_round_trip_at_each_look() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let wires = [Wire::to(pair.primary.address()).await?, Wire::to(pair.standby.address()).await?];
    let addresses = [wires[0].address(), wires[1].address()];
    let password_file = pair.password_file().display().to_string();
    let agent = watch::agent(&lab, watch::catalog_at(addresses, &pair, &password_file)).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    // As many looks as it takes for each slow question to have had its turn, and some more.
    for wire in &wires {
        let spoken = looks(wire, 20).await?;
        println!("{spoken:?}");
        let looks = spoken.count('E');
        assert_eq!(spoken.connections, 1, "one session: {spoken:?}");
        assert_eq!(spoken.count('P'), 1, "one statement, prepared once: {spoken:?}");
        assert!((1..=6).contains(&spoken.count('Q')), "three slow questions a minute: {spoken:?}");
        assert_eq!(spoken.count('B'), looks, "each look is bound and executed once: {spoken:?}");
        // Preparing takes a round trip of its own; the last look's may be on its way.
        let each = [looks, looks + 1];
        assert!(each.contains(&spoken.count('S')), "and ends its round trip: {spoken:?}");
    }
    // Between looks the session holds nothing that a vacuum or another session would have to wait for.
    for server in [&pair.primary, &pair.standby] {
        holds_nothing(server).await?;
    }
    // Both servers' own count, at last: nobody but these two sessions.
    for server in [&pair.primary, &pair.standby] {
        let count = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
        assert_eq!(server.value(count).await?.as_deref(), Some("1"));
    }
    Ok(())
}

/// Looks at the agent's session until it was seen idle ten times: no transaction, no snapshot, no lock.
async fn holds_nothing(server: &PgServer) -> Result<()> {
    const SESSION: &str = "SELECT state, \
                           (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL OR xact_start IS NOT NULL)::text, \
                           (SELECT count(*) FROM pg_locks WHERE pg_locks.pid = session.pid)::text \
                           FROM pg_stat_activity AS session WHERE application_name = 'standbywatch'";
    let mut idle = 0;
    wait_until("the session was seen idle", SOON, async || {
        let rows = server.sql(SESSION).await?;
        let [row] = &rows[..] else { return Ok(None) };
        let row: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
        match row[..] {
            ["active", ..] => {}
            ["idle", "false", "0"] => idle += 1,
            _ => panic!("{} holds something for the agent between its looks: {row:?}", server.name()),
        }
        Ok((idle >= 10).then_some(()))
    })
    .await
}

/// The directory of the WAL takes a minute to be listed. The built-in function makes room for it: it cannot be replaced.
const SLOW: &str = "ALTER FUNCTION pg_catalog.pg_ls_waldir() RENAME TO pg_ls_waldir_fast; \
                    CREATE FUNCTION pg_catalog.pg_ls_waldir(OUT name text, OUT size bigint, OUT modification timestamptz) \
                    RETURNS SETOF record LANGUAGE sql AS $$ SELECT 'x', 1::bigint, now() FROM pg_sleep(60) $$";

#[tokio::test]
async fn a_slow_question_holds_nothing_up_and_is_alone_unknown() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    pair.primary.sql(SLOW).await?;
    // Nobody may list the archive's directory: that question fails at once.
    pair.primary.sql("REVOKE EXECUTE ON FUNCTION pg_ls_archive_statusdir() FROM pg_monitor").await?;
    pair.wait_caught_up(SOON).await?;
    let wire = Wire::to(pair.primary.address()).await?;
    let addresses = [wire.address(), pair.standby_address()];
    let password_file = pair.password_file().display().to_string();
    let agent = watch::agent(&lab, watch::catalog_at(addresses, &pair, &password_file)).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let asked = wait_until("each slow question had its turn", SOON, async || {
        let spoken = wire.spoken();
        Ok((spoken.count('Q') >= 3).then_some(spoken))
    })
    .await?;
    // Long after: the session is the same, and every look succeeds.
    let after = looks(&wire, 10).await?;
    assert_eq!((asked.connections, after.connections), (1, 1), "{after:?}");
    let metrics = agent.metrics().await?;
    for node in ["alpha", "beta"] {
        let of_node = [("node", node)];
        assert_eq!(metrics.value("standby_probe_up", &[("channel", "postgres"), ("node", node)])?, Some(1.0), "{node}");
        assert_eq!(metrics.value("standby_postgres_untested_version", &of_node)?, Some(0.0));
        for unknown in ["standby_postgres_wal_directory_bytes", "standby_postgres_archive_ready_files"] {
            assert_eq!(metrics.value(unknown, &of_node)?, None, "{unknown} of {node}");
        }
    }
    // Learned by the third slow question, which is well.
    assert_eq!(metrics.value("standby_postgres_settings_differ", &[("standby", "beta")])?, Some(0.0));
    let log = agent.server.log();
    let told = log.lines().filter(|line| line.contains("a question that is asked seldom failed"));
    let causes: Vec<_> = told.collect();
    let says = |text: &str| causes.iter().filter(|line| line.contains(text)).count();
    assert!(says("statement timeout") + says("no answer in time") >= 1, "{causes:?}");
    assert!(says("permission denied for function pg_ls_archive_statusdir") >= 1, "{causes:?}");
    let timeouts = pair.primary.log().matches("canceling statement due to statement timeout").count();
    assert!(timeouts >= 1, "the server itself gives it up");
    let up = metrics.value("standby_replication_up", &[("channel", "postgres")])?.context("a sample")?;
    assert!(up > 0.0, "replication was told throughout");
    Ok(())
}
