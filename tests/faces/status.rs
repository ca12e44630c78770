//! `standbywatch status`: for a person, for a script, for Nagios.

use serde_json::Value;
use standbywatch_lab::{Lab, Result};

use crate::site::{Site, standbywatch, text, wait_for_level};

#[tokio::test]
async fn of_a_running_agent() -> Result<()> {
    let Some(site) = Site::whole(&[]).await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    wait_for_level(&agent, "ok").await?;
    let url = agent.url("")?;
    let said = standbywatch(&["status", "--url", &url], &[]).await?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.starts_with("OK catalog: "), "{}", said.out);
    for line in
        ["postgres ok lag", "config ok last good copy", "kvstore ok round trip", "search ok active shards 100 %"]
    {
        assert!(squeezed(&said.out).contains(line), "{line:?} in\n{}", said.out);
    }
    let said = standbywatch(&["status", "--json", "--url", &format!("{url}/")], &[]).await?;
    let json: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &json["level"], &json["version"]), (Some(0), &"ok".into(), &1.into()), "{json}");
    assert!(json["pairs"][0]["postgres"]["lag_bytes"].is_u64(), "{json}");

    site.postgres.standby.pause_replay().await?;
    wait_for_level(&agent, "critical").await?;
    let said = standbywatch(&["status", "--url", &url], &[]).await?;
    assert_eq!(said.code, Some(2));
    assert!(said.out.starts_with("CRITICAL catalog: postgres"), "{}", said.out);
    assert!(said.out.contains("SELECT pg_wal_replay_resume()"), "says what to do: {}", said.out);

    site.postgres.standby.kill().await?;
    wait_for_level(&agent, "unknown").await?;
    let said = standbywatch(&["status", "--url", &url], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.starts_with("UNKNOWN catalog: postgres"), "{}", said.out);
    assert!(squeezed(&said.out).contains("postgres unknown lag unknown"), "{}", said.out);
    let said = standbywatch(&["status", "--json", "--url", &url], &[]).await?;
    let json: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &json["pairs"][0]["postgres"]["lag_bytes"]), (Some(3), &Value::Null), "{json}");
    Ok(())
}

/// Every trouble is exit code 3 and one line on standard output, where Nagios looks.
#[tokio::test]
async fn of_no_agent() -> Result<()> {
    let lab = Lab::bare()?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = format!("http://{closed}");
    let said = standbywatch(&["status", "--url", &url], &[]).await?;
    assert_eq!((said.code, said.out.lines().count()), (Some(3), 1));
    assert!(said.out.starts_with("UNKNOWN ") && said.out.contains(&url), "{}", said.out);
    assert!(said.out.contains("is it running?"), "{}", said.out);

    let said = standbywatch(&["status", "--url", "127.0.0.1:19517"], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.contains("write http://host:port"), "{}", said.out);

    let said = standbywatch(&["status", "--bogus"], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("--bogus"), "{}", said.err);

    let missing = lab.dir().join("no-such-file.yml");
    let said = standbywatch(&["status", "--once", "--config.file", text(&missing)], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.starts_with("UNKNOWN ") && said.out.contains("no-such-file.yml"), "{}", said.out);

    let wrong = lab.write("wrong.yml", "pairs:\n  - name: catalog\n    nods: {}\n")?;
    let said = standbywatch(&["status", "--once", "--config.file", text(&wrong)], &[]).await?;
    assert_eq!(said.code, Some(3));
    assert!(said.out.starts_with("UNKNOWN ") && said.out.contains("nods"), "{}", said.out);
    Ok(())
}

/// A look without any agent, over all four channels.
#[tokio::test]
async fn once() -> Result<()> {
    let Some(site) = Site::whole(&[]).await? else { return Ok(()) };
    site.sync.as_ref().expect("planned").wait_for_good_run(crate::site::SOON).await?;
    let file = site.lab.write("once.yml", &site.config(""))?;
    let state = site.lab.dir().join("once-state");
    let look = ["status", "--once", "--config.file", text(&file), "--state.directory", text(&state)];
    let said = standbywatch(&look, &[]).await?;
    assert_eq!(said.code, Some(0));
    assert!(said.out.starts_with("OK catalog: "), "{}", said.out);
    assert!(!state.exists(), "a look leaves nothing behind");

    site.postgres.standby.stop().await?;
    let said = standbywatch(&[&look[..], &["--json"]].concat(), &[]).await?;
    let json: Value = serde_json::from_str(&said.out)?;
    assert_eq!((said.code, &json["level"]), (Some(3), &"unknown".into()), "{json}");
    assert_eq!(json["pairs"][0]["channels"][0]["reason"], "not_connected", "{json}");
    Ok(())
}

/// Every run of spaces as one.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
