//! The last day of a pair, for its plots: a file of its own beside the pair's state, since it is longer and may be lost.

use std::io;
use std::path::Path;

use super::{NotLoaded, Present, StateFile};
use crate::history::day::{Day, SavedDay};

/// The file of one pair's last day. The same form as its state, and the same care.
#[derive(Clone, Debug)]
pub struct DayFile(StateFile);

impl DayFile {
    /// That of the pair whose state lies in `state`. No file of state ends in `.day`.
    pub fn beside(state: &StateFile) -> Self {
        Self(StateFile { path: state.path.with_extension("day"), pair: state.pair.clone(), before: None })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts what was saved before what the day has already.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn load(&self, day: &mut Day, present: &Present) -> Result<(), NotLoaded> {
        if let Some(document) = self.0.document::<SavedDay>()? {
            let same_boot = document.is_of(present);
            day.go_on_from(document.saved, same_boot, present.now, present.wall);
        }
        Ok(())
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// What the system says; the old file is then still there.
    pub fn save(&self, saved: &SavedDay, present: &Present) -> io::Result<()> {
        self.0.write(saved, present)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::clock::{BootId, Moment, WallTime};
    use crate::history::day::Slot;
    use crate::history::day::tests::view_at;
    use crate::level::Level;
    use crate::names::{Channel, Name};
    use crate::snapshot::{ChannelView, Labels, Sample};

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("standbywatch-day-{name}-{}", std::process::id())))
        }

        fn file(&self) -> DayFile {
            DayFile::beside(&StateFile::new(&self.0, &Name::new("catalog")))
        }

        fn loaded(&self, present: &Present) -> Day {
            let mut day = Day::default();
            self.file().load(&mut day, present).expect("loads");
            day
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// This many minutes after 1e9 s on the wall clock; the boot `a` began then, `b` an hour later.
    fn present(boot: &str, minute: u64) -> Present {
        let since = if boot == "b" { minute - 60 } else { minute };
        let now = Moment::after_boot(Duration::from_secs(60 * since));
        Present { boot: Some(BootId(boot.to_owned())), now, wall: WallTime(1e9 + 60.0 * minute as f64) }
    }

    /// Looks at these minutes of a boot; each third is unknown, and its lag with it.
    fn looks(day: &mut Day, boot: &str, minutes: std::ops::Range<u64>) {
        for minute in minutes {
            let known = !minute.is_multiple_of(3);
            let Present { now, wall, .. } = present(boot, minute);
            let level = if known { Level::Ok } else { Level::Unknown };
            day.record(&view_at(now, wall, level, known.then_some(minute as f64)), true);
        }
    }

    /// What a plot over two hours has, a minute each: `.` nobody looked, `?` unknown, else the last digit of the lag.
    fn plot(day: &Day, present: &Present) -> String {
        let of = |slot: &Slot| match (slot.level, slot.numbers[0]) {
            (None, None) => '.',
            (Some(Level::Unknown), None) => '?',
            (Some(Level::Ok), Some(lag)) => char::from(b'0' + (lag % 10.0) as u8),
            other => panic!("{other:?}"),
        };
        day.folded(Channel::Postgres, present.now, Duration::from_mins(1), 120).iter().map(of).collect()
    }

    #[test]
    fn minutes_stand_where_they_were_after_a_restart_and_after_another_boot() {
        let place = Place::new("placed");
        let mut day = Day::default();
        looks(&mut day, "a", 5..15);
        place.file().save(&day.saved(), &present("a", 15)).expect("saved");
        let whole = "5?78?01?34";
        let told = |day: &Day, present: &Present| plot(day, present).trim_start_matches('.').to_owned();
        assert_eq!(told(&place.loaded(&present("a", 15)), &present("a", 15)), format!("{whole}."));
        // Ten minutes on: what nobody saw is a gap, and what is seen from then on comes after it.
        let mut later = place.loaded(&present("a", 25));
        looks(&mut later, "a", 25..28);
        assert_eq!(told(&later, &present("a", 27)), format!("{whole}..........56?"));
        // In another boot they lie before its beginning.
        let mut other = place.loaded(&present("b", 61));
        looks(&mut other, "b", 61..62);
        assert_eq!(told(&other, &present("b", 61)), format!("{whole}{}1", ".".repeat(46)));
        // A day later they are gone.
        let much_later = present("b", 24 * 60 + 10);
        assert_eq!(told(&place.loaded(&much_later), &much_later).len(), 0, "the plot is of two hours");
        assert_eq!(place.loaded(&much_later).points(much_later.now).count(), 5);
    }

    #[test]
    fn a_file_with_anything_in_it_is_set_aside_or_gives_what_can_be() {
        let place = Place::new("hostile");
        let mut day = Day::default();
        looks(&mut day, "a", 5..8);
        place.file().save(&day.saved(), &present("a", 8)).expect("saved");
        let whole = fs::read_to_string(place.file().path()).expect("text");
        let (first, _) = whole.split_once("\"points\":").expect("points");
        let with = |points: &str| format!("{first}\"points\":{points}}}");
        // A level that there is not, times that are none, minutes that lie ahead: nobody looked.
        let none = "[null,null,null,null]";
        let far = [i64::MAX, i64::MIN, 1 << 50, 9_000_000].map(|time| format!("[{time},{time},{none}]")).join(",");
        let odd = with(&format!("[[300000,1000000300000,[[9,1.0,null],null,null,null]],{far}]"));
        for boot in ["a", "b"] {
            fs::write(place.file().path(), &odd).expect("written");
            assert_eq!(place.loaded(&present(boot, 90)).points(present(boot, 90).now).count(), 0, "{boot}");
        }
        let many = vec![format!("[300000,1000000300000,{none}]"); 20_000].join(",");
        fs::write(place.file().path(), with(&format!("[{many}]"))).expect("written");
        assert_eq!(place.loaded(&present("a", 9)).points(present("a", 9).now).count(), crate::history::day::POINTS);
        for text in
            [&whole[..whole.len() / 2], "", &with("[[1,2,[null]]]"), &with("7"), &whole.replace("catalog", "other")]
        {
            fs::write(place.file().path(), text).expect("written");
            let error = place.file().load(&mut Day::default(), &present("a", 9)).expect_err("not loaded");
            assert!(matches!(error, NotLoaded::Corrupt { .. }), "{error}");
            assert!(!place.file().path().exists() && place.0.join("catalog.day.corrupt").exists());
        }
    }

    /// What a day takes on disk, with all four channels.
    #[test]
    fn a_day_is_a_file_of_some_hundred_kilobytes() {
        let place = Place::new("size");
        let mut day = Day::default();
        let numbers = [
            "standby_replication_lag_bytes",
            "standby_replication_lag_seconds",
            "standby_config_sync_age_seconds",
            "standby_kvstore_round_trip_seconds",
            "standby_search_active_shards_percent",
        ];
        for minute in 0..1440 {
            let Present { now, wall, .. } = present("a", minute);
            let mut view = view_at(now, wall, Level::Unknown, None);
            let of = |channel: &Channel| ChannelView { channel: *channel, ..view.channels[0].clone() };
            view.channels = Channel::ALL.iter().map(of).collect();
            let sample = |metric| Sample { metric, labels: Labels::new(), value: 123.0 + minute as f64 / 7.0 };
            view.samples = numbers.map(sample).to_vec();
            day.record(&view, true);
        }
        place.file().save(&day.saved(), &present("a", 1440)).expect("saved");
        let size = fs::metadata(place.file().path()).expect("there").len();
        println!("{size} bytes");
        assert!(size < 256 * 1024, "{size} bytes");
        assert_eq!(place.loaded(&present("a", 1440)).saved(), day.saved());
    }
}
