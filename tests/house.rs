//! Keeps the house in order: who may use whom, how long a file may be, and that no number is made up.
//!
//! The table of rooms and floors stands in `CONTRIBUTING.md`, for people, and is read from there: there is only one.

#[path = "house/imports.rs"]
mod imports;
#[path = "house/rows.rs"]
mod rows;

use std::fs;
use std::path::Path;

use imports::{code_only, imports};

/// No file of `src` is longer; one idea rarely needs it.
const LINES_OF_A_FILE: usize = 450;

/// Rooms where a missing number must stay missing.
const NO_MADE_UP_NUMBERS: &[&str] =
    &["facts.rs", "evidence.rs", "history/", "metrics/", "snapshot.rs", "probe/", "judge/", "view/"];

/// A comment with these words, on the line or the one above, gives the reason why a default is right there.
const EXCUSE: &str = "// a default is right:";

/// A file or folder of `src` and the floor it lives on.
#[derive(Debug)]
struct Room {
    name: String,
    floor: u8,
    /// Rooms of the same floor that it may use all the same.
    beside: Vec<String>,
}

struct House(Vec<Room>);

impl House {
    /// Reads the rows `| floor | room | may use beside it | what lives there |` of the table under "The house".
    fn read(contributing: &str) -> House {
        let table = contributing
            .split("\n## ")
            .find(|section| section.starts_with("The house"))
            .expect("CONTRIBUTING.md has a section `## The house`");
        let rooms = table.lines().filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|');
            let floor = cells.next()?.trim().parse().ok()?;
            let name = quoted(cells.next()?).pop()?;
            Some(Room { name, floor, beside: quoted(cells.next()?) })
        });
        House(rooms.collect())
    }

    /// The room of a file, given by its path below `src`.
    fn room_of(&self, file: &str) -> Option<&Room> {
        self.room_of_module(file.split(['/', '.']).next()?)
    }

    /// The room behind `crate::module`.
    fn room_of_module(&self, module: &str) -> Option<&Room> {
        self.0.iter().find(|room| room.name.strip_suffix(".rs").or(room.name.strip_suffix('/')) == Some(module))
    }

    fn may_use(&self, from: &Room, to: &Room) -> bool {
        from.name == to.name || to.floor < from.floor || from.beside.contains(&to.name)
    }

    /// What is wrong with one file's imports, one line for each.
    fn offences(&self, file: &str, source: &str) -> Vec<String> {
        let Some(room) = self.room_of(file) else {
            return vec![format!("src/{file} has no room: add it to the table under \"The house\" in CONTRIBUTING.md")];
        };
        let offence = |(line, module): (usize, String)| {
            let place = format!("src/{file}:{line}");
            match self.room_of_module(&module) {
                Some(to) if self.may_use(room, to) => None,
                Some(to) => Some(format!(
                    "{place} uses {} (floor {}) from {} (floor {}): imports go downward only",
                    to.name, to.floor, room.name, room.floor
                )),
                None => {
                    Some(format!("{place} uses crate::{module}, which is no room: name the room that it comes from"))
                }
            }
        };
        imports(file, source).into_iter().filter_map(offence).collect()
    }
}

/// The words between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lines that put a number in the place of one that is not known.
fn made_up_numbers(file: &str, source: &str) -> Vec<String> {
    let code = if file.ends_with(".rs") { code_only(source) } else { source.to_lowercase() };
    let original: Vec<&str> = source.lines().collect();
    let excused = |at: usize| original[at.saturating_sub(1)..=at].iter().any(|line| line.contains(EXCUSE));
    let made_up = |line: &str| {
        line.contains(".unwrap_or_default()")
            || line.contains(".unwrap_or(0")
            || line.contains(".map_or(0")
            || (line.contains("coalesce(") && (line.contains(", 0)") || line.contains("'0/0'")))
    };
    code.lines()
        .enumerate()
        .filter(|(at, line)| made_up(line) && !excused(*at))
        .map(|(at, line)| {
            format!(
                "src/{file}:{}: `{}` makes up a number: unknown is never zero (or say `{EXCUSE} …`)",
                at + 1,
                line.trim()
            )
        })
        .collect()
}

/// Each file below `src` with one of these endings: its path there and its text.
fn files_of_src(endings: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)))
        .map(|path| {
            let name = path.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text file"))
        })
        .collect()
}

fn our_house() -> House {
    let contributing = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md");
    House::read(&fs::read_to_string(contributing).expect("CONTRIBUTING.md"))
}

fn none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn imports_go_downward_only() {
    let house = our_house();
    none(files_of_src(&["rs"]).iter().flat_map(|(file, source)| house.offences(file, source)).collect());
}

#[test]
fn no_file_is_too_long() {
    let too_long = |(file, source): (String, String)| {
        let lines = source.lines().count();
        (lines > LINES_OF_A_FILE)
            .then(|| format!("src/{file} has {lines} lines, more than {LINES_OF_A_FILE}: split it"))
    };
    none(files_of_src(&["rs"]).into_iter().filter_map(too_long).collect());
}

#[test]
fn unknown_is_never_zero() {
    let guarded = |file: &str| NO_MADE_UP_NUMBERS.iter().any(|room| file.starts_with(room));
    let files = files_of_src(&["rs", "sql"]);
    none(
        files
            .iter()
            .filter(|(file, _)| guarded(file))
            .flat_map(|(file, source)| made_up_numbers(file, source))
            .collect(),
    );
}

/// Files of the table of truth whose rows do not depend on PostgreSQL's version, or need a program that only the distribution has;
/// and the random course.
const ON_ONE_VERSION: &[&str] = &["chaos", "checksums", "config", "config_files", "kvstore", "search", "vendor"];

#[test]
fn the_table_of_truth_is_played_on_both_versions() {
    let modules = |file: &str| -> Vec<String> {
        let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file).join("main.rs");
        let text = fs::read_to_string(&main).expect("the program of the rows");
        let named = |line: &str| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned());
        let mut names: Vec<String> = text.lines().filter_map(named).collect();
        names.sort_unstable();
        names
    };
    let mut first = modules("truth");
    assert!(first.len() > ON_ONE_VERSION.len(), "{first:?}");
    first.retain(|name| !ON_ONE_VERSION.contains(&name.as_str()));
    assert_eq!(first, modules("truth_on_18"), "left: tests/truth, right: tests/truth_on_18");
}

#[test]
fn the_table_is_sound() {
    let house = our_house();
    assert!(house.0.len() > 15, "only {} rooms were read from CONTRIBUTING.md", house.0.len());
    for (at, room) in house.0.iter().enumerate() {
        for name in &room.beside {
            // A room beside stands below its user in the table: so no two rooms can use each other in a circle.
            let below = house.0[at + 1..].iter().find(|other| other.name == *name);
            let below = below.unwrap_or_else(|| panic!("{} uses {name}, which must stand below it", room.name));
            assert_eq!(below.floor, room.floor, "{name} is not beside {}", room.name);
        }
    }
    for strangers in [["probe/", "judge/"], ["probe/", "view/"], ["judge/", "view/"], ["hub.rs", "serve/"]] {
        let [a, b] = strangers.map(|room| house.room_of(room).expect("a room of the design"));
        assert!(!house.may_use(a, b) && !house.may_use(b, a), "{} and {} do not know each other", a.name, b.name);
    }
}

#[cfg(test)]
mod made_up_houses {
    use super::*;

    const TABLE: &str = "# How to\n\n## The house\n\n| floor | room | may use | holds |\n|---|---|---|---|\n\
        | 4 | `hub.rs` | | the state |\n| 3 | `probe/` | | |\n| 3 | `judge/` | | |\n\
        | 0 | `trend.rs` | `clock.rs` | |\n| 0 | `clock.rs` | | |\n\n## Another\n\n| 9 | `app.rs` | | |\n";

    fn offences(file: &str, source: &str) -> Vec<String> {
        House::read(TABLE).offences(file, source)
    }

    fn lines(file: &str, source: &str) -> Vec<usize> {
        imports(file, source).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn down_and_beside_is_allowed() {
        let down = "use crate::probe::Probe;\nuse crate::{judge, clock::{Moment, Boot}, trend::*};\nfn f() { crate::clock::now() }";
        assert_eq!(offences("hub.rs", down), [""; 0]);
        assert_eq!(imports("hub.rs", down).len(), 5);
        assert_eq!(offences("trend.rs", "use crate::clock::Moment;"), [""; 0]);
        assert_eq!(offences("probe/kvstore/redis.rs", "use super::super::host;\nuse crate::probe::Probe;"), [""; 0]);
        assert_eq!(offences("hub.rs", "mod tests { use super::*; }"), [""; 0]);
    }

    #[test]
    fn up_is_named() {
        let up = offences("probe/postgres.rs", "\nuse crate::hub::Hub;");
        assert_eq!(
            up,
            ["src/probe/postgres.rs:2 uses hub.rs (floor 4) from probe/ (floor 3): imports go downward only"]
        );
    }

    #[test]
    fn neighbours_do_not_know_each_other() {
        let hidden = [
            "use crate::{\n  clock,\n  judge::{self, rules},\n};",
            "\n\nfn f() -> crate::judge::Level { todo!() }",
            "\n\nuse super::super::judge;",
            "\n\nmod tests { use super::super::super::{clock, judge::Level}; }",
            "\n\nuse super::{super::judge, host};",
            "let text = \"crate::hub /* \"; let quote = '\"';\n\npub(crate) use self::super::super::judge as other;",
            "// crate::hub\n/* crate::hub */ let raw = r#\"crate::hub \"#;\nvec![$crate::judge::x::<'a>('a')]",
        ];
        for source in hidden {
            let named = offences("probe/postgres.rs", source);
            assert_eq!(named.len(), 1, "{source}: {named:?}");
            assert!(
                named[0].starts_with("src/probe/postgres.rs:3 uses judge/ (floor 3) from probe/"),
                "{source}: {named:?}"
            );
        }
        assert_eq!(offences("clock.rs", "use crate::trend::Trend;").len(), 1, "beside goes one way only");
    }

    #[test]
    fn strangers_are_named() {
        assert_eq!(
            offences("app.rs", ""),
            ["src/app.rs has no room: add it to the table under \"The house\" in CONTRIBUTING.md"]
        );
        assert_eq!(
            offences("hub.rs", "use crate::Level;\nuse crate::*;"),
            [
                "src/hub.rs:1 uses crate::Level, which is no room: name the room that it comes from",
                "src/hub.rs:2 uses crate::*, which is no room: name the room that it comes from"
            ]
        );
    }

    #[test]
    fn comments_and_texts_are_no_imports() {
        assert_eq!(lines("hub.rs", "// crate::a\n/* crate::b */\nlet c = \"crate::c \\\" crate::d\";\ncrate::e"), [4]);
        assert_eq!(lines("hub.rs", "pub(crate) fn f() {}\npub(super) fn g() {}"), [0; 0]);
    }

    #[test]
    fn a_made_up_number_is_named() {
        assert_eq!(made_up_numbers("judge/a.rs", "let lag = lag.unwrap_or(0);").len(), 1);
        assert_eq!(made_up_numbers("judge/a.rs", "let lag = lag.map_or(0, f);\nlag.unwrap_or_default();").len(), 2);
        assert_eq!(made_up_numbers("probe/a.sql", "SELECT COALESCE(lag, 0)").len(), 1);
        assert_eq!(
            made_up_numbers("judge/a.rs", "// .unwrap_or(0)\nlet seconds = seconds.unwrap_or(period);"),
            [""; 0]
        );
        assert_eq!(
            made_up_numbers("judge/a.rs", "// a default is right: none were asked for\nasked.unwrap_or(0)"),
            [""; 0]
        );
    }
}
