//! Two URLs instead of a configuration file.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Mode, Result};
use tokio::time::Instant;

use crate::site::{PROGRAM, Site, standbywatch, wait_for_level};

/// What the flags' names promise: a look is decided within this time.
const DECIDED: Duration = Duration::from_secs(16);
/// For starting and ending the program on a busy machine.
const AROUND: Duration = Duration::from_secs(4);

fn urls(site: &Site, password: Option<&str>) -> [String; 2] {
    let user = match password {
        Some(password) => format!("{}:{}", site.postgres.user(), password.replace(' ', "%20")),
        None => site.postgres.user().to_owned(),
    };
    [site.postgres.primary_address(), site.postgres.standby_address()]
        .map(|address| format!("postgres://{user}@{address}/postgres"))
}

async fn look(site: &Site, more: &[&str]) -> Result<(Option<i32>, Value)> {
    let [primary, standby] = urls(site, None);
    let args = [&["status", "--json", "--primary", &primary, "--standby", &standby][..], more].concat();
    let began = Instant::now();
    let said = standbywatch(&args, &[("PGPASSWORD", site.postgres.password())]).await?;
    assert!(began.elapsed() < DECIDED + AROUND, "decided after {:?}", began.elapsed());
    Ok((said.code, serde_json::from_str(&said.out)?))
}

#[tokio::test]
async fn a_look_at_two_servers() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let (code, json) = look(&site, &[]).await?;
    let pair = &json["pairs"][0];
    assert_eq!((code, &json["level"], &pair["pair"]), (Some(0), &"ok".into(), &"pair".into()), "{json}");
    assert_eq!(pair["roles"]["primary"], site.postgres.primary_address().to_string(), "{json}");
    assert_eq!(pair["roles"]["standbys"][0], site.postgres.standby_address().to_string(), "{json}");
    assert!(pair["postgres"]["lag_bytes"].is_u64(), "{json}");

    // Which of both is which is observed, not believed.
    let [primary, standby] = urls(&site, None);
    let swapped = ["status", "--primary", &standby, "--standby", &primary];
    let said = standbywatch(&swapped, &[("PGPASSWORD", site.postgres.password())]).await?;
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains(&format!("primary: {}", site.postgres.primary_address())), "{}", said.out);

    site.postgres.probe.set(Mode::BlackHole);
    let (code, json) = look(&site, &[]).await?;
    assert_eq!((code, &json["pairs"][0]["postgres"]["lag_bytes"]), (Some(3), &Value::Null), "{json}");
    site.postgres.repair();
    site.postgres.standby.kill().await?;
    let (code, json) = look(&site, &[]).await?;
    assert_eq!((code, &json["pairs"][0]["channels"][0]["reason"]), (Some(3), &"not_connected".into()), "{json}");
    Ok(())
}

#[tokio::test]
async fn wrong_words() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let [primary, standby] = urls(&site, None);
    let said =
        standbywatch(&["status", "--primary", &primary, "--standby", &standby], &[("PGPASSWORD", "wrong")]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.starts_with("UNKNOWN pair: postgres (authentication)"), "{}", said.out);
    assert!(said.out.contains("pg_hba.conf"), "says what to check: {}", said.out);

    let said = standbywatch(&["status", "--primary", &primary], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("--standby"), "{}", said.err);
    let said = standbywatch(&["status", "--primary", "foo", "--standby", &standby], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.starts_with("UNKNOWN --primary: "), "{}", said.out);
    let said = standbywatch(&["run", "--primary", &primary, "--standby", &primary], &[]).await?;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("both name"), "{}", said.err);
    Ok(())
}

/// An exporter of one pair from two words. A password in a URL works, is warned of, and is told nowhere.
#[tokio::test]
async fn an_exporter_of_two_servers() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let [primary, standby] = urls(&site, Some(site.postgres.password()));
    let args = ["--primary", &primary, "--standby", &standby].map(str::to_owned).to_vec();
    let agent =
        Agent::start(&site.lab, AgentOptions { program: PROGRAM.into(), args, ..AgentOptions::default() }).await?;
    let page = wait_for_level(&agent, "ok").await?;
    assert!(page["postgres_lag_bytes"].is_u64(), "{page}");
    let text = agent.get("/metrics").await?.text;
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_replication_up", &[("pair", "pair"), ("channel", "postgres")])?, Some(1.0));
    let node = site.postgres.primary_address().to_string();
    let role = metrics.value("standby_postgres_node_role", &[("node", &node), ("role", "primary")])?;
    assert_eq!(role, Some(1.0), "{text}");

    let said = standbywatch(&["status", "--primary", &primary, "--standby", &standby], &[]).await?;
    assert_eq!(said.code, Some(0));
    let log = agent.server.log();
    for (said, place) in [(&said.err, "status"), (&log, "run")] {
        for flag in ["--primary", "--standby"] {
            assert!(said.contains(flag) && said.contains("PGPASSWORD"), "{place} warns of {flag}: {said}");
        }
    }
    let shown = [text, page.to_string(), log, said.out, said.err, agent.get("/").await?.text];
    for (number, shown) in shown.iter().enumerate() {
        for secret in [site.postgres.password(), "%20"] {
            assert!(!shown.contains(secret), "{secret:?} in output {number}: {shown}");
        }
    }
    Ok(())
}
