//! Timelines of a beacon that alone tells the age, read by beta's agent.

use super::*;
use crate::clock::BootId;
use crate::facts::{Beacon, BeaconFacts, BeaconTime, NodeClock};

/// Alpha's clocks: boot time 500 s behind beta's, wall time a day ahead of it.
fn alphas(seconds: u64) -> BeaconTime {
    let since_boot = seconds - 500;
    BeaconTime {
        boot: Some(BootId("of alpha".to_owned())),
        moment: at(since_boot),
        wall: WallTime(86_400.0 + f64::from(u32::try_from(since_boot).unwrap())),
    }
}

impl Timeline {
    fn with_beacons() -> Self {
        let mut timeline = Self::new();
        for node in &mut timeline.pair.nodes {
            node.config.as_mut().unwrap().beacon = Some("/opt/app/conf/.beacon".into());
        }
        timeline
    }

    /// Beta reads a copy that was written at `written`; alpha's agent has just told its clocks.
    fn copy(&mut self, seconds: u64, written: u64) {
        let beacon = Beacon { node: name("alpha"), written: alphas(written) };
        let read_at = BeaconTime { boot: Some(BootId("of beta".to_owned())), moment: at(seconds), wall: WallTime(5.0) };
        let beacon = Some(BeaconFacts { beacon, read_at });
        self.reads(seconds, "beta", Ok(ConfigFacts { beacon, ..ConfigFacts::default() }));
        self.tells(Ok(NodeClock { time: alphas(seconds), asked: at(seconds) }));
    }

    fn tells(&mut self, clock: Result<NodeClock, (Reason, String)>) {
        self.clocks = BeaconClocks::Writers([(name("alpha"), clock)].into());
    }
}

#[test]
fn the_age_is_told_by_the_clock_of_the_one_that_wrote_it_however_far_the_clocks_are_apart() {
    let mut timeline = Timeline::with_beacons();
    timeline.copy(1000, 960);
    let (evidence, _) = timeline.at(1005);
    assert_eq!((verdict(&evidence), evidence.age), ((true, None), Some(Duration::from_secs(40))));
    assert!((evidence.age_periods.unwrap() - 45.0 / 60.0).abs() < 1e-9, "{:?}", evidence.age_periods);
    timeline.copy(1100, 960);
    assert_eq!(verdict(&timeline.at(1100).0), (true, Some(Reason::SyncStale)));
}

#[test]
fn a_step_of_that_clock_and_an_agent_that_is_gone_are_unknown_and_told_why() {
    let mut timeline = Timeline::with_beacons();
    timeline.copy(1000, 960);
    let stepped = BeaconTime { wall: WallTime(3.0), ..alphas(1000) };
    timeline.tells(Ok(NodeClock { time: stepped, asked: at(1000) }));
    let (evidence, _) = timeline.at(1000);
    assert_eq!((verdict(&evidence), evidence.age), ((false, Some(Reason::ClockStep)), None));
    timeline.tells(Err((Reason::PeerUnreachable, "nobody there".to_owned())));
    let (evidence, _) = timeline.at(1000);
    assert_eq!((verdict(&evidence), evidence.age), ((false, Some(Reason::PeerUnreachable)), None));
    let detail = evidence.verdict.detail.expect("words");
    assert!(detail.contains("the clock of alpha") && detail.contains("nobody there"), "{detail}");
    // The wrapper's record lies beside it and needs no other clock.
    timeline.wrapper(1000, "beta", good(10));
    assert_eq!(verdict(&timeline.at(1000).0), (true, None));
}
