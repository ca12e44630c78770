//! What happened last night, also after a restart.

use standbywatch_lab::{Lab, Result, wait_until};

use crate::site::{PAIR, SOON, agent};

#[tokio::test]
async fn transitions_and_levels_are_told_after_a_restart_too() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = agent(&lab, "", PAIR.to_owned(), &[]).await?;
    let history = async |query: &str| agent.json(&format!("/api/v1/pairs/catalog/history{query}")).await;
    let first = wait_until("a transition is told", SOON, async || {
        let document = history("?channel=postgres").await?;
        Ok((document["transitions"].as_array().is_some_and(|all| all.len() == 1)).then_some(document))
    })
    .await?;
    let transition = &first["transitions"][0];
    assert_eq!((&transition["was"], &transition["level"]), (&serde_json::Value::Null, &"unknown".into()), "{first}");
    let point = &first["channels"][0]["points"][0];
    assert_eq!((&point["level"], &point["lag_bytes"]), (&"unknown".into(), &serde_json::Value::Null), "{first}");
    assert_eq!(history("?channel=kvstore").await?["channels"], serde_json::json!([]), "not configured");
    for wrong in ["/api/v1/pairs/nobody/history", "/api/v1/pairs/catalog/history?channel=tape"] {
        assert_eq!(agent.get(wrong).await?.status, 404, "{wrong}");
    }

    let file = agent.dir().join("state/catalog.json");
    wait_until("it is saved", SOON, async || {
        Ok(std::fs::read_to_string(&file)?.contains("\"changes\":[").then_some(()))
    })
    .await?;
    agent.server.kill().await?;
    agent.start_again().await?;
    let again = wait_until("both starts are told", SOON, async || {
        let document = agent.json("/api/v1/pairs/catalog/history").await?;
        Ok((document["transitions"].as_array().is_some_and(|all| all.len() == 2)).then_some(document))
    })
    .await?;
    assert_eq!(again["transitions"][0], *transition, "the one of before");
    Ok(())
}

#[tokio::test]
async fn the_minutes_before_a_restart_are_still_on_the_plots() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = agent(&lab, "", PAIR.to_owned(), &[]).await?;
    let points = async || {
        let document = agent.json("/api/v1/pairs/catalog/history?channel=postgres").await?;
        Result::<Vec<serde_json::Value>>::Ok(document["channels"][0]["points"].as_array().cloned().unwrap_or_default())
    };
    let before = wait_until("a minute is told", SOON, async || Ok(points().await?.into_iter().next())).await?;
    assert_eq!(agent.stop().await?.code(), Some(0));
    let file = agent.dir().join("state/catalog.day");
    assert!(file.exists(), "written at the end");
    agent.start_again().await?;
    assert_eq!(points().await?.first(), Some(&before), "at once");

    // One that cannot be read is set aside and said, and costs nothing else.
    assert_eq!(agent.stop().await?.code(), Some(0));
    std::fs::write(&file, "{\"version\":1,\"pair\":")?;
    agent.start_again().await?;
    assert!(file.with_added_extension("corrupt").exists());
    wait_until("the page says so", SOON, async || {
        Ok(agent.get("/").await?.text.contains("The plots of the last day began anew").then_some(()))
    })
    .await?;
    let transitions = agent.json("/api/v1/pairs/catalog/history").await?["transitions"].as_array().map(Vec::len);
    assert!(transitions >= Some(2), "{transitions:?}: those are elsewhere");
    Ok(())
}
