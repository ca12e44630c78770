//! Looks at the machine that this agent runs on: processors, memory, disk, system. No right of root is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;
use crate::facts::{Failure, HostFacts, Reading};
use crate::names::FailureKind;
use crate::units::Bytes;

/// A disk that does not answer within this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Files of the system that are longer than this are not what they should be.
const MAX_BYTES: u64 = 1 << 20;

/// One look. `disk` is a path on the disk that matters.
pub async fn look(disk: PathBuf) -> Reading<HostFacts> {
    let asked = clock::now();
    let look = tokio::task::spawn_blocking(move || facts(&disk));
    let result = match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(gone)) => Err(Failure::new(FailureKind::Protocol, format!("the machine was not looked at: {gone}"))),
        Err(_) => Err(Failure::new(FailureKind::Timeout, "a disk of this machine does not answer")),
    };
    Reading { asked, answered: clock::now(), result }
}

fn facts(disk: &Path) -> HostFacts {
    let room = rustix::fs::statvfs(disk).ok();
    let bytes = |blocks: u64, room: &rustix::fs::StatVfs| blocks.checked_mul(room.f_frsize).map(Bytes);
    let memory = rustix::system::sysinfo();
    HostFacts {
        cpus: text("/sys/devices/system/cpu/online").as_deref().and_then(cpus),
        // The types differ between architectures.
        #[allow(clippy::useless_conversion, reason = "the types differ between architectures")]
        memory: u64::from(memory.totalram).checked_mul(u64::from(memory.mem_unit)).map(Bytes),
        disk: room.as_ref().and_then(|room| bytes(room.f_blocks, room)),
        disk_free: room.as_ref().and_then(|room| bytes(room.f_bavail, room)),
        system: text("/etc/os-release").as_deref().and_then(system),
    }
}

fn text(path: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// How many processors a list such as `0-3,8` names.
fn cpus(list: &str) -> Option<u64> {
    let mut count: u64 = 0;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// `ID` and `VERSION_ID` of os-release: `debian 12`.
fn system(release: &str) -> Option<String> {
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        let value: String = line.trim().trim_matches(['"', '\'']).chars().take(40).collect();
        (!value.is_empty()).then_some(value)
    };
    let id = value("ID")?;
    Some(value("VERSION_ID").map_or_else(|| id.clone(), |version| format!("{id} {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted_and_nonsense_is_unknown() {
        for (list, count) in [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-1,4,6-7", Some(5))] {
            assert_eq!(cpus(list), count, "{list}");
        }
        for nonsense in ["", "3-1", "x", "0-", "0-18446744073709551615,0-18446744073709551615"] {
            assert_eq!(cpus(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_system_is_told_by_id_and_version() {
        assert_eq!(system("NAME=\"X\"\nID=debian\nVERSION_ID=\"12\"\n").as_deref(), Some("debian 12"));
        assert_eq!(system("ID=arch\n").as_deref(), Some("arch"));
        assert_eq!(system("VERSION_ID=12\n"), None);
    }

    #[tokio::test]
    async fn this_machine_has_processors_memory_and_a_disk() {
        let reading = look(PathBuf::from("/")).await;
        let facts = reading.facts().expect("seen");
        assert!(
            facts.cpus > Some(0) && facts.memory > Some(Bytes::mib(64)) && facts.disk > facts.disk_free,
            "{facts:?}"
        );
        let nowhere = look(PathBuf::from("/nonexistent")).await;
        assert_eq!(nowhere.facts().expect("the rest is seen").disk, None, "not known is not empty");
    }
}
