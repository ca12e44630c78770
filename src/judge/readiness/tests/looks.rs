//! What was written since the last look is seen by nobody: how old a loss can be counts from there.

use super::*;

/// A pair that is asked so often, healthy, for a minute; the standby lacks `behind` bytes at the end.
fn asked_every(every: u64, behind: u64) -> Course {
    let mut course = Course::of(&format!("{CONFIG}    postgres: {{ interval: {every}s }}\n"));
    for second in (0..=60).step_by(usize::try_from(every).expect("small")) {
        let lsn = 1_000_000 + second * KIB;
        course.read(
            second,
            Ok(primary(second, lsn, lsn - behind)),
            Ok(standby(second, lsn - behind, lsn - behind, true)),
        );
    }
    course
}

fn doubts(told: &Readiness) -> bool {
    told.reasons.iter().any(|reason| reason.contains("may have been written since the last look"))
}

#[test]
fn a_reading_that_gets_old_is_ready_no_longer_than_the_acceptable_age() {
    let mut course = asked_every(1, 0);
    course.look(61);
    let told = course.told.clone();
    assert_eq!((told.verdict, told.loss.seconds_at_most), (FailoverVerdict::Ready, Some(1.0)));
    assert_eq!(runs_out(&told, &course.pair, at(61)), Some(at(70) + Duration::from_millis(1)));
    // Readings are believed for 3 intervals and the timeout: here for longer than what may be lost is old.
    let mut slow = Course::of(&format!("{CONFIG}    postgres: {{ stale_after: 60s }}\n"));
    slow.read(0, Ok(primary(0, END, END)), Ok(standby(0, END, END, true)));
    assert_eq!(slow.look(10).verdict, FailoverVerdict::Ready);
    let told = slow.look(11).clone();
    assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::ReadyWithLoss, Some(Bytes(0))), "{told:?}");
    assert!(doubts(&told), "{:?}", told.reasons);
    assert_eq!(runs_out(&told, &slow.pair, at(11)), None);
}

#[test]
fn a_pair_that_is_asked_more_seldom_than_the_acceptable_age_is_never_ready() {
    for behind in [0, 1] {
        let told = asked_every(30, behind).told;
        assert_eq!(told.verdict, FailoverVerdict::ReadyWithLoss, "right after a look as well: {told:?}");
        assert!(doubts(&told) && told.reasons.iter().any(|reason| reason.contains("every 30s")), "{:?}", told.reasons);
    }
    // 4 s between two looks, and 4 s until the next: within the 10 s.
    for behind in [0, 1, 4 * KIB] {
        assert_eq!(asked_every(4, behind).told.verdict, FailoverVerdict::Ready, "{behind}");
    }
}

#[test]
fn what_was_written_while_nobody_looked_is_as_old_as_the_last_look() {
    let mut course = asked_every(1, 0);
    // Nobody looked for 20 s. The standby lacks the last byte: whether it came just now or 20 s ago, nobody knows.
    let told = course.read(80, Ok(primary(80, END + 5, END + 4)), Ok(standby(80, END + 4, END + 4, true))).clone();
    assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::ReadyWithLoss, Some(Bytes(1))), "{told:?}");
    assert_eq!((told.loss.seconds, told.loss.seconds_at_least), (Some(0.0), true));
    assert_eq!(told.loss.seconds_at_most, Some(21.0));
    // What was written since is looked at each second again.
    let told = course.read(81, Ok(primary(81, END + 9, END + 8)), Ok(standby(81, END + 8, END + 8, true)));
    assert_eq!((told.verdict, told.loss.seconds_at_most), (FailoverVerdict::Ready, Some(2.0)), "{told:?}");
}
