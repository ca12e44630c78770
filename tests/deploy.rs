//! What `deploy/` ships, tried on real servers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use hyper::Method;
use standbywatch::names::RuleName;
use standbywatch_lab::{Alertmanager, Context, Lab, Need, PgPair, PgServer, Result, http, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Whom Alertmanager tells of what.
fn routes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/alertmanager.example.yml")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs the shipped SQL as it is documented.
fn make_role(server: &PgServer, password: Option<&str>) -> Result<Output> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-d", "postgres", "-U", "lab", "-h"]).arg(server.socket_dir());
    psql.arg("-p").arg(server.port().to_string());
    if let Some(password) = password {
        psql.arg("-v").arg(format!("password={password}"));
    }
    psql.arg("-f").arg(shipped("monitoring-role.sql")).output().context("psql")
}

fn log_in(server: &PgServer, password: &str) -> Result<Output> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-At", "-d", "postgres", "-U", "standbywatch", "-h", "127.0.0.1", "-p"]);
    psql.arg(server.port().to_string()).env("PGPASSWORD", password);
    psql.args(["-c", "SELECT count(sent_lsn) FROM pg_stat_replication"]).output().context("psql")
}

#[tokio::test]
async fn the_role_is_made_put_right_and_kept_out_of_the_log() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().primary_setting("log_statement", "all").start(&lab).await?;
    let primary = &pair.primary;
    primary.sql("DROP ROLE standbywatch").await?;
    let made = make_role(primary, Some("it's hunter2"))?;
    assert!(made.status.success(), "{}", said(&made));
    let seen = log_in(primary, "it's hunter2")?;
    assert_eq!(said(&seen).trim(), "1", "positions are seen, so pg_monitor is there");

    // Again, after someone spoiled it; the password stays.
    primary.sql("ALTER ROLE standbywatch CONNECTION LIMIT 0; REVOKE pg_monitor FROM standbywatch").await?;
    let again = make_role(primary, None)?;
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(said(&log_in(primary, "it's hunter2")?).trim(), "1");
    let settings = "SELECT array_to_string(rolconfig, ' ') || ' ' || rolconnlimit || ' ' || rolsuper FROM pg_roles \
                    WHERE rolname = 'standbywatch'";
    assert_eq!(
        primary.value(settings).await?.as_deref(),
        Some(
            "log_statement=none log_min_duration_statement=-1 log_duration=off default_transaction_read_only=on \
             search_path=pg_catalog 10 false"
        )
    );
    let log = primary.log();
    assert!(log.contains("statement: DROP ROLE"), "the server logs statements: {log}");
    assert!(!log.contains("hunter2") && !log.contains("count(sent_lsn)"), "{log}");

    // On the standby nothing can be made; that is said, not swallowed.
    let standby = make_role(&pair.standby, None)?;
    assert!(!standby.status.success() && said(&standby).contains("read-only"), "{}", said(&standby));
    Ok(())
}

#[test]
fn the_examples_for_prometheus_and_alertmanager_are_sound() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let text = std::fs::read_to_string(shipped("prometheus.example.yml"))?;
    let prometheus = lab.write("prometheus.yml", &text)?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/standbywatch.rules.yml");
    lab.write("rules/standbywatch.rules.yml", &std::fs::read_to_string(rules)?)?;
    for (program, arguments, file) in
        [("promtool", ["check", "config"].as_slice(), &prometheus), ("amtool", &["check-config"], &routes())]
    {
        let output = Command::new(program).args(arguments).arg(file).output().context(program)?;
        assert!(output.status.success(), "{program}: {}", said(&output));
    }
    for (labels, receiver) in [
        (["alertname=StandbyWatchdog", "severity=none"], "dead-mans-switch"),
        (["alertname=StandbyReplicationUnknown", "severity=critical"], "pager"),
        (["alertname=StandbyPostgresLagHigh", "severity=warning"], "mail"),
        (["alertname=StandbyPostgresSplitBrain", "severity=critical"], "pager"),
    ] {
        let mut amtool = Command::new("amtool");
        amtool.args(["config", "routes", "test"]).arg(format!("--verify.receivers={receiver}"));
        amtool.arg("--config.file").arg(routes()).args(labels);
        let output = amtool.output().context("amtool")?;
        assert!(output.status.success(), "{labels:?}: {}", said(&output));
    }
    Ok(())
}

#[test]
fn the_examples_speak_of_rules_that_exist() -> Result<()> {
    let example = std::fs::read_to_string(routes())?;
    let words = example.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '+'));
    let named: Vec<&str> = words.filter(|word| word.starts_with("Standby")).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let known = match name.strip_suffix(".+") {
            Some(start) => RuleName::ALL.iter().any(|rule| rule.as_str().starts_with(start)),
            None => RuleName::from_text(name).is_some(),
        };
        assert!(known, "{name}");
    }
    Ok(())
}

/// The state of each alert by its labels `source` and `channel`, as Alertmanager tells it.
async fn states(url: &str) -> Result<Vec<(String, String, String)>> {
    let answer = http::get(&format!("{url}/api/v2/alerts")).await?.ok()?.json()?;
    let label = |alert: &serde_json::Value, name: &str| alert["labels"][name].as_str().unwrap_or("").to_owned();
    let alerts = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut states: Vec<_> = alerts
        .iter()
        .map(|alert| {
            let state = alert["status"]["state"].as_str().unwrap_or("").to_owned();
            (label(alert, "channel"), label(alert, "source"), state)
        })
        .collect();
    states.sort();
    Ok(states)
}

#[tokio::test]
async fn agents_are_muted_exactly_while_the_dead_man_s_switch_of_prometheus_arrives() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let alertmanager = Alertmanager::start(&lab).await?;
    let example = std::fs::read_to_string(routes())?;
    lab.write("alertmanager/alertmanager.yml", &example)?;
    let url = alertmanager.url();
    http::send(Method::POST, &format!("{url}/-/reload"), None).await?.ok()?;

    let alert = |name: &str, channel: &str, source: &str| {
        let mut labels =
            serde_json::json!({ "alertname": name, "severity": "critical", "pair": "catalog", "channel": channel });
        if !source.is_empty() {
            labels["source"] = source.into();
        }
        serde_json::json!({ "labels": labels })
    };
    let unknown = "StandbyReplicationUnknown";
    let pushed = serde_json::json!([alert(unknown, "postgres", "agent"), alert("StandbyWatchdog", "", "agent")]);
    http::send(Method::POST, &format!("{url}/api/v2/alerts"), Some(&pushed)).await?.ok()?;
    let told = |expected: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
        let owned = |(a, b, c): &(&str, &str, &str)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned());
        expected.iter().map(owned).collect()
    };
    let alone = told(&[("", "agent", "active"), ("postgres", "agent", "active")]);
    wait_until("alone, the agent speaks", SOON, async || Ok((states(&url).await? == alone).then_some(()))).await?;

    let scraped = serde_json::json!([alert("StandbyWatchdog", "", "")]);
    http::send(Method::POST, &format!("{url}/api/v2/alerts"), Some(&scraped)).await?.ok()?;
    let both = told(&[("", "", "active"), ("", "agent", "suppressed"), ("postgres", "agent", "suppressed")]);
    wait_until("the agent is muted", SOON, async || Ok((states(&url).await? == both).then_some(()))).await
}

#[test]
fn the_unit_is_one_that_systemd_takes() -> Result<()> {
    let text = std::fs::read_to_string(shipped("standbywatch.service"))?;
    let flags = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("ExecStart")?;
    assert!(flags.contains(&format!("--config.file={}", standbywatch::config::DEFAULT_PATH)), "{flags}");
    let lab = Lab::bare()?;
    // The installed program need not be here to check the rest.
    let unit = lab.write("standbywatch.service", &text.replace("/usr/local/bin/standbywatch", "/bin/true"))?;
    match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Ok(output) => assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output)),
        Err(error) => println!("SKIPPED: the unit's check because systemd-analyze cannot be run: {error}"),
    }
    Ok(())
}
