//! libpq's password file, for a server whose password is configured nowhere.
//!
//! Source: PostgreSQL's documentation, "The Password File". It is read here, since sqlx logs a line that it cannot parse, and
//! with it a password.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::{self, PostgresNode};
use crate::secret::Secret;

/// What the file had to offer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The password of the first line that fits.
    pub(super) password: Option<Secret>,
    /// What a person should know of the file if the server refuses the session.
    pub(super) note: Option<String>,
}

/// Looks into the file that `PGPASSFILE` names, or else into `.pgpass` at home. Blocks; a file that is not there is no trouble.
pub(super) fn look(node: &PostgresNode) -> Found {
    config::libpq_password_file().map_or_else(Found::default, |path| look_into(&path, node))
}

fn look_into(path: &Path, node: &PostgresNode) -> Found {
    let ignored = |why: String| Found { password: None, note: Some(format!("{} is ignored: {why}", path.display())) };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::default(),
        Err(error) => return ignored(error.to_string()),
    };
    // As libpq does it: neither a pipe nor what others can read.
    if !metadata.is_file() {
        return ignored("it is no regular file".to_owned());
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return ignored(format!("group or others have access to it; chmod 600 {}", path.display()));
    }
    match fs::read_to_string(path) {
        Err(error) => ignored(error.to_string()),
        Ok(text) => match password_in(&text, node) {
            Some(password) => {
                let note = format!("the password is from {}", path.display());
                Found { password: Some(password), note: Some(note) }
            }
            None => Found { password: None, note: Some(format!("{} has no line for it", path.display())) },
        },
    }
}

/// The password of the first line `host:port:database:user:password` that fits.
fn password_in(text: &str, node: &PostgresNode) -> Option<Secret> {
    let port = node.port.to_string();
    let socket = node.host.starts_with('/');
    // A socket's line says localhost, or its directory where that is not the usual one.
    let hosts = [Some(node.host.as_str()), socket.then_some("localhost")];
    let password_of = |line: &str| {
        let (host, rest) = field(line)?;
        let (line_port, rest) = field(rest)?;
        let (database, rest) = field(rest)?;
        let (user, rest) = field(rest)?;
        let host_fits = hosts.into_iter().flatten().any(|own| host.fits(own));
        let fits = host_fits && line_port.fits(&port) && database.fits(&node.database) && user.fits(&node.user);
        fits.then(|| Secret::new(last_field(rest)))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.into_iter().find_map(password_of).filter(|password| !password.expose().is_empty())
}

/// One of the first four fields.
struct Field {
    text: String,
    /// A bare `*`.
    any: bool,
}

impl Field {
    fn fits(&self, value: &str) -> bool {
        self.any || self.text == value
    }
}

/// The field before the next colon that is not escaped, and what follows; `None` on a line that is too short.
fn field(line: &str) -> Option<(Field, &str)> {
    let mut text = String::new();
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Some((Field { any: &line[..at] == "*", text }, &line[at + 1..])),
            '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
            c => text.push(c),
        }
    }
    None
}

/// The password: up to a colon that is not escaped, or to the end.
fn last_field(rest: &str) -> String {
    field(&format!("{rest}:")).map_or_else(String::new, |(password, _)| password.text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::PostgresTls;

    fn node(host: &str) -> PostgresNode {
        PostgresNode {
            host: host.to_owned(),
            port: 5432,
            user: "probe".to_owned(),
            database: "post:gres".to_owned(),
            password: None,
            tls: PostgresTls::default(),
            replica: None,
            apply_delay: None,
        }
    }

    fn found(text: &str, host: &str) -> Option<String> {
        password_in(text, &node(host)).map(|password| password.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_by_libpqs_rules() {
        let text = "# db1:*:*:*:comment\n\ntoo:short\ndb1:5433:*:*:another port\ndb1:5432:post\\:gres:probe:s\\:e\\\\cret:tail\n\
                    *:*:*:*:for all\r\n";
        assert_eq!(found(text, "db1").as_deref(), Some("s:e\\cret"));
        assert_eq!(found(text, "db2").as_deref(), Some("for all"));
        assert_eq!(found("*:*:*:prob:x", "db1"), None, "no prefix");
        assert_eq!(found("*1:*:*:*:x", "db1"), None, "a star is no pattern");
        assert_eq!(found("\\*:*:*:*:x", "db1"), None, "an escaped star is a star");
        assert_eq!(found("db1:*:*:*:", "db1"), None, "an empty password is none");
        assert_eq!(found("", "db1"), None);
    }

    #[test]
    fn a_socket_is_localhost_or_its_directory() {
        assert_eq!(found("localhost:*:*:*:x", "/run/postgresql").as_deref(), Some("x"));
        assert_eq!(found("/run/postgresql:*:*:*:x", "/run/postgresql").as_deref(), Some("x"));
        assert_eq!(found("localhost:*:*:*:x", "127.0.0.1"), None);
    }

    #[test]
    fn a_file_that_others_may_touch_is_ignored_and_said_to_be() {
        let path = std::env::temp_dir().join(format!("standbywatch-pgpass-{}", std::process::id()));
        fs::write(&path, "*:*:*:*:x\n").unwrap();
        for (mode, fits) in [(0o600, true), (0o400, true), (0o640, false), (0o602, false), (0o620, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = look_into(&path, &node("db1"));
            assert_eq!(found.password.is_some(), fits, "{mode:o}");
            assert_eq!(found.note.unwrap().contains("chmod 600"), !fits, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(look_into(&path, &node("db1")), Found::default());
        let note = look_into(&std::env::temp_dir(), &node("db1")).note.unwrap();
        assert!(note.contains("no regular file"), "{note}");
    }

    proptest! {
        #[test]
        fn an_escaped_password_reads_back(password in r"[^\r\n]{1,20}") {
            let escaped = password.replace('\\', r"\\").replace(':', r"\:");
            prop_assert_eq!(found(&format!("*:*:*:*:{escaped}"), "db1"), Some(password));
        }
    }
}
