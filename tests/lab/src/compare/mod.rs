//! What the usual formula says of a broken pair, beside what the agent says: the same servers, the same moment.
//!
//! `prometheus-postgres-exporter` runs beside each server. Debian's version has no query of the standby's lag of its own; it is given the
//! one that later versions have built in, which is what guides have told people to write for years.

mod table;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::exporters::{self, Exporter};
use crate::demo::product_program;
use crate::{Agent, AgentOptions, Lab, Load, Machine, Metrics, Mode, Need, PgPair, http, wait_until};

use table::Row;

/// How long after the fault everybody is asked: longer than any of them needs to notice.
const LOOK_AFTER: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(60);

/// The usual formula, as newer exporters have it.
const QUERIES: &str = "\
pg_replication:
  query: >-
    SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN 0
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE greatest(0, extract(epoch FROM (now() - pg_last_xact_replay_timestamp()))) END AS lag_seconds
  master: true
  metrics:
    - lag_seconds: { usage: GAUGE, description: the usual formula }
";

/// A fault of the table of truth.
#[derive(Clone, Copy, Debug)]
enum Fault {
    BlackHole,
    Killed,
    ReceiverFrozen,
    ReplayPaused,
}

impl Fault {
    const ALL: [Fault; 4] = [Fault::BlackHole, Fault::Killed, Fault::ReceiverFrozen, Fault::ReplayPaused];

    const fn text(self) -> &'static str {
        match self {
            Fault::BlackHole => "link swallows everything",
            Fault::Killed => "standby killed",
            Fault::ReceiverFrozen => "receiver frozen",
            Fault::ReplayPaused => "replay paused",
        }
    }

    async fn begin(self, pair: &PgPair) -> Result<()> {
        match self {
            Fault::BlackHole => pair.repl.set(Mode::BlackHole),
            Fault::Killed => pair.standby.kill().await?,
            Fault::ReceiverFrozen => pair.standby.freeze_receiver()?,
            Fault::ReplayPaused => pair.standby.pause_replay().await?,
        }
        Ok(())
    }

    async fn end(self, pair: &PgPair) -> Result<()> {
        match self {
            Fault::BlackHole => pair.repair(),
            Fault::Killed => pair.standby.start().await?,
            Fault::ReceiverFrozen => pair.standby.thaw_receiver()?,
            Fault::ReplayPaused => pair.standby.resume_replay().await?,
        }
        Ok(())
    }
}

/// Breaks a pair in four ways under a light load, asks everybody each time, and returns the tables.
///
/// # Errors
/// When something is not installed, cannot be started, or does not recover.
pub async fn run() -> Result<String> {
    let lab = Lab::bare()?;
    if let Some(missing) = Need::Postgres.missing() {
        bail!("{missing}\n`bash tests/lab/install.sh --bench` installs what is missing");
    }
    let pair = PgPair::builder().start(&lab).await?;
    let _writer = pair.writer(Load::Light).await?;
    let queries = lab.write("queries.yml", QUERIES)?;
    let extended = vec![format!("--extend.query-path={}", queries.display())];
    let exporters = exporters::of_postgres(&lab, &pair, &extended).await?;
    let [on_primary, on_standby] = &exporters[..] else { bail!("one exporter for each server") };
    let options = AgentOptions { program: product_program()?, config: Some(config(&pair)), ..AgentOptions::default() };
    let agent = Agent::start(&lab, options).await?;
    let mut rows = vec![look("none", &agent, on_primary, on_standby).await?];
    for fault in Fault::ALL {
        eprintln!("compare: {}", fault.text());
        fault.begin(&pair).await?;
        tokio::time::sleep(LOOK_AFTER).await;
        rows.push(look(fault.text(), &agent, on_primary, on_standby).await?);
        fault.end(&pair).await?;
        pair.wait_caught_up(SOON).await?;
        all_is_well(&agent).await?;
    }
    Ok(table::text(&Machine::here()?, LOOK_AFTER, &rows))
}

/// Proven again. A channel that was broken so often in a few minutes is told as flapping, which is right.
async fn all_is_well(agent: &Agent) -> Result<()> {
    let proven = |page: &serde_json::Value| page["postgres_lag_bytes"].is_number();
    agent.wait_for_json("/monitor/replication", "proven", SOON, proven).await.map(|_| ())
}

fn config(pair: &PgPair) -> String {
    let node = |name, address: std::net::SocketAddr, more: &str| {
        format!(
            "      {name}: {{ postgres: {{ host: {}, port: {}, user: {}, password_file: {}{more} }} }}\n",
            address.ip(),
            address.port(),
            pair.user(),
            pair.password_file().display()
        )
    };
    let alpha = node("alpha", pair.primary_address(), "");
    let beta = node("beta", pair.standby_address(), ", replica: { slot: beta }");
    format!("pairs:\n  - name: catalog\n    nodes:\n{alpha}{beta}")
}

/// What everybody says now. While all is well, once the agent has told so.
async fn look(fault: &'static str, agent: &Agent, on_primary: &Exporter, on_standby: &Exporter) -> Result<Row> {
    if fault == "none" {
        all_is_well(agent).await?;
    }
    let [at_primary, at_standby] = [scrape(on_primary).await?, scrape(on_standby).await?];
    let page = agent.json("/monitor/replication").await?;
    let own = agent.metrics().await?;
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let channel = &page["channels"]["postgres"];
    Ok(Row {
        fault,
        formula: at_standby.value("pg_replication_lag_seconds", &[])?,
        standby_answers: at_standby.value("pg_up", &[])?.is_some_and(|up| up > 0.0),
        sent_less_replayed: at_primary.value("pg_stat_replication_pg_wal_lsn_diff", &[])?,
        level: text(&channel["status"]),
        reason: channel["reason"].as_str().map(str::to_owned),
        lag: text(&page["postgres_lag_bytes"]),
        gap: own.value("standby_postgres_gap_bytes", &[])?,
    })
}

/// A scrape of an exporter, once it answers: one whose server hangs answers late or not at all.
async fn scrape(exporter: &Exporter) -> Result<Metrics> {
    let url = exporter.url();
    let text = wait_until("the exporter answers", SOON, async || {
        let answer = http::get(&url).await?;
        Ok((answer.status == 200).then_some(answer.text))
    })
    .await?;
    Ok(Metrics::parse(&text))
}
