//! Standbys that do not follow the primary's history: their positions say nothing of what would be lost.

use super::choice::THREE;
use super::*;

/// Beta was promoted and writes on timeline 2.
fn promoted(lsn: u64) -> PostgresFacts {
    let PostgresRole::Primary(own) = primary(0, lsn, lsn).role else { panic!("a primary") };
    let own = PrimaryFacts { walsenders: Vec::new(), ..own };
    PostgresFacts { timeline: Some(2), ..facts(PostgresRole::Primary(own), "b") }
}

/// Connected to nobody, and has all until `lsn` of this timeline.
fn alone(start: &str, timeline: u32, lsn: u64) -> PostgresFacts {
    let mut told = standby(0, lsn, lsn, false);
    (told.timeline, told.postmaster_start, told.data_directory) =
        (Some(timeline), Some(Opaque(start.to_owned())), Some(start.to_owned()));
    told
}

/// Alpha was lost at the end of its minute, and beta was promoted.
fn failed_over(config: &str) -> Course {
    let mut course = Course::of(config);
    for second in 0..=60 {
        let lsn = 1_000_000 + second * KIB;
        course.read(second, Ok(primary(second, lsn, lsn)), Ok(standby(second, lsn, lsn, true)));
    }
    course.read(61, refused(), Ok(promoted(END + KIB)));
    course
}

#[test]
fn a_primary_of_before_that_came_back_as_a_standby_is_no_green_light() {
    let mut course = failed_over(CONFIG);
    // It has more than beta had been sent, and less than beta has written since.
    for second in 62..70 {
        let beta = promoted(END + (second - 50) * KIB);
        let told = course.read(second, Ok(alone("a2", 1, END + 2 * KIB)), Ok(beta));
        assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::Unknown, None), "{told:?}");
        assert_eq!(told.primary, Some(Name::new("beta")));
        assert!(told.reasons.iter().any(|why| why.contains("alpha is still on timeline 1, beta is on 2")), "{told:?}");
    }
    // Beyond the position of the new primary, it is known to have parted.
    let mut course = failed_over(CONFIG);
    for second in [62, 64, 66] {
        course.read_all(second, [("alpha", Ok(alone("a2", 1, END + 9 * KIB)))]);
        course.read_all(second + 1, [("beta", Ok(promoted(END + 2 * KIB)))]);
    }
    assert_eq!(course.told.verdict, FailoverVerdict::NotReady, "{:?}", course.told);
    assert_eq!(course.told.blockers[0].0, Blocker::TimelineDiverged);
}

#[test]
fn what_has_not_followed_the_lost_primary_is_not_sized_by_its_position() {
    let mut course = failed_over(CONFIG);
    let told = course.read(70, Ok(alone("a2", 1, END + 2 * KIB)), refused());
    assert_eq!((told.verdict, told.loss.wal, told.loss.at_most()), (FailoverVerdict::PrimaryGone, None, None));
    assert_eq!(told.primary, Some(Name::new("beta")));
    assert!(told.reasons.iter().any(|why| why.contains("alpha is still on timeline 1, beta was on 2")), "{told:?}");
}

#[test]
fn one_that_follows_goes_before_one_that_has_more_of_another_history() {
    let choice = |alpha: PostgresFacts, beta: Result<PostgresFacts, Failure>| {
        let mut course = failed_over(THREE);
        let gamma = alone("c", 2, END);
        course.read_all(62, [("alpha", Ok(alpha)), ("beta", beta), ("gamma", Ok(gamma))]).clone()
    };
    let told = choice(alone("a2", 1, END + KIB), Ok(promoted(END + 3 * KIB)));
    assert_eq!((told.standby.clone(), told.loss.wal), (Some(Name::new("gamma")), Some(Bytes(3 * KIB))), "{told:?}");
    let told = choice(alone("a2", 1, END + KIB), refused());
    assert_eq!((told.standby.clone(), told.loss.wal), (Some(Name::new("gamma")), Some(Bytes(KIB))), "{told:?}");
    assert!(told.reasons.iter().any(|why| why.starts_with("alpha has 1 KiB more than gamma, but: ")), "{told:?}");
    // With the primary gone, one on a later timeline than it ever had is none to promote while another follows.
    let told = choice(alone("a2", 3, END + KIB), refused());
    assert_eq!(
        (told.verdict, told.standby.clone()),
        (FailoverVerdict::PrimaryGone, Some(Name::new("gamma"))),
        "{told:?}"
    );
}

#[test]
fn who_answers_as_a_standby_is_not_the_primary_that_it_was() {
    let mut course = Course::minute(KIB);
    let alpha = Some(Name::new("alpha"));
    assert_eq!(course.told.primary, alpha);
    course.read(61, refused(), Ok(standby(61, 1_000_000, 1_000_000, false)));
    assert_eq!(course.told.primary, alpha, "it is silent, and was it last");
    let told = course.read(62, Ok(standby(62, 1_000_000, 1_000_000, false)), refused());
    assert_ne!(told.primary, alpha, "{told:?}");
}

#[test]
fn a_standby_that_has_followed_is_not_behind_because_its_control_file_is_late() {
    let mut course = failed_over(THREE);
    let follows = |second| {
        let mut gamma = standby(second, END + KIB, END + KIB, true);
        (gamma.timeline, gamma.postmaster_start, gamma.data_directory) =
            (Some(2), Some(Opaque("c".to_owned())), Some("c".to_owned()));
        let PostgresRole::Standby(own) = &mut gamma.role else { panic!("a standby") };
        own.receiver.as_mut().expect("has one").timeline = Some(2);
        gamma
    };
    course.read_all(62, [("beta", Ok(promoted(END + 2 * KIB))), ("gamma", Ok(follows(62)))]);
    // Without its receiver it tells the timeline of its last checkpoint.
    let told = course.read_all(63, [("beta", refused()), ("gamma", Ok(alone("c", 1, END + KIB)))]);
    assert_eq!((told.primary.clone(), told.loss.wal), (Some(Name::new("beta")), Some(Bytes(KIB))), "{told:?}");
}
