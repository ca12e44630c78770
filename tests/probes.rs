//! The probes of the key-value store, the search engine and the configuration against real servers.

use std::time::Duration;

use standbywatch::config::{
    ConfigChannel, ConfigNode, KvstoreChannel, KvstoreNode, NodeConfig, PairConfig, RedisNode, Rpo, Schedule,
    SearchChannel, SearchNode, SecretSource,
};
use standbywatch::evidence::Roles;
use standbywatch::facts::{ConfigFacts, IndexFacts, KvstoreFacts};
use standbywatch::names::{FailureKind, Name, Outcome, SearchHealth};
use standbywatch::probe::config_sync::ConfigProbe;
use standbywatch::probe::kvstore::KvstoreProbe;
use standbywatch::probe::search::SearchProbe;
use standbywatch::secret::Secret;
use standbywatch::units::Bytes;
use standbywatch_lab::{Cable, Lab, Mode, Need, Persistence, RedisPair, Result, SharedSearch, SyncLoop, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn schedule() -> Schedule {
    Schedule::new(Duration::from_secs(5), Duration::from_secs(1))
}

fn roles() -> Roles {
    Roles { primary: Some(Name::new("alpha")), standbys: vec![Name::new("beta")], ..Roles::default() }
}

/// A probe of both stores; the standby's asks for this user.
fn kvstore_probe(stores: &RedisPair, user: Option<(&str, &str)>) -> KvstoreProbe {
    let channel = KvstoreChannel::path(schedule());
    let node = |name: &str, address: std::net::SocketAddr, user: Option<(&str, &str)>| NodeConfig {
        name: Name::new(name),
        agent: None,
        postgres: None,
        kvstore: Some(KvstoreNode::Redis(RedisNode {
            address: address.to_string(),
            user: user.map(|(user, _)| user.to_owned()),
            password: user.map(|(_, password)| SecretSource::Inline(Secret::new(password))),
            database: 0,
            tls: None,
        })),
        search: None,
        config: None,
    };
    let pair = PairConfig {
        name: Name::new("shop"),
        nodes: vec![node("alpha", stores.primary_address(), None), node("beta", stores.standby_address(), user)],
        postgres: None,
        config: None,
        kvstore: Some(channel.clone()),
        search: None,
        rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
        role_from: None,
        seat: None,
    };
    KvstoreProbe::new(&pair, &channel)
}

async fn canary(probe: &mut KvstoreProbe) -> Result<KvstoreFacts> {
    Ok(tokio::time::timeout(schedule().timeout, probe.run(&roles())).await?.result?)
}

fn failure_of_standby(facts: &KvstoreFacts) -> Option<FailureKind> {
    facts.standby.1.failure.as_ref().map(|failure| failure.kind)
}

#[tokio::test]
async fn canaries_through_a_cable_that_is_cut_and_mended() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else {
        return Ok(());
    };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let mut probe = kvstore_probe(&stores, None);
    assert_eq!(canary(&mut probe).await?.outcome, Outcome::Ok);
    let keys: Vec<String> = stores.standby.command(&["KEYS", "*"]).await?;
    assert!(keys.len() == 3 && keys.iter().all(|key| key.starts_with("standbywatch/shop/")), "{keys:?}");
    for key in &keys {
        let left: i64 = stores.standby.command(&["PTTL", key]).await?;
        assert!((1..=4 * 3_600_000).contains(&left), "it expires by itself: {left}");
    }

    stores.kv.set(Mode::BlackHole);
    for _ in 0..2 {
        let facts = canary(&mut probe).await?;
        assert_eq!((facts.outcome, failure_of_standby(&facts)), (Outcome::Blocked, Some(FailureKind::Timeout)));
        assert_eq!(facts.primary.1.failure, None, "the primary's side is looked at");
    }
    stores.kv.set(Mode::Pass);
    // The write that hung in the cable may come out of it now: not one outcome but ok and unknown is allowed.
    wait_until("canaries pass again", SOON, async || {
        let outcome = canary(&mut probe).await?.outcome;
        assert!([Outcome::Ok, Outcome::Unknown, Outcome::Blocked].contains(&outcome), "{outcome}");
        Ok((outcome == Outcome::Ok).then_some(()))
    })
    .await?;

    stores.standby.server.freeze()?;
    assert_eq!(canary(&mut probe).await?.outcome, Outcome::Blocked);
    stores.standby.server.thaw()?;
    wait_until("canaries pass again", SOON, async || {
        Ok((canary(&mut probe).await?.outcome == Outcome::Ok).then_some(()))
    })
    .await?;

    stores.standby.server.stop().await?;
    let facts = canary(&mut probe).await?;
    assert_ne!(facts.outcome, Outcome::Ok);
    assert!(facts.standby.1.holds.is_none());
    stores.standby.start_again().await?;
    wait_until("canaries pass again", SOON, async || {
        Ok((canary(&mut probe).await?.outcome == Outcome::Ok).then_some(()))
    })
    .await
}

#[tokio::test]
async fn stores_that_refuse() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else {
        return Ok(());
    };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let user = |name: &'static str, rights: &'static str| {
        ["ACL", "SETUSER", name, "on", ">right"].into_iter().chain(rights.split(' ')).collect::<Vec<_>>()
    };
    let _: String = stores.standby.command(&user("whole", "~standbywatch/* +set +get +ping")).await?;
    let _: String = stores.standby.command(&user("reader", "~standbywatch/* +get +ping")).await?;
    assert_eq!(canary(&mut kvstore_probe(&stores, Some(("whole", "right")))).await?.outcome, Outcome::Ok);
    for (user, password, kind) in
        [("whole", "wrong", FailureKind::Authentication), ("reader", "right", FailureKind::Permission)]
    {
        let facts = canary(&mut kvstore_probe(&stores, Some((user, password)))).await?;
        assert_eq!((facts.outcome, failure_of_standby(&facts)), (Outcome::Rejected, Some(kind)), "{user}");
    }
    let mut probe = kvstore_probe(&stores, None);
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
    let facts = canary(&mut probe).await?;
    assert_eq!((facts.outcome, facts.standby.1.acknowledged), (Outcome::Rejected, Some(false)));
    assert!(facts.standby.1.failure.is_some_and(|failure| failure.message.contains("OOM")));
    let _: String = stores.standby.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    assert_eq!(canary(&mut probe).await?.outcome, Outcome::Ok);
    let port = stores.primary_address().port().to_string();
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
    let facts = canary(&mut probe).await?;
    assert_eq!((facts.outcome, facts.standby.1.acknowledged), (Outcome::Rejected, Some(false)), "{facts:?}");
    Ok(())
}

#[tokio::test]
async fn an_index_as_it_is_broken_and_repaired() -> Result<()> {
    let Some(_lab) = Lab::open(&[Need::Search])? else {
        return Ok(());
    };
    let shared = SharedSearch::join().await?;
    let search = &shared.search;
    let name = search.fresh_name("probed");
    let cable = Cable::to(search.address()).await?;
    let node = SearchNode { url: format!("http://{}", cable.address()), ..SearchNode::default() };
    let channel = SearchChannel::new(schedule(), vec![name.clone()]);
    let mut probe = SearchProbe::new(&node, &channel);
    let mut index = async || -> Result<IndexFacts> {
        let facts = probe.run(true).await.result?;
        assert_eq!((facts.distribution.as_deref(), facts.nodes), (Some("opensearch"), Some(1)));
        let index = facts.indices.into_iter().next().unwrap_or_default();
        // What differs from run to run.
        Ok(IndexFacts { store: None, behind: Vec::new(), indexed: None, indexed_when_counted: None, ..index })
    };
    assert_eq!(index().await?.exists, Some(false));
    search.create_index(&name, 7, 0).await?;
    let whole = IndexFacts {
        name: name.clone(),
        exists: Some(true),
        health: Some(SearchHealth::Green),
        documents: Some(7),
        read_only: Some(false),
        ..IndexFacts::default()
    };
    // A count that the busy engine has not made in time is made again after half a minute.
    let counted = wait_until("the index is counted", Duration::from_secs(90), async || {
        Ok(Some(index().await?).filter(|index| index.documents.is_some()))
    });
    assert_eq!(counted.await?, whole);
    search.block_writes(&name, true).await?;
    assert_eq!(index().await?.read_only, Some(true));
    search.block_writes(&name, false).await?;
    search.make_red(&name).await?;
    let red = index().await?;
    assert_eq!((red.health, red.documents), (Some(SearchHealth::Red), None));
    search.make_green(&name).await?;
    assert_eq!(index().await?, IndexFacts { documents: Some(0), ..whole }, "what the red index held is lost");

    cable.set(Mode::BlackHole);
    let kind = index().await.unwrap_err().downcast::<standbywatch::facts::Failure>()?.kind;
    assert_eq!(kind, FailureKind::Timeout);
    cable.set(Mode::Pass);
    search.delete_index(&name).await?;
    assert_eq!(index().await?.exists, Some(false));
    Ok(())
}

#[tokio::test]
async fn a_timestamp_that_a_real_loop_of_rsync_writes() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Rsync])? else {
        return Ok(());
    };
    let sync = SyncLoop::start(&lab, Duration::from_millis(200))?;
    let node = ConfigNode {
        root: sync.destination().to_path_buf(),
        timestamp_file: Some(sync.timestamp_file().to_path_buf()),
        beacon: None,
    };
    let channel = ConfigChannel {
        schedule: schedule(),
        period: Duration::from_secs(1),
        wrapper: false,
        jobs_are_named: false,
        include: vec![],
        exclude: vec![],
        max_files: 1000,
        max_size: standbywatch::units::Bytes::mib(64),
    };
    let mut probe = ConfigProbe::new(&node, &channel, lab.dir(), &Name::new("shop"));
    sync.wait_for_good_run(SOON).await?;
    let facts: ConfigFacts = probe.run().await.result?;
    let stamp = facts.timestamp.expect("it is written after each good run");
    let age = stamp.read_at.0 - stamp.written.0;
    assert!((-0.1..20.0).contains(&age), "{stamp:?}");
    Ok(())
}
