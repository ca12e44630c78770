use super::*;
use crate::facts::{PostgresSettings, PrimaryFacts, StandbyFacts};

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn facts(start: &str, version: u32, role: PostgresRole) -> PostgresFacts {
    PostgresFacts {
        version: Some(version),
        system_identifier: None,
        postmaster_start: Some(Opaque(start.to_owned())),
        data_directory: None,
        timeline: None,
        server_clock: None,
        role,
        settings: PostgresSettings::default(),
        slow: SlowFacts::default(),
        new_sessions: None,
    }
}

fn primary(start: &str) -> PostgresFacts {
    facts(start, 150_018, PostgresRole::Primary(PrimaryFacts::default()))
}

/// Questions to a server that has answered, so that they are its.
fn known(version: u32) -> SlowQuestions {
    let mut slow = SlowQuestions::default();
    slow.add_to(&mut facts("a", version, PostgresRole::Primary(PrimaryFacts::default())), at(100));
    slow
}

#[test]
fn each_is_asked_once_a_minute_one_at_a_time() {
    let mut slow = SlowQuestions::default();
    assert_eq!(slow.due(at(100)), None, "nobody has answered yet");
    slow = known(150_018);
    let mut asked = Vec::new();
    for second in 100..220 {
        if let Some(question) = slow.due(at(second)) {
            slow.take(question, at(second), Err("any".to_owned()));
            asked.push((second, question));
        }
    }
    let [a, b, c] = [Question::Settings, Question::WalDirectory, Question::ArchiveReady];
    assert_eq!(asked, [(100, a), (101, b), (102, c), (160, a), (161, b), (162, c)]);
}

#[test]
fn only_version_14_is_asked_for_counters() {
    let asks = |version| {
        let mut slow = known(version);
        let mut all = Vec::new();
        while let Some(question) = slow.due(at(100)) {
            slow.take(question, at(100), Err("any".to_owned()));
            all.push(question);
        }
        all.contains(&Question::Counters)
    };
    assert_eq!([140_023, 150_018, 180_004].map(asks), [true, false, false]);
}

#[test]
fn what_fails_leaves_the_others_alone() {
    let mut slow = known(150_018);
    assert_eq!(slow.take(Question::WalDirectory, at(101), Ok("33554432".to_owned())), None);
    assert_eq!(slow.take(Question::ArchiveReady, at(102), Ok("2".to_owned())), None);
    let settings = r#"{"data_checksums": false, "version_text": null}"#;
    assert_eq!(slow.take(Question::Settings, at(103), Ok(settings.to_owned())), None);
    let mut facts = primary("a");
    slow.add_to(&mut facts, at(110));
    let seconds = Duration::from_secs;
    let all = SlowFacts {
        wal_directory: Some(Aged { value: Bytes(33_554_432), age: seconds(9) }),
        archive_ready: Some(Aged { value: 2, age: seconds(8) }),
        data_checksums: Some(Aged { value: false, age: seconds(7) }),
        version_text: None,
    };
    assert_eq!(facts.slow, all);
    let told = slow.take(Question::WalDirectory, at(161), Err("permission denied".to_owned()));
    assert_eq!(told.as_deref(), Some("permission denied"));
    assert_eq!(slow.take(Question::WalDirectory, at(221), Err("permission denied".to_owned())), None, "told once");
    slow.add_to(&mut facts, at(110));
    assert_eq!(facts.slow, SlowFacts { wal_directory: None, ..all });
}

#[test]
fn what_is_no_answer_is_no_number() {
    let mut slow = known(150_018);
    let nonsense = [
        (Question::WalDirectory, "-1"),
        (Question::WalDirectory, ""),
        (Question::ArchiveReady, "many"),
        (Question::Settings, "on"),
        (Question::Counters, "[]"),
    ];
    for (question, text) in nonsense {
        slow.take(question, at(101), Ok("7".to_owned()));
        slow.take(question, at(101), Ok(text.to_owned()));
    }
    let mut facts = primary("a");
    slow.add_to(&mut facts, at(110));
    assert_eq!(facts.slow, SlowFacts::default());
}

#[test]
fn of_another_server_nothing_is_known() {
    let mut slow = known(150_018);
    slow.take(Question::ArchiveReady, at(102), Ok("2".to_owned()));
    let mut restarted = primary("b");
    slow.add_to(&mut restarted, at(103));
    assert_eq!(restarted.slow, SlowFacts::default());
    let mut nameless = primary("b");
    slow.take(Question::ArchiveReady, at(104), Ok("2".to_owned()));
    nameless.postmaster_start = None;
    slow.add_to(&mut nameless, at(105));
    assert_eq!(nameless.slow, SlowFacts::default());
}

#[test]
fn counters_of_version_14_stand_where_later_ones_have_them() {
    let mut slow = known(140_023);
    let answer = r#"{"last_archive_failed": true, "conflicts": 3}"#;
    slow.take(Question::Counters, at(100), Ok(answer.to_owned()));
    let mut primary = facts("a", 140_023, PostgresRole::Primary(PrimaryFacts::default()));
    slow.add_to(&mut primary, at(160));
    let PostgresRole::Primary(facts_of_primary) = primary.role else { panic!("a primary") };
    assert_eq!(facts_of_primary.archiver_failing, Some(true));
    let mut standby = facts("a", 140_023, PostgresRole::Standby(StandbyFacts::default()));
    slow.add_to(&mut standby, at(160));
    let PostgresRole::Standby(facts_of_standby) = &standby.role else { panic!("a standby") };
    assert_eq!(facts_of_standby.conflicts, Some(3));
    let mut late = facts("a", 140_023, PostgresRole::Standby(StandbyFacts::default()));
    slow.add_to(&mut late, at(300));
    let PostgresRole::Standby(facts_of_standby) = &late.role else { panic!("a standby") };
    assert_eq!(facts_of_standby.conflicts, None, "too old to be told");
}

#[test]
fn its_limit_stands_in_the_same_message() {
    let message = Question::Settings.message(Duration::from_millis(450));
    assert!(message.starts_with("SET LOCAL statement_timeout = 450; "), "{message}");
}
