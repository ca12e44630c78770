//! `postgres://user:password@host:port/database?sslmode=…`, as libpq takes it.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::checked::{PostgresNode, PostgresTls, SecretSource, SslMode};
use super::value::{self, Wrong};
use super::wording::nearest;
use crate::secret::Secret;

pub(super) const DEFAULT_PORT: u16 = 5432;
pub(super) const DEFAULT_USER: &str = "standbywatch";
pub(super) const DEFAULT_DATABASE: &str = "postgres";

const PARAMETERS: [&str; 9] =
    ["host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The server that the URL names; its messages never show the password.
pub(super) fn parse(text: &str) -> Result<PostgresNode, Wrong> {
    const CURE: &str = "write for example postgres://standbywatch@10.0.0.1:5432/postgres";
    // The URL itself is not shown: with one wrong character nobody can tell which part of it is the password.
    let wrong = |said: &str| Wrong::new(said.to_owned(), CURE);
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("postgres" | "postgresql")) {
        // It could be anything, also a bare connection string with a password in it.
        return Err(Wrong::new("not a URL that begins with postgres://", CURE));
    }
    let not_clear = || {
        Wrong::new(
            "not clear: `/`, `#`, `?`, `@` or `:` stands where the URL has another meaning for it",
            "in a password write %2F, %23, %3F, %40 or %3A; or use password_file or PGPASSWORD",
        )
    };
    let url = url::Url::parse(text).map_err(|error| match error {
        // The part before `/`, `#` or `?` was taken for a port, and the host stands behind it.
        url::ParseError::InvalidPort if authority_is_cut(text) => not_clear(),
        error => wrong(&format!("not a URL: {error}")),
    })?;
    // What was meant as a password may have begun a path or a fragment instead.
    if url.fragment().is_some() || url.path().trim_start_matches('/').contains(['@', ':', '/']) {
        return Err(not_clear());
    }
    let plain = |part: &str| {
        percent_decode_str(part).decode_utf8().map(String::from).map_err(|_| wrong("not UTF-8 behind its % signs"))
    };
    let present = |part: String| Some(part).filter(|part| !part.is_empty());
    let mut parts = Parts {
        host: present(plain(url.host_str().unwrap_or_default())?),
        port: url.port(),
        user: present(plain(url.username())?),
        password: url.password().map(plain).transpose()?,
        database: present(plain(url.path().trim_start_matches('/'))?),
        ..Parts::default()
    };
    for (name, value) in url.query_pairs() {
        parts.take(&name, value.into_owned())?;
    }
    parts.node().ok_or_else(|| wrong("no host is named"))
}

/// An `@` stands behind what ends user, password, host and port.
fn authority_is_cut(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split_once(['/', '#', '?']).is_some_and(|(_, behind)| behind.contains('@'))
}

#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    mode: SslMode,
    root_certificate: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Parts {
    fn take(&mut self, name: &str, text: String) -> Result<(), Wrong> {
        match name {
            "host" => self.host = Some(text),
            "port" => {
                let port = text.parse().ok().filter(|port| *port > 0);
                let wrong = || Wrong::new(format!("port={text} is not a port"), "write 1 to 65535");
                self.port = Some(port.ok_or_else(wrong)?);
            }
            "user" => self.user = Some(text),
            "password" => self.password = Some(text),
            "dbname" => self.database = Some(text),
            "sslmode" => self.mode = ssl_mode(&text)?,
            "sslrootcert" => self.root_certificate = Some(value::absolute_path(&text)?),
            "sslcert" => self.certificate = Some(value::absolute_path(&text)?),
            "sslkey" => self.key = Some(value::absolute_path(&text)?),
            other => {
                let known = format!("known are: {}", PARAMETERS.join(", "));
                let cure = nearest(other, PARAMETERS).map_or(known, |near| format!("did you mean {near}?"));
                return Err(Wrong::new(format!("{other}= is not taken in a URL"), cure));
            }
        }
        Ok(())
    }

    fn node(self) -> Option<PostgresNode> {
        let host = self.host?;
        Some(PostgresNode {
            // An IPv6 address stands in brackets in a URL only.
            host: host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(&host).to_owned(),
            port: self.port.unwrap_or(DEFAULT_PORT),
            user: self.user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
            database: self.database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
            password: self.password.map(|text| SecretSource::Inline(Secret::new(text))),
            tls: PostgresTls {
                mode: self.mode,
                root_certificate: self.root_certificate,
                client: self.certificate.zip(self.key),
            },
            replica: None,
            apply_delay: None,
        })
    }
}

/// libpq's word for it.
pub(super) fn ssl_mode(text: &str) -> Result<SslMode, Wrong> {
    match text {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        other => Err(Wrong::new(
            format!("sslmode={other} is not known"),
            "write disable, prefer, require, verify-ca or verify-full",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_by_example() {
        let node = parse("postgresql://me:p%40ss@db-1:6432/app?sslmode=verify-full").unwrap();
        assert_eq!(
            (node.host.as_str(), node.port, node.user.as_str(), node.database.as_str()),
            ("db-1", 6432, "me", "app")
        );
        assert_eq!(node.password, Some(SecretSource::Inline(Secret::new("p@ss"))));
        assert_eq!(node.tls.mode, SslMode::VerifyFull);
        let node = parse("postgres://10.0.0.1").unwrap();
        assert_eq!((node.port, node.user.as_str(), node.database.as_str()), (5432, "standbywatch", "postgres"));
        assert_eq!(node.password, None);
        assert_eq!(parse("postgres:///app?host=/var/run/postgresql").unwrap().host, "/var/run/postgresql");
        assert_eq!(parse("postgres://%2Fvar%2Frun%2Fpostgresql/app").unwrap().host, "/var/run/postgresql");
        assert_eq!(parse("postgres://[fd00::1]:5433/app").unwrap().host, "fd00::1");
    }

    #[test]
    fn a_password_that_ends_the_url_too_early_is_told_as_such() {
        for text in ["postgres://me:hun/ter@host/app", "postgres://me:hun#ter@host", "postgres://me:hun?ter@host"] {
            let wrong = format!("{:?}", parse(text).unwrap_err());
            assert!(wrong.contains("%2F") && !wrong.contains("hun"), "{wrong}");
        }
        let port = format!("{:?}", parse("postgres://me@host:port/app").unwrap_err());
        assert!(port.contains("invalid port number"), "{port}");
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        for text in [
            "postgres://me:hunter2@/app",
            "postgres://me:hunter2@host:99999/app",
            "postgres://me:hunter2@host/app?sslmod=require",
            "postgres://me:hunter2@host/app?sslmode=hard",
            "mysql://me:hunter2@host/app",
            "host=10.0.0.1 password=hunter2",
            "postgres://me:hunter2@ho st/app",
        ] {
            let wrong = parse(text).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        }
    }
}
