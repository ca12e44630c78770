//! One fault per channel: two agents that ask each other, and one observer that asks both nodes, tell the same of it.

use std::time::Duration;

use standbywatch_lab::{Agent, Lab, Mode, Need, Result, SharedSearch};

use crate::site::{Plan, Site, Told, tells};

const CHANNELS: [&str; 4] = ["postgres", "config", "kvstore", "search"];
const WITHIN: Duration = Duration::from_secs(40);

struct All<'a>([&'a Agent; 3]);

impl All<'_> {
    async fn tell(&self, told: &Told) -> Result<()> {
        for agent in self.0 {
            tells(agent, told, WITHIN).await?;
        }
        Ok(())
    }

    async fn are_well(&self) -> Result<()> {
        for channel in CHANNELS {
            self.tell(&Told::ok(channel)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn one_fault_per_channel_is_told_alike_by_two_agents_and_an_observer() -> Result<()> {
    let Some(_search) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("agents");
    shared.search.create_index(&index, 20, 0).await?;
    let plan = Plan { all_channels: Some((shared.search.url(), index.clone())), ..Plan::default() };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    let observer = site.observer().await?;
    let all = All([&site.agents.alpha, &site.agents.beta, &observer]);
    all.are_well().await?;
    let (stores, sync) = (site.stores.as_ref().expect("planned"), site.sync.as_ref().expect("planned"));

    stores.kv.set(Mode::BlackHole);
    all.tell(&Told::unknown("kvstore", &["blocked"])).await?;
    stores.kv.set(Mode::Pass);

    sync.stop();
    all.tell(&Told::critical("config", &["sync_stale"])).await?;
    sync.resume()?;

    shared.search.delete_index(&index).await?;
    all.tell(&Told::critical("search", &["index_missing"])).await?;
    shared.search.create_index(&index, 20, 0).await?;

    all.are_well().await?;
    site.postgres.standby.kill().await?;
    all.tell(&Told::unknown("postgres", &["not_connected"])).await?;
    site.postgres.standby.start().await?;
    all.are_well().await
}

#[tokio::test]
async fn canaries_go_on_when_the_primary_s_agent_is_gone() -> Result<()> {
    let Some(_search) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("agents");
    shared.search.create_index(&index, 20, 0).await?;
    let plan = Plan { all_channels: Some((shared.search.url(), index)), ..Plan::default() };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    for agent in site.agents.both() {
        tells(agent, &Told::ok("kvstore"), Duration::from_secs(60)).await?;
    }
    site.agents.alpha.server.kill().await?;
    let stores = site.stores.as_ref().expect("planned");
    // The standby's agent sends its own from now on: it sees a fault that comes after.
    tells(&site.agents.beta, &Told::warned("postgres", &["peer_unreachable"], false), WITHIN).await?;
    stores.kv.set(Mode::BlackHole);
    tells(&site.agents.beta, &Told::unknown("kvstore", &["blocked"]), WITHIN).await?;
    stores.kv.set(Mode::Pass);
    tells(&site.agents.beta, &Told::ok("kvstore"), WITHIN).await
}
