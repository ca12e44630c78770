//! What comes and goes is told, whichever channels a pair has.

use super::*;
use crate::snapshot::FindingState;

#[test]
fn stores_without_postgresql_flap_as_well() {
    let mut timeline = Timeline::new(config(STORES).pairs[0].clone());
    let mut told = Vec::new();
    for seconds in (0..240_u32).step_by(5) {
        let blocked = (seconds / 30) % 2 == 1;
        let failure = blocked.then(|| Failure::new(FailureKind::Timeout, "the link is cut"));
        let now = f64::from(seconds) + 1.0;
        timeline.advance(now, vec![canary(now, failure)]);
        let view = timeline.snapshot.at(at(now));
        let flaps = view.findings.iter().find(|finding| finding.rule == "StandbyReplicationFlapping");
        told.push(flaps.map(|finding| (finding.channel, finding.state)));
    }
    assert_eq!(told[10], None, "one change, and back");
    assert_eq!(told.last(), Some(&Some((Some(Channel::Kvstore), FindingState::Firing))), "{told:?}");
}
