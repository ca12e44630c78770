//! TLS: each mode against servers with and without it, with the right and with the wrong certificates.

use standbywatch::config::{PostgresNode, PostgresTls, SslMode};
use standbywatch::names::FailureKind;
use standbywatch_lab::{Authority, Lab, Need, PgPair, Result, wait_until};

use crate::{SOON, asked, came_by_tls, kept_out, node, probe, tls};

const CHECKED: [SslMode; 2] = [SslMode::VerifyCa, SslMode::VerifyFull];

fn trusting(node: PostgresNode, mode: SslMode, authority: &Authority) -> PostgresNode {
    PostgresNode { tls: PostgresTls { mode, root_certificate: Some(authority.root()), client: None }, ..node }
}

/// It is kept out for its TLS, with these words of cause and cure.
async fn refused(node: &PostgresNode, words: &[&str]) -> Result<()> {
    let failure = kept_out(node).await?;
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    assert!(words.iter().all(|word| failure.message.contains(word)), "{words:?} in {failure}");
    Ok(())
}

#[tokio::test]
async fn each_mode_gets_what_it_demands() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let over_tls = async |node: &PostgresNode| {
        let mut probe = probe(node);
        probe.run().await.result?;
        came_by_tls(&pair.primary).await
    };
    // Without TLS on the server.
    let plain = node(&pair);
    for mode in [SslMode::Disable, SslMode::Prefer] {
        assert_eq!(over_tls(&PostgresNode { tls: tls(mode), ..plain.clone() }).await?, Some(false), "{mode:?}");
    }
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        refused(&PostgresNode { tls: tls(mode), ..plain.clone() }, &["does not support TLS", "switch on `ssl`"])
            .await?;
    }
    // With a certificate that nobody knows.
    let authority = Authority::new(&lab, "own")?;
    pair.primary.use_certificate(&authority, &authority.for_server(&["127.0.0.1"])?).await?;
    for (mode, expected) in [(SslMode::Disable, false), (SslMode::Prefer, true), (SslMode::Require, true)] {
        assert_eq!(over_tls(&PostgresNode { tls: tls(mode), ..plain.clone() }).await?, Some(expected), "{mode:?}");
    }
    let other = Authority::new(&lab, "other")?;
    for mode in CHECKED {
        refused(&PostgresNode { tls: tls(mode), ..plain.clone() }, &["UnknownIssuer", "root_certificate"]).await?;
        refused(&trusting(plain.clone(), mode, &other), &["127.0.0.1", "root_certificate"]).await?;
        assert_eq!(over_tls(&trusting(plain.clone(), mode, &authority)).await?, Some(true), "{mode:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_another_host_or_an_expired_one() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let authority = Authority::new(&lab, "authority")?;
    let trusting = |mode| trusting(node(&pair), mode, &authority);
    pair.primary.use_certificate(&authority, &authority.for_server(&["db.example"])?).await?;
    refused(&trusting(SslMode::VerifyFull), &["db.example", "subjectAltName"]).await?;
    asked(&trusting(SslMode::VerifyCa)).await.result?;
    pair.primary.use_certificate(&authority, &authority.expired(&["127.0.0.1"])?).await?;
    for mode in CHECKED {
        refused(&trusting(mode), &["expired", "renew"]).await?;
    }
    // Who checks nothing gets in.
    asked(&PostgresNode { tls: tls(SslMode::Require), ..node(&pair) }).await.result?;
    pair.primary.use_certificate(&authority, &authority.for_server(&["db.example", "127.0.0.1"])?).await?;
    asked(&trusting(SslMode::VerifyFull)).await.result?;
    Ok(())
}

/// sqlx adds what the system trusts to the configured certificates. Where that is narrowed to them, nothing else gets in.
#[tokio::test]
async fn the_system_s_authorities_count_beside_the_configured_one() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let (own, system) = (Authority::new(&lab, "own")?, Authority::new(&lab, "system")?);
    let served_by = async |authority: &Authority| -> Result<()> {
        for server in [&pair.primary, &pair.standby] {
            server.use_certificate(authority, &authority.for_server(&["127.0.0.1"])?).await?;
        }
        Ok(())
    };
    // Whether the servers' certificates are believed; the servers' own heartbeats are nothing to this test.
    let believed = async |mode: &str, trusted: &Authority| -> Result<bool> {
        let url = |port: u16| {
            let root = own.root();
            format!(
                "postgres://{}@127.0.0.1:{port}/postgres?sslmode={mode}&sslrootcert={}",
                pair.user(),
                root.display()
            )
        };
        let (primary, standby) = (url(pair.primary.port()), url(pair.standby.port()));
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"));
        program.args(["status", "--json", "--primary", &primary, "--standby", &standby]);
        program.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", trusted.root()).env("PGPASSWORD", pair.password());
        // On a busy machine a look may end without an answer.
        wait_until("it gets in, or is told why not", SOON, async || {
            let output = program.output().await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let (kept_out, let_in) = (text.contains("UnknownIssuer"), text.contains(r#""role": "primary""#));
            Ok((kept_out || let_in).then_some(let_in))
        })
        .await
    };
    served_by(&system).await?;
    for mode in ["verify-ca", "verify-full"] {
        assert_eq!((believed(mode, &system).await?, believed(mode, &own).await?), (true, false), "{mode}");
    }
    served_by(&own).await?;
    for mode in ["verify-ca", "verify-full"] {
        assert!(believed(mode, &own).await?, "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_instead_of_a_password() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let authority = Authority::new(&lab, "authority")?;
    pair.primary.use_certificate(&authority, &authority.for_server(&["127.0.0.1"])?).await?;
    pair.primary.let_in_by("hostssl all standbywatch 127.0.0.1/32 cert").await?;
    let mut node = PostgresNode { password: None, ..trusting(node(&pair), SslMode::VerifyFull, &authority) };
    let own = authority.for_role(pair.user())?;
    node.tls.client = Some((own.certificate.clone(), own.key.clone()));
    asked(&node).await.result?;

    let other = authority.for_role("somebody")?;
    node.tls.client = Some((other.certificate, other.key));
    let failure = kept_out(&node).await?;
    assert_eq!(failure.kind, FailureKind::Authentication, "{failure}");
    node.tls.client = None;
    let failure = kept_out(&node).await?;
    assert_eq!(failure.kind, FailureKind::Authentication, "{failure}");
    assert!(failure.message.contains("certificate"), "{failure}");

    // Signed by somebody else: the server ends the handshake.
    let stranger = Authority::new(&lab, "stranger")?.for_role(pair.user())?;
    node.tls.client = Some((stranger.certificate, stranger.key));
    refused(&node, &[]).await?;
    node.tls.client = Some((lab.dir().join("no.crt"), own.key));
    refused(&node, &["not there"]).await?;
    Ok(())
}
