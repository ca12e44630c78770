//! The application's own data, compared by reads only.

use std::time::Duration;

use standbywatch_lab::{Gateway, Lab, Need, Persistence, RedisPair, RedisServer, Result, Skips, wait_until};
use tokio::time::Instant;

use crate::watched::{SOON, agent, finds, is_well, looked, pair, redis, tells};

const KEYS: u64 = 100_000;

/// Two stores that hold the same keys.
async fn filled(lab: &Lab) -> Result<RedisPair> {
    let stores = RedisPair::start(lab, Persistence::Nothing).await?;
    let fill = "for i = 1, tonumber(ARGV[2]) do local k = (tonumber(ARGV[1]) * 1000 + i); \
                local t = k % 10; local name = 'data:' .. k; \
                if t == 0 then redis.call('HSET', name, 'a', k, 'b', k + 1) \
                elseif t == 1 then redis.call('RPUSH', name, k, k + 1, k + 2) \
                elseif t == 2 then redis.call('SADD', name, k, 'x', 'y') \
                elseif t == 3 then redis.call('ZADD', name, 1, 'x', 2, k) \
                else redis.call('SET', name, 'value ' .. k) end end return 1";
    for store in [&stores.primary, &stores.standby] {
        for part in 0..KEYS / 1000 {
            let _: i64 = store.command(&["EVAL", fill, "0", &part.to_string(), "1000"]).await?;
        }
    }
    Ok(stores)
}

/// Reads of keys and values that the store has answered so far.
async fn reads(store: &RedisServer) -> Result<u64> {
    let told: String = store.command(&["INFO", "commandstats"]).await?;
    let ours = ["get", "type", "strlen", "hlen", "llen", "scard", "zcard", "hgetall", "lrange", "smembers", "zrange"];
    let more = ["randomkey", "dbsize", "pttl", "memory|usage"];
    let calls = |name: &str| -> u64 {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
    };
    Ok(ours.iter().chain(&more).map(|name| calls(name)).sum())
}

#[tokio::test]
async fn drift_of_one_key_in_a_hundred_is_found_within_a_minute_and_writes_in_flight_are_none() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = filled(&lab).await?;
    let application = stores.writer(500)?;
    let channel = "interval: 2s, timeout: 3s, sla: 1s, observe: { sample: 50 }";
    let agent = agent(&lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), channel)).await?;
    let told = is_well(&agent).await?;
    assert_eq!((&told["proofs"][0], &told["proofs"][1]), (&"path".into(), &"observed".into()), "{told}");

    // Nothing is found while 500 keys a second are written.
    let (begun, before) = (Instant::now(), [reads(&stores.primary).await?, reads(&stores.standby).await?]);
    let written = application.done();
    wait_until("some hundred keys were compared", SOON, async || {
        let told = looked(&agent).await?.0;
        assert_ne!(told["observed"]["differs"], true, "a false finding: {told}");
        let compared = told["observed"]["compared"].as_u64().unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok((compared >= 500).then_some(()))
    })
    .await?;
    let passed = begun.elapsed().as_secs_f64();
    let after = [reads(&stores.primary).await?, reads(&stores.standby).await?];
    let rate = (after[0] + after[1] - before[0] - before[1]) as f64 / passed;
    let writes = (application.done() - written) as f64 / passed;
    println!("{rate:.0} reads a second on both stores together, beside {writes:.0} writes a second");
    assert!(rate <= 200.0, "{rate} reads a second");
    assert!(writes >= 450.0, "only {writes:.0} writes a second, {} of them failed", application.failed());

    // One key in a hundred is another on the standby now, or is not there.
    let drift = "for i = 100, 100000, 100 do local name = 'data:' .. (i - 5); \
                 if i % 200 == 0 then redis.call('DEL', name) else redis.call('SET', name, 'another') end end return 1";
    let _: i64 = stores.standby.command(&["EVAL", drift, "0"]).await?;
    let begun = Instant::now();
    let told = tells(&agent, "unknown", &["diverged"]).await?;
    let found = begun.elapsed();
    println!("found {:.1} s after it began: {}", found.as_secs_f64(), told["observed"]);
    assert!(found <= Duration::from_secs(60), "{found:?}");
    finds(&agent, "StandbyKvstoreDiverged", true).await?;
    wait_until("the estimate is near", SOON, async || {
        let ratio = agent.metrics().await?.value("standby_kvstore_drift_ratio", &[])?;
        Ok(ratio.filter(|ratio| (0.001..0.05).contains(ratio)).map(drop))
    })
    .await?;
    let log = agent.server.log();
    assert!(!log.contains("data:") && !log.contains("another"), "keys and values are never logged");

    // Repaired: all is as it was.
    let repair = "for i = 100, 100000, 100 do redis.call('SET', 'data:' .. (i - 5), 'value ' .. (i - 5)) end return 1";
    for store in [&stores.primary, &stores.standby] {
        let _: i64 = store.command(&["EVAL", repair, "0"]).await?;
    }
    is_well(&agent).await?;
    finds(&agent, "StandbyKvstoreDiverged", false).await
}

#[tokio::test]
async fn a_key_that_the_application_keeps_current() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let gateway = Gateway::start(stores.standby_address(), stores.primary_address()).await?;
    let channel = "interval: 500ms, timeout: 2s, canaries: false, observe: { key: heartbeat }";
    let agent = agent(&lab, pair(&redis(stores.primary_address()), &redis(stores.standby_address()), channel)).await?;
    tells(&agent, "unknown", &["not_observable"]).await?;
    let beat = async |number: u32| -> Result<()> {
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await?;
        let value = number.to_string();
        let command = format!("*3\r\n$3\r\nSET\r\n$9\r\nheartbeat\r\n${}\r\n{value}\r\n", value.len());
        tokio::io::AsyncWriteExt::write_all(&mut stream, command.as_bytes()).await?;
        let mut answer = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await?;
        assert_eq!(&answer, b"+OK\r\n");
        Ok(())
    };
    beat(1).await?;
    let told = is_well(&agent).await?;
    assert_eq!((&told["proof"], &told["observed"]["differs"]), (&"observed".into(), &false.into()), "{told}");
    let own: Vec<String> = stores.primary.command(&["KEYS", "standbywatch/*"]).await?;
    assert!(own.is_empty(), "without canaries nothing is written: {own:?}");
    // The application's writes reach the primary only.
    gateway.skip(Skips::Standby);
    beat(2).await?;
    tells(&agent, "unknown", &["diverged"]).await?;
    finds(&agent, "StandbyKvstoreDiverged", true).await?;
    gateway.skip(Skips::Nothing);
    beat(3).await?;
    is_well(&agent).await?;
    finds(&agent, "StandbyKvstoreDiverged", false).await
}
