//! TLS: an authority of the lab's own, what it signs, and how a server and its roles use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::lab::Lab;

/// A certificate and its key, as files that only their owner reads.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// In PEM.
    pub certificate: PathBuf,
    /// In PEM.
    pub key: PathBuf,
}

/// Signs certificates for servers and roles of one lab.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    issued: AtomicUsize,
}

impl Authority {
    /// A new authority with this name; nobody knows it but by [`Authority::root`].
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("make an authority")?;
        let dir = lab.dir().join(name);
        lab.write(&format!("{name}/root.crt"), &issuer.pem())?;
        Ok(Self { dir, issuer, issued: AtomicUsize::new(0) })
    }

    /// Its own certificate, to be trusted.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root.crt")
    }

    /// For a server of these names or addresses.
    pub fn for_server(&self, names: &[&str]) -> Result<Certificate> {
        self.issue(Self::params(names)?)
    }

    /// The same, expired long ago.
    pub fn expired(&self, names: &[&str]) -> Result<Certificate> {
        let mut params = Self::params(names)?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.issue(params)
    }

    /// For a role: its name is the certificate's common name.
    pub fn for_role(&self, role: &str) -> Result<Certificate> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, role);
        self.issue(params)
    }

    fn params(names: &[&str]) -> Result<CertificateParams> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "a server of the lab");
        Ok(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Certificate> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer).context("sign a certificate")?;
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let files = Certificate {
            certificate: self.dir.join(format!("{number}.crt")),
            key: self.dir.join(format!("{number}.key")),
        };
        fs::write(&files.certificate, certificate.pem())?;
        write_key(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

/// PostgreSQL and libpq refuse a key that others can read.
pub(super) fn write_key(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context("keep a key")
}
