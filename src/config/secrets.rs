//! Where secrets come from: a key, a file, the environment, systemd's credentials.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::checked::SecretSource;
use super::section::Section;
use super::value::{self, Wrong};
use crate::secret::Secret;

const CREDENTIALS: &str = "${CREDENTIALS_DIRECTORY}";
/// Nobody has a longer password; a larger file is a mistake.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The environment variables that a configuration may refer to. Handed in, never read from the side.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process; values that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The variable's value, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Why a secret could not be had; says the file and the cure, never the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file could not be opened or read.
    #[error("cannot read the secret in {path}: {reason}; let this user read the file", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file's first line is empty.
    #[error("{path} has no secret: its first line is empty; write the secret there", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl SecretSource {
    /// The secret now. Reads a file's first line, so call it where blocking is allowed.
    ///
    /// # Errors
    /// A file that cannot be read, is no text, or begins with an empty line.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let path = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let text = first_part(path)
            .map_err(|error| SecretError::Unreadable { path: path.clone(), reason: error.to_string() })?;
        match text.lines().next().map(|line| line.trim_end_matches('\r')) {
            None | Some("") => Err(SecretError::Empty { path: path.clone() }),
            Some(line) => Ok(Secret::new(line)),
        }
    }

    /// What is worth telling the operator about a file that can be looked at from here; `None` if nothing is, or if the
    /// file is not on this machine.
    pub fn warning(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let shown = path.display();
        if path.is_dir() {
            return Some(format!("{shown} is a directory, and a secret is the first line of a file; name that file"));
        }
        readable_for_all(path).then(|| exposure(path))
    }
}

/// What is said of a file with a secret that is [`readable_for_all`].
pub(super) fn exposure(path: &Path) -> String {
    let path = path.display();
    format!("{path} holds a secret and every user of this machine can read it; chmod o-rwx {path}")
}

/// Without waiting for whatever else may lie there: a pipe would wait for its writer, and the thread with it.
fn first_part(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether every user of this machine can read the file; false if that cannot be told.
pub(super) fn readable_for_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// libpq's own variable, for a server whose password is not configured.
pub(super) fn postgres_password(environment: &Environment) -> Option<SecretSource> {
    environment.get("PGPASSWORD").map(|text| SecretSource::Inline(Secret::new(text)))
}

/// libpq's password file: the one that `PGPASSFILE` names, or else `.pgpass` at home. It need not be there.
pub fn libpq_password_file() -> Option<PathBuf> {
    let named = std::env::var_os("PGPASSFILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".pgpass")))
}

/// The secret that a section names by `password`, `password_file` or `password_env`, of which at most one may be there.
pub(super) fn password(section: &Section<'_>, environment: &Environment) -> Option<SecretSource> {
    let given: Vec<&str> =
        ["password", "password_file", "password_env"].into_iter().filter(|name| section.has(name)).collect();
    if let [first, second, ..] = given.as_slice() {
        section.problem(second, format!("{second}: {first} is given too"), "keep one of them, best password_file");
    }
    let inline = section.secret("password").map(|text| SecretSource::Inline(Secret::new(text)));
    let file = section.parsed("password_file", |text| secret_file(text, environment)).map(SecretSource::File);
    let variable = section.parsed("password_env", |text| {
        let name = value::text(text)?;
        let found = environment.get(&name).map(|value| SecretSource::Inline(Secret::new(value)));
        found
            .ok_or_else(|| Wrong::new(format!("the environment has no {name}"), "set it where standbywatch is started"))
    });
    inline.or(file).or(variable)
}

/// An absolute path, in which systemd's directory of credentials may stand first.
pub(super) fn secret_file(text: &str, environment: &Environment) -> Result<PathBuf, Wrong> {
    let Some(rest) = text.strip_prefix(CREDENTIALS) else { return value::absolute_path(text) };
    match environment.get("CREDENTIALS_DIRECTORY") {
        Some(directory) => value::absolute_path(&format!("{directory}{rest}")),
        None => Err(Wrong::new(
            format!("{text:?} needs CREDENTIALS_DIRECTORY, which is not set"),
            "start under systemd with LoadCredential=, or write the path from / on",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file_or_a_reason_with_a_cure() {
        let path = std::env::temp_dir().join(format!("standbywatch-secret-{}", std::process::id()));
        let source = SecretSource::File(path.clone());
        assert!(source.read().unwrap_err().to_string().contains("let this user read the file"));
        std::fs::write(&path, "hunter2\r\nold one\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(source.read().unwrap().expose(), "hunter2");
        assert!(source.warning().unwrap().contains("chmod o-rwx"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(source.warning(), None);
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(source.read(), Err(SecretError::Empty { path: path.clone() }));
        std::fs::remove_file(&path).unwrap();
    }

    /// Nobody is to be told to take a whole directory from everybody else.
    #[test]
    fn a_directory_in_place_of_the_file_is_told_and_left_alone() {
        let warning = SecretSource::File(PathBuf::from("/usr")).warning().unwrap();
        assert!(warning.contains("/usr is a directory") && !warning.contains("chmod"), "{warning}");
    }
}
