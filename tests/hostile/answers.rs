//! What real servers say when it is far from the usual, and answers that are none.

use standbywatch_lab::{Context, Lab, Load, Need, PgPair, Result, Wire, wait_until};

use crate::impostor::{Impostor, Says};
use crate::watch::{self, SOON, tells_ok, tells_unknown};

/// Beyond the half of all positions, so that as a signed number it would be less than nothing.
#[tokio::test]
async fn positions_beyond_the_signed_range() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().wal_from("00000001FFFFFFF000000001").start(&lab).await?;
    let position = pair.primary.value("SELECT pg_current_wal_lsn()").await?.context("a position")?;
    assert!(position.starts_with("FFFFFFF0/"), "{position}");
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let writer = pair.writer(Load::Tps(50)).await?;
    let lag = async || agent.metrics().await?.value("standby_replication_lag_bytes", &[]);
    let seconds = async || agent.metrics().await?.value("standby_replication_lag_seconds", &[]);
    wait_until("lag is told in bytes and seconds", SOON, async || Ok(lag().await?.zip(seconds().await?))).await?;
    pair.standby.pause_replay().await?;
    let (bytes, late) = wait_until("lag grows", SOON, async || {
        Ok(lag().await?.zip(seconds().await?).filter(|(bytes, seconds)| *bytes > 20_000.0 && *seconds > 3.0))
    })
    .await?;
    assert!(bytes < 1e8 && late < 60.0, "{bytes} bytes, {late} s");
    // The ring comes back from the state file as it was.
    pair.standby.resume_replay().await?;
    agent.stop().await?;
    agent.start_again().await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    pair.standby.stop().await?;
    let gap = async || agent.metrics().await?.value("standby_postgres_gap_bytes", &[("standby", "beta")]);
    let gap = wait_until("the gap grows", SOON, async || Ok(gap().await?.filter(|gap| *gap > 5_000.0))).await?;
    assert!(gap < 1e8, "{gap}");
    writer.stop().await;
    Ok(())
}

/// Lets clients in without a password, and answers whatever they ask with these bytes.
fn lets_in_and_says(garbage: Vec<u8>) -> impl Fn(&[u8]) -> Says + Send + Sync + 'static {
    const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    move |heard| match heard {
        [0, 0, 0, 8, 4, 210, 22, 47] => Says::This(b"N".to_vec()),
        // A new session's first message has no letter before its length.
        [0, ..] => Says::This(LET_IN.to_vec()),
        _ => Says::This(garbage.clone()),
    }
}

#[tokio::test]
async fn garbage_from_who_has_let_the_agent_in() -> Result<()> {
    let lab = Lab::bare()?;
    let answers: [(&str, Vec<u8>, &[&str]); 5] = [
        ("letters", vec![b'x'; 3000], &["protocol", "refused", "timeout"]),
        ("ones", vec![0xff; 3000], &["protocol", "refused", "timeout"]),
        ("a-row-of-nothing", b"D\0\0\0\x06\0\0Z\0\0\0\x05I".to_vec(), &["protocol", "refused", "timeout"]),
        ("a-length-below-its-own", b"T\0\0\0\x01Z\0\0\0\x05I".to_vec(), &["protocol", "refused", "timeout"]),
        ("ready-without-an-answer", b"Z\0\0\0\x05I".to_vec(), &["protocol", "refused", "timeout"]),
    ];
    let mut config = "pairs:\n".to_owned();
    let mut servers = Vec::new();
    for (name, garbage, _) in &answers {
        let server = Impostor::start(lets_in_and_says(garbage.clone())).await?;
        let alpha = format!("host: 127.0.0.1, port: {}, password: anything", server.address().port());
        config += &watch::postgres_servers(name, &alpha, "host: 127.0.0.1, port: 2");
        servers.push(server);
    }
    let agent = watch::agent(&lab, config).await?;
    for (name, _, reasons) in &answers {
        let told = tells_unknown(&agent, name, "postgres", reasons).await?;
        println!("{name}: {}", told["detail"]);
    }
    assert!(servers.iter().all(|server| server.connections() > 0), "each was asked");
    assert!(agent.metrics().await?.all("standby_replication_lag_bytes", &[]).is_empty());
    Ok(())
}

/// A real server, whose answer is spoilt on its way.
#[tokio::test]
async fn answers_of_a_server_that_are_not_what_was_asked_for() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let spoilt = [
        ("{\"version\":", "<\"version\":"),
        ("\"walsenders\"", "\"wassenders\""),
        ("\"settings\":{", "\"settings\":["),
        ("\"wal_lsn\" : \"0/", "\"wal_lsn\" : \"0-"),
    ];
    for (right, wrong) in spoilt {
        let wire = Wire::that_swaps(pair.primary.address(), vec![(right.to_owned(), wrong.to_owned())]).await?;
        let password_file = pair.password_file().display().to_string();
        let agent =
            watch::agent(&lab, watch::catalog_at([wire.address(), pair.standby_address()], &pair, &password_file))
                .await?;
        // The standby proves alone that it receives; how far behind it is nobody can tell.
        wait_until("the answer is told to be none", SOON, async || {
            let told = watch::channel_of(&agent, "catalog", "postgres").await?;
            let right = (told["level"].as_str(), told["reason"].as_str()) == (Some("warning"), Some("protocol"));
            let page = agent.json("/monitor/replication").await?;
            Ok((right && page["postgres_lag_bytes"] == "unknown").then_some(()))
        })
        .await
        .with_context(|| format!("{right} as {wrong}"))?;
        agent.stop().await?;
    }
    Ok(())
}
