use super::*;
use crate::facts::{PostgresRole, PostgresSettings, PrimaryFacts, SlowFacts};
use crate::names::FailureKind;
use std::sync::Arc;

const OLDER: &str = include_str!("older.json");
const NEWER: &str = include_str!("newer.json");
const TOO_NEW: &str = include_str!("too_new.json");

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs_f64(seconds))
}

fn read(text: &str) -> Result<PeerFacts, String> {
    PeerFacts::read(text.as_bytes(), &Name::new("catalog"), &Name::new("beta"), at(1000.0), at(1000.5))
}

fn facts(wal: u64) -> PostgresFacts {
    let primary = PrimaryFacts { wal_lsn: Some(Lsn(wal)), ..PrimaryFacts::default() };
    PostgresFacts {
        version: Some(150_018),
        system_identifier: None,
        postmaster_start: None,
        data_directory: None,
        timeline: Some(1),
        server_clock: None,
        role: PostgresRole::Primary(primary),
        settings: PostgresSettings::default(),
        slow: SlowFacts::default(),
        new_sessions: None,
    }
}

fn own() -> OwnReadings {
    let reading = Reading { asked: at(50.0), answered: at(50.25), result: Ok(facts(7)) };
    OwnReadings { postgres: Latest::Have(Arc::new(reading)), ..OwnReadings::default() }
}

fn sent(own: &OwnReadings) -> String {
    let present = BeaconTime { boot: None, moment: at(52.0), wall: WallTime(9.0) };
    let report = NodeReport::new(&Name::new("catalog"), &Name::new("beta"), "run", own, present);
    serde_json::to_string(&report).unwrap()
}

#[test]
fn a_reading_counts_as_its_age_and_the_whole_round_trip() {
    let facts = read(&sent(&own())).unwrap();
    let Arrival::Here(arrived) = facts.postgres else { panic!("{:?}", facts.postgres) };
    // 2 s old there; the question left at 1000 s.
    assert_eq!(arrived.reading.asked, at(998.0));
    // Answered 1.75 s before the answer came at the latest.
    assert_eq!(arrived.reading.answered, at(998.75));
    assert_eq!(arrived.reading.facts(), Some(&super::tests::facts(7)));
    assert!(matches!(facts.config, Arrival::NotYet));
    assert_eq!(facts.clock.map(|clock| (clock.moment, clock.wall)), Some((at(52.0), WallTime(9.0))));
}

#[test]
fn the_same_reading_keeps_its_name_and_another_run_has_other_names() {
    let id = |text: &str| match read(text).unwrap().postgres {
        Arrival::Here(arrived) => arrived.id,
        other => panic!("{other:?}"),
    };
    let text = sent(&own());
    assert_eq!(id(&text), id(&text.replace("\"asked_ago\":2.0", "\"asked_ago\":3.0")));
    assert_ne!(id(&text), id(&text.replace("\"run\":\"run\"", "\"run\":\"other\"")));
}

#[test]
fn failures_and_what_is_dropped_arrive_as_such() {
    let failure = Failure::new(FailureKind::Authentication, "no such role");
    let reading = Reading { asked: at(50.0), answered: at(50.1), result: Err(failure.clone()) };
    let own = OwnReadings { postgres: Latest::Have(Arc::new(reading)), search: Latest::Dropped, ..own() };
    let facts = read(&sent(&own)).unwrap();
    let Arrival::Here(arrived) = facts.postgres else { panic!("{:?}", facts.postgres) };
    assert_eq!(arrived.reading.failure(), Some(&failure));
    assert!(matches!(facts.search, Arrival::Dropped));
}

#[test]
fn a_recorded_answer_of_the_first_version_is_still_understood() {
    let facts = read(OLDER).unwrap();
    let Arrival::Here(arrived) = facts.postgres else { panic!("{:?}", facts.postgres) };
    let PostgresRole::Standby(standby) = &arrived.reading.facts().unwrap().role else { panic!("a standby") };
    assert_eq!(standby.receiver.as_ref().unwrap().status.as_deref(), Some("streaming"));
    assert!(matches!(facts.host, Arrival::Absent), "it did not tell of its machine yet");
    assert!(matches!(facts.tree, Arrival::Absent) && facts.clock.is_none(), "nor of its tree and its clocks");
}

#[test]
fn of_a_newer_answer_what_is_known_is_read_and_a_new_word_spoils_one_reading_only() {
    let facts = read(NEWER).unwrap();
    assert_eq!(facts.version, "2.7.0");
    assert!(matches!(facts.postgres, Arrival::Here(_)));
    let Arrival::NotUnderstood(why) = facts.search else { panic!("{:?}", facts.search) };
    assert!(why.contains("2.7.0") && why.contains("purple"), "{why}");
}

#[test]
fn agents_that_do_not_understand_each_other_say_which_is_to_be_updated() {
    let told = read(TOO_NEW).unwrap_err();
    assert!(told.contains("version 9.0.0") && told.contains("update this one"), "{told}");
    let told = read(r#"{"protocol": 0, "version": "0.0.1"}"#).unwrap_err();
    assert!(told.contains("too old") && told.contains("version 0.0.1"), "{told}");
}

#[test]
fn the_agent_of_another_node_is_not_believed() {
    let told = read(&sent(&own()).replace("\"node\":\"beta\"", "\"node\":\"alpha\"")).unwrap_err();
    assert!(told.contains("it is the agent of alpha, not of beta"), "{told}");
}

#[test]
fn ages_that_are_none_and_readings_from_before_this_boot_are_no_facts() {
    for wrong in ["-1.0", "1e300", "null"] {
        let facts = read(&sent(&own()).replace("\"asked_ago\":2.0", &format!("\"asked_ago\":{wrong}"))).unwrap();
        assert!(matches!(facts.postgres, Arrival::NotUnderstood(_)), "{wrong}: {:?}", facts.postgres);
    }
    let old = read(&sent(&own()).replace("\"asked_ago\":2.0", "\"asked_ago\":1000.0")).unwrap();
    assert!(matches!(old.postgres, Arrival::Dropped), "{:?}", old.postgres);
}

#[test]
fn what_is_no_answer_of_an_agent_is_told() {
    for text in ["", "<html>", "{}", "[]", r#"{"protocol": "1"}"#, r#"{"protocol": 1, "version": "0.1.0"}"#] {
        let told = read(text).unwrap_err();
        assert!(told.contains("no answer of an agent") || told.contains("not understood"), "{text}: {told}");
    }
}
