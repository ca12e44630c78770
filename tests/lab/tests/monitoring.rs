//! An alert goes the whole way: scrape, rule, Alertmanager, receiver; and back.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use standbywatch_lab::{Alertmanager, Lab, Monitoring, MonitoringOptions, Need, Result, http, wait_until};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

const RULES: &str = "
groups:
  - name: lab
    rules:
      - alert: LabGauge
        expr: lab_gauge > 5
        for: 1s
        labels: { severity: critical }
        annotations: { summary: 'the gauge of {{ $labels.pair }} is {{ $value }}' }
";

/// A target with one gauge that the test turns.
async fn target(gauge: Arc<AtomicU32>) -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gauge = Arc::clone(&gauge);
            let service = service_fn(move |_: Request<_>| {
                let value = gauge.load(Ordering::Relaxed);
                let text = format!("lab_gauge{{pair=\"catalog\"}} {value}\n");
                async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)))) }
            });
            let io = TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    Ok(address)
}

#[tokio::test]
async fn an_alert_reaches_alertmanager_and_the_receiver_and_ends() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let gauge = Arc::new(AtomicU32::new(1));
    let mut options = MonitoringOptions { targets: vec![target(Arc::clone(&gauge)).await?], ..Default::default() };
    let monitoring = Monitoring::start(&lab, &options).await?;
    let (prometheus, alertmanager) = (&monitoring.prometheus, &monitoring.alertmanager);
    let samples = prometheus.wait_for("lab_gauge", SOON).await?;
    assert_eq!(samples[0].value, 1.0);
    assert_eq!(samples[0].labels["job"], "standbywatch");
    assert_eq!(prometheus.query("1 + 1").await?[0].value, 2.0);
    options.rules.push(RULES.to_owned());
    prometheus.reload(&options).await?;
    assert!(alertmanager.alerts().await?.is_empty());

    gauge.store(7, Ordering::Relaxed);
    wait_until("it is pending or fires in Prometheus", SOON, async || {
        let alerts = prometheus.rule_alerts("LabGauge").await?;
        Ok((!alerts.is_empty()).then_some(()))
    })
    .await?;
    let labels = [("pair", "catalog"), ("severity", "critical")];
    let alert = alertmanager.wait_for_alert("LabGauge", &labels, SOON).await?;
    assert_eq!(alert.annotations["summary"], "the gauge of catalog is 7");
    let notice = alertmanager.receiver.wait_for("LabGauge", "firing", &labels, SOON).await?;
    assert_eq!(notice.annotations["summary"], "the gauge of catalog is 7");

    gauge.store(1, Ordering::Relaxed);
    alertmanager.wait_until_gone("LabGauge", &[], SOON).await?;
    alertmanager.receiver.wait_for("LabGauge", "resolved", &labels, SOON).await?;
    assert!(alertmanager.alerts_named("LabGauge", &[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn alertmanager_alone_takes_what_is_pushed() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else {
        return Ok(());
    };
    let alertmanager = Alertmanager::start(&lab).await?;
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let alert = json!([{ "labels": { "alertname": "Pushed", "pair": "catalog" } }]);
    http::send(Method::POST, &url, Some(&alert)).await?.ok()?;
    alertmanager.wait_for_alert("Pushed", &[("pair", "catalog")], SOON).await?;
    let notices = alertmanager.receiver.wait_for("Pushed", "firing", &[], SOON).await?;
    assert_eq!(notices.labels["pair"], "catalog");
    let other = alertmanager.alerts_named("Pushed", &[("pair", "other")]);
    assert!(other.await?.is_empty());
    alertmanager.server.kill().await?;
    assert!(alertmanager.alerts().await.is_err());
    alertmanager.restart_process().await?;
    alertmanager.alerts().await?;
    Ok(())
}
