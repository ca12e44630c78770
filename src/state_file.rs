//! What survives a restart: one JSON file per pair and one of the agent's own alerts, written whole or not at all.

mod day;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::{BootId, Moment, WallTime};
use crate::facts::CanaryTracker;
use crate::history::day::Change;
use crate::history::rules::RuleTimers;
use crate::history::saved::SavedPostgres;
use crate::history::search::SavedSearch;
use crate::names::{Name, file_name};
use crate::whole_file;

pub use day::DayFile;

/// Of the file's format. A file of another version is set aside as one that cannot be read.
const VERSION: u32 = 1;

/// Longer than this without anybody looking, and a pending time says nothing any more (Prometheus's outage tolerance).
const LONGEST_GAP: Duration = Duration::from_hours(1);

/// A file longer than this is not ours.
const MOST_BYTES: u64 = 16 << 20;

/// What a file remembers of a pair; of the agent itself, the timers only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// How far each alert has come.
    pub timers: RuleTimers,
    /// Where the primary stood and when, slots, ages: what PostgreSQL's servers themselves do not tell.
    #[serde(default)]
    pub postgres: Option<SavedPostgres>,
    /// What the search engines held, and the rebuild that is under way.
    #[serde(default)]
    pub search: Option<SavedSearch>,
    /// The canaries that lie in the key-value stores.
    #[serde(default)]
    pub kvstore: Option<CanaryTracker>,
    /// Each change of a level, on the wall clock: it means the same in any boot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// The instant of saving or loading, on the clocks of this machine.
#[derive(Clone, Debug)]
pub struct Present {
    /// `None` where the system does not tell; saved moments then count for nothing.
    pub boot: Option<BootId>,
    /// Boot time.
    pub now: Moment,
    /// Wall time.
    pub wall: WallTime,
}

#[derive(Serialize, Deserialize)]
struct Document<T> {
    version: u32,
    /// None has the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pair: Option<Name>,
    boot: Option<BootId>,
    saved_at: Moment,
    saved_wall: WallTime,
    #[serde(flatten)]
    saved: T,
}

/// Why a file that is there was not used.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// It is no state file of this version; it has been renamed, so that a person can look at it.
    #[error("{} is no state file of this version ({cause}); set aside as {}", path.display(), aside.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Its new name.
        aside: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// It could not be read, or not be set aside.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// One pair's file, or the one of the agent itself.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    pair: Option<Name>,
    /// Where it lay before, under a name that another file has, too.
    before: Option<PathBuf>,
}

impl StateFile {
    /// The file of `pair` in the state directory.
    pub fn new(directory: &Path, pair: &Name) -> Self {
        let name = file_name(pair.as_str());
        // `rsync.json` and `rsync-….json` are the records of `standbywatch rsync`.
        let records = name.strip_prefix('r').filter(|_| name == "rsync" || name.starts_with("rsync-"));
        let before = records.map(|_| directory.join(format!("{name}.json")));
        let name = records.map_or_else(|| name.clone(), |rest| format!("%72{rest}"));
        Self { path: directory.join(format!("{name}.json")), pair: Some(pair.clone()), before }
    }

    /// That of the alerts about the agent itself. No pair's begins with `_`.
    pub fn of_agent(directory: &Path) -> Self {
        Self { path: directory.join("_agent.json"), pair: None, before: None }
    }

    /// Whose it is, in words.
    pub fn whose(&self) -> String {
        self.pair.as_ref().map_or_else(|| "the agent itself".to_owned(), |pair| format!("pair {pair}"))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved, as far as it still counts: moments count only for the boot that they were saved in.
    ///
    /// # Errors
    /// The file is there and cannot be used. The agent starts without it.
    pub fn load(&self, present: &Present) -> Result<Option<Saved>, NotLoaded> {
        let document = match self.document()? {
            None => self.before.as_ref().and_then(|before| self.of_before(before)),
            document => document,
        };
        Ok(document.map(|document| document.saved_for(present)).filter(|saved| *saved != Saved::default()))
    }

    /// The file as it is; `None` if there is none.
    fn document<T: DeserializeOwned>(&self) -> Result<Option<Document<T>>, NotLoaded> {
        let read = match whole_file::read(&self.path, MOST_BYTES) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => self.read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
            Err(cause) => return Err(NotLoaded::Unreadable { path: self.path.clone(), cause }),
        };
        read.map(Some).map_err(|cause| self.set_aside(cause))
    }

    /// What lies there may be another's: then it is none of this file's business.
    fn of_before(&self, path: &Path) -> Option<Document<Saved>> {
        whole_file::read(path, MOST_BYTES).ok().flatten().and_then(|bytes| self.read(&bytes).ok())
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<Document<T>, String> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        let header: Header = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if header.version != VERSION {
            return Err(format!("version {}, wanted {VERSION}", header.version));
        }
        let document: Document<T> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.pair == self.pair {
            return Ok(document);
        }
        Err(document.pair.map_or_else(|| "it is no pair's".to_owned(), |other| format!("it is pair {other}'s")))
    }

    fn set_aside(&self, cause: String) -> NotLoaded {
        let aside = self.path.with_added_extension("corrupt");
        match fs::rename(&self.path, &aside) {
            Ok(()) => NotLoaded::Corrupt { path: self.path.clone(), aside, cause },
            Err(cause) => NotLoaded::Unreadable { path: self.path.clone(), cause },
        }
    }

    /// Replaces the file: a crash at any moment leaves the old or the new one, never a part.
    ///
    /// # Errors
    /// What the system says; the old file is then still there.
    pub fn save(&self, saved: &Saved, present: &Present) -> io::Result<()> {
        self.write(saved, present)
    }

    fn write<T: Serialize>(&self, saved: T, present: &Present) -> io::Result<()> {
        let document = Document {
            version: VERSION,
            pair: self.pair.clone(),
            boot: present.boot.clone(),
            saved_at: present.now,
            saved_wall: present.wall,
            saved,
        };
        let mut bytes = serde_json::to_vec(&document)?;
        bytes.push(b'\n');
        whole_file::replace(&self.path, &self.path.with_added_extension("new"), &bytes)
    }
}

impl<T> Document<T> {
    fn is_of(&self, present: &Present) -> bool {
        self.boot.is_some() && self.boot == present.boot && self.saved_at <= present.now
    }
}

impl Document<Saved> {
    fn saved_for(self, present: &Present) -> Saved {
        let same_boot = self.is_of(present);
        let gap = present.now.since(self.saved_at);
        let Saved { mut timers, postgres, search, kvstore, changes } = self.saved;
        let search = search.map(|search| search.in_boot(same_boot, self.saved_at, present.now));
        let kvstore = kvstore.map(|canaries| canaries.resumed(same_boot, present.now));
        let postgres = postgres.map(|postgres| match same_boot {
            true => postgres.in_same_boot(present.now),
            false => postgres.in_other_boot(self.saved_at, present.now),
        });
        if !same_boot || gap > LONGEST_GAP {
            return Saved { timers: RuleTimers::default(), postgres, search, kvstore, changes };
        }
        timers.unobserved(gap);
        Saved { timers, postgres, search, kvstore, changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::rules::{AlertKey, Instant};
    use crate::history::set_up::{SetUp, SetUpOf};
    use crate::names::{Channel, RuleName, Severity};
    use crate::units::Lsn;

    const HOLD: Duration = Duration::from_secs(60);
    const KEY: AlertKey =
        AlertKey { rule: RuleName::PostgresLagHigh, severity: Severity::Warning, channel: Some(Channel::Postgres) };

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("standbywatch-state-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn file(&self) -> StateFile {
            StateFile::new(&self.0, &Name::new("catalog"))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn present(boot: &str, seconds: u64) -> Present {
        let now = Moment::after_boot(Duration::from_secs(seconds));
        Present { boot: Some(BootId(boot.to_owned())), now, wall: WallTime(1e9 + now.since_boot().as_secs_f64()) }
    }

    fn pending_since(seconds: u64) -> Saved {
        let Present { now, wall, .. } = present("a", seconds);
        let mut saved = Saved::default();
        saved.timers.met(KEY, 1.0, HOLD, Instant { now, wall });
        saved
    }

    #[test]
    fn what_was_saved_comes_back_within_one_boot() {
        let directory = Directory::new("back");
        let file = directory.file();
        assert_eq!(file.load(&present("a", 1)).expect("no file is no error"), None);
        file.save(&pending_since(100), &present("a", 130)).expect("saved");
        let back = file.load(&present("a", 130)).expect("loads");
        assert_eq!(back, Some(pending_since(100)));
        let mut later = file.load(&present("a", 150)).expect("loads").expect("still counts");
        let Present { now, wall, .. } = present("a", 179);
        let timer = later.timers.met(KEY, 1.0, HOLD, Instant { now, wall });
        assert!(!timer.firing, "the 20 s in which nobody looked do not count");
    }

    #[test]
    fn moments_of_another_boot_or_of_long_ago_do_not_count() {
        let directory = Directory::new("boot");
        let file = directory.file();
        file.save(&pending_since(100), &present("a", 130)).expect("saved");
        for other in [present("b", 140), present("a", 5000), present("a", 20)] {
            assert_eq!(file.load(&other).expect("loads"), None);
        }
        assert_eq!(file.load(&Present { boot: None, ..present("a", 140) }).expect("loads"), None);
        file.save(&pending_since(100), &Present { boot: None, ..present("a", 130) }).expect("saved");
        let none = file.load(&Present { boot: None, ..present("a", 140) }).expect("loads");
        assert_eq!(none, None, "two boots of which nothing is known are not the same");
    }

    #[test]
    fn positions_count_for_this_boot_only_and_ages_for_any() {
        let directory = Directory::new("postgres");
        let file = directory.file();
        let at = |seconds| Moment::after_boot(Duration::from_secs(seconds));
        let of = SetUpOf { primary: Name::new("alpha"), cluster: None, slot: None };
        let mut postgres = SavedPostgres::default();
        postgres.ring.push(at(100), Lsn(5));
        postgres.set_ups.insert(Name::new("beta"), SetUp::new(of, at(120), Duration::from_secs(500)));
        let saved = Saved { postgres: Some(postgres.clone()), ..pending_since(100) };
        file.save(&saved, &present("a", 130)).expect("saved");
        let load = |present: &Present| file.load(present).expect("loads").expect("something").postgres.expect("kept");
        assert_eq!(load(&present("a", 140)), postgres);
        let mut ahead = postgres.clone();
        ahead.ring.push(at(500), Lsn(6));
        file.save(&Saved { postgres: Some(ahead), ..pending_since(100) }, &present("a", 130)).expect("saved");
        assert_eq!(load(&present("a", 140)).ring, SavedPostgres::default().ring, "from the future");
        file.save(&saved, &present("a", 130)).expect("saved");
        assert_eq!(load(&present("a", 9000)), postgres, "positions are facts, however long nobody looked");
        for (other, now) in [("b", 7), ("a", 20)] {
            let carried = load(&present(other, now));
            assert_eq!(carried.ring, SavedPostgres::default().ring);
            assert_eq!(carried.set_ups[&Name::new("beta")].age(at(now + 1)), Duration::from_secs(511));
        }
    }

    #[test]
    fn a_file_of_before_is_read() {
        let directory = Directory::new("before");
        let file = directory.file();
        file.save(&pending_since(100), &present("a", 130)).expect("saved");
        let text = fs::read_to_string(file.path()).expect("text");
        let newer = ",\"postgres\":null,\"search\":null,\"kvstore\":null";
        assert!(text.contains(newer), "{text}");
        fs::write(file.path(), text.replace(newer, "")).expect("written");
        assert_eq!(file.load(&present("a", 130)).expect("loads"), Some(pending_since(100)));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_set_aside() {
        let directory = Directory::new("corrupt");
        let file = directory.file();
        file.save(&pending_since(100), &present("a", 130)).expect("saved");
        let whole = fs::read_to_string(file.path()).expect("text");
        let half = whole[..whole.len() / 2].to_owned();
        let newer = whole.replace("\"version\":1", "\"version\":2");
        let others = whole.replace("catalog", "other");
        for text in ["", "null", &half, &newer, &others] {
            fs::write(file.path(), text).expect("written");
            let error = file.load(&present("a", 130)).expect_err("not loaded");
            assert!(matches!(error, NotLoaded::Corrupt { .. }), "{error}");
            assert!(!file.path().exists());
            assert_eq!(fs::read_to_string(directory.0.join("catalog.json.corrupt")).expect("kept"), text);
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error() {
        let directory = Directory::new("full");
        let not_a_directory = directory.0.join("file");
        fs::write(&not_a_directory, "").expect("written");
        let file = StateFile::new(&not_a_directory, &Name::new("catalog"));
        file.save(&Saved::default(), &present("a", 1)).expect_err("a file is no directory");
    }

    #[test]
    fn the_agents_own_is_no_pairs() {
        let directory = Directory::new("agent");
        let own = StateFile::of_agent(&directory.0);
        own.save(&pending_since(100), &present("a", 130)).expect("saved");
        assert_eq!(own.load(&present("a", 130)).expect("loads"), Some(pending_since(100)));
        assert_ne!(StateFile::new(&directory.0, &Name::new("_agent")).path(), own.path());
        fs::copy(own.path(), directory.file().path()).expect("copied");
        let error = directory.file().load(&present("a", 130)).expect_err("not loaded");
        assert!(error.to_string().contains("it is no pair's"), "{error}");
        directory.file().save(&pending_since(100), &present("a", 130)).expect("saved");
        fs::copy(directory.file().path(), own.path()).expect("copied");
        let error = own.load(&present("a", 130)).expect_err("not loaded");
        assert!(error.to_string().contains("it is pair catalog's"), "{error}");
    }

    #[test]
    fn no_pairs_state_lies_where_a_record_of_rsync_does() {
        let directory = Directory::new("records");
        let of = |pair: &str| StateFile::new(&directory.0, &Name::new(pair));
        // As `rsync_record::record_path` has them.
        let [record, of_shop] = ["rsync.json", "rsync-shop.json"].map(|name| directory.0.join(name));
        assert_ne!(of("rsync").path(), record);
        assert_ne!(of("rsync-shop").path(), of_shop);
        assert_eq!(of("rsyncs").path(), directory.0.join("rsyncs.json"), "as ever");
        // A record that lies under the name of before is left alone; a state of before is read.
        fs::write(&of_shop, "{\"version\":1}").expect("written");
        assert_eq!(of("rsync-shop").load(&present("a", 130)).expect("no trouble"), None);
        assert!(of_shop.exists());
        of("rsync-shop").save(&pending_since(100), &present("a", 130)).expect("saved");
        fs::rename(of("rsync-shop").path(), &of_shop).expect("renamed");
        assert_eq!(of("rsync-shop").load(&present("a", 130)).expect("loads"), Some(pending_since(100)));
        assert_eq!(of("rsync").load(&present("a", 130)).expect("loads"), None);
    }
}
