//! What each source proves, and what none of them may.

use super::*;
use crate::clock::{BootId, WallTime};
use crate::facts::{BeaconTime, NodeClock, Timestamp, WrapperFacts};

fn stamped(seconds_ago: f64) -> ConfigFacts {
    let timestamp = Timestamp { written: WallTime(1000.0 - seconds_ago), read_at: WallTime(1000.0) };
    ConfigFacts { timestamp: Some(timestamp), ..ConfigFacts::default() }
}

#[test]
fn the_future_is_unknown_and_not_fresh() {
    assert_eq!(proven_age(&stamped(30.0), None), Some(Duration::from_secs(30)));
    assert_eq!(proven_age(&stamped(-1.5), None), Some(Duration::ZERO));
    assert_eq!((proven_age(&stamped(-2.5), None), from_the_future(&stamped(-2.5))), (None, true));
    assert_eq!(proven_age(&ConfigFacts::default(), None), None);
    assert!(!from_the_future(&ConfigFacts::default()));
}

#[test]
fn the_youngest_proof_counts() {
    let wrapper = WrapperFacts { last_good_started_ago: Some(Duration::from_secs(20)), ..WrapperFacts::default() };
    let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(300.0) };
    assert_eq!(proven_age(&both, None), Some(Duration::from_secs(20)));
    let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(-300.0) };
    assert_eq!((proven_age(&both, None), from_the_future(&both)), (Some(Duration::from_secs(20)), true));
}

fn beaconed(node: &str, written: (&str, u64, f64), read: (&str, u64, f64)) -> ConfigFacts {
    let time = |(boot, moment, wall): (&str, u64, f64)| BeaconTime {
        boot: Some(BootId(boot.to_owned())),
        moment: Moment::after_boot(Duration::from_secs(moment)),
        wall: WallTime(wall),
    };
    let beacon = Beacon { node: Name::new(node), written: time(written) };
    ConfigFacts { beacon: Some(BeaconFacts { beacon, read_at: time(read) }), ..ConfigFacts::default() }
}

fn alpha() -> Name {
    Name::new("alpha")
}

const READ: Moment = Moment::after_boot(Duration::from_secs(7000));

#[test]
fn a_beacon_counts_on_its_own_clock_and_as_the_primarys_only() {
    let age = |facts: &ConfigFacts| beacon_age(facts, &alpha(), READ, &BeaconClocks::Readers);
    let good = beaconed("alpha", ("a", 100, 5000.0), ("a", 130, 5030.0));
    assert_eq!(age(&good), BeaconAge::Known(Duration::from_secs(30)));
    assert_eq!(proven_age(&good, age(&good).known()), Some(Duration::from_secs(30)));
    assert_eq!(
        age(&beaconed("beta", ("a", 100, 5000.0), ("a", 130, 5030.0))),
        BeaconAge::OfAnotherNode(Name::new("beta"))
    );
    assert_eq!(age(&beaconed("alpha", ("b", 100, 5000.0), ("a", 130, 5030.0))), BeaconAge::OfAnotherClock);
    let stepped = [(130, 5030.0 + 86_400.0), (130, 5030.0 - 3600.0), (90, 4990.0)];
    for (moment, wall) in stepped {
        assert_eq!(age(&beaconed("alpha", ("a", 100, 5000.0), ("a", moment, wall))), BeaconAge::Stepped, "{wall}");
    }
    let ahead = beaconed("alpha", ("a", 100, 5000.0 + 86_400.0), ("a", 130, 5030.0));
    assert_eq!(age(&ahead), BeaconAge::Stepped, "a day ahead");
    assert_eq!(proven_age(&ahead, age(&ahead).known()), None);
    assert_eq!(age(&ConfigFacts::default()), BeaconAge::None);
}

/// Alpha's clocks as its agent told them `ago` seconds before the file was read here.
fn told(ago: i32, time: (&str, u64, f64)) -> BeaconClocks {
    let asked = if ago < 0 {
        READ + Duration::from_secs(u64::from(ago.unsigned_abs()))
    } else {
        READ.back(Duration::from_secs(u64::from(ago.unsigned_abs())))
    };
    let (boot, moment, wall) = time;
    let time = BeaconTime {
        boot: Some(BootId(boot.to_owned())),
        moment: Moment::after_boot(Duration::from_secs(moment)),
        wall: WallTime(wall),
    };
    BeaconClocks::Writers([(alpha(), Ok(NodeClock { time, asked }))].into())
}

#[test]
fn with_two_agents_only_the_clocks_of_the_one_that_wrote_it_count() {
    // The reader's clocks are of another boot and a day apart: they say nothing.
    let facts = beaconed("alpha", ("a", 100, 5000.0), ("b", 900_000, 91_430.0));
    let age = |clocks: &BeaconClocks| beacon_age(&facts, &alpha(), READ, clocks);
    let seconds = |seconds| BeaconAge::Known(Duration::from_secs(seconds));
    assert_eq!(age(&told(0, ("a", 130, 5030.0))), seconds(30));
    assert_eq!(age(&told(4, ("a", 130, 5030.0))), seconds(34), "the file was read 4 s after the clock");
    assert_eq!(age(&told(-4, ("a", 130, 5030.0))), seconds(26), "or before it");
    assert_eq!(age(&told(3, ("a", 98, 4998.0))), seconds(1), "written between the two");
    assert_eq!(age(&told(-2, ("a", 101, 5001.0))), seconds(0), "written while it was being read");
    for (what, clocks) in [
        ("an hour forward", told(0, ("a", 130, 8630.0))),
        ("an hour back", told(0, ("a", 130, 1430.0))),
        ("written in the future", told(0, ("a", 60, 4960.0))),
    ] {
        assert_eq!(age(&clocks), BeaconAge::Stepped, "{what}");
    }
    assert_eq!(age(&told(0, ("c", 130, 5030.0))), BeaconAge::OfAnotherClock, "that machine was restarted");
    let gone = (Reason::PeerUnreachable, "nobody there".to_owned());
    let unknown = BeaconClocks::Writers([(alpha(), Err(gone.clone()))].into());
    assert_eq!(age(&unknown), BeaconAge::NoClock(gone.0, gone.1));
    assert!(matches!(age(&BeaconClocks::Writers(BTreeMap::new())), BeaconAge::NoClock(..)));
}

#[test]
fn clocks_of_which_no_boot_is_known_are_not_the_same() {
    let mut facts = beaconed("alpha", ("a", 100, 5000.0), ("a", 130, 5030.0));
    let beacon = facts.beacon.as_mut().expect("has one");
    (beacon.beacon.written.boot, beacon.read_at.boot) = (None, None);
    assert_eq!(beacon_age(&facts, &alpha(), READ, &BeaconClocks::Readers), BeaconAge::OfAnotherClock);
}
