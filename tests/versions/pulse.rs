//! The pulse on one version: the agent's role may write it on a primary, it reaches the standby, and a standby writes none.

use std::time::Duration;

use standbywatch::config::PostgresChannel;
use standbywatch::facts::PostgresRole;
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch_lab::{Context, Lab, Need, PgPair, Result, wait_until};

use crate::facts::{channel, node};

pub async fn a_pulse_is_answered(major: u32) -> Result<()> {
    let Some(lab) = Lab::open(&[Need::PostgresVersion(major)])? else { return Ok(()) };
    let pair = PgPair::builder().version(major).start(&lab).await?;
    let channel = PostgresChannel { pulse: Some(Duration::from_secs(5)), ..channel() };
    let mut alpha = PostgresProbe::new(&node(&pair, pair.primary_address().port()), &channel);
    let mut beta = PostgresProbe::new(&node(&pair, pair.standby_address().port()), &channel);
    assert!(alpha.pulse().await.is_none(), "without a session nothing is written");
    alpha.run().await.result?;
    beta.run().await.result?;
    assert!(beta.pulse().await.is_none(), "a standby writes nothing");
    beta.run().await.result.context("its session is as good as before")?;
    let end = alpha.pulse().await.context("a session")?.result?;
    wait_until("the standby has it", Duration::from_secs(20), async || {
        let facts = alpha.run().await.result?;
        let PostgresRole::Primary(primary) = facts.role else { panic!("a primary") };
        Ok(primary.walsenders.iter().any(|row| row.flush >= Some(end)).then_some(()))
    })
    .await
}
