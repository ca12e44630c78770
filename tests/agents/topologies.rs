//! One fault per channel: two agents that ask each other, and one observer that asks both nodes, tell the same of it.

use std::time::Duration;

use standbywatch_lab::{Agent, Lab, Mode, Need, Result, SharedSearch};

use crate::site::{Plan, Site, Told, tells};

const WITHIN: Duration = Duration::from_secs(40);

/// Two agents and an observer with one and the same file.
struct All<'a> {
    agents: [&'a Agent; 3],
    channels: &'a [&'static str],
}

impl All<'_> {
    async fn tell(&self, told: &Told) -> Result<()> {
        for agent in self.agents {
            tells(agent, told, WITHIN).await?;
        }
        Ok(())
    }

    async fn are_well(&self) -> Result<()> {
        for channel in self.channels {
            for agent in self.agents {
                tells(agent, &Told::ok(channel), Duration::from_secs(60)).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_fault_of_each_channel_is_told_alike_by_two_agents_and_an_observer() -> Result<()> {
    let plan = Plan { kvstore: true, config: true, ..Plan::default() };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    let observer = site.observer().await?;
    let agents = [&site.agents.alpha, &site.agents.beta, &observer];
    let all = All { agents, channels: &["postgres", "config", "kvstore"] };
    all.are_well().await?;
    let (stores, sync) = (site.stores.as_ref().expect("planned"), site.sync.as_ref().expect("planned"));

    stores.kv.set(Mode::BlackHole);
    all.tell(&Told::unknown("kvstore", &["blocked"])).await?;
    stores.kv.set(Mode::Pass);

    sync.stop();
    all.tell(&Told::critical("config", &["sync_stale"])).await?;
    sync.resume()?;

    all.are_well().await?;
    site.postgres.standby.kill().await?;
    all.tell(&Told::unknown("postgres", &["not_connected"])).await?;
    site.postgres.standby.start().await?;
    all.are_well().await
}

#[tokio::test]
async fn a_missing_index_is_told_alike_by_two_agents_and_an_observer() -> Result<()> {
    let Some(_engine) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("agents");
    shared.search.create_index(&index, 20, 0).await?;
    let plan = Plan { search: Some((shared.search.url(), index.clone())), ..Plan::default() };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    let observer = site.observer().await?;
    let all = All { agents: [&site.agents.alpha, &site.agents.beta, &observer], channels: &["postgres", "search"] };
    all.are_well().await?;
    shared.search.delete_index(&index).await?;
    all.tell(&Told::critical("search", &["index_missing"])).await?;
    shared.search.create_index(&index, 20, 0).await?;
    all.are_well().await
}

#[tokio::test]
async fn canaries_go_on_when_the_primary_s_agent_is_gone() -> Result<()> {
    let Some(site) = Site::start(&Plan { kvstore: true, ..Plan::default() }).await? else { return Ok(()) };
    for agent in site.agents.both() {
        tells(agent, &Told::ok("kvstore"), Duration::from_secs(60)).await?;
    }
    site.agents.alpha.server.kill().await?;
    let stores = site.stores.as_ref().expect("planned");
    tells(&site.agents.beta, &Told::warned("postgres", &["peer_unreachable"], false), WITHIN).await?;
    // The standby's agent sends its own from now on: it sees a fault that comes after.
    stores.kv.set(Mode::BlackHole);
    tells(&site.agents.beta, &Told::unknown("kvstore", &["blocked"]), WITHIN).await?;
    stores.kv.set(Mode::Pass);
    tells(&site.agents.beta, &Told::ok("kvstore"), WITHIN).await?;
    Ok(())
}
