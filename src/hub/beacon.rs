//! The beacon: a small file in the tree of the primary, rewritten so often that each copy brings a new one along.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::sync::{mpsc, watch};

use super::schedule::{Ticks, Told};
use crate::evidence::Roles;
use crate::facts::{Beacon, BeaconTime};
use crate::names::Name;

/// Writes `node`'s beacon at each tick, and at once when roles change, as long as it is the one primary; until nobody listens.
pub(super) async fn keep(
    node: Name,
    path: PathBuf,
    every: Duration,
    mut roles: watch::Receiver<Roles>,
    inbox: mpsc::Sender<Told>,
) {
    let mut ticks = Ticks::new(every);
    let mut told: Option<String> = None;
    loop {
        tokio::select! {
            () = ticks.next() => {}
            changed = roles.changed() => if changed.is_err() { return },
        }
        let primary = {
            let roles = roles.borrow_and_update();
            !roles.contradicted && roles.primary.as_ref() == Some(&node)
        };
        if !primary {
            continue;
        }
        let (beacon, to) = (present(&node), path.clone());
        // A file system that hangs keeps only this task waiting, and the beacon is not written twice at once.
        let trouble = match tokio::task::spawn_blocking(move || write(&to, &beacon)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}: {error}", path.display())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(trouble) = trouble.as_ref().filter(|trouble| told.as_ref() != Some(*trouble)) {
            tracing::warn!(%node, %trouble, "the beacon cannot be written");
        }
        if told != trouble {
            told.clone_from(&trouble);
            if inbox.send(Told::Beacon(node.clone(), trouble)).await.is_err() {
                return;
            }
        }
    }
}

fn present(node: &Name) -> Beacon {
    Beacon { node: node.clone(), written: BeaconTime::present() }
}

/// Replaces the file: whoever copies it takes the old or the new one.
fn write(path: &Path, beacon: &Beacon) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).custom_flags(flags).open(&new);
    let written = open().and_then(|mut file| {
        let mut text = serde_json::to_vec(beacon)?;
        text.push(b'\n');
        file.write_all(&text)
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test]
    async fn only_the_one_primarys_is_written_and_trouble_is_told_once() {
        let place = std::env::temp_dir().join(format!("standbywatch-beacon-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let path = place.join("beacon");
        let (roles, received) = watch::channel(Roles::default());
        let (inbox, mut told) = mpsc::channel(8);
        let task = tokio::spawn(keep(Name::new("alpha"), path.clone(), Duration::from_millis(10), received, inbox));
        let appears = async |there: bool| {
            while path.exists() != there {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let primary =
            |name: &str, contradicted| Roles { primary: Some(Name::new(name)), contradicted, ..Roles::default() };
        roles.send_replace(primary("beta", false));
        roles.send_replace(primary("alpha", true));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!path.exists());
        roles.send_replace(primary("alpha", false));
        appears(true).await;
        let beacon: Beacon = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((beacon.node, beacon.written.boot), (Name::new("alpha"), clock::boot_id().ok()));
        fs::remove_file(&path).unwrap();
        appears(true).await;
        fs::remove_dir_all(&place).unwrap();
        let Some(Told::Beacon(_, Some(trouble))) = told.recv().await else { panic!("trouble is told") };
        assert!(trouble.contains("beacon"), "{trouble}");
        fs::create_dir_all(&place).unwrap();
        assert!(matches!(told.recv().await, Some(Told::Beacon(_, None))), "and told to be over");
        drop(told);
        drop(roles);
        task.await.unwrap();
        fs::remove_dir_all(&place).unwrap();
    }
}
