//! The engines' archives in the cache, and a Java that runs each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::find;

/// A search engine of one version. `tests/lab/install.sh` brings OpenSearch 2, and with `--versions` the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The one that all tests use but those that are about versions.
    OpenSearch2,
    /// Needs Java 21 or newer, which not every machine has.
    OpenSearch3,
    Elasticsearch7,
    Elasticsearch8,
}

impl Engine {
    /// As it names itself.
    pub const fn distribution(self) -> &'static str {
        match self {
            Engine::OpenSearch2 | Engine::OpenSearch3 => "opensearch",
            Engine::Elasticsearch7 | Engine::Elasticsearch8 => "elasticsearch",
        }
    }

    pub const fn version(self) -> &'static str {
        match self {
            Engine::OpenSearch2 => "2.19.3",
            Engine::OpenSearch3 => "3.4.0",
            Engine::Elasticsearch7 => "7.10.2",
            Engine::Elasticsearch8 => "8.17.0",
        }
    }

    /// The Javas that run it; the nearest to the second is taken. OpenSearch 2 and Elasticsearch 7 need the security manager, which
    /// Java 24 took away.
    const fn javas(self) -> (std::ops::RangeInclusive<u32>, u32) {
        match self {
            Engine::OpenSearch2 | Engine::Elasticsearch7 => (11..=21, 17),
            Engine::Elasticsearch8 => (17..=23, 17),
            Engine::OpenSearch3 => (21..=25, 21),
        }
    }

    /// What its start script reads.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Engine::OpenSearch2 | Engine::OpenSearch3 => "OPENSEARCH",
            Engine::Elasticsearch7 | Engine::Elasticsearch8 => "ES",
        }
    }

    /// A Java that it runs on is missing here, and machines need not have one.
    pub(crate) fn may_be_missing(self) -> bool {
        self == Engine::OpenSearch3 && java_home(self).is_err()
    }

    /// The first directory of its archive.
    pub(crate) fn top_directory(self) -> String {
        format!("{}-{}", self.distribution(), self.version())
    }
}

/// What is needed to start a server.
pub(crate) struct Parts {
    pub archive: PathBuf,
    pub java_home: PathBuf,
    pub unzip: PathBuf,
}

/// Looks for all parts; downloads the archive of OpenSearch 2 through Maven when the cache lacks it (about 50 MB).
pub(crate) fn prepare(engine: Engine) -> Result<Parts> {
    let unzip = find::program("unzip")?;
    let java_home = java_home(engine)?;
    let cache = find::cache_dir()?;
    let archive = cache.join(format!("{}.zip", engine.top_directory()));
    if engine == Engine::OpenSearch2 {
        let lock = File::options().create(true).append(true).open(cache.join("opensearch.lock"))?;
        lock.lock().context("lock the archive")?;
        if !archive.exists() {
            download(&cache, &archive)?;
        }
    }
    if !archive.exists() {
        bail!("{} is not there (tests/lab/install.sh --versions fetches it)", engine.top_directory());
    }
    Ok(Parts { archive, java_home, unzip })
}

fn download(cache: &Path, archive: &Path) -> Result<()> {
    let version = Engine::OpenSearch2.version();
    let maven = find::program("mvn").context("OpenSearch's archive is not in the cache")?;
    let partial = cache.join("opensearch.partial");
    let ended = Command::new(maven)
        .args(["--batch-mode", "--quiet", "-Dstyle.color=never", "dependency:copy"])
        .arg(format!("-Dartifact=org.opensearch.distribution.integ-test-zip:opensearch:{version}:zip"))
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .current_dir(cache)
        .stdin(Stdio::null())
        .output()
        .context("start Maven")?;
    if !ended.status.success() {
        let text = String::from_utf8_lossy(&ended.stdout);
        let first = text.lines().next().unwrap_or_default();
        bail!("OpenSearch's archive could not be downloaded: {first}");
    }
    let name = archive.file_name().context("an archive's name")?;
    fs::rename(partial.join(name), archive).context("keep the archive")?;
    fs::remove_dir_all(&partial)?;
    Ok(())
}

/// `OPENSEARCH_JAVA_HOME`, else the most fitting of what is installed.
fn java_home(engine: Engine) -> Result<PathBuf> {
    let (javas, best) = engine.javas();
    let named = std::env::var_os("OPENSEARCH_JAVA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    if let Some(home) = named.filter(|home| java_version(home).is_some_and(|version| javas.contains(&version))) {
        return Ok(home);
    }
    let in_path = find::program("java").and_then(|java| Ok(fs::canonicalize(java)?)).ok();
    fs::read_dir("/usr/lib/jvm")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .chain(std::env::var_os("JAVA_HOME").map(PathBuf::from))
        .chain(in_path.and_then(|java| Some(java.parent()?.parent()?.to_owned())))
        .filter(|home| find::is_program(&home.join("bin/java")))
        .filter_map(|home| Some((java_version(&home)?, home)))
        .filter(|(version, _)| javas.contains(version))
        .min_by_key(|(version, _)| version.abs_diff(best))
        .map(|(_, home)| home)
        .with_context(|| {
            let name = engine.top_directory();
            format!("no Java {} to {} is installed, which {name} needs", javas.start(), javas.end())
        })
}

/// The major version, from the file that every distribution of Java has.
fn java_version(home: &Path) -> Option<u32> {
    let release = fs::read_to_string(home.join("release")).ok()?;
    major(&release)
}

fn major(release: &str) -> Option<u32> {
    let (_, rest) = release.split_once("JAVA_VERSION=\"")?;
    rest.split(['.', '"', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        let release = "IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n";
        assert_eq!(major(release), Some(17));
        assert_eq!(major("JAVA_VERSION=\"21\""), Some(21));
        assert_eq!(major("JAVA_VERSION=\"1.8.0\""), Some(1));
        assert_eq!(major(""), None);
    }
}
