use super::*;
use crate::facts::{PostgresRole, PostgresSettings, PrimaryFacts, SlowFacts};
use crate::names::FailureKind;
use std::sync::Arc;

const OLDER: &str = include_str!("older.json");
const NEWER: &str = include_str!("newer.json");
const TOO_NEW: &str = include_str!("too_new.json");
/// What two agents of version 0.1.0 answered on a pair with all four channels: the primary's, and the standby's.
const PRIMARY: &str = include_str!("primary.json");
const STANDBY: &str = include_str!("standby.json");

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
    assert!(told.contains("it is the agent of alpha of pair catalog, not of beta of pair catalog"), "{told}");
    let told = read(&sent(&own()).replace("\"pair\":\"catalog\"", "\"pair\":\"orders\"")).unwrap_err();
    assert!(told.contains("it is the agent of beta of pair orders, not of beta of pair catalog"), "{told}");
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

#[test]
fn counts_of_the_database_and_what_is_remembered_travel_with_their_ages() {
    use crate::facts::{IndexMemory, RateMemory};
    let reading = Reading { asked: at(50.0), answered: at(50.25), result: Ok(2000) };
    let (seen, since) = (Age::new(at(42.0)), Age::new(at(2.0)));
    let (node, uuids) = (Name::new("alpha"), vec!["a".to_owned()]);
    let index = IndexMemory { node, uuids, documents: 1990, seen, since };
    let own = OwnReadings {
        search_expected: BTreeMap::from([
            ("catalog".to_owned(), Latest::Have(Arc::new(reading))),
            ("not-yet".to_owned(), Latest::NeverAsked),
        ]),
        search_memory: SearchMemory {
            indices: BTreeMap::from([("catalog".to_owned(), index)]),
            rate: Some(RateMemory { documents_per_second: 90.0, seen }),
        },
        ..own()
    };
    let text = sent(&own);
    let facts = read(&text).unwrap();
    assert_eq!(facts.search_expected.keys().collect::<Vec<_>>(), ["catalog"]);
    let expected = &facts.search_expected["catalog"].reading;
    assert_eq!((expected.asked, expected.facts()), (at(998.0), Some(&2000)));
    // 10 and 50 s old there; the answer came half a second after the question left at 1000 s.
    let ages = |index: &IndexMemory<Age>| [index.seen, index.since].map(|age| age.at(at(1000.5)).as_secs_f64());
    assert_eq!(ages(&facts.search_memory.indices["catalog"]), [10.5, 50.5]);
    assert_eq!(facts.search_memory.rate.unwrap().seen.at(at(1000.5)), Duration::from_secs_f64(10.5));
    // What has no age, and what is something else altogether, is not there; the rest of the answer is.
    for (part, other) in [("\"seen\":10.0", "\"seen\":null"), ("\"documents\":1990", "\"documents\":\"many\"")] {
        assert!(text.contains(part), "{text}");
        let facts = read(&text.replace(part, other)).unwrap();
        assert!(facts.search_memory.indices.is_empty(), "{:?}", facts.search_memory);
        assert!(matches!(facts.postgres, Arrival::Here(_)));
    }
    assert_eq!(read(OLDER).unwrap().search_memory, SearchMemory::default());
}

#[test]
fn what_both_agents_of_the_first_version_answered_is_understood_whole() {
    for (text, node) in [(PRIMARY, "alpha"), (STANDBY, "beta")] {
        let facts =
            PeerFacts::read(text.as_bytes(), &Name::new("catalog"), &Name::new(node), at(1000.0), at(1000.5)).unwrap();
        let Arrival::Here(server) = &facts.postgres else { panic!("{node}: {:?}", facts.postgres) };
        let role = &server.reading.facts().unwrap().role;
        assert_eq!(matches!(role, PostgresRole::Primary(own) if own.walsenders.len() == 1), node == "alpha");
        assert_eq!(matches!(role, PostgresRole::Standby(own) if own.receiver.is_some()), node == "beta");
        assert!(matches!(&facts.config, Arrival::Here(copy) if copy.reading.facts().is_some()), "{:?}", facts.config);
        let Arrival::Here(engine) = &facts.search else { panic!("{node}: {:?}", facts.search) };
        assert_eq!(engine.reading.facts().unwrap().indices.len(), 1);
        let Arrival::Here(machine) = &facts.host else { panic!("{node}: {:?}", facts.host) };
        assert!(machine.reading.facts().unwrap().cpus.is_some());
        // The primary's agent sends the canaries.
        let canary = matches!(&facts.kvstore, Arrival::Here(canary) if canary.reading.facts().is_some());
        assert!(canary || node == "beta", "{:?}", facts.kvstore);
    }
}

#[test]
fn ages_that_are_none_spoil_the_reading() {
    for (asked, answered) in
        [("-1.0", "0.0"), ("-1e-9", "-1.0"), ("1e300", "0.1"), ("2.0", "1e300"), ("1.0", "1.5"), ("2.0", "-0.5")]
    {
        let text = sent(&own())
            .replace("\"asked_ago\":2.0", &format!("\"asked_ago\":{asked}"))
            .replace("\"answered_ago\":1.75", &format!("\"answered_ago\":{answered}"));
        assert!(text.contains(&format!("\"answered_ago\":{answered}")), "{text}");
        let facts = read(&text).unwrap();
        assert!(matches!(facts.postgres, Arrival::NotUnderstood(_)), "{asked} {answered}: {:?}", facts.postgres);
    }
    // What is no number in JSON at all spoils the answer.
    for age in ["NaN", "Infinity", "1e999", "\"1\"", "null"] {
        let text = sent(&own()).replace("\"asked_ago\":2.0", &format!("\"asked_ago\":{age}"));
        let told = read(&text).map(|facts| matches!(facts.postgres, Arrival::NotUnderstood(_)));
        assert!(!matches!(told, Ok(false)), "{age}");
    }
}

#[test]
fn what_may_read_an_answer_is_said_by_it_and_not_guessed() {
    let with =
        |head: &str| read(&sent(&own()).replace("\"protocol\":1,\"readable_by\":1", head)).map(|facts| facts.version);
    for readable in ["\"protocol\":1", "\"protocol\":1,\"readable_by\":null", "\"protocol\":999,\"readable_by\":1"] {
        assert!(with(readable).is_ok(), "{readable}: {:?}", with(readable));
    }
    for (newer, cure) in [
        ("\"protocol\":2", "update this one"),
        ("\"protocol\":2,\"readable_by\":2", "update this one"),
        ("\"protocol\":999", "update this one"),
        ("\"protocol\":1,\"readable_by\":4294967295", "update this one"),
        ("\"protocol\":0,\"readable_by\":0", "update it"),
        ("\"protocol\":0,\"readable_by\":1", "update it"),
        ("\"protocol\":-1", "check the URL"),
        ("\"protocol\":1,\"readable_by\":1.5", "check the URL"),
        ("\"protocol\":4294967296", "check the URL"),
    ] {
        let told = with(newer).expect_err(newer);
        assert!(told.contains(cure), "{newer}: {told}");
    }
}

#[test]
fn a_failure_of_any_length_is_cut() {
    let failure = Failure { kind: FailureKind::Protocol, message: "x".repeat(1 << 20) };
    let reading = Reading { asked: at(50.0), answered: at(50.1), result: Err(failure) };
    let own = OwnReadings { postgres: Latest::Have(Arc::new(reading)), ..own() };
    let Arrival::Here(arrived) = read(&sent(&own)).unwrap().postgres else { panic!("a failure") };
    assert!(arrived.reading.failure().is_some_and(|failure| failure.message.len() < 600));
}
