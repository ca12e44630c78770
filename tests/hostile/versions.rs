//! Servers of versions that the agent was not tried on: a real one that says so of itself.

use standbywatch_lab::{Context, Lab, Need, PgPair, Result, Wire};

use crate::watch::{self, tells_ok, tells_unknown};

/// Wires to both servers of a pair of 18, which both give themselves out for `major`.
async fn disguised(pair: &PgPair, major: u32) -> Result<[Wire; 2]> {
    let version = pair.primary.value("SHOW server_version").await?.context("a version")?;
    let number = pair.primary.value("SHOW server_version_num").await?.context("a version")?;
    let swaps = vec![
        (
            format!("server_version\0{version}"),
            format!("server_version\0{}", version.replacen("18", &major.to_string(), 1)),
        ),
        (format!("\"version\":{number}"), format!("\"version\":{}", number.replacen("18", &major.to_string(), 1))),
    ];
    let alpha = Wire::that_swaps(pair.primary.address(), swaps.clone()).await?;
    Ok([alpha, Wire::that_swaps(pair.standby.address(), swaps).await?])
}

#[tokio::test]
async fn a_later_version_works_and_is_said_to_be_untested() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::PostgresVersion(18)])? else { return Ok(()) };
    let pair = PgPair::builder().version(18).tenth_timeouts().start(&lab).await?;
    let wires = disguised(&pair, 99).await?;
    let password_file = pair.password_file().display().to_string();
    let config = watch::catalog_at([wires[0].address(), wires[1].address()], &pair, &password_file);
    let agent = watch::agent(&lab, config).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    for node in ["alpha", "beta"] {
        let untested = agent.metrics().await?.value("standby_postgres_untested_version", &[("node", node)])?;
        assert_eq!(untested, Some(1.0), "{node}");
    }
    assert!(agent.get("/").await?.text.contains("(untested version)"), "a person who looks is told");
    let log = agent.server.log();
    assert!(log.contains("untested version of PostgreSQL") && log.contains("version=99"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_too_old_is_refused_by_name() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::PostgresVersion(18)])? else { return Ok(()) };
    let pair = PgPair::builder().version(18).tenth_timeouts().start(&lab).await?;
    let wires = disguised(&pair, 13).await?;
    let password_file = pair.password_file().display().to_string();
    let config = watch::catalog_at([wires[0].address(), wires[1].address()], &pair, &password_file);
    let agent = watch::agent(&lab, config).await?;
    let told = tells_unknown(&agent, "catalog", "postgres", &["protocol"]).await?;
    let detail = told["detail"].as_str().context("a detail")?;
    assert!(detail.contains("is version 13; 14 is the oldest supported"), "{detail}");
    Ok(())
}
