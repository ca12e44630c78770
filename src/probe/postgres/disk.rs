//! The room on the disk that holds a server's WAL, where that server provably runs on this machine.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::config::PostgresNode;
use crate::facts::{Opaque, PostgresFacts, PostgresRole};
use crate::units::Bytes;

/// A disk that does not answer within this time is not waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// The server notes its start in its lock file first and tells `pg_postmaster_start_time()` once it has its memory.
const STARTS_WITHIN: std::ops::RangeInclusive<i64> = -1..=30;

/// Looks at the disk beside the probe; at most one look is under way.
#[derive(Debug, Default)]
pub(super) struct WalDisk {
    look: Option<JoinHandle<Option<Bytes>>>,
}

impl WalDisk {
    /// Adds the free room to a primary's facts, where its slots have no other limit.
    pub(super) async fn look(&mut self, node: &PostgresNode, facts: &mut PostgresFacts) {
        let PostgresRole::Primary(primary) = &mut facts.role else { return };
        let wanted = facts.settings.slots_keep_all == Some(true) && primary.slots.iter().any(|slot| slot.physical);
        if !wanted || !is_here(&node.host) || self.look.as_ref().is_some_and(|look| !look.is_finished()) {
            return;
        }
        let Some((data, start)) = facts.data_directory.clone().zip(facts.postmaster_start.clone()) else { return };
        let mut look = tokio::task::spawn_blocking(move || free_beside(Path::new(&data), &start));
        match tokio::time::timeout(PATIENCE, &mut look).await {
            Ok(free) => primary.wal_disk_free = free.ok().flatten(),
            Err(_) => self.look = Some(look),
        }
    }
}

/// Reached by a Unix socket, or on loopback. (A tunnel begins on loopback, too: that is why the lock file must agree.)
fn is_here(host: &str) -> bool {
    host.starts_with(['/', '@'])
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Free on the disk with the WAL of the server whose data lies here. `None` unless its lock file names this directory and this start.
fn free_beside(data: &Path, start: &Opaque) -> Option<Bytes> {
    let lock = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    if !is_of_this_server(&lock, data, start) {
        return None;
    }
    // A link to another disk is followed.
    let disk = rustix::fs::statvfs(data.join("pg_wal")).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize).map(Bytes)
}

/// The lock file's second line is the data directory, the third the start in seconds since 1970.
fn is_of_this_server(lock: &str, data: &Path, start: &Opaque) -> bool {
    let mut lines = lock.lines().skip(1);
    let same_place = lines.next().is_some_and(|line| Path::new(line) == data);
    let noted: Option<i64> = lines.next().and_then(|line| line.trim().parse().ok());
    let told = start.0.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    same_place && noted.zip(told).is_some_and(|(noted, told)| STARTS_WITHIN.contains(&(told - noted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "4711\n/srv/pg/data\n1700000000\n5432\n/run/postgresql\n127.0.0.1\n  1234  5\nready   \n";

    #[test]
    fn only_a_server_on_this_machine_is_here() {
        for (host, here) in [
            ("/run/postgresql", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("localhost", true),
            ("10.0.0.1", false),
            ("db.example.org", false),
        ] {
            assert_eq!(is_here(host), here, "{host}");
        }
    }

    #[test]
    fn the_lock_file_must_name_the_same_directory_and_start() {
        let start = |text: &str| Opaque(text.to_owned());
        // 1700000000 is 2023-11-14 22:13:20 UTC.
        let (here, there) = (Path::new("/srv/pg/data"), Path::new("/srv/other"));
        assert!(is_of_this_server(LOCK, here, &start("2023-11-14 22:13:20.25+00")));
        assert!(is_of_this_server(LOCK, here, &start("2023-11-14 22:13:22+00")));
        for wrong in ["2023-11-14 22:14:20+00", "2023-11-14 21:13:20+00", "soon", ""] {
            assert!(!is_of_this_server(LOCK, here, &start(wrong)), "{wrong}");
        }
        assert!(!is_of_this_server(LOCK, there, &start("2023-11-14 22:13:20+00")));
        assert!(!is_of_this_server("4711\n", here, &start("2023-11-14 22:13:20+00")));
    }

    #[test]
    fn the_disk_is_seen_through_the_directory_of_the_wal() {
        let data = std::env::temp_dir().join(format!("standbywatch-wal-disk-{}", std::process::id()));
        std::fs::create_dir_all(&data).expect("a directory");
        let start = Opaque("2023-11-14 22:13:20+00".to_owned());
        let lock = LOCK.replace("/srv/pg/data", &data.display().to_string());
        std::fs::write(data.join("postmaster.pid"), lock).expect("written");
        assert_eq!(free_beside(&data, &start), None, "no pg_wal");
        std::fs::create_dir_all(data.join("pg_wal")).expect("a directory");
        assert!(free_beside(&data, &start).is_some_and(|free| free > Bytes(0)));
        std::fs::remove_dir_all(&data).expect("removed");
    }
}
