//! A refused authentication is tried again slowly, and never behind the back of one that is refused.

use std::time::Duration;

use standbywatch::names::FailureKind;
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch_lab::{Lab, Need, PgPair, Result, wait_until};

use crate::{SOON, channel, node};

fn refusals(pair: &PgPair) -> usize {
    pair.primary.log().matches("password authentication failed").count()
}

#[tokio::test]
async fn a_password_that_a_new_session_finds_changed_ends_the_proof_and_is_tried_once() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = PostgresProbe::new(&node(&pair), &channel(Duration::from_millis(200)));
    probe.run().await.result?;
    pair.primary.change_password("another").await?;
    // Each run is a second's tick; the new session's refusal comes in between.
    let failure = wait_until("the password is refused", SOON, async || Ok(probe.run().await.result.err())).await?;
    assert_eq!(failure.kind, FailureKind::Authentication);
    assert!(failure.message.contains("check the password"), "{failure}");
    for _ in 0..50 {
        let failure = probe.run().await.result.err();
        assert_eq!(failure.map(|failure| failure.kind), Some(FailureKind::Authentication), "it stands");
    }
    assert_eq!(refusals(&pair), 1, "an account is not locked by a probe");
    Ok(())
}
