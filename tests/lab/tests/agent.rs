//! The agent's runner. In place of the agent, which this package does not know, a Prometheus that says where it
//! listens as the agent does.

use std::time::Duration;

use standbywatch_lab::{Agent, AgentOptions, Lab, Need, Result};

const SOON: Duration = Duration::from_secs(20);

const STAND_IN: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
[ "$1" = run ] && [ -f standbywatch.yml ] || { echo "no configuration"; exit 2; }
echo "level=info msg=listening address=127.0.0.1:$PORT"
exec prometheus --config.file=/dev/null --web.listen-address="127.0.0.1:$PORT" --storage.tsdb.path=state
"#;

fn options(lab: &Lab) -> Result<AgentOptions> {
    use std::os::unix::fs::PermissionsExt;
    let program = lab.write("agent/stand-in", STAND_IN)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(AgentOptions {
        program,
        config: Some("pairs: []\n".to_owned()),
        env: vec![("PORT".to_owned(), port.to_string())],
        ..Default::default()
    })
}

#[tokio::test]
async fn starts_answers_freezes_and_stops() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let agent = Agent::start(&lab, options(&lab)?).await?;
    let path = "/api/v1/status/buildinfo";
    let json = agent.wait_for_json(path, "it answers", SOON, |json| json["status"] == "success").await?;
    assert!(json["data"]["version"].is_string());
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.all("prometheus_build_info", &[]).len(), 1);
    assert_eq!(metrics.value("no_such_series", &[])?, None);
    assert_eq!(agent.get("/nowhere").await?.status, 404);

    agent.server.freeze()?;
    let url = agent.url(path)?;
    let asked = tokio::time::timeout(Duration::from_secs(1), standbywatch_lab::http::get(&url));
    assert!(asked.await.is_err(), "a frozen agent says nothing");
    agent.server.thaw()?;
    agent.json(path).await?;
    assert!(agent.stop().await?.success());
    assert!(agent.json(path).await.is_err());
    agent.start_again().await?;
    agent.wait_for_json(path, "it answers again", SOON, |json| json["status"] == "success").await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_that_ends_at_once_is_an_error_with_its_words() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let options = AgentOptions { config: None, ..options(&lab)? };
    let error = Agent::start(&lab, options).await.map(|_| ());
    let text = error.map_err(|error| format!("{error:#}"));
    assert!(text.is_err_and(|text| text.contains("no configuration")));
    Ok(())
}
