//! Commits that wait for a synchronous standby.

use super::*;

/// A primary on which so many commits wait, the oldest for so many seconds by the server's word.
fn waiting(commits: u64, longest: f64) -> PostgresFacts {
    let mut facts = primary(500, vec![]);
    if let PostgresRole::Primary(primary) = &mut facts.role {
        primary.commits_waiting = Some(commits);
        primary.longest_commit_wait = (commits > 0).then(|| Duration::from_secs_f64(longest));
    }
    facts
}

fn blocked(watch: &mut Watch, alpha: PostgresFacts) -> Option<bool> {
    watch.tick(Ok(alpha), silent(FailureKind::Refused)).commits_blocked
}

#[test]
fn a_commit_that_waits_for_more_than_15_seconds_is_blocked() {
    let mut watch = Watch::new(None);
    assert_eq!(blocked(&mut watch, waiting(0, 0.0)), Some(false));
    for second in 0..30_u32 {
        let told = blocked(&mut watch, waiting(3, f64::from(second) + 0.5));
        assert_eq!(told, Some(second > 15), "after {second} s");
    }
    assert_eq!(blocked(&mut watch, waiting(0, 0.0)), Some(false));
}

#[test]
fn a_long_statement_that_has_just_come_to_commit_has_not_waited_for_long() {
    let mut watch = Watch::new(None);
    for second in 0..60_u32 {
        // A busy pair: at each look some commit waits for milliseconds; now and then it is that of a statement of ten minutes.
        let longest = if second % 7 == 0 { 600.0 } else { 0.002 };
        assert_eq!(blocked(&mut watch, waiting(2, longest)), Some(false), "after {second} s");
    }
}

#[test]
fn who_gives_up_waiting_leaves_those_who_still_wait() {
    let mut watch = Watch::new(None);
    for second in 0..60_u32 {
        // Each waits for 20 s and gives up; the next oldest came a second later.
        let told = blocked(&mut watch, waiting(20, f64::from(second).min(19.5)));
        assert_eq!(told, Some(second > 15), "after {second} s");
    }
}

#[test]
fn a_primary_that_cannot_be_asked_or_does_not_tell_is_not_known() {
    let mut watch = Watch::new(None);
    for _ in 0..30 {
        blocked(&mut watch, waiting(1, 60.0));
    }
    assert_eq!(watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout)).commits_blocked, None);
    assert_eq!(blocked(&mut watch, primary(500, vec![])), None);
}
