//! Trees of every sort on a real file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::facts::manifest::{Difference, EntryKind, compare, shown};
use crate::names::{DriftKind, TreeBound};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standbywatch-tree-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn probe(&self) -> TreeProbe {
        self.with(|_| {})
    }

    fn with(&self, change: impl FnOnce(&mut Extent)) -> TreeProbe {
        let mut extent =
            Extent { include: vec![], exclude: vec![], beacon: None, most_files: 1000, most_bytes: 1 << 30 };
        change(&mut extent);
        TreeProbe::of(self.0.clone(), extent)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn look(probe: &mut TreeProbe) -> Arc<crate::facts::Manifest> {
    probe.run().await.result.unwrap().manifest
}

fn listed(manifest: &crate::facts::Manifest) -> Vec<(String, EntryKind)> {
    let (mut walk, mut all) = (manifest.walk(), Vec::new());
    while let Some((path, print)) = walk.next_entry() {
        all.push((shown(path), print.kind));
    }
    all
}

fn differences(one: &crate::facts::Manifest, other: &crate::facts::Manifest) -> Vec<(String, DriftKind)> {
    let mut all = Vec::new();
    compare(one, other, |path, difference| {
        all.push((shown(path), Difference::kind(difference.one, difference.other)));
    });
    all
}

#[tokio::test]
async fn loops_pipes_and_names_that_are_no_text_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new("strange");
    place.write("a/file", "text");
    symlink("..", place.0.join("a/loop")).unwrap();
    symlink("/etc", place.0.join("out")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.0.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    fs::write(place.0.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let mut probe = place.probe();
    let manifest = look(&mut probe).await;
    let expected = [
        ("a", EntryKind::Directory),
        ("a/file", EntryKind::File),
        ("a/loop", EntryKind::Link),
        ("caf\\xe9", EntryKind::File),
        ("out", EntryKind::Link),
        ("pipe", EntryKind::Special),
    ];
    assert_eq!(listed(&manifest), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!((manifest.bound(), manifest.unreadable()), (None, 0));
    let again = look(&mut probe).await;
    assert!(Arc::ptr_eq(&manifest, &again), "nothing changed: the very same one");
}

#[tokio::test]
async fn each_change_is_seen_also_one_that_keeps_size_and_time() {
    let place = Place::new("changes");
    for name in ["edited", "quietly", "mode", "gone"] {
        place.write(name, "one");
    }
    let mut probe = place.probe();
    let before = look(&mut probe).await;
    let quietly = place.0.join("quietly");
    let modified = fs::metadata(&quietly).unwrap().modified().unwrap();
    place.write("edited", "other text");
    place.write("quietly", "two");
    fs::File::options().write(true).open(&quietly).unwrap().set_modified(modified).unwrap();
    fs::set_permissions(place.0.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(place.0.join("gone")).unwrap();
    place.write("new/file", "x");
    let after = look(&mut probe).await;
    let expected = [
        ("edited", DriftKind::Content),
        ("gone", DriftKind::Missing),
        ("mode", DriftKind::Mode),
        ("new", DriftKind::Extra),
        ("new/file", DriftKind::Extra),
        ("quietly", DriftKind::Content),
    ];
    assert_eq!(differences(&before, &after), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(
        differences(&after, &*look(&mut place.probe()).await),
        [],
        "an incremental look sees what a new one sees"
    );
}

#[tokio::test]
async fn patterns_and_the_beacon_are_left_out() {
    let place = Place::new("patterns");
    for name in ["app.conf", "app.pid", "cache/x", "sites/one.conf", "run/beacon", "run/beacon.new"] {
        place.write(name, "x");
    }
    let glob = |text: &str| Glob::new(text).unwrap();
    let mut probe = place.with(|extent| {
        extent.exclude = vec![glob("*.pid"), glob("/cache")];
        extent.beacon = Some("run/beacon".into());
    });
    let names =
        |manifest: &crate::facts::Manifest| listed(manifest).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(names(&*look(&mut probe).await), ["app.conf", "run", "sites", "sites/one.conf"]);
    let mut probe = place.with(|extent| extent.include = vec![glob("*.conf")]);
    assert_eq!(names(&*look(&mut probe).await), ["app.conf", "sites/one.conf"]);
}

#[tokio::test]
async fn each_bound_is_told() {
    let place = Place::new("bounds");
    for index in 0..20 {
        place.write(&format!("file-{index:02}"), "0123456789");
    }
    let mut probe = place.with(|extent| extent.most_files = 7);
    let cut = look(&mut probe).await;
    assert_eq!((cut.bound(), cut.entries()), (Some(TreeBound::Files), 7));
    let mut probe = place.with(|extent| extent.most_bytes = 55);
    let cut = look(&mut probe).await;
    assert_eq!((cut.bound(), cut.unreadable(), cut.entries()), (Some(TreeBound::Bytes), 15, 20));
    place.write(&format!("{}x", "d/".repeat(80)), "deep");
    assert_eq!(look(&mut place.probe()).await.bound(), Some(TreeBound::Depth));
}

#[tokio::test]
async fn a_root_that_is_not_there_has_its_kind() {
    let place = Place::new("missing");
    let mut probe = TreeProbe::of(place.0.join("nowhere"), place.probe().state.as_ref().unwrap().extent.clone());
    assert_eq!(probe.run().await.result.unwrap_err().kind, FailureKind::Unreachable);
    fs::create_dir(place.0.join("nowhere")).unwrap();
    assert_eq!(probe.run().await.result.unwrap().manifest.entries(), 0, "it is looked at again");
}

/// Without root: root reads everything.
#[tokio::test]
async fn an_unreadable_directory_is_counted() {
    let place = Place::new("unreadable");
    place.write("closed/file", "x");
    place.write("open", "x");
    fs::set_permissions(place.0.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let manifest = look(&mut place.probe()).await;
    fs::set_permissions(place.0.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(manifest.entries(), 3);
    } else {
        assert_eq!((manifest.unreadable(), manifest.entries()), (1, 2));
    }
}

/// 50,000 files (fewer in a debug build): read once, then known by their stamps.
#[tokio::test]
async fn a_large_tree_is_quickly_known_to_be_the_same() {
    let place = Place::new("large");
    let directories = if cfg!(debug_assertions) { 30 } else { 500 };
    for directory in 0..directories {
        let directory = place.0.join(format!("site-{directory:03}/conf.d"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(format!("virtual-host-{file:02}.conf")), format!("listen = {file}\n")).unwrap();
        }
    }
    let mut probe = place.with(|extent| extent.most_files = 200_000);
    let first = probe.run().await;
    let manifest = first.facts().unwrap().manifest.clone();
    assert_eq!(manifest.entries(), directories * 102);
    assert!(manifest.bytes() < manifest.entries() as usize * 40, "{} bytes", manifest.bytes());
    // What was written just now is read again until it has settled.
    tokio::time::sleep(Duration::from_secs(2)).await;
    probe.run().await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let reading = probe.run().await;
        assert!(Arc::ptr_eq(&reading.facts().unwrap().manifest, &manifest));
        took.push(reading.took());
    }
    let best = took.iter().min().copied().unwrap();
    println!(
        "{} files: first {:?}, unchanged {best:?}, manifest {} bytes",
        directories * 100,
        first.took(),
        manifest.bytes()
    );
    // The bound is the release build's; `cargo test --release --lib a_large_tree -- --nocapture` prints the figures.
    assert!(cfg!(debug_assertions) || best <= Duration::from_millis(50), "{took:?}");
}
