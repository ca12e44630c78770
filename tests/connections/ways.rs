//! TCP and sockets, with the server's default of SCRAM.

use standbywatch::config::{SecretSource, SslMode};
use standbywatch::names::FailureKind;
use standbywatch_lab::{Lab, Need, PgPair, Result};

use crate::{asked, came_by_tls, kept_out, kind, node, probe, tls};

#[tokio::test]
async fn tcp_with_a_scram_password_inline_or_from_a_file() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let stored =
        pair.primary.value("SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'standbywatch'").await?;
    assert_eq!(stored.as_deref(), Some("SCRAM-SHA-256"));
    let mut node = node(&pair);
    asked(&node).await.result?;
    node.password = Some(SecretSource::File(lab.write("secret", &format!("{}\nsecond line\n", pair.password()))?));
    asked(&node).await.result?;
    node.password = Some(SecretSource::File(lab.dir().join("not-there")));
    let failure = kept_out(&node).await?;
    assert_eq!(failure.kind, FailureKind::Permission);
    assert!(failure.message.contains("not-there") && failure.message.contains("let this user read"), "{failure}");
    node.password = None;
    assert_eq!(kind(&node).await, Some(FailureKind::Authentication), "no password at all");
    Ok(())
}

#[tokio::test]
async fn a_socket_of_this_machine_whatever_tls_is_asked_for() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let mut node = node(&pair);
    node.host = pair.primary.socket_dir().display().to_string();
    node.password = None;
    for mode in [SslMode::Prefer, SslMode::VerifyFull] {
        node.tls = tls(mode);
        let mut probe = probe(&node);
        probe.run().await.result?;
        assert_eq!(came_by_tls(&pair.primary).await?, Some(false));
    }
    pair.primary.let_in_by("local all standbywatch scram-sha-256").await?;
    let failure = kept_out(&node).await?;
    assert_eq!(failure.kind, FailureKind::Authentication);
    assert!(failure.message.contains(".s.PGSQL."), "the socket is named: {failure}");
    node.host = lab.dir().display().to_string();
    assert_eq!(kind(&node).await, Some(FailureKind::Refused), "no socket there");
    Ok(())
}
