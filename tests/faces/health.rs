//! The API's documents, the page, and what tells a supervisor that the agent lives.

use standbywatch::view::api::{OnePairDocument, StatusDocument, VERSION};
use standbywatch_lab::Result;

use crate::site::{Site, wait_for_level};
use crate::web::{ask, get};

#[tokio::test]
async fn documents_page_and_life() -> Result<()> {
    let Some(site) = Site::whole(&[]).await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    assert_eq!(get(&agent, "/-/healthy").await?.status, 200);
    wait_for_level(&agent, "ok").await?;
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(get(&agent, path).await?.status, 200, "{path}");
    }

    let status: StatusDocument = serde_json::from_value(get(&agent, "/api/v1/status").await?.json()?)?;
    assert_eq!((status.version, status.agent_version.as_str()), (VERSION, env!("CARGO_PKG_VERSION")));
    let one: OnePairDocument = serde_json::from_value(get(&agent, "/api/v1/pairs/catalog").await?.json()?)?;
    assert_eq!(one.version, VERSION);
    for pair in [&status.pairs[0], &one.pair] {
        assert_eq!((pair.pair.as_str(), pair.complete, pair.channels.len()), ("catalog", true, 4));
        assert_eq!(pair.roles.primary.as_ref().map(|name| name.as_str()), Some("alpha"));
        let postgres = pair.postgres.as_ref().expect("configured");
        assert!(postgres.up && postgres.lag_bytes.is_some() && postgres.standbys.len() == 1, "{postgres:?}");
        let config = pair.config.as_ref().expect("configured");
        assert!(config.up && config.age_seconds.is_some(), "{config:?}");
        let kvstore = pair.kvstore.as_ref().expect("configured");
        assert!(kvstore.up && kvstore.round_trip_seconds.is_some() && kvstore.stores.len() == 2, "{kvstore:?}");
        let search = pair.search.as_ref().expect("configured");
        assert!(search.up && search.nodes.iter().all(|node| node.indices[0].documents == Some(20)), "{search:?}");
        // Both postgres servers, both trees, both stores, both engines.
        assert_eq!(pair.probes.iter().filter(|probe| probe.up).count(), 8, "{:?}", pair.probes);
    }
    let nobody = get(&agent, "/api/v1/pairs/nobody").await?;
    assert!(nobody.status == 404 && nobody.json()?["error"].is_string());

    let page = get(&agent, "/").await?;
    assert_eq!(page.head["content-type"], "text/html; charset=utf-8");
    assert!(page.head["content-security-policy"].starts_with("default-src 'none'"));
    let page = page.text()?;
    for part in ["catalog", "evidence", "round trip", "active shards", "last good copy"] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    // The name of a stranger that points at this machine opens nothing but the numbers.
    let from_elsewhere = async |path| -> Result<u16> {
        let head = [format!("X-Forwarded-Host: evil.example, {}", agent.address()?)];
        let rebound = ask(&agent, "GET", &format!("http://evil.example{path}"), &[&head[0]]).await?;
        Ok(rebound.status)
    };
    for (path, status) in [("/", 403), ("/api/v1/status", 403), ("/metrics", 200), ("/monitor/replication", 200)] {
        assert_eq!(from_elsewhere(path).await?, status, "{path}");
    }
    Ok(())
}

/// Ready means that everything was asked once; a server that hangs does not hold that up for longer than its deadline.
#[tokio::test]
async fn ready_after_the_first_round_though_a_server_hangs() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    site.postgres.probe.set(standbywatch_lab::Mode::BlackHole);
    let agent = site.agent(site.config("")).await?;
    let early = get(&agent, "/-/ready").await?;
    assert_eq!((early.status, get(&agent, "/-/healthy").await?.status), (503, 200), "{}", early.text()?);
    assert!(early.text()?.contains("catalog"), "{}", early.text()?);
    standbywatch_lab::wait_until("it is ready", crate::site::SOON, async || {
        Ok((get(&agent, "/-/ready").await?.status == 200).then_some(()))
    })
    .await
}
