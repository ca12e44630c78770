//! Each kind of store, and what each way to write proves.

use standbywatch_lab::{
    Authority, EtcdServer, Gateway, Lab, Need, Persistence, RedisPair, RedisServer, Result, Skips, wait_until,
};
use tokio::net::TcpListener;

use crate::watched::{QUICK, SOON, agent, count, finds, is_well, looked, more, pair, redis, tells};

async fn keys(store: &RedisServer) -> Result<Vec<String>> {
    store.command(&["KEYS", "standbywatch/*"]).await
}

#[tokio::test]
async fn two_plain_stores_prove_the_path_with_a_few_keys_that_expire() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let _: String = stores.standby.command(&["SET", "standbywatch/shop/other/fast", "another agent's"]).await?;
    let config = pair(&redis(stores.primary_address()), &redis(stores.standby_address()), QUICK);
    let agent = agent(&lab, config).await?;
    let told = is_well(&agent).await?;
    assert_eq!((&told["proof"], told["proofs"].as_array().map(Vec::len)), (&"path".into(), Some(1)), "{told}");
    more(&agent, "ok", 20.0).await?;
    let told = is_well(&agent).await?;
    assert_eq!((&told["at_risk_canaries"], &told["lanes"][0]["outcome"]), (&0.into(), &"ok".into()), "{told}");
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_channel_proof_info", &[("proof", "path")])?, Some(1.0));
    let sla = metrics.value("standby_kvstore_latency_seconds_bucket", &[("step", "write"), ("le", "3")])?;
    assert!(sla.is_some_and(|count| count >= 20.0), "the SLA is an edge: {sla:?}");

    // A restart of the agent goes on with the same keys.
    assert!(agent.stop().await?.success());
    agent.start_again().await?;
    is_well(&agent).await?;
    more(&agent, "ok", 10.0).await?;
    for store in [&stores.primary, &stores.standby] {
        let mut own = keys(store).await?;
        own.retain(|key| !key.contains("/other/"));
        assert_eq!(own.len(), 3, "{own:?}");
        for key in own {
            let left: i64 = store.command(&["PTTL", &key]).await?;
            assert!((1..=60_000).contains(&left), "{key} expires by itself: {left}");
        }
    }
    let others: String = stores.standby.command(&["GET", "standbywatch/shop/other/fast"]).await?;
    assert_eq!(others, "another agent's");
    Ok(())
}

/// What is written once is found twice there, and what is compared is compared with itself.
#[tokio::test]
async fn one_server_behind_two_names_is_never_ok() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let _: String = stores.standby.command(&["SET", "beat", "1"]).await?;
    let (one, other) = (redis(stores.standby.address()), redis(stores.standby_address()));
    let observing = agent(&lab, pair(&one, &other, QUICK)).await?;
    for channel in ["interval: 500ms, canaries: false, observe: { sample: 5 }", QUICK] {
        observing.write_config(&pair(&one, &other, channel))?;
        observing.stop().await?;
        observing.start_again().await?;
        tells(&observing, "unknown", &["same_server"]).await?;
        assert_eq!(observing.metrics().await?.value("standby_replication_up", &[("channel", "kvstore")])?, Some(0.0));
    }
    more(&observing, "unknown", 4.0).await?;
    assert_eq!(count(&observing, "ok").await?, 0.0, "not one of its canaries proves anything");
    // Another server behind the second name: mended without a restart.
    stores.kv.lead_to(stores.primary.address()).await?;
    is_well(&observing).await?;
    Ok(())
}

#[tokio::test]
async fn a_store_is_asked_over_its_socket() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let mut stores = Vec::new();
    for name in ["kv-alpha", "kv-beta"] {
        let socket = lab.dir().join(name).join("socket").to_string_lossy().into_owned();
        let listens = ["--unixsocket", &socket, "--unixsocketperm", "777"];
        stores.push((RedisServer::start_with(&lab, name, Persistence::Nothing, &listens).await?, socket));
    }
    let [(_, alpha), (store, beta)] = stores.as_slice() else { panic!("two") };
    let over = |socket: &str| redis(format!("unix:{socket}"));
    let agent = agent(&lab, pair(&over(alpha), &over(beta), QUICK)).await?;
    assert_eq!(is_well(&agent).await?["proof"], "path");
    more(&agent, "ok", 4.0).await?;
    assert!(!keys(store).await?.is_empty(), "written to the one that listens there");
    // Its socket is there, and nobody listens; then there is none.
    store.server.kill().await?;
    tells(&agent, "unknown", &["refused"]).await?;
    std::fs::remove_file(beta)?;
    tells(&agent, "unknown", &["unreachable"]).await?;
    store.start_again().await?;
    is_well(&agent).await?;
    // A second name of one socket.
    let twin = lab.dir().join("twin");
    std::os::unix::fs::symlink(alpha, &twin)?;
    agent.write_config(&pair(&over(alpha), &over(&twin.to_string_lossy()), QUICK))?;
    agent.stop().await?;
    agent.start_again().await?;
    tells(&agent, "unknown", &["same_server"]).await?;
    Ok(())
}

#[tokio::test]
async fn native_replication_is_written_on_the_primary_and_proves_the_round_trip() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let port = stores.primary.address().port().to_string();
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
    let channel = format!("{QUICK}, replication: native");
    let agent = agent(&lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), &channel)).await?;
    let told = is_well(&agent).await?;
    assert_eq!((&told["proof"], &told["at_risk_canaries"]), (&"round_trip".into(), &0.into()), "{told}");
    // The replica follows nobody any more: it answers, and new writes do not reach it.
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    let told = tells(&agent, "unknown", &["diverged"]).await?;
    assert_eq!(told["outcome"], "primary_only", "{told}");
    finds(&agent, "StandbyKvstoreDiverged", true).await?;
    let told = tells(&agent, "unknown", &["diverged"]).await?;
    assert!(told["at_risk_canaries"].as_u64() >= Some(3), "a failover now loses them: {told}");
    assert!(told["at_risk_seconds"].as_f64() > Some(1.0), "{told}");
    let _: String = stores.standby.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
    let told = is_well(&agent).await?;
    assert_eq!(told["at_risk_canaries"], 0, "{told}");
    finds(&agent, "StandbyKvstoreDiverged", false).await
}

#[tokio::test]
async fn a_gateway_that_leaves_a_side_out_is_found_out() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let gateway = Gateway::start(stores.standby_address(), stores.primary_address()).await?;
    let channel = format!("{QUICK}, write_via: {{ {} }}", redis(gateway.address()));
    let agent = agent(&lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), &channel)).await?;
    assert_eq!(is_well(&agent).await?["proof"], "round_trip");
    for (skips, outcome) in [(Skips::Standby, "primary_only"), (Skips::Primary, "primary_stale")] {
        gateway.skip(skips);
        let told = tells(&agent, "unknown", &["diverged"]).await?;
        wait_until("its outcome", SOON, async || Ok((looked(&agent).await?.0["outcome"] == outcome).then_some(())))
            .await?;
        finds(&agent, "StandbyKvstoreDiverged", true).await?;
        println!("{skips:?}: {told}");
        gateway.skip(Skips::Nothing);
        is_well(&agent).await?;
        finds(&agent, "StandbyKvstoreDiverged", false).await?;
    }
    // Behind a gateway that refuses, nothing is acknowledged.
    stores.standby.server.stop().await?;
    let told = tells(&agent, "unknown", &["rejected", "blocked", "refused"]).await?;
    assert_eq!(told["outcome"], "rejected", "{told}");
    stores.standby.start_again().await?;
    is_well(&agent).await?;
    Ok(())
}

/// With the rights that docs/kvstore.md names, and no other.
#[tokio::test]
async fn redis_over_tls_with_a_user_of_its_own_in_another_database() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let authority = Authority::new(&lab, "authority")?;
    let certificate = authority.for_server(&["127.0.0.1"])?;
    let (alpha, primary) = RedisServer::start_with_tls(&lab, "kv-alpha", &certificate).await?;
    let (beta, standby) = RedisServer::start_with_tls(&lab, "kv-beta", &certificate).await?;
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kvstore.md"))?;
    let rights: Vec<&str> = document.lines().filter(|line| line.starts_with("ACL SETUSER standbywatch ")).collect();
    assert_eq!(rights.len(), 2, "the canaries' and the comparison's");
    let fill = "redis.call('SELECT', 3) redis.call('SET', 's', 'x') redis.call('HSET', 'h', 'a', 1, 'b', 2) redis.call('RPUSH', 'l', 1, 2) \
                redis.call('SADD', 'm', 1, 2) redis.call('ZADD', 'z', 1, 'a') redis.call('XADD', 't', '1-1', 'f', 'v') return 1";
    for store in [&alpha, &beta] {
        for line in &rights {
            let line = line.replace("PASSWORD", "first");
            let _: String = store.command(&line.split(' ').collect::<Vec<_>>()).await?;
        }
        let _: i64 = store.command(&["EVAL", fill, "0"]).await?;
    }
    let password = lab.write("password", "first\n")?;
    let node = |address: std::net::SocketAddr| {
        format!(
            "redis: {{ address: \"{address}\", user: standbywatch, password_file: {}, database: 3, tls: {{ root_certificate: {} }} }}",
            password.display(),
            authority.root().display()
        )
    };
    let channel = format!("{QUICK}, observe: {{ sample: 10 }}");
    let agent = agent(&lab, pair(&node(primary), &node(standby), &channel)).await?;
    is_well(&agent).await?;
    wait_until("each type was compared", SOON, async || {
        let told = is_well(&agent).await?;
        Ok((told["observed"]["compared"].as_u64() >= Some(12) && told["observed"]["differs"] == false).then_some(()))
    })
    .await?;
    assert_eq!(is_well(&agent).await?["lanes"][0]["outcome"], "ok");

    // The password is changed on the standby's store; what is open stays open, so it is ended.
    let _: String = beta.command(&["ACL", "SETUSER", "standbywatch", "resetpass", ">second"]).await?;
    let _: i64 = beta.command(&["CLIENT", "KILL", "USER", "standbywatch"]).await?;
    tells(&agent, "unknown", &["authentication"]).await?;
    let _: String = alpha.command(&["ACL", "SETUSER", "standbywatch", "resetpass", ">second"]).await?;
    lab.write("password", "second\n")?;
    is_well(&agent).await?;
    let _: String = beta.command(&["ACL", "SETUSER", "standbywatch", "-set"]).await?;
    tells(&agent, "unknown", &["permission"]).await?;
    assert!(!agent.server.log().contains("second"), "no secret in the log");
    Ok(())
}

fn etcd(server: &EtcdServer) -> String {
    format!(
        r#"http: {{ url: "http://{}", value_at: /kvs/0/value, encoding: base64,
            put: {{ method: POST, path: /v3/kv/put, body: '{{"key":"{{key_base64}}","value":"{{value_base64}}"}}' }},
            get: {{ method: POST, path: /v3/kv/range, body: '{{"key":"{{key_base64}}"}}' }},
            delete: {{ method: POST, path: /v3/kv/deleterange, body: '{{"key":"{{key_base64}}"}}' }} }}"#,
        server.address()
    )
}

#[tokio::test]
async fn etcd_through_its_http_gateway() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Etcd])? else { return Ok(()) };
    let (alpha, beta) = (EtcdServer::start(&lab, "etcd-alpha").await?, EtcdServer::start(&lab, "etcd-beta").await?);
    let agent = agent(&lab, pair(&etcd(&alpha), &etcd(&beta), QUICK)).await?;
    let told = is_well(&agent).await?;
    assert_eq!(told["proof"], "path", "{told}");
    more(&agent, "ok", 12.0).await?;
    assert_eq!(is_well(&agent).await?["lanes"][0]["outcome"], "ok");
    beta.server.kill().await?;
    tells(&agent, "unknown", &["refused", "unreachable", "protocol", "rejected"]).await?;
    beta.start_again().await?;
    is_well(&agent).await?;
    beta.server.freeze()?;
    tells(&agent, "unknown", &["blocked"]).await?;
    beta.server.thaw()?;
    is_well(&agent).await?;
    assert_eq!(count(&agent, "lost").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn a_script_asks_any_other_store() -> Result<()> {
    let lab = Lab::bare()?;
    // A store of files: a directory for each node, a file for each key.
    let script = lab.write(
        "client.sh",
        "set -eu\ncd \"$1/$STANDBYWATCH_NODE\"\nkey=$(printf %s \"$STANDBYWATCH_KEY\" | tr / _)\ncase $STANDBYWATCH_OPERATION in\n\
         put) printf %s \"$STANDBYWATCH_VALUE\" > \"$key.new\"; mv \"$key.new\" \"$key\" ;;\n\
         get) [ ! -e \"$key\" ] || cat \"$key\" ;;\ndelete) rm -f \"$key\" ;;\nesac\n",
    )?;
    for node in ["alpha", "beta"] {
        lab.write(&format!("data/{node}/there"), "")?;
    }
    let data = lab.dir().join("data");
    let words = format!("[/bin/sh, \"{}\", \"{}\"]", script.display(), data.display());
    let store = format!("exec: {{ put: {words}, get: {words}, delete: {words} }}");
    let agent =
        agent(&lab, pair(&store, &store, "interval: 1s, timeout: 5s, sla: 2s, lanes: { medium: 6s, slow: 12s }"))
            .await?;
    is_well(&agent).await?;
    more(&agent, "ok", 5.0).await?;
    let files = || std::fs::read_dir(data.join("beta")).map(|all| all.flatten().count());
    assert!(files()? <= 4, "a few keys are all there ever is");
    // The store is gone; the script says so by its exit code.
    std::fs::rename(data.join("beta"), data.join("away"))?;
    let told = tells(&agent, "unknown", &["rejected"]).await?;
    assert_eq!(told["outcome"], "rejected", "{told}");
    std::fs::rename(data.join("away"), data.join("beta"))?;
    is_well(&agent).await?;
    // One store behind both names: all that is written to one is found in the other.
    std::fs::rename(data.join("beta"), data.join("away"))?;
    std::os::unix::fs::symlink(data.join("alpha"), data.join("beta"))?;
    agent.stop().await?;
    agent.start_again().await?;
    tells(&agent, "unknown", &["same_server"]).await?;
    let before = count(&agent, "ok").await?;
    more(&agent, "unknown", 2.0).await?;
    assert_eq!(count(&agent, "ok").await?, before, "not one of its canaries proves anything");
    Ok(())
}

#[tokio::test]
async fn a_silent_port_is_reached_and_proves_nothing() -> Result<()> {
    let lab = Lab::bare()?;
    let (alpha, beta) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (primary, standby) = (alpha.local_addr()?, beta.local_addr()?);
    let port = |address| format!("tcp: {{ address: \"{address}\" }}");
    let config = pair(&port(primary), &port(standby), "interval: 500ms, timeout: 1s")
        + "rules:\n  StandbyKvstoreLinkDown: { for: 1s }\n";
    let agent = agent(&lab, config).await?;
    let told = tells(&agent, "unknown", &["not_observable"]).await?;
    assert_eq!((&told["proof"], &told["link_up"]), (&"reachability".into(), &true.into()), "{told}");
    let metrics = agent.metrics().await?;
    assert!(!metrics.has("standby_replication_up"), "a port that answers proves no replication");
    assert_eq!(metrics.value("standby_kvstore_link_up", &[])?, Some(1.0));
    assert!(metrics.has("standby_kvstore_connect_seconds"));
    let page = agent.json("/monitor/replication").await?;
    assert_eq!(page["kvstore_round_trip_seconds"], "unknown", "{page}");
    assert_eq!(page["channels"]["kvstore"]["reason"], "not_observable", "{page}");
    let html = agent.get("/").await?.text;
    assert!(html.contains("reachability"), "{html}");

    drop(beta);
    tells(&agent, "unknown", &["refused"]).await?;
    finds(&agent, "StandbyKvstoreLinkDown", true).await?;
    wait_until("the pair is critical", SOON, async || {
        Ok((agent.json("/api/v1/pairs/shop").await?["level"] == "critical").then_some(()))
    })
    .await?;
    let _beta = wait_until("the port is there again", SOON, async || Ok(TcpListener::bind(standby).await.ok())).await?;
    tells(&agent, "unknown", &["not_observable"]).await?;
    finds(&agent, "StandbyKvstoreLinkDown", false).await
}
