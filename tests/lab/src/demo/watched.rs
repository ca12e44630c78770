//! What is watched: the servers of one pair, and the agent's configuration for them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::Lab;
use crate::{KvWriter, Load, Meet, Need, OwnSearch, Persistence, PgPair, RedisPair, SyncLoop, Writer, find};

/// How often the loop in place of cron synchronises. Once a minute would make a demo long.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// The index that the search channel watches.
pub(super) const INDEX: &str = "catalog";
/// The slot from which the standby streams.
pub(super) const SLOT: &str = "beta";
const DOCUMENTS: u32 = 200;
const KV_WRITES_PER_SECOND: u32 = 20;

/// A pair with all its channels under a light load. Ends when dropped.
#[derive(Debug)]
pub struct Watched {
    /// PostgreSQL: `alpha` and its standby `beta`.
    pub postgres: PgPair,
    /// The stores, with the cable between them.
    pub stores: RedisPair,
    /// The synchronisation of the configuration.
    pub sync: SyncLoop,
    /// The search engine, or why there is none.
    pub search: Result<OwnSearch, String>,
    _writer: Writer,
    /// What writes to the promoted standby.
    led_over: Mutex<Option<Writer>>,
    _kv_writer: KvWriter,
}

impl Watched {
    /// Opens a lab, or says what is missing on this machine.
    ///
    /// # Errors
    /// One line for each server that is not installed; search is not among them: a pair does without.
    pub fn open_lab() -> Result<Lab> {
        let needs = [Need::Postgres, Need::Redis, Need::Rsync, Need::Monitoring];
        let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
        if !missing.is_empty() {
            bail!("{}\n`bash tests/lab/install.sh` installs what is missing", missing.join("\n"));
        }
        Lab::bare()
    }

    /// Starts all servers side by side and waits until each is ready.
    pub async fn start(lab: &Lab) -> Result<Self> {
        let (postgres, stores, search) = tokio::join!(
            PgPair::builder().slot(Some(SLOT)).start(lab),
            RedisPair::start(lab, Persistence::default()),
            start_search(lab),
        );
        let (postgres, stores) = (postgres?, stores?);
        let sync = SyncLoop::start(lab, PERIOD)?;
        let writer = postgres.writer(Load::Light).await?;
        let kv_writer = stores.writer(KV_WRITES_PER_SECOND)?;
        let search = search.map_err(|error| format!("{error:#}").lines().next().unwrap_or_default().to_owned());
        Ok(Self { postgres, stores, sync, search, _writer: writer, led_over: Mutex::default(), _kv_writer: kv_writer })
    }

    /// The application writes to the promoted standby from now on (`true`), or no longer.
    pub(super) async fn lead_application(&self, to_promoted: bool) -> Result<()> {
        let writer = if to_promoted { Some(self.postgres.writer_on_promoted(Load::Light).await?) } else { None };
        *self.led_over.lock().unwrap_or_else(PoisonError::into_inner) = writer;
        Ok(())
    }

    /// The agent's configuration file: one pair `catalog`, everything else as the product has it by default.
    /// `rules` are lines below `rules:`, without their indentation; `meet` is how agents meet, where each node has one.
    pub fn configuration(&self, rules: &[String], meet: Option<&Meet>) -> String {
        let mut text = String::from("pairs:\n  - name: catalog\n    nodes:\n");
        for standby in [false, true] {
            self.describe_node(&mut text, standby, meet);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    config: {{ period: {}s }}", PERIOD.as_secs());
        if self.search.is_ok() {
            let _ = writeln!(text, "    search: {{ indices: [{INDEX}], yellow_is_ok: true, count_every: 5s }}");
        }
        if !rules.is_empty() {
            text.push_str("rules:\n");
        }
        for rule in rules {
            let _ = writeln!(text, "  {rule}");
        }
        text.push_str(meet.map_or("", |meet| &meet.peer));
        text
    }

    fn describe_node(&self, text: &mut String, standby: bool, meet: Option<&Meet>) {
        let (node, postgres, store, root) = if standby {
            ("beta", self.postgres.standby_address(), self.stores.standby_address(), self.sync.destination())
        } else {
            ("alpha", self.postgres.primary_address(), self.stores.primary_address(), self.sync.source())
        };
        // alpha never pulls: once beta is the primary, nobody may take the copying that goes the old way for a good one.
        let timestamp = self.sync.timestamp_file();
        let timestamp = if standby { timestamp.to_owned() } else { timestamp.with_extension("alpha") };
        let replica = if standby { format!(", replica: {{ slot: {SLOT} }}") } else { String::new() };
        // Both nodes are this machine: either one's agent reaches either one's store by its loopback address.
        let shared = if meet.is_some() { ", local: false" } else { "" };
        let _ = writeln!(
            text,
            "      {node}:\n        postgres: {{ host: {}, port: {}, user: {}, password_file: {}{replica} }}\n        \
             kvstore: {{ redis: {{ address: \"{store}\" }}{shared} }}\n        \
             config: {{ root: {}, timestamp_file: {} }}",
            postgres.ip(),
            postgres.port(),
            self.postgres.user(),
            self.postgres.password_file().display(),
            root.display(),
            timestamp.display(),
        );
        if let Some(meet) = meet {
            let _ = writeln!(text, "        agent: '{}'", if standby { &meet.beta } else { &meet.alpha });
        }
        if let Ok(search) = &self.search {
            let _ = writeln!(text, "        search: {{ url: {} }}", search.search.url());
        }
    }
}

async fn start_search(lab: &Lab) -> Result<OwnSearch> {
    let missing = tokio::task::spawn_blocking(|| Need::Search.missing()).await?;
    if let Some(reason) = missing {
        bail!(reason);
    }
    let server = OwnSearch::start(lab, "opensearch").await?;
    fill_index(&server).await?;
    Ok(server)
}

/// Makes the index with its documents.
pub(super) async fn fill_index(server: &OwnSearch) -> Result<()> {
    server.search.create_index(INDEX, DOCUMENTS, 0).await
}

/// The product's program, which a build puts beside the laboratory's own programs.
///
/// # Errors
/// When it was not built.
pub fn product_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program lies")?;
    // A test's program lies in `deps`, one level deeper.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("standbywatch"))
        .find(|file| find::is_program(file))
        .with_context(|| format!("no `standbywatch` beside {}: build it with `cargo build --workspace`", own.display()))
}
