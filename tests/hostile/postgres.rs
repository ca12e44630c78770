//! PostgreSQL servers that are none, that refuse, or that let the agent see nothing.

use std::time::Duration;

use standbywatch_lab::{Context, Lab, Need, PgPair, Result, wait_until};
use tokio::time::Instant;

use crate::impostor::{Impostor, Says, WEB_PAGE, http, postgres_refusal};
use crate::watch::{self, SOON, channel_of, memory, tells_ok, tells_unknown};

/// How a server that is none behaves, by name; with the reasons that are right for it.
async fn no_servers() -> Result<Vec<(&'static str, Impostor, &'static [&'static str])>> {
    let page = http("400 Bad Request", "text/html", "", WEB_PAGE);
    let mut all: Vec<(&str, Impostor, &[&str])> = Vec::new();
    let says: Vec<(&str, Says, &[&str])> = vec![
        ("silent", Says::Nothing, &["timeout"]),
        ("web-page", Says::Last(page), &["protocol"]),
        ("closes", Says::Last(Vec::new()), &["refused"]),
        ("zeros", Says::Last(vec![0; 4096]), &["protocol", "refused"]),
        ("drip", Says::Drip(vec![b'R'; 100], Duration::from_millis(300)), &["timeout", "protocol", "tls"]),
        ("tls-nonsense", Says::This(vec![b'S'; 500]), &["tls", "protocol"]),
    ];
    for (name, says, reasons) in says {
        all.push((name, Impostor::that_says(says).await?, reasons));
    }
    let refusals: [(&str, &str, &str, &[&str]); 6] = [
        ("starting", "57P03", "the database system is starting up", &["starting_up"]),
        ("full", "53300", "sorry, too many clients already", &["refused"]),
        ("no-entry", "28000", "no pg_hba.conf entry for host", &["authentication"]),
        ("wrong-password", "28P01", "password authentication failed", &["authentication"]),
        ("no-database", "3D000", "database \"postgres\" does not exist", &["refused"]),
        ("broken", "XX000", "could not read block\nlevel=error msg=forged <script>alert(1)</script>", &["protocol"]),
    ];
    for (name, state, message, reasons) in refusals {
        all.push((name, Impostor::start(postgres_refusal(state, message)).await?, reasons));
    }
    Ok(all)
}

#[tokio::test]
async fn servers_that_are_none_or_refuse() -> Result<()> {
    let lab = Lab::bare()?;
    let servers = no_servers().await?;
    let mut config = "pairs:\n".to_owned();
    for (name, server, _) in &servers {
        let alpha = format!("host: 127.0.0.1, port: {}, password: anything", server.address().port());
        config += &watch::postgres_servers(name, &alpha, "host: 127.0.0.1, port: 2");
    }
    config += &watch::postgres_servers("refused", "host: 127.0.0.1, port: 1", "host: 127.0.0.1, port: 2");
    config += &watch::postgres_servers("no-socket", "host: /nowhere", "host: /nowhere, port: 2");
    let agent = watch::agent(&lab, config).await?;
    let mut all: Vec<(&str, &[&str])> = servers.iter().map(|(name, _, reasons)| (*name, *reasons)).collect();
    all.extend([("refused", &["refused"] as &[&str]), ("no-socket", &["refused"])]);
    for (name, reasons) in all {
        let told = tells_unknown(&agent, name, "postgres", reasons).await?;
        let document = agent.json(&format!("/api/v1/pairs/{name}")).await?;
        let probe =
            document["probes"].as_array().and_then(|probes| probes.iter().find(|probe| probe["node"] == "alpha"));
        let failure = &probe.context("the probe of alpha")?["failure"];
        assert!(failure["kind"].as_str().is_some_and(|kind| reasons.contains(&kind)), "{name}: {failure}");
        println!("{name}: {} / {}", told["detail"], failure["message"]);
    }
    let page = agent.get("/").await?.text;
    assert!(!page.contains("<script>alert"), "what a server says is text on our page");
    let log = agent.server.log();
    assert!(!log.lines().any(|line| line.starts_with("level=error msg=forged")), "no server writes lines of our log");
    Ok(())
}

/// With TLS off its first letters are read as a length of over a gigabyte.
#[tokio::test]
async fn a_web_page_whose_length_is_believed() -> Result<()> {
    let lab = Lab::bare()?;
    let page = http("200 OK", "text/html", "", WEB_PAGE);
    let small = Impostor::that_says(Says::Last(page)).await?;
    let node =
        |server: &Impostor| format!("host: 127.0.0.1, port: {}, tls: {{ mode: disable }}", server.address().port());
    let config = watch::postgres_servers("page", &node(&small), "host: 127.0.0.1, port: 2");
    let agent = watch::agent(&lab, format!("pairs:\n{config}")).await?;
    tells_unknown(&agent, "page", "postgres", &["protocol"]).await?;
    let before = memory(&agent, "VmRSS")?;
    watch::rises("it is asked again", 3, || small.connections()).await?;
    let peak = memory(&agent, "VmHWM")?;
    assert!(peak.saturating_sub(before) <= 20 << 20, "{before} bytes before, {peak} at most");
    Ok(())
}

/// Attempts that a server counted: its log has a line for each.
fn refusals(pair: &PgPair) -> [usize; 2] {
    [&pair.primary, &pair.standby].map(|server| server.log().matches("FATAL:  password authentication failed").count())
}

#[tokio::test]
async fn a_wrong_password_is_tried_rarely_and_a_changed_file_at_once() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let file = lab.write("agent-password", "not the password\n")?;
    let config = watch::catalog(&pair, &file.display().to_string()) + "    postgres: { reconnect_every: 10s }\n";
    let agent = watch::agent(&lab, config).await?;
    let told = tells_unknown(&agent, "catalog", "postgres", &["authentication"]).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("check the password")), "{told}");
    let began = Instant::now();
    wait_until("twenty seconds have gone by", SOON, async || {
        let told = channel_of(&agent, "catalog", "postgres").await?;
        assert_eq!(
            (told["level"].as_str(), told["reason"].as_str()),
            (Some("unknown"), Some("authentication")),
            "{told}"
        );
        Ok((began.elapsed() >= Duration::from_secs(20)).then_some(()))
    })
    .await?;
    assert_eq!(refusals(&pair), [1, 1], "no account is locked by knocking");

    lab.write("agent-password", pair.password())?;
    let repaired = Instant::now();
    tells_ok(&agent, "catalog", "postgres").await?;
    assert!(
        repaired.elapsed() < Duration::from_secs(20),
        "the file is looked at, not the pause: {:?}",
        repaired.elapsed()
    );

    // Changed on the servers while sessions are held: the next session tells.
    pair.primary.change_password("another one").await?;
    tells_unknown(&agent, "catalog", "postgres", &["authentication"]).await?;
    assert!(refusals(&pair).iter().all(|refusals| *refusals <= 2), "{:?}", refusals(&pair));
    lab.write("agent-password", "another one")?;
    tells_ok(&agent, "catalog", "postgres").await?;
    Ok(())
}

#[tokio::test]
async fn a_password_file_that_goes_and_comes() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let file = lab.dir().join("agent-password");
    let agent = watch::agent(&lab, watch::catalog(&pair, &file.display().to_string())).await?;
    let told = tells_unknown(&agent, "catalog", "postgres", &["permission"]).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("agent-password")), "{told}");
    lab.write("agent-password", "\n")?;
    tells_unknown(&agent, "catalog", "postgres", &["permission"]).await?;
    lab.write("agent-password", pair.password())?;
    tells_ok(&agent, "catalog", "postgres").await
}

#[tokio::test]
async fn a_role_that_may_see_nothing_has_no_lag() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    for _ in 0..2 {
        pair.primary.revoke_monitor().await?;
        let told = tells_unknown(&agent, "catalog", "postgres", &["permission"]).await?;
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("GRANT pg_monitor TO")), "{told}");
        // From the first look on, whatever the standby tells: never a number.
        let until = Instant::now() + Duration::from_secs(3);
        wait_until("three seconds have gone by", SOON, async || {
            let page = agent.json("/monitor/replication").await?;
            assert_eq!(page["postgres_lag_bytes"], "unknown", "{page}");
            assert!(agent.metrics().await?.all("standby_replication_lag_bytes", &[]).is_empty());
            Ok((Instant::now() >= until).then_some(()))
        })
        .await?;
        pair.primary.grant_monitor().await?;
        tells_ok(&agent, "catalog", "postgres").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_session_left() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    let user = pair.user();
    pair.primary.sql(&format!("ALTER ROLE {user} CONNECTION LIMIT 0")).await?;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'");
    // The standby's session still stands: it proves that it receives, not how far behind it is.
    pair.primary.sql(&end).await?;
    wait_until("it runs with a warning", SOON, async || {
        let told = channel_of(&agent, "catalog", "postgres").await?;
        let page = agent.json("/monitor/replication").await?;
        let right = (told["level"].as_str(), told["reason"].as_str()) == (Some("warning"), Some("refused"));
        Ok((right && page["postgres_lag_bytes"] == "unknown").then_some(()))
    })
    .await?;
    pair.standby.sql(&end).await?;
    let told = tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("too many connections")), "{told}");
    pair.primary.sql(&format!("ALTER ROLE {user} CONNECTION LIMIT -1")).await?;
    tells_ok(&agent, "catalog", "postgres").await
}

#[tokio::test]
async fn a_standby_that_takes_no_sessions() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().standby_setting("hot_standby", "off").start(&lab).await?;
    let agent = watch::agent(&lab, watch::catalog(&pair, &pair.password_file().display().to_string())).await?;
    // Which walsender is the standby's cannot be known from here: `ambiguous`, or the standby's own failure.
    let told = tells_unknown(&agent, "catalog", "postgres", &["ambiguous", "starting_up"]).await?;
    let document = agent.json("/api/v1/pairs/catalog").await?;
    let probes = document["probes"].as_array().context("probes")?;
    let beta = probes.iter().find(|probe| probe["node"] == "beta").context("beta's probe")?;
    assert_eq!(beta["failure"]["kind"], "starting_up", "{told} {beta}");
    Ok(())
}
