//! Finding installed programs by looking, never by a fixed path.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A kind of server that a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `postgres`, `initdb`, `pg_ctl`, `pg_basebackup`, `pg_receivewal` of one version.
    Postgres,
    /// `postgres` and `initdb` of this major version.
    PostgresVersion(u32),
    /// `redis-server`.
    Redis,
    /// `etcd`.
    Etcd,
    /// `faketime`.
    Faketime,
    /// `rsync`.
    Rsync,
    /// `prometheus` and `prometheus-alertmanager` (or `alertmanager`).
    Monitoring,
    /// OpenSearch's archive in the cache (or Maven to fetch it), `unzip`, and a Java.
    Search,
}

impl Need {
    /// Why the need cannot be met on this machine, or `None` when it can.
    pub(crate) fn missing(self) -> Option<String> {
        let all: &[&str] = match self {
            Need::Postgres => return postgres_bin_dir().err().map(|error| format!("{error:#}")),
            Need::PostgresVersion(major) => return postgres_of(major).err().map(|error| format!("{error:#}")),
            Need::Redis => &["redis-server"],
            Need::Etcd => &["etcd"],
            Need::Faketime => &["faketime"],
            Need::Rsync => &["rsync"],
            Need::Monitoring => {
                return program("prometheus").and_then(|_| alertmanager()).err().map(|error| format!("{error:#}"));
            }
            Need::Search => {
                return crate::search::prepare().err().map(|error| format!("{error:#}"));
            }
        };
        all.iter().find_map(|name| program(name).err()).map(|error| format!("{error:#}"))
    }
}

/// The full path of a program in `PATH`.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| is_program(file))
        .with_context(|| format!("`{name}` is not installed"))
}

/// Debian calls it `prometheus-alertmanager`, everybody else `alertmanager`.
pub(crate) fn alertmanager() -> Result<PathBuf> {
    program("prometheus-alertmanager").or_else(|_| program("alertmanager"))
}

/// The directory with PostgreSQL's programs: the highest version that has them all.
///
/// Debian's own directories go first: what stands in `PATH` may be a wrapper around one program.
pub(crate) fn postgres_bin_dir() -> Result<PathBuf> {
    const ALL: [&str; 5] = ["postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_receivewal"];
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .map(|(_, dir)| dir)
        .chain(std::env::split_paths(&path))
        .find(|dir| ALL.iter().all(|name| is_program(&dir.join(name))))
        .context("PostgreSQL's server is not installed")
}

/// The directory with the programs of one major version: the distribution's, else what `tests/lab/install.sh --versions`
/// put into the cache. There is a server and its `initdb`, not always more.
pub(crate) fn postgres_of(major: u32) -> Result<PathBuf> {
    let distribution = Path::new("/usr/lib/postgresql").join(major.to_string()).join("bin");
    let fetched = cache_dir()?.join("postgresql").join(major.to_string()).join("bin");
    [distribution, fetched]
        .into_iter()
        .find(|dir| ["postgres", "initdb"].iter().all(|name| is_program(&dir.join(name))))
        .with_context(|| format!("PostgreSQL {major} is not there (tests/lab/install.sh --versions fetches it)"))
}

/// What is worth keeping between runs: where `tests/lab/install.sh --where` says.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = if let Some(dir) = set("STANDBYWATCH_LAB_CACHE") {
        dir
    } else if rustix::process::geteuid().is_root() {
        // Servers run as an unprivileged user, who cannot look into root's home.
        PathBuf::from("/var/cache/standbywatch-lab")
    } else {
        let home = || std::env::home_dir().map(|home| home.join(".cache"));
        set("XDG_CACHE_HOME")
            .or_else(home)
            .context("neither XDG_CACHE_HOME nor a home directory")?
            .join("standbywatch-lab")
    };
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

pub(crate) fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has_and_names_what_is_missing() -> Result<()> {
        assert!(program("sh")?.is_absolute());
        let error = program("no-such-program").map_err(|error| error.to_string());
        assert_eq!(error, Err("`no-such-program` is not installed".to_owned()));
        Ok(())
    }
}
