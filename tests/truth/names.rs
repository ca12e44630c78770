//! Names with spaces, quotes, letters of other alphabets, and longer ones than PostgreSQL keeps: whatever a standby calls itself,
//! the primary's row for it is found, by its own word and by the configuration's.

use std::time::Duration;

use standbywatch_lab::{PgPair, PgPairBuilder, Result, wait_until};
use tokio::time::Instant;

use crate::row::{Row, Tells};
use crate::site::{Plan, Site};

const POSTGRES: &[&str] = &["postgres"];

/// Each with a row of its own in `pg_stat_replication`.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> =
        ["our second one", r#"it's "beta" \ b"#, "bêta", "備用 standby", "sslmode=odd", "Ω"].map(str::to_owned).into();
    names.push(format!("{}é, and more", "x".repeat(62)));
    names.push("a long name of a standby in a rack of a hall of a house of a town, and more".to_owned());
    names
}

/// `primary_conninfo` as a line of the server's file has it between its quotes, but for the name that is to be seen.
fn connection(port: u16, password: &str, name: &str) -> String {
    let name = name.replace('\\', r"\\").replace('\'', r"\'");
    let text = format!("host=127.0.0.1 port={port} user=replicator password='{password}' application_name='{name}'");
    text.replace('\\', r"\\").replace('\'', "''")
}

/// From now on the standby connects by this name. Waits until its new connection streams.
async fn rename(site: &Site, name: &str) -> Result<String> {
    let pair = &site.postgres;
    let before = pair.primary.value("SELECT string_agg(pid::text, ',') FROM pg_stat_replication").await?;
    pair.standby.set("primary_conninfo", &connection(pair.repl.port(), pair.password(), name))?;
    let sql = "SELECT pid::text, application_name FROM pg_stat_replication WHERE state = 'streaming'";
    let renamed = async || {
        let rows = pair.primary.sql(sql).await?;
        let [row] = rows.as_slice() else { return Ok(None) };
        Ok(row[1].clone().filter(|_| row[0] != before))
    };
    wait_until("the renamed standby streams", Duration::from_secs(30), renamed).await
}

async fn is_well(site: &Site, row: &mut Row<'_>, name: &str, shown: &str) -> Result<()> {
    println!("names: {name:?} is shown as {shown:?}");
    row.is_well_again("postgres", None, 20).await?;
    // What is told first may be of the connection before, and the change of connections be seen after it.
    let mut since = Instant::now();
    wait_until("it is well and stays so", Duration::from_secs(20), async || {
        if site.agent.json("/monitor/replication").await?["status"] != "ok" {
            since = Instant::now();
        }
        Ok((since.elapsed() >= Duration::from_secs(3)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn odd_names_told_by_the_standby() -> Result<()> {
    let Some(site) = Site::start(Plan { replica: None, postgres: without_slot(), ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(&site, "B10", "odd application names, told by the standby", POSTGRES).await?;
    for name in odd_names() {
        let shown = rename(&site, &name).await?;
        is_well(&site, &mut row, &name, &shown).await?;
    }
    // Without a name the standby gives its cluster's.
    site.postgres.standby.set("cluster_name", "our ''second'' cluster, ê")?;
    let unnamed = connection(site.postgres.repl.port(), site.postgres.password(), "");
    site.postgres.standby.set("primary_conninfo", unnamed.trim_end_matches(" application_name=''''"))?;
    site.postgres.standby.restart().await?;
    is_well(&site, &mut row, "(of the cluster)", "its own").await?;
    // And it is told at once that it is gone.
    site.postgres.standby.stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_connected"], 10)).await?;
    row.finish().await
}

#[tokio::test]
async fn odd_names_by_the_configuration() -> Result<()> {
    const PLAIN: &str = "{ application_name: beta }";
    let plan = Plan { replica: Some(PLAIN), postgres: without_slot(), ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "B10", "odd application names, configured", POSTGRES).await?;
    let plain = std::fs::read_to_string(site.agent.dir().join("standbywatch.yml"))?;
    for name in odd_names() {
        let shown = rename(&site, &name).await?;
        row.fault();
        row.tells(Tells::unknown("postgres", &["not_connected"], 10)).await?;
        // As it is written there, then as the primary shows it.
        for configured in [&name, &shown] {
            let quoted = configured.replace('\'', "''");
            let text = plain.replace(PLAIN, &format!("{{ application_name: '{quoted}' }}"));
            assert_ne!(text, plain);
            site.agent.write_config(&text)?;
            site.agent.hang_up()?;
            is_well(&site, &mut row, configured, &shown).await?;
        }
        site.agent.write_config(&plain)?;
        site.agent.hang_up()?;
    }
    row.finish().await
}

/// By a slot the row would be found whatever its name is.
fn without_slot() -> PgPairBuilder {
    PgPair::builder().slot(None)
}
