//! What a held session cannot see: told as soon as a new one is tried, while the held one goes on.

use std::time::Duration;

use standbywatch::config::{PostgresNode, PostgresTls, SecretSource, SslMode};
use standbywatch::facts::{Failure, NewSessions};
use standbywatch::names::FailureKind;
use standbywatch::probe::postgres::PostgresProbe;
use standbywatch_lab::{Authority, Context, Lab, Need, PgPair, PgServer, Result, wait_until};

use crate::{SOON, channel, node};

/// New sessions are tried about this often.
const OFTEN: Duration = Duration::from_millis(500);

fn often(node: &PostgresNode) -> PostgresProbe {
    PostgresProbe::new(node, &channel(OFTEN))
}

/// What the next facts say of new sessions; that there are facts at all is the held session's doing.
async fn told(probe: &mut PostgresProbe) -> Result<NewSessions> {
    probe.run().await.result?.new_sessions.context("a probe always knows")
}

async fn refusal(probe: &mut PostgresProbe) -> Result<Failure> {
    wait_until("new sessions are refused", SOON, async || {
        Ok(match told(probe).await? {
            NewSessions::Refused(_, failure) => Some(failure),
            NewSessions::Accepted | NewSessions::NotTried(..) => None,
        })
    })
    .await
}

/// For how long new sessions have been refused.
async fn refused_for(probe: &mut PostgresProbe) -> Result<Duration> {
    match told(probe).await? {
        NewSessions::Refused(since, _) => Ok(since),
        other => panic!("{other:?}"),
    }
}

async fn acceptance(probe: &mut PostgresProbe) -> Result<()> {
    wait_until(
        "new sessions are let in",
        SOON,
        async || Ok((told(probe).await? == NewSessions::Accepted).then_some(())),
    )
    .await
}

async fn sessions(server: &PgServer) -> Result<u32> {
    let count = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    server.value(count).await?.context("a count")?.parse().context("a number")
}

#[tokio::test]
async fn a_session_is_replaced_and_never_a_third_one_is_open() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let pid = "SELECT max(pid)::text FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    // Rarely enough that a busy server has ended the old one before the next comes.
    let mut probe = PostgresProbe::new(&node(&pair), &channel(Duration::from_secs(3)));
    assert_eq!(told(&mut probe).await?, NewSessions::Accepted);
    let first = pair.primary.value(pid).await?;
    let mut most = 0;
    wait_until("another session answers", SOON, async || {
        told(&mut probe).await?;
        let count = sessions(&pair.primary).await?;
        most = most.max(count);
        Ok((count == 1 && pair.primary.value(pid).await? != first).then_some(()))
    })
    .await?;
    assert!(most <= 2, "{most} sessions");
    Ok(())
}

#[tokio::test]
async fn a_frozen_postmaster() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = often(&node(&pair));
    told(&mut probe).await?;
    pair.primary.freeze_postmaster()?;
    let failure = refusal(&mut probe).await?;
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("did not accept a new session"), "{failure}");
    let early = refused_for(&mut probe).await?;
    wait_until("it counts on", SOON, async || Ok((refused_for(&mut probe).await? > early + OFTEN).then_some(())))
        .await?;
    pair.primary.thaw()?;
    acceptance(&mut probe).await?;
    wait_until("one session", SOON, async || {
        told(&mut probe).await?;
        Ok((sessions(&pair.primary).await? == 1).then_some(()))
    })
    .await
}

#[tokio::test]
async fn no_session_left_for_the_role() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut probe = often(&node(&pair));
    told(&mut probe).await?;
    pair.primary.sql("ALTER ROLE standbywatch CONNECTION LIMIT 1").await?;
    let failure = refusal(&mut probe).await?;
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.message.contains("CONNECTION LIMIT"), "{failure}");
    pair.primary.sql("ALTER ROLE standbywatch CONNECTION LIMIT 2").await?;
    acceptance(&mut probe).await
}

#[tokio::test]
async fn an_expired_certificate() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let authority = Authority::new(&lab, "authority")?;
    let good = authority.for_server(&["127.0.0.1"])?;
    pair.primary.use_certificate(&authority, &good).await?;
    let tls = PostgresTls { mode: SslMode::VerifyFull, root_certificate: Some(authority.root()), client: None };
    let mut probe = often(&PostgresNode { tls, ..node(&pair) });
    told(&mut probe).await?;
    pair.primary.use_certificate(&authority, &authority.expired(&["127.0.0.1"])?).await?;
    let failure = refusal(&mut probe).await?;
    assert_eq!(failure.kind, FailureKind::Tls);
    assert!(failure.message.contains("expired") && failure.message.contains("renew"), "{failure}");
    pair.primary.use_certificate(&authority, &good).await?;
    acceptance(&mut probe).await
}

#[tokio::test]
async fn a_password_file_that_cannot_be_read_says_nothing_of_the_server() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let path = lab.write("secret", pair.password())?;
    let mut probe = often(&PostgresNode { password: Some(SecretSource::File(path.clone())), ..node(&pair) });
    told(&mut probe).await?;
    std::fs::remove_file(&path)?;
    let failure = wait_until("it could not be tried", SOON, async || {
        Ok(match told(&mut probe).await? {
            NewSessions::NotTried(_, failure) => Some(failure),
            NewSessions::Accepted => None,
            NewSessions::Refused(_, failure) => panic!("{failure}"),
        })
    })
    .await?;
    assert_eq!(failure.kind, FailureKind::Permission);
    lab.write("secret", pair.password())?;
    acceptance(&mut probe).await
}
