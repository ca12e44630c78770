//! An index that is deliberately made anew, on a real engine: for how long it looks red, or is not there, to who asks all the time.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use standbywatch::config::{Schedule, SearchChannel, SearchNode};
use standbywatch::judge::rules::RULES;
use standbywatch::names::{RuleName, SearchHealth};
use standbywatch::probe::search::SearchProbe;
use standbywatch_lab::{Lab, Need, OwnSearch, Result, Search, wait_until};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longer than anything takes that is awaited, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// As an application's index may have; each shard takes its own time to begin.
const SHARDS: u32 = 5;

/// The longest time in which every look saw it.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    since: Option<Instant>,
    looks: u32,
    longest: Duration,
}

impl Longest {
    fn look(&mut self, seen: bool, asked: Instant) {
        self.looks += u32::from(seen);
        let since = *self.since.get_or_insert(asked);
        // Until the first look that does not see it any more: it was no longer so than that.
        self.longest = self.longest.max(asked.duration_since(since));
        if !seen {
            self.since = None;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    looks: u32,
    red: Longest,
    missing: Longest,
}

/// What the agent's own probe sees of `index` while `act` is done, and until all is well again.
async fn watched(search: &Search, index: &str, act: impl AsyncFnOnce() -> Result<()>) -> Result<Seen> {
    let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(10));
    let node = SearchNode { url: search.url(), ..SearchNode::default() };
    let mut probe = SearchProbe::new(&node, &SearchChannel::new(schedule, vec![index.to_owned()]));
    let (done, mut ended) = oneshot::channel::<()>();
    let looks = tokio::spawn(async move {
        let mut seen = Seen::default();
        loop {
            let asked = Instant::now();
            let over = !matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
            let Ok(facts) = probe.run(false).await.result else { continue };
            let Some(facts) = facts.indices.first() else { continue };
            seen.looks += 1;
            let (red, missing) = (facts.health == Some(SearchHealth::Red), facts.exists == Some(false));
            seen.red.look(red, asked);
            seen.missing.look(missing, asked);
            if over && !red && !missing {
                return seen;
            }
        }
    });
    act().await?;
    let _ = done.send(());
    Ok(tokio::time::timeout(SOON, looks).await??)
}

async fn create(search: &Search, index: &str) -> Result<()> {
    let settings = json!({ "settings": { "number_of_shards": SHARDS, "number_of_replicas": 0 } });
    search.ask(Method::PUT, index, Some(&settings)).await.map(drop)
}

fn hold(rule: RuleName) -> Duration {
    RULES.iter().find(|known| known.name == rule).map_or(Duration::ZERO, |rule| rule.hold)
}

fn assert_silent(what: &str, seen: Seen) {
    println!("{what}: {seen:?}");
    assert!(seen.looks > 0, "{what}");
    for (rule, longest) in [(RuleName::SearchRed, seen.red), (RuleName::SearchIndexMissing, seen.missing)] {
        // The agent asks every 5 s: what it sees, it sees for up to that much longer.
        let told = longest.longest + if longest.looks == 0 { Duration::ZERO } else { Duration::from_secs(5) };
        assert!(told < hold(rule) || longest.looks == 0, "{what}: {rule} would fire after {told:?}");
    }
}

#[tokio::test]
async fn an_index_that_is_made_anew_and_an_engine_that_starts_again_page_nobody() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let own = OwnSearch::start(&lab, "engine").await?;
    let search = &own.search;

    search.create_index("catalog", 20, 0).await?;
    // As a job does it that indexes everything anew: away with the old one, and a new one in its place.
    let mut red_or_missing = 0;
    for round in 0..5 {
        let seen = watched(search, "catalog", async || {
            search.delete_index("catalog").await?;
            create(search, "catalog").await
        })
        .await?;
        red_or_missing += seen.red.looks + seen.missing.looks;
        assert_silent(&format!("deleted and created, {round}"), seen);
    }
    assert!(red_or_missing > 0, "it is seen: without a hold time the rules would fire");

    // An alias is switched in one step; at no look is it gone. The new index is whole by then.
    create(search, "shop-1").await?;
    create(search, "shop-2").await?;
    let alias = |action: &str, index: &str| -> Value { json!({ action: { "index": index, "alias": "shop" } }) };
    search.ask(Method::POST, "_aliases", Some(&json!({ "actions": [alias("add", "shop-1")] }))).await?;
    let seen = watched(search, "shop", async || {
        for (from, to) in [("shop-1", "shop-2"), ("shop-2", "shop-1")] {
            let actions = json!({ "actions": [alias("remove", from), alias("add", to)] });
            search.ask(Method::POST, "_aliases", Some(&actions)).await?;
        }
        Ok(())
    })
    .await?;
    println!("alias switched: {seen:?}");
    assert_eq!((seen.red.looks, seen.missing.looks), (0, 0));

    // After a start the engine answers before it has opened its shards.
    let seen = watched(search, "catalog", async || {
        own.server.stop().await?;
        own.start_again().await?;
        wait_until("it is green again", SOON, async || Ok((search.health("catalog").await? == "green").then_some(())))
            .await
    })
    .await?;
    assert_silent("the engine started again", seen);
    Ok(())
}
