//! The beacon: a small file in the tree of the primary, rewritten so often that each copy brings a new one along.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::schedule::{Ticks, Told};
use crate::evidence::Roles;
use crate::facts::{Beacon, BeaconTime};
use crate::names::Name;
use crate::whole_file;

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

/// Replaces the file: whoever copies it takes the old or the new one. The tree is the application's, and others may write there: whatever
/// lies where the new one is written first is removed, not written to. A tree that is gone is not made anew.
fn write(path: &Path, beacon: &Beacon) -> io::Result<()> {
    let mut text = serde_json::to_vec(beacon)?;
    text.push(b'\n');
    // Whoever copies the tree must be able to read it.
    whole_file::replace_in_place(path, &path.with_added_extension("new"), &text, 0o644)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock;

    #[test]
    fn what_lies_in_its_way_is_not_written_to_and_does_not_hold_it_up() {
        let place = std::env::temp_dir().join(format!("standbywatch-beacon-way-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let (path, new, other) = (place.join("beacon"), place.join("beacon.new"), place.join("other"));
        fs::write(&other, "another's").unwrap();
        let beacon = present(&Name::new("alpha"));
        // A second name of another file, a link, and a pipe that nobody reads.
        let ways: [&dyn Fn() -> io::Result<()>; 3] =
            [&|| fs::hard_link(&other, &new), &|| std::os::unix::fs::symlink(&other, &new), &|| {
                Ok(rustix::fs::mkfifoat(rustix::fs::CWD, &new, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?)
            }];
        for lay in ways {
            lay().unwrap();
            write(&path, &beacon).unwrap();
            assert_eq!(serde_json::from_slice::<Beacon>(&fs::read(&path).unwrap()).unwrap(), beacon);
            assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
            assert!(!new.exists());
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), mode(&other) & 0o644, "for others to read, less the umask");
        fs::remove_dir_all(&place).unwrap();
        write(&path, &beacon).unwrap_err();
        assert!(!place.exists(), "a tree that is gone is not made anew");
    }

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
