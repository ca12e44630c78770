//! `/monitor/replication`: the page that scripts read.

use serde_json::Value;
use standbywatch_lab::{Agent, PgPair, Result, wait_until};

use crate::site::{SOON, Site, wait_for_level};
use crate::web::{ask, get};

const NUMBERS: [(&str, &str); 4] = [
    ("postgres", "postgres_lag_bytes"),
    ("config", "config_sync_age_seconds"),
    ("kvstore", "kvstore_round_trip_seconds"),
    ("search", "search_active_shards_percent"),
];

/// The keys of an object, in their order in the text.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

/// The right keys, no more and no fewer, each with the right type: of one pair with these channels.
fn assert_shape(page: &Value, channels: &[&str]) {
    let numbers = NUMBERS.iter().filter(|(channel, _)| channels.contains(channel));
    let expected = numbers.clone().map(|(_, key)| *key).chain(["status", "channels"]).collect();
    let found = keys(page).into_iter().filter(|key| *key != "pairs").collect();
    assert_eq!(sorted(found), sorted(expected), "{page}");
    for (channel, key) in numbers {
        let number = &page[key];
        let whole = *key != "postgres_lag_bytes" || number.is_u64();
        assert!((number.is_number() && whole) || number == "unknown", "{key} of {page}");
        assert!(page["channels"][channel].is_object(), "{channel} of {page}");
    }
    let levels = ["ok", "warning", "critical", "unknown"];
    assert!(levels.iter().any(|level| page["status"] == *level), "{page}");
    assert_eq!(sorted(keys(&page["channels"])), sorted(channels.to_vec()), "{page}");
    for channel in channels {
        let told = &page["channels"][channel];
        assert_eq!(sorted(keys(told)), ["age_seconds", "reason", "status"], "{page}");
        assert!(levels.iter().any(|level| told["status"] == *level), "{page}");
        assert_eq!(told["reason"].is_null(), told["status"] == "ok", "{page}");
        assert!(told["reason"].is_null() || told["reason"].is_string(), "{page}");
        assert!(told["age_seconds"].is_null() || told["age_seconds"].as_f64().is_some_and(|age| age >= 0.0), "{page}");
    }
}

const ALL: [&str; 4] = ["postgres", "config", "kvstore", "search"];

#[tokio::test]
async fn all_channels_known_and_unknown() -> Result<()> {
    let Some(site) = Site::whole(&[]).await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    assert_shape(&get(&agent, "/monitor/replication").await?.json()?, &ALL);

    let page = wait_for_level(&agent, "ok").await?;
    assert_shape(&page, &ALL);
    for (_, key) in NUMBERS {
        assert!(page[key].is_number(), "{key} of {page}");
    }
    assert_eq!(page["search_active_shards_percent"], 100.0, "{page}");
    answers_to_all_who_may_ask(&agent).await?;
    assert_eq!(get(&agent, "/monitor/replication?strict=1").await?.status, 200);

    site.take_all_away().await?;
    let page = agent
        .wait_for_json("/monitor/replication", "nothing is known", SOON, |page| {
            NUMBERS.iter().all(|(_, key)| page[key] == "unknown")
        })
        .await?;
    assert_shape(&page, &ALL);
    assert_eq!(page["status"], "unknown", "{page}");
    for channel in ALL {
        assert_eq!(page["channels"][channel]["status"], "unknown", "{page}");
    }
    assert_eq!(get(&agent, "/monitor/replication").await?.status, 200);
    assert_eq!(get(&agent, "/monitor/replication?strict=0").await?.status, 200);
    let strict = get(&agent, "/monitor/replication?strict=1").await?;
    assert_eq!((strict.status, strict.json()?["status"].as_str()), (503, Some("unknown")));
    Ok(())
}

async fn answers_to_all_who_may_ask(agent: &Agent) -> Result<()> {
    for path in ["/monitor/replication", "/monitor/replication/", "/monitor/replication/?pair=catalog"] {
        let answer = get(agent, path).await?;
        assert_eq!((answer.status, answer.head["content-type"].as_str()), (200, "application/json"), "{path}");
        assert_eq!(answer.head["cache-control"], "no-store", "{path}");
        assert_shape(&answer.json()?, &ALL);
    }
    let head = ask(agent, "HEAD", "/monitor/replication", &[]).await?;
    assert!(head.status == 200 && head.body.is_empty() && head.head["content-length"] != "0", "{:?}", head.head);
    let post = ask(agent, "POST", "/monitor/replication", &[]).await?;
    assert_eq!((post.status, post.head["allow"].as_str()), (405, "GET, HEAD"));
    let nobody = get(agent, "/monitor/replication?pair=nobody").await?;
    assert!(nobody.status == 404 && nobody.json()?["error"].is_string());
    Ok(())
}

/// Two pairs: `catalog` with its stores, `orders` with PostgreSQL alone.
#[tokio::test]
async fn two_pairs_show_the_worst_at_the_root() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let orders = PgPair::builder().named("orders-").start(&site.lab).await?;
    let config = format!("pairs:\n{}{}", site.pair("catalog", &site.postgres, ""), site.pair("orders", &orders, ""));
    let agent = site.agent(config).await?;
    let page = wait_for_level(&agent, "ok").await?;
    assert_shape(&page, &["postgres"]);
    assert_eq!(sorted(keys(&page["pairs"])), ["catalog", "orders"], "{page}");

    orders.standby.pause_replay().await?;
    orders.primary.sql("CREATE TABLE written_while_paused AS SELECT generate_series(1, 10000)").await?;
    let page = agent
        .wait_for_json("/monitor/replication", "orders lags", SOON, |page| {
            let orders = &page["pairs"]["orders"];
            orders["status"] == "critical" && orders["postgres_lag_bytes"].as_u64().is_some_and(|lag| lag > 100_000)
        })
        .await?;
    assert_worst_at_root(&page);
    assert_eq!(page["status"], "critical", "{page}");

    orders.standby.kill().await?;
    let unknown = |page: &Value| page["pairs"]["orders"]["postgres_lag_bytes"] == "unknown";
    let page = agent.wait_for_json("/monitor/replication", "orders is unknown", SOON, unknown).await?;
    assert_worst_at_root(&page);
    assert_eq!((&page["status"], &page["pairs"]["catalog"]["status"]), (&"unknown".into(), &"ok".into()), "{page}");
    for (query, status) in [("strict=1", 503), ("pair=catalog&strict=1", 200), ("strict=1&pair=orders", 503)] {
        assert_eq!(get(&agent, &format!("/monitor/replication?{query}")).await?.status, status, "{query}");
    }
    let one = get(&agent, "/monitor/replication?pair=catalog").await?.json()?;
    assert_shape(&one, &["postgres"]);
    assert!(one["pairs"].is_null() && one["postgres_lag_bytes"].is_number(), "{one}");
    wait_until("orders is well again", SOON, async || {
        if !orders.standby.is_running() {
            orders.standby.start().await?;
        }
        Ok((get(&agent, "/monitor/replication?strict=1").await?.status == 200).then_some(()))
    })
    .await
}

/// Each number at the root is the larger one of the pairs', and unknown if any is.
fn assert_worst_at_root(page: &Value) {
    let pairs = page["pairs"].as_object().expect("several pairs");
    let lags: Vec<_> = pairs.values().map(|pair| pair["postgres_lag_bytes"].as_u64()).collect();
    let worst = lags.iter().copied().collect::<Option<Vec<_>>>().and_then(|lags| lags.into_iter().max());
    assert_eq!(page["postgres_lag_bytes"].as_u64(), worst, "{page}");
    assert_eq!(page["postgres_lag_bytes"] == "unknown", worst.is_none(), "{page}");
}
