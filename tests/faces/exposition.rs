//! `/metrics`, in all that is known and all that is not.

use std::collections::{BTreeMap, BTreeSet};

use standbywatch::metrics::{self, Presence};
use standbywatch::names::Channel;
use standbywatch_lab::{Agent, Cable, Metrics, Mode, Monitoring, MonitoringOptions, Need, Result, wait_until};

use crate::promtool::complaints;
use crate::site::{SOON, Site, wait_for_level};
use crate::web::{ask, get};

type Labels = Vec<(&'static str, &'static str)>;

/// Every series that must be there whatever is known, of the pair `catalog` with all four channels.
fn always() -> Vec<(&'static str, Labels)> {
    const PAIR: (&str, &str) = ("pair", "catalog");
    let mut series: Vec<(&str, Labels)> = vec![
        ("standby_pair_level", vec![PAIR]),
        ("standby_postgres_primary_up", vec![PAIR]),
        ("standby_postgres_lag_growing", vec![PAIR]),
        ("standby_postgres_standby_up", vec![PAIR, ("standby", "beta")]),
    ];
    for channel in Channel::ALL {
        let channel_label = ("channel", channel.as_str());
        series.push(("standby_level", vec![PAIR, channel_label]));
        if *channel != Channel::Search {
            series.push(("standby_replication_up", vec![PAIR, channel_label]));
        }
        for reason in channel.reasons() {
            series.push(("standby_channel_reason", vec![PAIR, channel_label, ("reason", reason.as_str())]));
        }
        for node in ["alpha", "beta"] {
            let labels = vec![PAIR, channel_label, ("node", node)];
            series.push(("standby_probe_up", labels.clone()));
            series.push(("standby_probe_last_success_timestamp_seconds", labels));
        }
    }
    for node in ["alpha", "beta"] {
        series.push(("standby_search_up", vec![PAIR, ("node", node)]));
    }
    series
}

/// All that is always there is in this exposition, and promtool likes it.
fn assert_whole(text: &str, when: &str) -> Result<Metrics> {
    let metrics = Metrics::parse(text);
    for (name, labels) in always() {
        assert!(metrics.value(name, &labels)?.is_some(), "{when}: {name}{labels:?} is missing in\n{text}");
    }
    for metric in metrics::all().filter(|metric| metric.presence == Presence::Always) {
        assert!(metrics.has(metric.name), "{when}: {} is missing in\n{text}", metric.name);
    }
    let said = complaints(&["check", "metrics"], text)?;
    assert!(said.is_empty(), "{when}: promtool says {said}");
    Ok(metrics)
}

/// The numbers that stand for the channels; each is absent when it is not known.
const NUMBERS: [&str; 4] = [
    "standby_replication_lag_bytes",
    "standby_config_sync_age_seconds",
    "standby_kvstore_round_trip_seconds",
    "standby_search_active_shards_percent",
];

#[tokio::test]
async fn metrics_when_all_is_known_and_when_nothing_is() -> Result<()> {
    let Some(site) = Site::whole(&[Need::Monitoring]).await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    let first = get(&agent, "/metrics").await?.text()?;
    assert_whole(&first, "at the first scrape")?;

    wait_for_level(&agent, "ok").await?;
    let text = get(&agent, "/metrics").await?.text()?;
    let metrics = assert_whole(&text, "ok")?;
    for number in NUMBERS {
        assert!(metrics.has(number), "{number} is missing in\n{text}");
    }
    assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(1.0));
    assert_eq!(metrics.value("standby_pair_level", &[])?, Some(0.0));
    // Proven to be the primary: it has no standby's series.
    assert!(metrics.all("standby_postgres_standby_up", &[("standby", "alpha")]).is_empty());

    site.take_all_away().await?;
    let text = wait_until("nothing is known", SOON, async || {
        let text = get(&agent, "/metrics").await?.text()?;
        let metrics = assert_whole(&text, "on the way")?;
        Ok((!NUMBERS.iter().any(|number| metrics.has(number))).then_some(text))
    })
    .await?;
    let metrics = assert_whole(&text, "unknown")?;
    for channel in Channel::ALL {
        let level = metrics.value("standby_level", &[("channel", channel.as_str())])?;
        assert_eq!(level, Some(3.0), "{channel} in\n{text}");
        let reasons = metrics.all("standby_channel_reason", &[("channel", channel.as_str())]);
        assert_eq!(reasons.iter().filter(|(_, value)| *value == 1.0).count(), 1, "one reason of {channel} in\n{text}");
    }
    Ok(())
}

/// Before anything has answered: the servers are there but say nothing.
#[tokio::test]
async fn the_first_scrape_shows_every_series_of_what_nobody_answers_for() -> Result<()> {
    let Some(site) = Site::whole(&[Need::Monitoring]).await? else { return Ok(()) };
    let stores = site.stores.as_ref().expect("planned");
    let mute = Cable::to(stores.primary_address()).await?;
    for cable in [&site.postgres.probe, &site.postgres.probe_primary, &stores.kv, &mute] {
        cable.set(Mode::BlackHole);
    }
    site.engine.as_ref().expect("planned").cable.set(Mode::BlackHole);
    let config = site.config("").replace(&stores.primary_address().to_string(), &mute.address().to_string());
    let agent = site.agent(config).await?;
    let metrics = assert_whole(&get(&agent, "/metrics").await?.text()?, "nobody answers")?;
    // The roles are not known, so each node counts as a standby that is not up.
    for node in ["alpha", "beta"] {
        assert_eq!(metrics.value("standby_postgres_standby_up", &[("standby", node)])?, Some(0.0), "{node}");
        let never = metrics
            .value("standby_probe_last_success_timestamp_seconds", &[("channel", "postgres"), ("node", node)])?;
        assert_eq!(never, Some(0.0), "{node}");
    }
    assert_eq!(metrics.value("standby_pair_level", &[])?, Some(3.0));
    Ok(())
}

#[tokio::test]
async fn formats_and_encodings_say_the_same() -> Result<()> {
    let Some(site) = Site::whole(&[Need::Monitoring]).await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    wait_for_level(&agent, "ok").await?;
    open_metrics_agrees_with_text(&agent).await?;

    let plain = ask(&agent, "GET", "/metrics", &["Accept-Encoding: identity"]).await?;
    assert_eq!(plain.head.get("content-encoding"), None);
    assert_eq!(plain.head["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let packed = ask(&agent, "GET", "/metrics", &["Accept-Encoding: gzip, deflate"]).await?;
    assert_eq!(packed.head["content-encoding"], "gzip");
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {} bytes", packed.body.len(), plain.body.len());
    assert_whole(&packed.text()?, "gzip")?;

    // Prometheus itself asks for OpenMetrics, packed; it refuses a scrape as a whole when it cannot read a line.
    let options = MonitoringOptions { targets: vec![agent.address()?], ..MonitoringOptions::default() };
    let monitoring = Monitoring::start(&site.lab, &options).await?;
    monitoring.prometheus.wait_for("up{job=\"standbywatch\"} == 1", SOON).await?;
    wait_until("Prometheus reads every series", SOON, async || {
        let written = get(&agent, "/metrics").await?.text()?.lines().filter(|line| !line.starts_with('#')).count();
        let read = monitoring.prometheus.query("scrape_samples_scraped{job=\"standbywatch\"}").await?;
        Ok(read.iter().any(|sample| sample.value == written as f64).then_some(()))
    })
    .await
}

/// Family by family: OpenMetrics calls a counter without its `_total` and ends with its mark.
async fn open_metrics_agrees_with_text(agent: &Agent) -> Result<()> {
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let (open, plain) = (ask(agent, "GET", "/metrics", &[accept]).await?, get(agent, "/metrics").await?);
    assert_eq!(open.head["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let (open, plain) = (open.text()?, plain.text()?);
    assert!(open.ends_with("\n# EOF\n") && open.matches("# EOF").count() == 1, "{open}");
    let (open_kinds, plain_kinds) = (kinds(&open), kinds(&plain));
    assert!(plain_kinds.values().any(|kind| kind == "counter"), "{plain}");
    for (name, kind) in &plain_kinds {
        let family = if kind == "counter" { name.strip_suffix("_total").expect("a counter's name") } else { name };
        assert_eq!(open_kinds.get(family), Some(kind), "{name} in\n{open}");
    }
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
    };
    // What is known may have changed between the two scrapes, what is always there has not.
    let (open, plain) = (names(&open), names(&plain));
    assert!(open.intersection(&plain).count() * 20 > plain.len() * 19, "{:?}", plain.symmetric_difference(&open));
    Ok(())
}

/// The `# TYPE` lines.
fn kinds(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    lines.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}
