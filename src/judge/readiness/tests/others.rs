//! What the other channels have to say in it.

use super::*;
use crate::evidence::DriftEvidence;

/// A key-value store of which the canaries say this.
fn kvstore(at_risk: Option<u64>, diverged: Option<bool>) -> KvstoreEvidence {
    KvstoreEvidence {
        verdict: Verdict { up: true, reason: None, detail: None, as_of: None },
        proof: Proof::Path,
        outcome: None,
        round_trip: None,
        outcomes: Vec::new(),
        blocked_for: None,
        stores: Vec::new(),
        at_risk: at_risk.map(|canaries| AtRisk { canaries, since: Duration::from_secs(5 * canaries) }),
        canaries: CanaryEvidence { proofs: vec![Proof::Path], diverged, ..CanaryEvidence::default() },
        observed: None,
    }
}

#[test]
fn the_key_value_store_has_a_word_in_it() {
    let told = |at_risk, diverged| {
        let mut course = Course::minute(0);
        course.kvstore = Some(kvstore(at_risk, diverged));
        course.read(61, Ok(primary(61, END, END)), Ok(standby(61, END, END, true))).clone()
    };
    let ready = told(Some(0), Some(false));
    assert_eq!((ready.verdict, ready.loss.canaries), (FailoverVerdict::Ready, Some(0)), "{ready:?}");
    assert_eq!(told(Some(0), None).verdict, FailoverVerdict::Ready, "proven now: the canary lies on both sides");
    let lossy = told(Some(2), Some(false));
    assert_eq!((lossy.verdict, lossy.loss.canaries), (FailoverVerdict::ReadyWithLoss, Some(2)), "{lossy:?}");
    assert!(lossy.besides[0].contains("2 acknowledged canaries of the last 10s"), "{:?}", lossy.besides);
    let untold = told(None, None);
    assert_eq!((untold.verdict, untold.loss.canaries), (FailoverVerdict::Unknown, None), "{untold:?}");
    let apart = told(Some(0), Some(true));
    assert_eq!(apart.verdict, FailoverVerdict::NotReady);
    assert_eq!(apart.blockers[0].0, Blocker::KvstoreDiverged);
}

#[test]
fn stores_of_which_it_is_not_known_whether_they_differ_are_no_green_light() {
    let told = |kvstore: KvstoreEvidence| {
        let mut course = Course::minute(0);
        course.kvstore = Some(kvstore);
        course.read(61, Ok(primary(61, END, END)), Ok(standby(61, END, END, true))).clone()
    };
    // Only compared, never written to, and the comparison does not come back.
    let compared = |up, diverged| {
        let mut kvstore = kvstore(None, diverged);
        (kvstore.proof, kvstore.canaries.proofs, kvstore.verdict.up) = (Proof::Observed, vec![Proof::Observed], up);
        kvstore
    };
    assert_eq!(told(compared(true, Some(false))).verdict, FailoverVerdict::Ready);
    assert_eq!(told(compared(false, None)).verdict, FailoverVerdict::Unknown);
    assert_eq!(told(compared(false, Some(true))).verdict, FailoverVerdict::NotReady);
    // A port never tells: it says so, and everything else is judged without it.
    let mut port = compared(false, None);
    (port.proof, port.canaries.proofs) = (Proof::Reachability, vec![Proof::Reachability]);
    port.canaries.link_up = Some(false);
    let silent = told(port.clone());
    assert_eq!(silent.verdict, FailoverVerdict::Unknown, "a port that does not answer is no green light");
    assert!(silent.reasons.iter().any(|why| why.contains("its port does not answer")), "{:?}", silent.reasons);
    port.canaries.link_up = Some(true);
    let told = told(port);
    assert_eq!(told.verdict, FailoverVerdict::Ready);
    assert!(told.besides[0].contains("not known"), "{:?}", told.besides);
}

#[test]
fn what_the_configuration_lacks_is_a_loss_too() {
    let told = |verdict: Verdict, drifted_files: Option<u64>| {
        let mut course = Course::minute(0);
        let age = Some(Duration::from_secs(7200));
        let drift = DriftEvidence { drifted_files, ..DriftEvidence::default() };
        course.files = Some(ConfigEvidence {
            verdict,
            age,
            age_periods: None,
            consecutive_failures: None,
            last_exit: None,
            last_took: None,
            drift,
        });
        course.read(61, Ok(primary(61, END, END)), Ok(standby(61, END, END, true))).clone()
    };
    let proven = || Verdict::proven(at(61));
    let stale = || Verdict::warned(Reason::SyncStale, "", at(61));
    assert_eq!(told(proven(), Some(0)).verdict, FailoverVerdict::Ready);
    assert_eq!(told(proven(), None).verdict, FailoverVerdict::Ready, "a copy of late, though no file was compared");
    assert_eq!(told(stale(), Some(0)).verdict, FailoverVerdict::Ready, "an old copy of what has not changed");
    let differs = told(proven(), Some(3));
    assert_eq!((differs.verdict, differs.loss.files), (FailoverVerdict::ReadyWithLoss, Some(3)));
    assert!(differs.reasons.iter().any(|reason| reason.contains("3 files")), "{:?}", differs.reasons);
    assert!(differs.steps[0].contains("copy the configuration of alpha to beta once more"), "{:?}", differs.steps);
    let old = told(stale(), None);
    assert_eq!(old.verdict, FailoverVerdict::ReadyWithLoss);
    assert!(old.reasons.iter().any(|reason| reason.contains("copied 2h 0m ago")), "{:?}", old.reasons);
    let unknown = told(Verdict::unproven(Reason::NotSeenYet, "", None), None);
    assert_eq!(unknown.verdict, FailoverVerdict::Unknown, "{unknown:?}");
}
