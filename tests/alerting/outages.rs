//! Row A4: Alertmanagers that are down, refuse, fail, or never answer. Nothing is lost, and nothing else waits.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use standbywatch_lab::{Alertmanager, AlertmanagerPlan, Authority, Lab, Need, Record, Result, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::site::{HELD, PAIR, SOON, UNKNOWN, agent, pushing_to};

const NOBODY: &[(&str, &str)] = &[];

/// How long [`UNKNOWN`] is held here, and by the product.
const LAB_HOLD: Duration = Duration::from_secs(1);
const USUAL_HOLD: Duration = Duration::from_secs(60);

/// Answers every request so, or never.
async fn answering(answer: Option<&'static str>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(answer) = answer else {
                held.push(stream);
                continue;
            };
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
            });
        }
    });
    Ok(url)
}

#[tokio::test]
async fn whatever_others_do_the_one_that_works_is_told_at_once_and_probes_go_on() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    let urls = [
        answering(None).await?,
        answering(Some("500 Internal Server Error")).await?,
        answering(Some("400 Bad Request")).await?,
        "http://127.0.0.1:1".to_owned(),
        alertmanager.url(),
    ];
    let mut record = Record::of(
        "A4",
        "of five Alertmanagers one is down, one silent, one answers 400, one 500; nothing of the pair answers",
    );
    let agent = agent(&lab, "", pushing_to(&urls), &[]).await?;
    alertmanager.wait_for_alert(UNKNOWN, &[("source", "agent")], SOON).await?;
    record.paged(UNKNOWN, LAB_HOLD, USUAL_HOLD, true);
    for outcome in ["ok", "refused", "failed"] {
        wait_until(outcome, SOON, async || {
            let count = agent.metrics().await?.value("standby_agent_pushes_total", &[("outcome", outcome)])?;
            Ok((count > Some(0.0)).then_some(()))
        })
        .await?;
    }
    let snapshots = async || {
        let made = agent.metrics().await?.value("standby_agent_snapshots_total", &[("pair", "catalog")])?;
        Result::<f64>::Ok(made.unwrap_or_default())
    };
    let before = snapshots().await?;
    wait_until("probes go on", SOON, async || Ok((snapshots().await? > before + 3.0).then_some(()))).await?;
    let log = agent.server.log();
    for url in &urls[..4] {
        let said = log.lines().filter(|line| line.contains(url.as_str()) && line.contains("level=error"));
        assert!(said.count() <= 1, "once when it begins, not once a push: {log}");
    }
    assert_eq!(agent.stop().await?.code(), Some(0), "it stops while a push hangs");
    record.holds("probes go on meanwhile");
    record.finish(env!("CARGO_TARGET_TMPDIR"))
}

#[tokio::test]
async fn what_began_while_alertmanager_was_down_is_told_when_it_is_back() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    alertmanager.server.kill().await?;
    let agent = agent(&lab, "", pushing_to(&[alertmanager.url()]), &[]).await?;
    wait_until("a push has failed", SOON, async || {
        let metrics = agent.metrics().await?;
        Ok((metrics.value("standby_agent_pushes_total", &[("outcome", "failed")])? > Some(1.0)).then_some(()))
    })
    .await?;
    let mut record = Record::of("A4", "the only Alertmanager was down when the alert began, and comes back");
    alertmanager.restart_process().await?;
    alertmanager.wait_for_alert(UNKNOWN, NOBODY, SOON).await?;
    // It had been held long before.
    record.paged(UNKNOWN, LAB_HOLD, LAB_HOLD, true);
    wait_until("said", SOON, async || Ok(agent.server.log().contains("alerts are taken again").then_some(()))).await?;
    record.finish(env!("CARGO_TARGET_TMPDIR"))
}

/// Behind TLS, a password and a path prefix, as many sites have it. The password may change while it runs.
#[tokio::test]
async fn behind_tls_a_password_and_a_prefix() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let authority = Authority::new(&lab, "authority")?;
    let own = authority.for_server(&["127.0.0.1"])?;
    let key = lab.write("alertmanager-key/key.pem", &std::fs::read_to_string(&own.key)?)?;
    // It runs as another user, who must be able to read its key.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    // The bcrypt of "hunter2", as htpasswd makes it.
    let web = format!(
        "tls_server_config:\n  cert_file: {}\n  key_file: {}\nbasic_auth_users:\n  agent: {HUNTER2}\n",
        own.certificate.display(),
        key.display()
    );
    let web = lab.write("web.yml", &web)?;
    let plan = AlertmanagerPlan {
        args: vec![format!("--web.config.file={}", web.display()), "--web.route-prefix=/am".to_owned()],
        closed: true,
        ..AlertmanagerPlan::default()
    };
    let alertmanager = Alertmanager::start_as(&lab, plan).await?;
    let password = lab.write("password", "wrong\n")?;
    let config = format!(
        "{PAIR}{HELD}alerting:\n  alertmanagers: ['https://{}/am']\n  access: {{ user: agent, password_file: {}, root_certificate: {} }}\n",
        alertmanager.address(),
        password.display(),
        authority.root().display()
    );
    let agent = agent(&lab, "", config, &[]).await?;
    let counted = async |outcome: &str| {
        let metrics = agent.metrics().await?;
        Result::<f64>::Ok(metrics.value("standby_agent_pushes_total", &[("outcome", outcome)])?.unwrap_or_default())
    };
    wait_until("not let in", SOON, async || Ok((counted("failed").await? > 0.0).then_some(()))).await?;
    std::fs::write(&password, "hunter2\n")?;
    wait_until("let in", SOON, async || Ok((counted("ok").await? > 0.0).then_some(()))).await?;
    let log = agent.server.log();
    assert!(log.contains("status 401") && !log.contains("hunter2"), "{log}");
    Ok(())
}

const HUNTER2: &str = "$2b$04$fco5LLVj5AEqIRzWujKyXeDgthZeVRmK6qd4iPfWOWnirvY3hGZ.K";
