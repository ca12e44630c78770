//! Whose certificates are believed.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
    let config = config(system_roots()?, None)?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

fn system_roots() -> Result<RootCertStore, HttpError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let message =
            "no trusted certificates on this machine; install the package ca-certificates or set SSL_CERT_FILE";
        return Err(HttpError::new(FailureKind::Tls, message));
    }
    Ok(roots)
}

/// The certificates of `root`, or else the system's, and the client's own certificate with its key.
pub(super) fn with(root: Option<&Path>, client: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, HttpError> {
    let roots = root.map_or_else(system_roots, roots_of)?;
    config(roots, client.map(|(certificate, key)| identity(certificate, key)).transpose()?)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificate: &Path, key: &Path) -> Result<Identity, HttpError> {
    let wrong = |file: &Path, what: &str, error: &dyn std::fmt::Display| {
        let message = format!("{} {what}: {error}; name a PEM file that this user can read", file.display());
        HttpError::new(FailureKind::Tls, message)
    };
    let chain: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(certificate) {
        Ok(chain) => chain.collect(),
        Err(error) => Err(error),
    };
    let chain = chain.map_err(|error| wrong(certificate, "holds no certificate that can be read", &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "holds no certificate", &"there is none in it"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, "holds no key that can be read", &error))?;
    Ok((chain, key))
}

/// The certificates of one PEM file.
///
/// # Errors
/// A file that cannot be read or holds no certificate: `tls`.
pub fn of_file(file: &Path) -> Result<Arc<ClientConfig>, HttpError> {
    config(roots_of(file)?, None)
}

fn roots_of(file: &Path) -> Result<RootCertStore, HttpError> {
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
    Ok(roots)
}

fn config(roots: RootCertStore, identity: Option<Identity>) -> Result<Arc<ClientConfig>, HttpError> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::new(FailureKind::Tls, error))?
        .with_root_certificates(roots);
    Ok(Arc::new(match identity {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(|error| {
            HttpError::new(FailureKind::Tls, format!("the client certificate and its key do not fit: {error}"))
        })?,
    }))
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
