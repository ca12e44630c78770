//! A watched pair with the channels that a test asks for, and the words of its configuration.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use standbywatch_lab::{
    Agent, AgentOptions, Cable, Context, Lab, Need, Persistence, PgPair, RedisPair, Result, SharedSearch, SyncLoop,
};

/// Longer than anything takes that is awaited, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// How often rsync runs.
const PERIOD: Duration = Duration::from_secs(5);
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_standbywatch");

/// A search engine that others use too: its own index, and a cable that may be cut.
pub struct Engine {
    pub index: String,
    pub cable: Cable,
    _shared: SharedSearch,
}

/// The servers of one pair. An agent is started over them when the test says so.
pub struct Site {
    pub postgres: PgPair,
    pub stores: Option<RedisPair>,
    pub sync: Option<SyncLoop>,
    pub engine: Option<Engine>,
    pub lab: Lab,
}

impl Site {
    /// PostgreSQL only. `None`: a server is missing here, which was said.
    pub async fn postgres() -> Result<Option<Self>> {
        let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(None) };
        let postgres = PgPair::builder().start(&lab).await?;
        Ok(Some(Self { postgres, stores: None, sync: None, engine: None, lab }))
    }

    /// All four channels. `needs`: what else must be there.
    pub async fn whole(needs: &[Need]) -> Result<Option<Self>> {
        let all = [&[Need::Postgres, Need::Redis, Need::Rsync, Need::Search], needs].concat();
        let Some(lab) = Lab::open(&all)? else { return Ok(None) };
        let postgres = PgPair::builder().start(&lab).await?;
        let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
        let sync = SyncLoop::start(&lab, PERIOD)?;
        let shared = SharedSearch::join().await?;
        let index = shared.search.fresh_name("faces");
        shared.search.create_index(&index, 20, 0).await?;
        let cable = Cable::to(shared.search.address()).await?;
        let engine = Engine { index, cable, _shared: shared };
        Ok(Some(Self { postgres, stores: Some(stores), sync: Some(sync), engine: Some(engine), lab }))
    }

    /// The configuration of the one pair `catalog`; `more` is added under the pair, each line indented by four.
    pub fn config(&self, more: &str) -> String {
        format!("pairs:\n{}", self.pair("catalog", &self.postgres, more))
    }

    /// An entry of `pairs`, with this site's other servers if the pair is its own.
    pub fn pair(&self, name: &str, postgres: &PgPair, more: &str) -> String {
        let own = std::ptr::eq(postgres, &self.postgres);
        let mut text = format!("  - name: {name}\n    nodes:\n");
        for (node, standby) in [("alpha", false), ("beta", true)] {
            let address = if standby { postgres.standby_address() } else { postgres.primary_address() };
            let replica = if standby { ", replica: { slot: beta }" } else { "" };
            let _ = writeln!(text, "      {node}:");
            let _ = writeln!(
                text,
                "        postgres: {{ host: {}, port: {}, user: {}, password_file: {}{replica} }}",
                address.ip(),
                address.port(),
                postgres.user(),
                postgres.password_file().display()
            );
            if own {
                self.other_channels_of(&mut text, standby);
            }
        }
        if own && self.sync.is_some() {
            let _ = writeln!(text, "    config: {{ period: {}s, interval: 1s }}", PERIOD.as_secs());
        }
        if let Some(engine) = self.engine.as_ref().filter(|_| own) {
            let _ = writeln!(text, "    search: {{ indices: [{}], interval: 1s, yellow_is_ok: true }}", engine.index);
        }
        text + more
    }

    fn other_channels_of(&self, text: &mut String, standby: bool) {
        if let Some(stores) = &self.stores {
            let address = if standby { stores.standby_address() } else { stores.primary_address() };
            let _ = writeln!(text, "        kvstore: {{ redis: {{ address: \"{address}\" }} }}");
        }
        if let Some(sync) = &self.sync {
            let root = if standby { sync.destination() } else { sync.source() };
            let file = sync.timestamp_file().display();
            let _ = writeln!(text, "        config: {{ root: {}, timestamp_file: {file} }}", root.display());
        }
        if let Some(engine) = &self.engine {
            let _ = writeln!(text, "        search: {{ url: \"http://{}\" }}", engine.cable.address());
        }
    }

    /// Starts the agent with this configuration; returns as soon as it listens.
    pub async fn agent(&self, config: String) -> Result<Agent> {
        let options = AgentOptions { program: PROGRAM.into(), config: Some(config), ..AgentOptions::default() };
        Agent::start(&self.lab, options).await
    }

    /// Everything that can be taken away is: nothing can be known of any channel any more.
    pub async fn take_all_away(&self) -> Result<()> {
        use standbywatch_lab::Mode::BlackHole;
        self.postgres.standby.kill().await?;
        if let Some(stores) = &self.stores {
            stores.kv.set(BlackHole);
        }
        if let Some(engine) = &self.engine {
            engine.cable.set(BlackHole);
        }
        if let Some(sync) = &self.sync {
            sync.stop();
            std::fs::remove_file(sync.timestamp_file()).context("remove the timestamp")?;
        }
        Ok(())
    }
}

/// Waits until the pair (all pairs) is at this level; returns `/monitor/replication`.
pub async fn wait_for_level(agent: &Agent, level: &str) -> Result<serde_json::Value> {
    let what = format!("level {level}");
    agent.wait_for_json("/monitor/replication", &what, SOON, |page| page["status"] == level).await
}

/// What a finished command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the program and waits for its end; nothing of the caller's environment that it would read is passed on.
pub async fn standbywatch(args: &[&str], env: &[(&str, &str)]) -> Result<Said> {
    let mut command = tokio::process::Command::new(PROGRAM);
    command.args(args).env_remove("STATE_DIRECTORY").env_remove("PGPASSWORD").env("PGPASSFILE", "/dev/null");
    command.envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(SOON, command.output()).await.with_context(|| format!("{args:?} does not end"))?;
    let Output { status, stdout, stderr } = ended.context("run the program")?;
    let said = Said { code: status.code(), out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? };
    println!("$ standbywatch {}\n{}{}[exit code {:?}]", args.join(" "), said.out, said.err, said.code);
    Ok(said)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the lab's paths are plain")
}
