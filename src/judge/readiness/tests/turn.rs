//! The steps as a person reads them, from the first to the last.

use super::*;

const ALL: &str = "pairs:
  - name: catalog
    nodes:
      alpha:
        postgres: { host: 10.0.0.1, user: probe, replica: { slot: of_alpha } }
        kvstore: { redis: { address: '10.0.0.1:6379' } }
        config: { root: /opt/app/conf, wrapper: true }
      beta:
        postgres: { host: 10.0.0.2, user: probe, replica: { slot: beta } }
        kvstore: { redis: { address: '10.0.0.2:6379' } }
        config: { root: /opt/app/conf, wrapper: true }
";

/// The steps for the standby of this configuration, which waits for these synchronous standbys once it is promoted.
fn steps(config: &str, synchronous: &str) -> Vec<String> {
    let mut course = Course::of(config);
    for second in 0..=60 {
        let mut beta = standby(second, END, END, true);
        beta.settings.synchronous_standby_names = Some(synchronous.to_owned());
        course.read(second, Ok(primary(second, END, END)), Ok(beta));
    }
    course.told.steps
}

/// Where the first step with this text stands.
fn place_of(steps: &[String], text: &str) -> usize {
    steps.iter().position(|step| step.contains(text)).unwrap_or_else(|| panic!("no step says {text:?}: {steps:#?}"))
}

fn stand_in_order(steps: &[String], texts: &[&str]) {
    let places: Vec<usize> = texts.iter().map(|text| place_of(steps, text)).collect();
    assert!(places.is_sorted(), "{texts:?} stand at {places:?} of {steps:#?}");
}

#[test]
fn every_channel_is_turned_round_in_an_order_in_which_nothing_is_undone() {
    let config = ALL.replace("config: { root: /opt/app/conf, wrapper: true }", "config: { root: /opt/app/conf }")
        + "    config: { period: 1m, wrapper: true }\n";
    let steps = steps(&config, "");
    let order = [
        "fence it first",
        "stop the job that copies the configuration to beta, or it will bring back the files of alpha",
        "promote beta (10.0.0.2:5432), as a superuser there: SELECT pg_promote();",
        "on beta, so that it keeps the WAL by which alpha rejoins: SELECT pg_create_physical_replication_slot('of_alpha', true);",
        "let the application write to the key-value store of beta alone",
        "then lead the application to it",
        "rejoin it with pg_rewind",
        "once alpha is the standby: let its job copy the configuration from beta to alpha; copy the key-value store of beta \
         to alpha and write to alpha first again",
    ];
    stand_in_order(&steps, &order);
    assert_eq!(steps.len(), order.len(), "{steps:#?}");
}

#[test]
fn only_what_the_pair_has_is_turned_round() {
    let plain = steps(&CONFIG.replace(", replica: { slot: beta }", ""), "");
    // The standby itself says that it streams from a slot, and alpha's is named like alpha.
    stand_in_order(&plain, &["promote beta", "pg_create_physical_replication_slot('alpha', true)", "pg_rewind"]);
    for absent in ["configuration", "key-value", "synchronous"] {
        assert!(plain.iter().all(|step| !step.contains(absent)), "{absent}: {plain:#?}");
    }
}

#[test]
fn commits_that_would_hang_after_the_promotion_are_foretold() {
    let told = steps(CONFIG, "FIRST 1 (alpha)");
    stand_in_order(
        &told,
        &["promote beta", "every commit hangs until there is one", "then lead the application to it"],
    );
    place_of(&told, "synchronous_standby_names is \"FIRST 1 (alpha)\"");
}

#[test]
fn a_store_that_replicates_by_itself_is_made_the_primary_one() {
    let config = ALL.replace("        config: { root: /opt/app/conf, wrapper: true }\n", "")
        + "    kvstore: { order: primary-first }\n";
    let told = steps(&config, "");
    stand_in_order(&told, &["promote beta", "make the key-value store of beta the primary one (REPLICAOF NO ONE)"]);
    place_of(&told, "once alpha is the standby: let the key-value store of alpha follow that of beta");
}

#[test]
fn further_standbys_are_led_over() {
    let third = "      gamma: { postgres: { host: 10.0.0.3, user: probe, replica: { slot: gamma } } }\n";
    let mut course = Course::of(&format!("{CONFIG}{third}"));
    for second in 0..=60 {
        let gamma = facts(standby(second, END - KIB, END - KIB, true).role, "c");
        let answers = [
            ("alpha", Ok(primary(second, END, END))),
            ("beta", Ok(standby(second, END, END, true))),
            ("gamma", Ok(gamma)),
        ];
        course.read_all(second, answers);
    }
    stand_in_order(&course.told.steps, &["promote beta", "lead gamma to beta (primary_conninfo", "pg_rewind"]);
}
