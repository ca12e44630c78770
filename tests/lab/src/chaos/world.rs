//! What is broken and repaired: a pair with its channels, and who watches it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::fault::{Fault, PERIOD, Silences};
use crate::agent::{Agent, AgentOptions};
use crate::cable::{Cable, Mode, Way};
use crate::{
    AgentPair, AgentPairOptions, Lab, Load, Meet, OpenTransaction, Persistence, PgPair, RedisPair, SyncLoop, Writer,
};

const SLOT: &str = "beta";
/// Some MiB at once: beyond what may be lost, and gone in a second.
const BURST: &str = "INSERT INTO load (filler) SELECT repeat('bulk', 200) FROM generate_series(1, 6000)";
/// Held on the standby, and in the way there of what the primary then does.
const QUERY: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM load";
const CONFLICT: &str =
    "BEGIN; LOCK TABLE load IN ACCESS EXCLUSIVE MODE; COMMIT; INSERT INTO load (filler) VALUES ('behind it')";

/// Who watches.
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
enum Watching {
    Observer(Agent),
    Agents(AgentPair),
}

/// Everything. Ends when dropped, from top to bottom.
pub struct World {
    watching: Watching,
    query: Option<OpenTransaction>,
    load: Option<Writer>,
    pub pair: PgPair,
    stores: RedisPair,
    sync: SyncLoop,
}

impl World {
    pub async fn start(lab: &Lab, program: PathBuf, two_agents: bool, silences: Silences) -> Result<Self> {
        let mut builder = PgPair::builder().slot(Some(SLOT));
        if silences.message < Silences::USUAL.message {
            builder = builder.tenth_timeouts();
        }
        let pair = builder.start(lab).await?;
        let stores = RedisPair::start(lab, Persistence::AppendOnly).await?;
        let sync = SyncLoop::start(lab, PERIOD)?;
        sync.wait_for_good_run(Duration::from_secs(20)).await?;
        let config = |meet: Option<&Meet>| configuration(&pair, &stores, &sync, meet);
        let watching = if two_agents {
            let options = AgentPairOptions { program, ..AgentPairOptions::default() };
            Watching::Agents(AgentPair::start(lab, &options, |_, meet| config(Some(meet))).await?)
        } else {
            let options = AgentOptions { program, config: Some(config(None)), ..AgentOptions::default() };
            Watching::Observer(Agent::start(lab, options).await?)
        };
        Ok(Self { watching, query: None, load: None, pair, stores, sync })
    }

    /// In the order in which faults number them.
    pub fn agents(&self) -> Vec<&Agent> {
        match &self.watching {
            Watching::Observer(agent) => vec![agent],
            Watching::Agents(pair) => pair.both().to_vec(),
        }
    }

    fn agent(&self, number: usize) -> Result<&Agent> {
        self.agents().get(number).copied().context("there is no such agent")
    }

    async fn start_agent(&self, number: usize) -> Result<()> {
        self.agent(number)?.start_again().await?;
        match &self.watching {
            Watching::Agents(pair) => pair.connect().await,
            Watching::Observer(_) => Ok(()),
        }
    }

    fn peers(&self, mode: Mode) -> Result<()> {
        let Watching::Agents(pair) = &self.watching else { bail!("one agent has no peer") };
        pair.to_alpha.set(mode);
        pair.to_beta.set(mode);
        Ok(())
    }

    /// The fault is there when this returns.
    pub async fn begin(&mut self, fault: Fault) -> Result<()> {
        let (primary, standby) = (&self.pair.primary, &self.pair.standby);
        match fault {
            Fault::StandbyKilled => standby.kill().await,
            Fault::StandbyStopped => standby.stop().await,
            Fault::StandbyRestarted => standby.restart().await,
            Fault::StandbyFrozen => standby.freeze(),
            Fault::ReceiverFrozen => standby.freeze_receiver(),
            Fault::ReplayFrozen => signal(standby.startup_pid(), Signal::STOP),
            Fault::ReplayPaused => standby.pause_replay().await,
            Fault::PostmasterOfStandbyFrozen => standby.freeze_postmaster(),
            Fault::LockConflict => {
                self.query = Some(standby.open_transaction(QUERY).await?);
                primary.sql(CONFLICT).await.map(|_| ())
            }
            Fault::PrimaryKilled => primary.kill().await,
            Fault::PrimaryRestarted => {
                // It waits for its standby to have all, which one that is cut off never will.
                if primary.stop().await.is_err() {
                    primary.kill().await?;
                }
                primary.start().await
            }
            Fault::PrimaryFrozen => primary.freeze(),
            Fault::Promoted => standby.promote().await,
            Fault::StoreOfStandbyFrozen => self.stores.standby.server.freeze(),
            Fault::StoreOfPrimaryFrozen => self.stores.primary.server.freeze(),
            Fault::StoreOfStandbyKilled => self.stores.standby.server.kill().await,
            Fault::StoreOfPrimaryKilled => self.stores.primary.server.kill().await,
            Fault::StoreOfStandbyFlushed => self.stores.standby.command::<()>(&["FLUSHALL"]).await,
            Fault::SyncStopped => {
                self.sync.stop();
                Ok(())
            }
            Fault::SyncFails => {
                self.sync.fail_partially();
                Ok(())
            }
            Fault::Load => {
                self.load = Some(self.pair.writer(Load::Tps(60)).await?);
                Ok(())
            }
            Fault::Burst => primary.sql(BURST).await.map(|_| ()),
            Fault::AgentReloaded => self.agents().iter().try_for_each(|agent| agent.hang_up()),
            Fault::AgentKilled => self.agent(0)?.server.kill().await,
            Fault::AgentFrozen => self.agent(0)?.server.freeze(),
            Fault::OtherAgentKilled => self.agent(1)?.server.kill().await,
            Fault::OtherAgentFrozen => self.agent(1)?.server.freeze(),
            Fault::PeersCut => self.peers(Mode::BlackHole),
            Fault::PeersHalfOpen => self.peers(Mode::OneWay(Way::ToServer)),
            _ => {
                let (cable, mode) = self.cable(fault).context("a fault of a cable")?;
                cable.set(mode);
                Ok(())
            }
        }
    }

    /// Repaired when this returns; what was broken may need a while to find together again.
    pub async fn end(&mut self, fault: Fault) -> Result<()> {
        let (primary, standby) = (&self.pair.primary, &self.pair.standby);
        match fault {
            Fault::StandbyKilled | Fault::StandbyStopped => standby.start().await,
            Fault::StandbyFrozen | Fault::ReceiverFrozen | Fault::ReplayFrozen | Fault::PostmasterOfStandbyFrozen => {
                standby.thaw()
            }
            Fault::ReplayPaused => standby.resume_replay().await,
            Fault::LockConflict => {
                self.query = None;
                Ok(())
            }
            Fault::PrimaryKilled => primary.start().await,
            Fault::PrimaryFrozen => primary.thaw(),
            Fault::Promoted => {
                standby.stop().await?;
                self.pair.rebuild_standby(SLOT).await
            }
            Fault::StoreOfStandbyFrozen => self.stores.standby.server.thaw(),
            Fault::StoreOfPrimaryFrozen => self.stores.primary.server.thaw(),
            Fault::StoreOfStandbyKilled => self.stores.standby.start_again().await,
            Fault::StoreOfPrimaryKilled => self.stores.primary.start_again().await,
            Fault::SyncStopped => self.sync.resume(),
            Fault::SyncFails => {
                self.sync.repair();
                Ok(())
            }
            Fault::Load => {
                self.load = None;
                Ok(())
            }
            Fault::AgentKilled => self.start_agent(0).await,
            Fault::AgentFrozen => self.agent(0)?.server.thaw(),
            Fault::OtherAgentKilled => self.start_agent(1).await,
            Fault::OtherAgentFrozen => self.agent(1)?.server.thaw(),
            Fault::PeersCut | Fault::PeersHalfOpen => self.peers(Mode::Pass),
            _ if fault.is_an_act() => Ok(()),
            _ => {
                let (cable, _) = self.cable(fault).context("a fault of a cable")?;
                cable.set(Mode::Pass);
                Ok(())
            }
        }
    }

    fn cable(&self, fault: Fault) -> Option<(&Cable, Mode)> {
        Some(match fault {
            Fault::LinkCut => (&self.pair.repl, Mode::BlackHole),
            Fault::LinkOnlyReplies => (&self.pair.repl, Mode::OneWay(Way::ToServer)),
            Fault::LinkOnlyWal => (&self.pair.repl, Mode::OneWay(Way::ToClient)),
            Fault::LinkReset => (&self.pair.repl, Mode::Reset),
            Fault::LinkSlow => (&self.pair.repl, Mode::Delay(Duration::from_millis(300))),
            Fault::WayToStandbyCut => (&self.pair.probe, Mode::BlackHole),
            Fault::WayToStandbyReset => (&self.pair.probe, Mode::Refuse),
            Fault::WayToStandbySlow => (&self.pair.probe, Mode::Delay(Duration::from_millis(200))),
            Fault::WayToPrimaryCut => (&self.pair.probe_primary, Mode::BlackHole),
            Fault::WayToPrimaryReset => (&self.pair.probe_primary, Mode::Refuse),
            Fault::StoreLinkCut => (&self.stores.kv, Mode::BlackHole),
            Fault::StoreLinkOneWay => (&self.stores.kv, Mode::OneWay(Way::ToServer)),
            _ => return None,
        })
    }
}

fn signal(pid: Option<u32>, signal: Signal) -> Result<()> {
    let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())).context("no such process")?;
    kill_process(pid, signal).context("a signal")
}

/// All channels, asked each second; small limits, so that what is beyond them comes soon.
fn configuration(pair: &PgPair, stores: &RedisPair, sync: &SyncLoop, meet: Option<&Meet>) -> String {
    let mut text = String::from("pairs:\n  - name: catalog\n    nodes:\n");
    for standby in [false, true] {
        let (node, server, store, root, more) = if standby {
            (SLOT, pair.standby_address(), stores.standby_address(), sync.destination(), ", replica: { slot: beta }")
        } else {
            ("alpha", pair.primary_address(), stores.primary_address(), sync.source(), "")
        };
        let timestamp = sync.timestamp_file();
        // The primary never pulls.
        let timestamp = if standby { timestamp.to_owned() } else { timestamp.with_extension("alpha") };
        let shared = if meet.is_some() { ", local: false" } else { "" };
        let _ = writeln!(
            text,
            "      {node}:\n        postgres: {{ host: {}, port: {}, user: {}, password_file: {}{more} }}\n        \
             kvstore: {{ redis: {{ address: \"{store}\" }}{shared} }}\n        \
             config: {{ root: {}, timestamp_file: {} }}",
            server.ip(),
            server.port(),
            pair.user(),
            pair.password_file().display(),
            root.display(),
            timestamp.display(),
        );
        if let Some(meet) = meet {
            let _ = writeln!(text, "        agent: '{}'", if standby { &meet.beta } else { &meet.alpha });
        }
    }
    let _ = write!(
        text,
        "    config: {{ period: {}s, interval: 1s }}\n    kvstore: {{ interval: 1s, timeout: 2s, sla: 2s, lanes: {{ medium: 8s, slow: \
         16s }} }}\n    postgres: {{ reconnect_every: 20s }}\n    rpo: {{ bytes: 1MiB, age: 5s }}\nrules:\n  \
         StandbyReplicationFlapping: {{ enabled: false }}\n",
        PERIOD.as_secs()
    );
    text.push_str(meet.map_or("", |meet| &meet.peer));
    text
}
