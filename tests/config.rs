//! The configuration from outside: right ones, one fixture per mistake with its exact message, and the printed documents.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standbywatch::cli::check_config::{CheckConfigArgs, report, summary};
use standbywatch::config::{
    self, Config, Environment, KvstoreNode, OnResolve, Problems, ReplicaMatch, Replication, RoleFrom, SecretSource,
};
use standbywatch::names::{Channel, Proof};
use standbywatch::secret::Secret;
use standbywatch::units::Bytes;

/// In every fixture this is the secret.
const SECRET: &str = "hunter2";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn files(folder: &Path, extension: &str) -> BTreeSet<String> {
    let entries =
        std::fs::read_dir(folder).expect("the folder of fixtures").map(|entry| entry.expect("an entry").path());
    let named = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    named.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

fn environment() -> Environment {
    let variables = [("PROBE_PASSWORD", SECRET), ("CREDENTIALS_DIRECTORY", "/run/credentials/standbywatch.service")];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn right(name: &str) -> Config {
    let path = folder("right").join(format!("{name}.yml"));
    config::load(&path, &environment()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The messages with the file's own name in front, so that they do not depend on where the repository lies.
fn messages(path: &Path) -> String {
    let problems: Problems = config::load(path, &Environment::default()).expect_err("a mistake in each fixture");
    let source_name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
    format!("{}\n", Problems { source_name, ..problems })
}

#[test]
fn each_mistake_is_told_by_its_exact_message() {
    let folder = folder("wrong");
    let fixtures = files(&folder, "yml");
    assert!(fixtures.len() > 40, "fixtures are missing: {fixtures:?}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        for name in &fixtures {
            std::fs::write(folder.join(format!("{name}.expected")), messages(&folder.join(format!("{name}.yml"))))
                .unwrap();
        }
    }
    assert_eq!(fixtures, files(&folder, "expected"), "each mistake has one file with its message");
    for name in fixtures {
        let told = messages(&folder.join(format!("{name}.yml")));
        let expected = std::fs::read_to_string(folder.join(format!("{name}.expected"))).unwrap();
        assert_eq!(told, expected, "{name}");
        for line in told.lines() {
            assert!(line.starts_with(&format!("{name}.yml:")) && line.contains("; "), "no place or no cure: {line}");
        }
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_cure() {
    let path = Path::new("/nonexistent/standbywatch.yml");
    let told = config::load(path, &Environment::default()).unwrap_err().to_string();
    assert_eq!(
        told,
        "/nonexistent/standbywatch.yml: cannot be read: No such file or directory (os error 2); name the file with \
         --config.file, or look without one: standbywatch status --primary URL --standby URL"
    );
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let config = right("smallest");
    let pair = &config.pairs[0];
    assert_eq!(pair.channels().collect::<Vec<_>>(), [Channel::Postgres]);
    let postgres = pair.postgres.as_ref().unwrap();
    let seconds = Duration::from_secs;
    assert_eq!((postgres.schedule.interval, postgres.schedule.timeout), (seconds(1), seconds(3)));
    assert_eq!(postgres.schedule.stale_after, seconds(6));
    assert_eq!((postgres.lag_large, postgres.low_load), (Bytes::mib(64), Bytes::mib(1)));
    assert_eq!((postgres.trend_window, postgres.stall_after), (seconds(300), seconds(15)));
    assert_eq!((postgres.stuck_after, postgres.reconnect_every), (seconds(600), seconds(600)));
    assert_eq!((pair.rpo.bytes, pair.rpo.age), (Bytes::mib(16), seconds(10)));
    let server = pair.nodes[0].postgres.as_ref().unwrap();
    assert_eq!((server.host.as_str(), server.port, server.database.as_str()), ("10.0.0.1", 5432, "postgres"));
    assert_eq!(server.password, Some(SecretSource::File("/etc/standbywatch/pg".into())));
    assert!(config.alerting.is_none() && config.rules.is_empty() && config.warnings.is_empty());
}

#[test]
fn kinds_of_standbys_are_read() {
    let config = right("kinds-of-standbys");
    let pair = &config.pairs[0];
    let postgres = pair.postgres.as_ref().unwrap();
    assert_eq!((postgres.replication, postgres.archive_period), (Replication::Archive, Duration::from_secs(600)));
    let servers: Vec<_> = pair.nodes.iter().map(|node| node.postgres.as_ref().unwrap()).collect();
    let delays: Vec<_> = servers.iter().map(|server| server.apply_delay).collect();
    assert_eq!(delays, [None, Some(Duration::from_secs(3600)), None]);
    assert_eq!(servers[1].replica, None, "a delay may stand alone");
    assert_eq!(servers[2].replica, Some(ReplicaMatch::Slot("gamma".to_owned())));
    let smallest = right("smallest");
    let postgres = smallest.pairs[0].postgres.as_ref().unwrap();
    assert_eq!((postgres.replication, postgres.archive_period), (Replication::Streaming, Duration::from_secs(300)));
}

#[test]
fn all_channels_are_read() {
    let config = right("all-channels");
    let pair = &config.pairs[0];
    assert_eq!(pair.channels().collect::<Vec<_>>(), Channel::ALL);
    for channel in [Channel::Config, Channel::Kvstore, Channel::Search] {
        let schedule = pair.schedule(channel).unwrap();
        assert_eq!(schedule.interval, Duration::from_secs(5), "{channel}");
        assert_eq!(schedule.stale_after, Duration::from_secs(18), "{channel}");
    }
    assert!(pair.config.as_ref().unwrap().wrapper);
    assert_eq!(pair.search.as_ref().unwrap().indices, ["catalog"]);
    assert_eq!(pair.kvstore.as_ref().unwrap().prefix, "standbywatch");
    let alerting = config.alerting.as_ref().unwrap();
    assert_eq!(alerting.alertmanagers, ["http://10.0.0.9:9093"]);
    assert_eq!(alerting.external_labels["site"], "fra1");
}

#[test]
fn every_kind_of_store_says_what_it_can_prove() {
    let config = right("stores");
    let proofs = |at: usize| {
        let pair: &standbywatch::config::PairConfig = &config.pairs[at];
        let stores: Vec<&KvstoreNode> = pair.nodes.iter().filter_map(|node| node.kvstore.as_ref()).collect();
        pair.kvstore.as_ref().unwrap().proofs(&stores)
    };
    assert_eq!(proofs(0), [Proof::RoundTrip, Proof::Observed]);
    assert_eq!(proofs(1), [Proof::RoundTrip]);
    assert_eq!(proofs(2), [Proof::Observed]);
    assert_eq!(proofs(3), [Proof::Reachability]);
    let native = config.pairs[0].kvstore.as_ref().unwrap();
    assert_eq!(native.order, standbywatch::config::WriteOrder::PrimaryFirst, "nothing else can be written");
    let Some(KvstoreNode::Http(store)) = &config.pairs[2].nodes[0].kvstore else { panic!("http") };
    assert!(store.base64 && store.get.expect == [200, 201, 204] && store.get.missing == [404], "{store:?}");
    assert!(!format!("{config:?}").contains(SECRET), "a header is a secret");
    let Some(KvstoreNode::Exec(store)) = &config.pairs[1].nodes[0].kvstore else { panic!("exec") };
    assert_eq!(store.put, ["/usr/bin/client", "put", "put"], "a word may stand twice");
}

#[test]
fn anchors_and_merge_keys_share_what_nodes_have_in_common() {
    let config = right("shared-parts");
    let servers: Vec<_> = config.pairs[0].nodes.iter().map(|node| node.postgres.clone().unwrap()).collect();
    assert_eq!((servers[0].host.as_str(), servers[1].host.as_str()), ("10.0.0.1", "10.0.0.2"));
    for server in servers {
        assert_eq!((server.user.as_str(), server.database.as_str()), ("probe", "app"));
        assert_eq!(server.password, Some(SecretSource::Inline(Secret::new(SECRET))));
    }
    let rule = config.rules["StandbyPostgresLagHigh"];
    assert_eq!((rule.hold, rule.threshold), (Some(Duration::from_secs(300)), Some(Bytes::mib(256).as_f64())));
    assert_eq!(config.rules["StandbyConfigSyncStale"].enabled, Some(false));
}

#[test]
fn a_vendors_page_stands_for_servers_that_are_not_named() {
    let config = right("status-page");
    let [catalog, orders, stock] = config.pairs.as_slice() else { panic!("three pairs") };
    let (channel, page) = catalog.status_page().unwrap();
    assert_eq!(page.url.expose(), "https://vendor.example/monitor/replication?pair=catalog&token=hunter2");
    assert_eq!(page.shown, "https://vendor.example/monitor/replication");
    assert_eq!((page.user.as_deref(), channel.schedule.interval), (Some("me"), Duration::from_secs(10)));
    assert!(catalog.has(Channel::Postgres) && catalog.role_from.is_none());
    assert_eq!(catalog.secrets().count(), 1);
    assert!(orders.status_page().is_none(), "the servers' own word is worth more");
    let ignored = "line 16: status_url has no effect, since the nodes' own servers are asked";
    assert!(config.warnings.iter().any(|warning| warning == ignored), "{:?}", config.warnings);
    assert_eq!(stock.postgres.as_ref().unwrap().pulse, Some(Duration::from_secs(5)));
    let told = summary(&config);
    assert!(told.contains("by the vendor's page https://vendor.example/monitor/replication: believed"), "{told}");
    assert!(told.contains("a pulse every 5s"), "{told}");
}

#[test]
fn alerts_go_to_every_alertmanager_by_one_way_in() {
    let config = right("alerting");
    let alerting = config.alerting.as_ref().unwrap();
    assert_eq!(alerting.alertmanagers, ["https://10.0.0.9:9093/am", "http://10.0.0.10:9093"]);
    assert_eq!(alerting.on_resolve, OnResolve::Send);
    let heartbeat = alerting.heartbeat.as_ref().unwrap();
    assert_eq!(heartbeat.url.expose(), "https://hc.example/ping/hunter2?from=here");
    assert_eq!(alerting.access.user.as_deref(), Some("agent"));
    let told = summary(&config);
    assert!(told.contains("https://hc.example is called each minute") && !told.contains(SECRET), "{told}");
    let defaults = right("all-channels").alerting.unwrap();
    assert_eq!((defaults.on_resolve, defaults.heartbeat), (OnResolve::Expire, None));
}

#[test]
fn roles_come_from_a_file_or_are_fixed_where_there_is_no_postgres() {
    let config = right("without-postgres");
    assert_eq!(config.pairs[0].role_from, Some(RoleFrom::File("/run/app/primary".into())));
    assert!(matches!(&config.pairs[2].role_from, Some(RoleFrom::Fixed(name)) if name.as_str() == "left"));
    let words = ["/usr/bin/app-role", "--of", "app", "app"].map(str::to_owned).to_vec();
    assert_eq!(config.pairs[1].role_from, Some(RoleFrom::Exec(words)), "the words of a command may be repeated");
    let trees = config.pairs[1].config.as_ref().unwrap();
    assert_eq!(
        (trees.include.len(), trees.exclude.len(), trees.max_files, trees.max_size),
        (1, 2, 5000, Bytes::mib(64))
    );
    let passwords = config.pairs[0].nodes.iter().map(|node| {
        let Some(KvstoreNode::Redis(store)) = &node.kvstore else { panic!("no store") };
        store.password.clone().unwrap()
    });
    let expected = [
        SecretSource::File("/run/credentials/standbywatch.service/redis".into()),
        // A password of digits keeps its leading zero.
        SecretSource::Inline(Secret::new("0123")),
    ];
    assert_eq!(passwords.collect::<Vec<_>>(), expected);
    assert_eq!(config.pairs[2].nodes[0].search.as_ref().unwrap().url, "https://left.example/es");
}

#[test]
fn two_urls_make_a_pair_named_by_hosts_and_ports() {
    let environment: Environment = [("PGPASSWORD".to_owned(), SECRET.to_owned())].into_iter().collect();
    let primary = format!("postgres://probe:{SECRET}@10.0.0.1:6432/app");
    let config = config::from_urls(&primary, "postgres://10.0.0.2", &environment).unwrap();
    let pair = &config.pairs[0];
    assert_eq!(pair.name.as_str(), "pair");
    let names: Vec<&str> = pair.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["10.0.0.1:6432", "10.0.0.2:5432"]);
    assert!(pair.nodes.iter().all(|node| node.secrets().all(|source| source.read().unwrap().expose() == SECRET)));
    assert_eq!(pair.nodes.iter().flat_map(|node| node.secrets()).count(), 2);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("list of processes"));
    let plain = config::from_urls("postgres://10.0.0.1", "postgres://10.0.0.2", &Environment::default()).unwrap();
    assert_eq!(plain.pairs[0].nodes.iter().flat_map(|node| node.secrets()).count(), 0, ".pgpass is left to look at");
    assert_eq!(plain.pairs[0].postgres, right("smallest").pairs[0].postgres);
}

#[test]
fn wrong_urls_are_told_together_without_their_passwords() {
    let first = format!("mysql://probe:{SECRET}@10.0.0.1");
    let second = format!("postgres://probe:{SECRET}@10.0.0.2:99999");
    let told = config::from_urls(&first, &second, &Environment::default()).unwrap_err().to_string();
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("--primary: ") && told.contains("--standby: ") && !told.contains(SECRET), "{told}");
    let told =
        config::from_urls("postgres://h", "postgres://h:5432/x", &Environment::default()).unwrap_err().to_string();
    assert!(told.contains("both name h:5432"), "{told}");
}

#[test]
fn check_config_says_what_would_be_watched_and_no_secret() {
    for name in files(&folder("right"), "yml") {
        let config_file = folder("right").join(format!("{name}.yml"));
        let args = CheckConfigArgs { config_file: config_file.clone(), print: None };
        let told = report(&args, &environment()).unwrap();
        assert!(told.contains(": ok\npair "), "{told}");
        let redacted = serde_json::to_string(&right(&name)).unwrap();
        let debug = format!("{:?}", right(&name));
        for text in [told, redacted, debug] {
            assert!(!text.contains(SECRET) && !text.contains("0123"), "{text}");
        }
    }
    let told = summary(&right("all-channels"));
    assert!(told.contains("channel search: every 5s, timeout 3s, stale after 18s"), "{told}");
}

/// One wrong stroke on the keyboard, anywhere in a file with secrets, shows none of them.
#[test]
fn no_typing_mistake_shows_a_secret() {
    let text = format!(
        "pairs:\n- name: p\n  nodes:\n    a: {{ postgres: {{ host: h, password: {SECRET} }} }}\n    b:\n      postgres:\n        \
         url: postgres://me:{SECRET}@k/db?sslmode=require\n"
    );
    let parsed = |text: &str| config::parse(text, "f", &Environment::default());
    assert!(parsed(&text).is_ok());
    let starts: Vec<usize> = text.match_indices(SECRET).map(|(start, _)| start).collect();
    for at in 0..text.len() {
        // Without the colon in front of it, the URL's password is a part of the user's name.
        let is_secret = |start: &usize| (*start..start + SECRET.len()).contains(&at);
        if starts.iter().any(is_secret) || at + 1 == starts[1] {
            continue;
        }
        for stroke in ["", " ", ",", ":", "\n", "\"", "{", "}", "#", "x", "/", "@", "\t", "- ", "&", "*", "!"] {
            for kept in [at, at + 1] {
                let mistyped = format!("{}{stroke}{}", &text[..at], &text[kept..]);
                let told = match parsed(&mistyped) {
                    Ok(config) => format!("{config:?} {}", summary(&config)),
                    Err(problems) => format!("{problems} {problems:?}"),
                };
                assert!(!told.contains(SECRET), "{mistyped}\n{told}");
            }
        }
    }
}

#[test]
fn looks_that_are_too_seldom_for_the_acceptable_loss_are_said() {
    let warned = |interval: &str, age: &str| {
        let text = format!(
            "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ postgres: {{ host: 10.0.0.1, user: probe }} }}\n      \
             beta: {{ postgres: {{ host: 10.0.0.2, user: probe }} }}\n    postgres: {{ interval: {interval} }}\n    \
             rpo: {{ age: {age} }}\n"
        );
        config::parse(&text, "test", &Environment::default()).unwrap().warnings
    };
    assert_eq!(warned("1s", "10s"), Vec::<String>::new());
    assert_eq!(warned("4s", "10s"), Vec::<String>::new());
    let said = |interval: &str, age: &str, when: &str| {
        vec![format!(
            "rpo: {age} of transactions may be lost, and the servers are asked every {interval}: what was written since is seen by \
             nobody, so `failover` does not answer ready {when}; make postgres.interval less than half of rpo.age"
        )]
    };
    assert_eq!(warned("5s", "10s"), said("5s", "10s", "while the primary writes"));
    assert_eq!(warned("10s", "10s"), said("10s", "10s", "while the primary writes"));
    assert_eq!(warned("30s", "10s"), said("30s", "10s", "at any time"));
}

#[test]
fn printed_example_passes_the_check_and_is_the_shipped_one() {
    let config = config::parse(&config::example(), "example", &Environment::default()).unwrap();
    assert_eq!(config.pairs[0].channels().collect::<Vec<_>>(), Channel::ALL);
    assert_eq!(config.warnings, Vec::<String>::new());
    unchanged("deploy/standbywatch.example.yml", &config::example());
}

#[test]
fn printed_reference_is_the_one_in_the_documents() {
    unchanged("docs/configuration.md", &config::reference());
}

fn unchanged(file: &str, printed: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_PRINTED").is_some() {
        std::fs::write(&path, printed).expect("the repository can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == printed, "{file} is not what is printed; write it anew: make docs");
}
