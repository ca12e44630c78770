//! OpenSearch's archive in the cache, and a Java that runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::find;

const VERSION: &str = "2.19.3";
/// OpenSearch 2 is built for 11 and tested up to 21; the nearest to this is taken.
const JAVA: u32 = 17;
const JAVAS: std::ops::RangeInclusive<u32> = 11..=21;

/// What is needed to start a server.
pub(crate) struct Parts {
    pub archive: PathBuf,
    pub java_home: PathBuf,
    pub unzip: PathBuf,
}

/// Looks for all parts; downloads the archive through Maven when the cache lacks it (about 50 MB).
pub(crate) fn prepare() -> Result<Parts> {
    let unzip = find::program("unzip")?;
    let java_home = java_home()?;
    let cache = find::cache_dir()?;
    let archive = cache.join(format!("opensearch-{VERSION}.zip"));
    let lock = File::options().create(true).append(true).open(cache.join("opensearch.lock"))?;
    lock.lock().context("lock the archive")?;
    if !archive.exists() {
        download(&cache, &archive)?;
    }
    Ok(Parts { archive, java_home, unzip })
}

/// The first directory of the archive.
pub(crate) fn top_directory() -> String {
    format!("opensearch-{VERSION}")
}

fn download(cache: &Path, archive: &Path) -> Result<()> {
    let maven = find::program("mvn").context("OpenSearch's archive is not in the cache")?;
    let partial = cache.join("opensearch.partial");
    let ended = Command::new(maven)
        .args(["--batch-mode", "--quiet", "-Dstyle.color=never", "dependency:copy"])
        .arg(format!("-Dartifact=org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip"))
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
fn java_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("OPENSEARCH_JAVA_HOME").filter(|home| !home.is_empty()) {
        return Ok(home.into());
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
        .filter(|(version, _)| JAVAS.contains(version))
        .min_by_key(|(version, _)| version.abs_diff(JAVA))
        .map(|(_, home)| home)
        .with_context(|| format!("no Java {} to {} is installed", JAVAS.start(), JAVAS.end()))
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
