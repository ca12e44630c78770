//! Whose certificates are believed.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::HttpError;
use crate::names::FailureKind;

/// What the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured). Made once, when TLS is first needed.
///
/// # Errors
/// Nothing is trusted here: `tls`.
pub fn of_the_system() -> Result<Arc<ClientConfig>, HttpError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let message =
            "no trusted certificates on this machine; install the package ca-certificates or set SSL_CERT_FILE";
        return Err(HttpError::new(FailureKind::Tls, message));
    }
    let config = config(roots)?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

/// The certificates of one PEM file.
///
/// # Errors
/// A file that cannot be read or holds no certificate: `tls`.
pub fn of_file(file: &Path) -> Result<Arc<ClientConfig>, HttpError> {
    let wrong = |what: String| {
        let message = format!("{what}; name a file of certificates in PEM that this user can read");
        HttpError::new(FailureKind::Tls, message)
    };
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|error| wrong(format!("{shown} cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = certificate.map_err(|error| error.to_string()).and_then(|certificate| {
            let added = roots.add(certificate);
            added.map_err(|error| error.to_string())
        });
        added.map_err(|error| wrong(format!("{shown} has a broken certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong(format!("{shown} holds no certificate")));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, HttpError> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::new(FailureKind::Tls, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_told_with_its_cure() {
        for (file, what) in [("/nonexistent/ca.pem", "cannot be read"), ("/dev/null", "holds no certificate")] {
            let error = of_file(Path::new(file)).expect_err("nothing to trust");
            assert_eq!(error.kind, FailureKind::Tls);
            assert!(error.message.contains(what) && error.message.contains("in PEM"), "{error}");
        }
    }
}
