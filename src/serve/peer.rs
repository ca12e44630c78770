//! How other nodes' agents are let in: the certificate that they know this one by, and the token that they show.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto, version};

use crate::config::{Fingerprint, PeerConfig};
use crate::http_client::sha256;

/// The first byte of a TLS handshake; no HTTP request begins with it.
const HANDSHAKE: u8 = 0x16;

/// What another agent must show, and what it is shown.
pub struct PeerAccess {
    token: blake3::Hash,
    acceptor: Option<TlsAcceptor>,
    run: String,
}

impl PeerAccess {
    /// Reads the token and, where agents are asked over TLS, certificate and key. Blocks on the file system.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be, with the cure.
    pub fn load(peer: &PeerConfig) -> Result<Self, String> {
        let token = peer.token.read().map_err(|error| error.to_string())?;
        let acceptor = match peer.fingerprint {
            Some(fingerprint) => Some(acceptor(&peer.certificate, &peer.key, fingerprint)?),
            None => None,
        };
        // A name only, to tell the readings of one run from those of another.
        let run = format!("{:016x}", fastrand::u64(..));
        Ok(Self { token: blake3::hash(token.expose().as_bytes()), acceptor, run })
    }

    /// Whether the request shows the token.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
        let token = shown.as_bytes().strip_prefix(b"Bearer ");
        // Hashes are compared in constant time, whatever was sent.
        token.is_some_and(|token| blake3::hash(token) == self.token)
    }

    pub(super) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.acceptor.as_ref()
    }

    /// Names this run of the agent.
    pub(super) fn run(&self) -> &str {
        &self.run
    }
}

fn acceptor(certificate: &Path, key: &Path, fingerprint: Fingerprint) -> Result<TlsAcceptor, String> {
    let wrong = |file: &Path, what: String| format!("{}: {what}; `standbywatch peer init` makes both", file.display());
    let unread = |file: &Path, error: pem::Error| match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            format!("{}: {error}; let the user that runs standbywatch read it (chown, mode 0600)", file.display())
        }
        error => wrong(file, error.to_string()),
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| unread(certificate, error))?;
    let Some(own) = chain.first() else { return Err(wrong(certificate, "holds no certificate".to_owned())) };
    let is = Fingerprint(sha256(own));
    if is != fingerprint {
        return Err(format!(
            "{}: its fingerprint is {is}, configured is {fingerprint}: the file and peer.fingerprint must belong together on \
             every node",
            certificate.display()
        ));
    }
    let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_of))
        .map_err(|error| wrong(key, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether the connection begins with a TLS handshake. Takes nothing out of it.
pub(super) async fn begins_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read == 1 && first[0] == HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: &str) -> PeerAccess {
        PeerAccess { token: blake3::hash(token.as_bytes()), acceptor: None, run: String::new() }
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn exactly_the_token_is_let_in() {
        let access = access("hunter2");
        assert!(access.admits(&headers(&["Bearer hunter2"])));
        let wrong: [&[&str]; 8] = [
            &[],
            &["hunter2"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer hunter"],
            &["Bearer hunter22"],
            &["Basic hunter2"],
            &["Bearer hunter2", "Bearer hunter2"],
        ];
        for shown in wrong {
            assert!(!access.admits(&headers(shown)), "{shown:?}");
        }
    }
}
