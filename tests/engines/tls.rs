//! An engine behind TLS that asks for the client's certificate: the way in that `tls:` describes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use standbywatch::config::{Schedule, SearchChannel, SearchNode, SearchTls};
use standbywatch::facts::Failure;
use standbywatch::names::{FailureKind, SearchHealth};
use standbywatch::probe::search::SearchProbe;
use standbywatch_lab::{Authority, Lab, Need, Result, SharedSearch};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// Accepts TLS from those whose certificate `root` has signed, and passes on what they say to `engine`.
async fn wall(engine: std::net::SocketAddr, root: &Path, own: (PathBuf, PathBuf)) -> Result<(u16, JoinSet<()>)> {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root)?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![CertificateDer::from_pem_file(own.0)?], PrivateKeyDer::from_pem_file(own.1)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            clients.spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let Ok(mut engine) = TcpStream::connect(engine).await else { return };
                // Either side may go at any time.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    Ok((port, tasks))
}

#[tokio::test]
async fn a_certificate_for_each_side() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let (ours, others) = (Authority::new(&lab, "ours")?, Authority::new(&lab, "others")?);
    let server = ours.for_server(&["127.0.0.1"])?;
    let client = ours.for_server(&["agent"])?;
    let stranger = others.for_server(&["agent"])?;
    let own = (server.certificate.clone(), server.key.clone());
    let (port, _wall) = wall(shared.search.address(), &ours.root(), own).await?;
    let look = async |root: Option<PathBuf>, client: Option<(PathBuf, PathBuf)>| -> Result<SearchHealth, Failure> {
        let tls = SearchTls { root_certificate: root, client };
        let node = SearchNode { url: format!("https://127.0.0.1:{port}"), tls, ..SearchNode::default() };
        let channel = SearchChannel::new(Schedule::new(Duration::from_secs(5), Duration::from_secs(10)), Vec::new());
        let facts = SearchProbe::new(&node, &channel).run(true).await.result?;
        Ok(facts.health.expect("every answer has a colour"))
    };
    let files =
        |certificate: &standbywatch_lab::Certificate| (certificate.certificate.clone(), certificate.key.clone());
    look(Some(ours.root()), Some(files(&client))).await?;
    let kind = |result: Result<SearchHealth, Failure>| result.expect_err("it is kept out").kind;
    assert_eq!(kind(look(Some(others.root()), Some(files(&client))).await), FailureKind::Tls, "a server of others");
    // TLS 1.3 tells a client that it is not wanted only when it has begun to speak.
    for unwanted in [None, Some(files(&stranger))] {
        let kind = kind(look(Some(ours.root()), unwanted).await);
        assert!([FailureKind::Tls, FailureKind::Protocol].contains(&kind), "{kind}");
    }
    let missing = (lab.dir().join("none.pem"), files(&client).1);
    let failure = look(Some(ours.root()), Some(missing)).await.expect_err("no such file");
    assert!(failure.kind == FailureKind::Tls && failure.message.contains("none.pem"), "{failure}");
    Ok(())
}
