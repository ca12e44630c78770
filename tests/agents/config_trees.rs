//! The configuration between two agents, each of which reads its own node's tree only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, Context, How, Mode, Need, Result, RsyncDaemon, http, wait_until};

use crate::site::{HELD, PERIOD, Plan, Site, Told, passes, tells};

const DRIFT: &str = "StandbyConfigDrift";
const DRIFTED: &str = "standby_config_drifted_files";
const SOON: Duration = Duration::from_secs(40);

fn plan() -> Plan {
    Plan { config: true, ..Plan::default() }
}

fn options(words: &[&str]) -> How {
    How { options: words.iter().map(|word| (*word).to_owned()).collect(), ..How::default() }
}

/// Awaits that the agent knows of so many drifted files, or (`None`) of no number at all.
async fn drifted(agent: &Agent, wanted: Option<f64>) -> Result<()> {
    let mut last = None;
    let told = wait_until("so much drift", SOON, async || {
        last = agent.metrics().await?.value(DRIFTED, &[("pair", "catalog")])?;
        Ok((last == wanted).then_some(()))
    });
    told.await.with_context(|| format!("{}: {wanted:?} wanted, {last:?} told", agent.server.name()))
}

async fn drift(agent: &Agent) -> Result<Value> {
    Ok(agent.json("/api/v1/status").await?["pairs"][0]["config"]["drift"].clone())
}

#[tokio::test]
async fn c2_drift_is_found_over_the_peer_link_named_and_unknown_without_it() -> Result<()> {
    let Some(site) = Site::start(&plan()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let both = site.agents.both();
    for name in ["edited.conf", "deleted.conf", "mode.conf"] {
        fs::write(sync.source().join(name), "answer = 42\n")?;
    }
    sync.wait_for_good_run(SOON).await?;
    sync.from_now_on(options(&["--recursive", "--times", "--existing"]));
    sync.wait_for_good_run(SOON).await?;
    for agent in both {
        tells(agent, &Told::ok("config"), SOON).await?;
        drifted(agent, Some(0.0)).await?;
        assert_eq!(drift(agent).await?["compared"], true);
    }

    let edited = sync.destination().join("edited.conf");
    let modified = fs::metadata(&edited)?.modified()?;
    fs::write(&edited, "answer = 43\n")?;
    fs::File::options().write(true).open(&edited)?.set_modified(modified)?;
    fs::remove_file(sync.destination().join("deleted.conf"))?;
    fs::set_permissions(sync.destination().join("mode.conf"), fs::Permissions::from_mode(0o600))?;
    let begun = tokio::time::Instant::now();
    for agent in both {
        drifted(agent, Some(3.0)).await?;
        assert!(begun.elapsed() >= PERIOD * 2, "it counts after two periods, not after {:?}", begun.elapsed());
        tells(agent, &Told::warned("config", &["drift"], true), SOON).await?;
        let told = drift(agent).await?;
        let files = told["files"].as_array().context("names")?;
        let named: Vec<_> = files.iter().map(|file| (file["path"].as_str(), file["kind"].as_str())).collect();
        let wanted = [("deleted.conf", "missing"), ("edited.conf", "content"), ("mode.conf", "mode")];
        assert_eq!(named, wanted.map(|(path, kind)| (Some(path), Some(kind))));
        let text = agent.get("/metrics").await?.text;
        assert!(!text.contains("edited.conf"), "no label holds a file's name");
    }
    site.monitoring.alertmanager.wait_for_alert(DRIFT, &[("pair", "catalog")], SOON).await?;
    sync.from_now_on(options(&["--archive", "--delete", "--checksum"]));
    for agent in both {
        drifted(agent, Some(0.0)).await?;
        tells(agent, &Told::ok("config"), SOON).await?;
    }
    site.monitoring.alertmanager.wait_until_gone(DRIFT, &[], SOON).await?;

    for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
        cable.set(Mode::BlackHole);
    }
    for agent in both {
        drifted(agent, None).await?;
        let told = drift(agent).await?;
        assert!(told["not_compared"].as_str().is_some_and(|why| why.contains("the agent of")), "{told}");
    }
    // The standby's own agent goes on knowing how old the copy is; nobody is got out of bed.
    tells(&site.agents.beta, &Told::ok("config"), SOON).await?;
    passes(HELD * 2).await?;
    site.nobody_was_paged();
    for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
        cable.set(Mode::Pass);
    }
    for agent in both {
        drifted(agent, Some(0.0)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_tree_is_told_to_nobody_who_does_not_show_the_token() -> Result<()> {
    let Some(site) = Site::start(&plan()).await? else { return Ok(()) };
    drifted(&site.agents.alpha, Some(0.0)).await?;
    let answer = http::get(&site.agents.alpha.url("/api/v1/node/tree?pair=catalog")?).await?;
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert!(!answer.text.contains("app.conf"), "{}", answer.text);
    Ok(())
}

/// The primary's clock is a day ahead of the standby's, and rsync's own daemon serves the tree.
#[tokio::test]
async fn c1_a_beacon_is_read_by_the_clock_of_the_node_that_wrote_it() -> Result<()> {
    let wrapper = ["faketime", "-f", "+1d"].map(str::to_owned).to_vec();
    let plan = Plan { wrapper: vec![("alpha", wrapper)], beacon: true, ..plan() };
    if standbywatch_lab::Lab::open(&[Need::Faketime])?.is_none() {
        return Ok(());
    }
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let daemon = RsyncDaemon::start(&site.lab, sync.source()).await?;
    sync.from_now_on(How { from: Some(daemon.url()), ..How::default() });
    for agent in site.agents.both() {
        tells(agent, &Told::ok("config"), SOON).await?;
        let age = agent.metrics().await?.value("standby_config_sync_age_seconds", &[])?;
        assert!(age.is_some_and(|age| age < 3.0 * PERIOD.as_secs_f64()), "{age:?}");
        drifted(agent, Some(0.0)).await?;
    }
    sync.stop();
    for agent in site.agents.both() {
        tells(agent, &Told::critical("config", &["sync_stale"]), SOON).await?;
    }
    sync.resume()?;
    for agent in site.agents.both() {
        tells(agent, &Told::ok("config"), SOON).await?;
    }
    // The one whose clock it is does not answer: nobody can say how old the copy is.
    site.agents.to_alpha.set(Mode::BlackHole);
    tells(&site.agents.beta, &Told::unknown("config", &["peer_unreachable"]), SOON).await?;
    // It still sees the standby's copy through its agent.
    tells(&site.agents.alpha, &Told::ok("config"), SOON).await?;
    site.nobody_was_paged();
    site.agents.to_alpha.set(Mode::Pass);
    tells(&site.agents.beta, &Told::ok("config"), SOON).await.map(drop)
}
