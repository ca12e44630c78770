//! The probe against two small stores that speak enough of Redis's protocol and misbehave on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::config::{NodeConfig, RedisNode, Rpo, Schedule};
use crate::names::FailureKind;
use crate::units::Bytes;

/// What the store does with commands.
#[derive(Clone, Debug, PartialEq)]
enum Mood {
    Fine,
    /// Answers every SET with this error.
    RefusesSet(&'static str),
    /// Answers every command with this error.
    RefusesAll(&'static str),
    /// Takes SETs and neither answers nor stores them until released.
    HoldsSet,
    /// Answers nothing any more.
    Silent,
    /// Acknowledges SETs and forgets them.
    Forgets,
    /// Does not speak the protocol.
    Garbage,
}

struct Inner {
    mood: Mood,
    values: HashMap<String, String>,
    held: Vec<(String, String)>,
    sets: usize,
    run_id: String,
}

struct FakeStore {
    address: String,
    inner: Arc<Mutex<Inner>>,
    _server: JoinSet<()>,
}

impl FakeStore {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inner =
            Inner { mood: Mood::Fine, values: HashMap::new(), held: Vec::new(), sets: 0, run_id: address.clone() };
        let inner = Arc::new(Mutex::new(inner));
        let mut server = JoinSet::new();
        let state = inner.clone();
        server.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                clients.spawn(serve(stream, state.clone()));
            }
        });
        Self { address, inner, _server: server }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// What was held lands now.
    fn release(&self) {
        let mut inner = self.lock();
        let held = std::mem::take(&mut inner.held);
        inner.values.extend(held);
    }

    fn node(&self) -> KvstoreNode {
        let address = self.address.clone();
        KvstoreNode::Redis(RedisNode { address, user: None, password: None, database: 0, tls: None })
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<Inner>>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = read_command(&mut stream).await {
        let answer = answer_to(&command, &mut state.lock().unwrap());
        let Some(answer) = answer else { continue };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = read_number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = read_number(stream, '$').await?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

async fn read_number(stream: &mut BufReader<TcpStream>, sign: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}

fn answer_to(command: &[String], inner: &mut Inner) -> Option<String> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match (inner.mood.clone(), words.as_slice()) {
        (Mood::Silent, _) => None,
        (Mood::Garbage, _) => Some("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()),
        (Mood::RefusesAll(error), _) => Some(format!("-{error}\r\n")),
        (Mood::RefusesSet(error), ["SET", ..]) => Some(format!("-{error}\r\n")),
        (Mood::HoldsSet, ["SET", key, value, ..]) => {
            inner.held.push(((*key).to_owned(), (*value).to_owned()));
            None
        }
        (Mood::Forgets, ["SET", ..]) => Some("+OK\r\n".to_owned()),
        (_, ["SET", key, value, "PX", millis]) => {
            let lives = if key.ends_with("/fast") {
                "60000"
            } else if key.ends_with("/medium") {
                "1800000"
            } else {
                "10800000"
            };
            assert_eq!(*millis, lives, "{key}");
            inner.sets += usize::from(key.ends_with("/fast"));
            inner.values.insert((*key).to_owned(), (*value).to_owned());
            Some("+OK\r\n".to_owned())
        }
        (_, ["GET", key]) => Some(match inner.values.get(*key) {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".to_owned(),
        }),
        (_, ["INFO"]) => {
            let told = "uptime_in_seconds:900\r\nmaxmemory_policy:noeviction\r\nevicted_keys:0\r\n";
            let told = format!("run_id:{}\r\n{told}", inner.run_id);
            Some(format!("${}\r\n{told}\r\n", told.len()))
        }
        (_, ["PING"]) => Some("+PONG\r\n".to_owned()),
        (_, other) => panic!("the probe sent {other:?}"),
    }
}

struct Lab {
    alpha: FakeStore,
    beta: FakeStore,
    probe: KvstoreProbe,
    roles: Roles,
}

const TIMEOUT: Duration = Duration::from_millis(400);

impl Lab {
    async fn start() -> Self {
        let (alpha, beta) = (FakeStore::start().await, FakeStore::start().await);
        let schedule = Schedule::new(Duration::from_secs(5), TIMEOUT);
        let channel = KvstoreChannel::path(schedule);
        let probe = KvstoreProbe::new(&pair(&channel, alpha.node(), beta.node()), &channel);
        let roles = Roles {
            primary: Some(Name::new("alpha")),
            standbys: vec![Name::new("beta")],
            proven_at: None,
            contradicted: false,
            unknown_because: None,
        };
        Self { alpha, beta, probe, roles }
    }

    /// One cycle, which must keep its deadline.
    async fn cycle(&mut self) -> KvstoreFacts {
        let reading = tokio::time::timeout(TIMEOUT, self.probe.run(&self.roles)).await.expect("within its deadline");
        assert!(reading.answered >= reading.asked);
        reading.result.unwrap()
    }
}

fn pair(channel: &KvstoreChannel, alpha: KvstoreNode, beta: KvstoreNode) -> PairConfig {
    let node = |name: &str, store| NodeConfig {
        name: Name::new(name),
        agent: None,
        postgres: None,
        kvstore: Some(store),
        search: None,
        config: None,
    };
    PairConfig {
        name: Name::new("shop"),
        nodes: vec![node("alpha", alpha), node("beta", beta)],
        postgres: None,
        config: None,
        kvstore: Some(channel.clone()),
        search: None,
        rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
        role_from: None,
        seat: None,
    }
}

fn kind(answer: &StoreAnswer) -> Option<FailureKind> {
    answer.failure.as_ref().map(|failure| failure.kind)
}

#[tokio::test]
async fn ok_when_both_take_and_keep_it() {
    let mut lab = Lab::start().await;
    let mut before = 0;
    for _ in 0..3 {
        let facts = lab.cycle().await;
        assert_eq!((facts.outcome, facts.proof), (Outcome::Ok, Proof::Path));
        assert!(facts.sequence > before, "lanes count together");
        before = facts.sequence;
        assert_eq!(facts.standby.0.as_str(), "beta");
        assert!(facts.round_trip.unwrap() >= facts.write.unwrap());
        let whole = StoreAnswer { acknowledged: Some(true), holds: Some(true), failure: None };
        assert_eq!((facts.standby.1, facts.primary.1), (whole.clone(), whole));
    }
    let keys: Vec<String> = lab.alpha.lock().values.keys().cloned().collect();
    assert_eq!(keys.len(), 3, "one key of its own for each lane: {keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("standbywatch/shop/")), "{keys:?}");
}

#[tokio::test]
async fn blocked_when_the_standby_is_silent_and_the_primary_is_still_looked_at() {
    let mut lab = Lab::start().await;
    assert_eq!(lab.cycle().await.outcome, Outcome::Ok);
    lab.beta.mood(Mood::Silent);
    for _ in 0..2 {
        let facts = lab.cycle().await;
        assert_eq!(facts.outcome, Outcome::Blocked);
        assert_eq!((facts.standby.1.holds, kind(&facts.standby.1)), (None, Some(FailureKind::Timeout)));
        let primary = &facts.primary.1;
        assert_eq!((primary.acknowledged, primary.holds), (None, Some(false)), "standby first: not written");
        assert_eq!(facts.round_trip, None);
    }
    assert_eq!(lab.alpha.lock().sets, 1);
    lab.beta.mood(Mood::Fine);
    assert_eq!(lab.cycle().await.outcome, Outcome::Ok, "comes back by itself");
}

#[tokio::test]
async fn blocked_when_the_primary_is_silent() {
    let mut lab = Lab::start().await;
    lab.alpha.mood(Mood::Silent);
    let facts = lab.cycle().await;
    assert_eq!(facts.outcome, Outcome::Blocked);
    assert_eq!(facts.standby.1.holds, Some(true));
    assert_eq!((facts.primary.1.acknowledged, kind(&facts.primary.1)), (None, Some(FailureKind::Timeout)));
}

#[tokio::test]
async fn a_refused_connection_is_rejected_and_nothing_was_sent() {
    let mut lab = Lab::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let node = KvstoreNode::Redis(RedisNode { address: closed, user: None, password: None, database: 0, tls: None });
    lab.probe.stores[1].1 = Store::new(&Name::new("beta"), &node);
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.standby.1.acknowledged), (Outcome::Rejected, None));
    assert_eq!(kind(&facts.standby.1), Some(FailureKind::Refused));
}

#[tokio::test]
async fn answered_errors_have_their_kinds() {
    let cases = [
        ("OOM command not allowed when used memory > 'maxmemory'.", FailureKind::Refused),
        ("READONLY You can't write against a read only replica.", FailureKind::Refused),
        ("NOPERM this user has no permissions to run the 'set' command", FailureKind::Permission),
        ("NOAUTH Authentication required.", FailureKind::Authentication),
        ("LOADING Redis is loading the dataset in memory", FailureKind::StartingUp),
        ("ERR something else", FailureKind::Refused),
        ("MISCONF Redis is configured to save RDB snapshots", FailureKind::Refused),
    ];
    for (error, expected) in cases {
        let mut lab = Lab::start().await;
        lab.beta.mood(Mood::RefusesSet(error));
        let facts = lab.cycle().await;
        assert_eq!(facts.outcome, Outcome::Rejected, "{error}");
        assert_eq!((facts.standby.1.acknowledged, kind(&facts.standby.1)), (Some(false), Some(expected)), "{error}");
        assert_eq!(facts.standby.1.holds, Some(false), "the store can be read: {error}");
        lab.beta.mood(Mood::RefusesAll(error));
        let facts = lab.cycle().await;
        assert_eq!((facts.outcome, kind(&facts.standby.1)), (Outcome::Rejected, Some(expected)), "{error}");
        lab.beta.mood(Mood::Fine);
        assert_eq!(lab.cycle().await.outcome, Outcome::Ok);
    }
}

#[tokio::test]
async fn something_else_on_that_port_is_protocol() {
    let mut lab = Lab::start().await;
    lab.beta.mood(Mood::Garbage);
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, kind(&facts.standby.1)), (Outcome::Rejected, Some(FailureKind::Protocol)));
}

#[tokio::test]
async fn a_primary_that_refuses_leaves_the_standby_alone_with_it() {
    let mut lab = Lab::start().await;
    lab.alpha.mood(Mood::RefusesSet("OOM no"));
    let facts = lab.cycle().await;
    assert_eq!(facts.outcome, Outcome::StandbyOnly, "a failover would reveal a write that was refused");
}

#[tokio::test]
async fn an_acknowledged_write_that_is_gone_is_told_by_side() {
    for (forgetful, expected) in [("beta", Outcome::PrimaryOnly), ("alpha", Outcome::PrimaryStale)] {
        let mut lab = Lab::start().await;
        let store = if forgetful == "beta" { &lab.beta } else { &lab.alpha };
        store.mood(Mood::Forgets);
        assert_eq!(lab.cycle().await.outcome, expected);
    }
    let mut lab = Lab::start().await;
    lab.alpha.mood(Mood::Forgets);
    lab.beta.mood(Mood::Forgets);
    assert_eq!(lab.cycle().await.outcome, Outcome::Lost);
}

#[tokio::test]
async fn a_timed_out_write_that_lands_later_is_resolved_without_an_alarm() {
    let mut lab = Lab::start().await;
    assert_eq!(lab.cycle().await.outcome, Outcome::Ok);
    lab.beta.mood(Mood::HoldsSet);
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.indeterminate_resolved), (Outcome::Blocked, None));
    lab.beta.mood(Mood::Fine);
    lab.beta.release();
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.indeterminate_resolved), (Outcome::Ok, Some(Outcome::StandbyOnly)));
    assert_eq!(lab.cycle().await.indeterminate_resolved, None, "told once");
}

#[tokio::test]
async fn a_timed_out_write_that_never_lands_is_given_up() {
    let mut lab = Lab::start().await;
    lab.beta.mood(Mood::HoldsSet);
    assert_eq!(lab.cycle().await.outcome, Outcome::Blocked);
    lab.beta.mood(Mood::Fine);
    let mut resolved = Vec::new();
    for _ in 0..4 {
        let facts = lab.cycle().await;
        assert_eq!(facts.outcome, Outcome::Ok);
        resolved.extend(facts.indeterminate_resolved);
    }
    assert_eq!(resolved, [Outcome::Blocked]);
}

#[tokio::test]
async fn an_old_write_that_lands_over_a_new_one_is_no_alarm() {
    let mut lab = Lab::start().await;
    lab.beta.mood(Mood::HoldsSet);
    assert_eq!(lab.cycle().await.outcome, Outcome::Blocked);
    let late = lab.beta.lock().held.pop().unwrap();
    let old = Mark::read(late.1.as_bytes()).unwrap();
    // Acknowledges the new write, but what is read afterwards is the old one, which has just come in.
    lab.beta.mood(Mood::Forgets);
    let reads_old = lab.probe.indeterminate.seen(&Name::new("alpha"), Some(old));
    assert!(!reads_old, "it was never sent to the primary");
    lab.beta.lock().values.insert(late.0.clone(), "not yet".to_owned());
    let probe = &mut lab.probe;
    let (roles, beta) = (&lab.roles, &lab.beta);
    let alpha_takes_it = async {
        while lab.alpha.lock().sets == 0 {
            tokio::task::yield_now().await;
        }
        beta.lock().values.insert(late.0, late.1);
        beta.mood(Mood::Fine);
    };
    let (reading, ()) = tokio::join!(probe.run(roles), alpha_takes_it);
    let facts = reading.result.unwrap();
    assert_eq!(facts.outcome, Outcome::Ok, "tried again at once");
    assert_eq!(facts.indeterminate_resolved, Some(Outcome::StandbyOnly));
}

#[tokio::test]
async fn with_unknown_roles_nothing_is_written() {
    let mut lab = Lab::start().await;
    lab.roles.contradicted = true;
    let facts = lab.cycle().await;
    assert_eq!(facts.outcome, Outcome::Unknown);
    assert_eq!((lab.alpha.lock().sets, lab.beta.lock().sets), (0, 0));
    lab.beta.mood(Mood::Silent);
    let facts = lab.cycle().await;
    assert_eq!((facts.standby.0.as_str(), kind(&facts.standby.1)), ("beta", Some(FailureKind::Timeout)));
    assert_eq!(facts.primary.1.failure, None);
}

#[tokio::test]
async fn after_a_promotion_the_other_store_comes_first() {
    let mut lab = Lab::start().await;
    lab.roles.primary = Some(Name::new("beta"));
    lab.roles.standbys = vec![Name::new("alpha")];
    lab.alpha.mood(Mood::RefusesSet("OOM no"));
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.standby.0.as_str()), (Outcome::Rejected, "alpha"));
    assert_eq!(lab.beta.lock().sets, 0);
}

#[tokio::test]
async fn a_store_that_was_restarted_between_two_cycles_costs_no_canary() {
    let mut lab = Lab::start().await;
    assert_eq!(lab.cycle().await.outcome, Outcome::Ok);
    // A new server on another port, the old one's connections closed.
    let fresh = FakeStore::start().await;
    let old = std::mem::replace(&mut lab.beta, fresh);
    let store = lab.probe.stores[1].1.redis();
    let KvstoreNode::Redis(settings) = lab.beta.node() else { panic!("a redis") };
    drop(old);
    store.moved_to(settings).await;
    assert_eq!(lab.cycle().await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn one_server_behind_two_names_proves_nothing() {
    let mut lab = Lab::start().await;
    // Both hold what is written to them, and each looks like the other: as where both addresses lead to one server.
    lab.beta.lock().run_id = lab.alpha.lock().run_id.clone();
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.round_trip, facts.more.same_server), (Outcome::Unknown, None, true));
    lab.beta.lock().run_id = "its own".to_owned();
    let facts = lab.cycle().await;
    assert_eq!((facts.outcome, facts.more.same_server), (Outcome::Ok, false));
}
