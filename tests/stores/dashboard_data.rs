//! Each query of the dashboard of key-value store and configuration has an answer in a real Prometheus.

use std::time::Duration;

use standbywatch_lab::{
    Lab, Monitoring, MonitoringOptions, Need, Persistence, RedisPair, Result, SyncLoop, wait_until,
};

use crate::dashboard::{Panel, expressions_in};
use crate::watched::{QUICK, SOON, agent, is_well, redis};

#[tokio::test]
async fn each_query_of_the_dashboard_has_data() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis, Need::Rsync, Need::Monitoring])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let sync = SyncLoop::start(&lab, Duration::from_secs(5))?;
    let file = sync.timestamp_file().display();
    let node = |address: std::net::SocketAddr, root: &std::path::Path| {
        format!("kvstore: {{ {} }}, config: {{ root: {}, timestamp_file: {file} }}", redis(address), root.display())
    };
    let config = format!(
        "pairs:\n  - name: shop\n    role_from: {{ fixed: alpha }}\n    nodes:\n      alpha: {{ {} }}\n      beta: {{ {} }}\n    \
         kvstore: {{ {QUICK}, observe: {{ sample: 10 }} }}\n    config: {{ period: 5s, interval: 1s }}\n",
        node(stores.primary_address(), sync.source()),
        node(stores.standby_address(), sync.destination())
    );
    let agent = agent(&lab, config).await?;
    let options = MonitoringOptions { targets: vec![agent.address()?], ..MonitoringOptions::default() };
    let monitoring = Monitoring::start(&lab, &options).await?;
    let _application = stores.writer(20)?;
    is_well(&agent).await?;
    let mut missing = expressions_in("kvstore-config.json", "shop");
    assert!(missing.len() > 20, "only {} queries were found", missing.len());
    let all = wait_until("each query has data", SOON, async || {
        for panel in missing.clone() {
            if !monitoring.prometheus.query(&panel.expression).await?.is_empty() {
                missing.retain(|other| other.expression != panel.expression);
            }
        }
        Ok(missing.is_empty().then_some(()))
    })
    .await;
    let empty: Vec<_> =
        missing.iter().map(|Panel { title, expression, .. }| format!("{title}: {expression}")).collect();
    assert!(all.is_ok(), "no data for\n{}", empty.join("\n"));
    Ok(())
}
