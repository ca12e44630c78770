//! One PostgreSQL server of the lab.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::process::Command;

use super::{AGENT, PASSWORD, REPLICATOR, SUPERUSER, template};
use crate::find;
use crate::keeper::{freeze, inside, signal_inside};
use crate::lab::Lab;
use crate::ports;
use crate::process::{As, Server};
use crate::user::ServerUser;
use crate::wait::wait_until;

/// Rows of text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);

/// A transaction that holds its snapshot and its locks. Ends with its connection, when dropped.
#[derive(Debug)]
pub struct OpenTransaction {
    _connection: PgConnection,
}

/// A PostgreSQL server with its data directory. Every operation works on the real processes.
#[derive(Debug)]
pub struct PgServer {
    name: String,
    bin: PathBuf,
    home: PathBuf,
    port: u16,
    settings: Mutex<BTreeMap<String, String>>,
    clock: Mutex<Vec<(String, String)>>,
    server: Server,
}

impl PgServer {
    /// Prepares a server named `name` of the programs in `bin`, whose data directory is made by `fill`; it is not started.
    pub(super) fn prepare(
        lab: &Lab,
        name: &str,
        bin: &Path,
        settings: &[(String, String)],
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let home = lab.server_dir(name)?;
        fill(&home.join("data"))?;
        let port = ports::lease()?;
        let mut all = BTreeMap::new();
        let defaults = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", home.display().to_string()),
            ("cluster_name", name.to_owned()),
            ("fsync", "off".to_owned()),
            ("full_page_writes", "off".to_owned()),
            // In files of the data directory, so that a killed server leaves none behind.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
            ("shared_buffers", "16MB".to_owned()),
            ("max_wal_size", "512MB".to_owned()),
            ("log_line_prefix", "%m [%p] %u ".to_owned()),
            ("log_replication_commands", "on".to_owned()),
        ];
        all.extend(defaults.map(|(key, value)| (key.to_owned(), value)));
        all.extend(settings.iter().cloned());
        let this = Self {
            name: name.to_owned(),
            bin: bin.to_owned(),
            server: Server::new(lab, name, &home),
            home,
            port,
            settings: Mutex::new(all),
            clock: Mutex::default(),
        };
        this.write_settings()?;
        Ok(this)
    }

    /// Name of the node: `alpha` is the first primary, `beta` its standby.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens: 127.0.0.1 and its port. Roles need their password here.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its socket, where no password is asked for.
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// Where its programs are.
    pub(super) fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// True while the postmaster runs (or is frozen).
    pub fn is_running(&self) -> bool {
        self.server.is_running()
    }

    /// The server's log.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Starts it and waits until it is open, or, with `hot_standby=off`, replays.
    ///
    /// # Errors
    /// When it ends instead, or is not ready within a minute; with the end of its log.
    pub async fn start(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} runs already", self.name);
        }
        let mut postgres = Command::new(self.bin.join("postgres"));
        postgres.arg("-D").arg(self.data_dir());
        postgres.envs(self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone());
        self.server.launch(postgres, As::Server)?;
        let pid_file = self.data_dir().join("postmaster.pid");
        let pid = self.pid().context("just started")?.to_string();
        wait_until("PostgreSQL is ready", START, async || {
            if !self.is_running() {
                return Ok(Some(false));
            }
            // First line: pid of the postmaster. Eighth line: its state; an old file may still lie there.
            let text = fs::read_to_string(&pid_file)?;
            let mut lines = text.lines();
            let ours = lines.next() == Some(pid.as_str());
            let state = lines.nth(6).unwrap_or_default().trim();
            Ok((ours && matches!(state, "ready" | "standby")).then_some(true))
        })
        .await
        .and_then(|ready| if ready { Ok(()) } else { bail!("it ended while starting") })
        .with_context(|| format!("start {}:\n{}", self.name, self.server.log_tail()))
    }

    /// Fast shutdown (SIGINT); waits for the end.
    pub async fn stop(&self) -> Result<()> {
        self.server.end_by(Signal::INT).await.map(|_| ())
    }

    /// Switches the data checksums of the stopped server, as told by its control file.
    pub fn switch_checksums(&self, on: bool) -> Result<()> {
        let mut switch = std::process::Command::new(self.bin.join("pg_checksums"));
        switch.args([if on { "--enable" } else { "--disable" }, "--no-sync", "-D"]).arg(self.data_dir());
        template::run_as_server(self.server.lab(), switch)
    }

    /// SIGKILL to the postmaster and all its processes; waits for the end.
    pub async fn kill(&self) -> Result<()> {
        self.server.kill().await
    }

    /// From its next start on its wall clock is off by this much, e.g. `+600s`; what it measures time with is left alone.
    ///
    /// # Errors
    /// `faketime` is not installed, or does not say what it would load.
    pub fn shift_clock(&self, offset: &str) -> Result<()> {
        // The program is a script around a library: without it, the server's own process is the one that is started.
        let asked = std::process::Command::new(find::program("faketime")?)
            .args(["-f", offset, "printenv", "LD_PRELOAD"])
            .output()
            .context("ask faketime for its library")?;
        let library = String::from_utf8(asked.stdout)?.trim().to_owned();
        if library.is_empty() {
            bail!("faketime does not name its library: {}", String::from_utf8_lossy(&asked.stderr));
        }
        let variables = [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        let mut clock = self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *clock = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Ok(())
    }

    /// Fast shutdown and start on the same port.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// SIGSTOP to the postmaster and all its processes.
    pub fn freeze(&self) -> Result<()> {
        self.server.freeze()
    }

    /// SIGCONT to all its processes: undoes every freeze.
    pub fn thaw(&self) -> Result<()> {
        self.server.thaw()
    }

    /// SIGSTOP to the postmaster only: no new connection gets a backend, present ones go on.
    pub fn freeze_postmaster(&self) -> Result<()> {
        self.server.freeze_main()
    }

    /// SIGSTOP to the WAL receiver only.
    pub fn freeze_receiver(&self) -> Result<()> {
        let pid = self.process("walreceiver").context("no WAL receiver")?;
        freeze(pid)
    }

    /// SIGCONT to the WAL receiver.
    pub fn thaw_receiver(&self) -> Result<()> {
        let pid = self.process("walreceiver").context("no WAL receiver")?;
        kill_process(pid, Signal::CONT).context("thaw the WAL receiver")
    }

    /// Process id of the WAL receiver, if there is one.
    pub fn receiver_pid(&self) -> Option<u32> {
        self.process("walreceiver").map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Process id of the process that replays, if there is one.
    pub fn startup_pid(&self) -> Option<u32> {
        self.process("startup").map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Process ids of the WAL senders to `application_name`.
    pub async fn sender_pids(&self, application_name: &str) -> Result<Vec<u32>> {
        let sql = format!("SELECT pid FROM pg_stat_replication WHERE application_name = '{application_name}'");
        let rows = self.sql(&sql).await?;
        rows.into_iter().flatten().flatten().map(|pid| pid.parse().context("a pid")).collect()
    }

    /// Promotes the standby and waits until it takes writes.
    pub async fn promote(&self) -> Result<()> {
        self.sql("SELECT pg_promote(true, 60)").await?;
        wait_until("the standby is promoted", START, async || {
            let in_recovery = self.value("SELECT pg_is_in_recovery()").await?;
            Ok((in_recovery.as_deref() == Some("f")).then_some(()))
        })
        .await
    }

    /// True once it was promoted, also while it does not run: a promotion takes its `standby.signal` away.
    pub fn is_promoted(&self) -> bool {
        !self.data_dir().join("standby.signal").exists()
    }

    /// Pauses the replay of the standby and waits until it stands.
    pub async fn pause_replay(&self) -> Result<()> {
        self.sql("SELECT pg_wal_replay_pause()").await?;
        wait_until("replay is paused", ANSWER, async || {
            let state = self.value("SELECT pg_get_wal_replay_pause_state()").await?;
            Ok((state.as_deref() == Some("paused")).then_some(()))
        })
        .await
    }

    /// Lets the standby replay again.
    pub async fn resume_replay(&self) -> Result<()> {
        self.sql("SELECT pg_wal_replay_resume()").await.map(|_| ())
    }

    /// Changes a setting in the server's file and reloads; some take effect at [`PgServer::restart`] only.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        self.note_setting(setting, value)?;
        if self.is_running() {
            self.server.signal_main(Signal::HUP)?;
        }
        Ok(())
    }

    /// Gives the agent's role another password; new connections need it.
    pub async fn change_password(&self, password: &str) -> Result<()> {
        self.sql(&format!("ALTER ROLE {AGENT} PASSWORD '{password}'")).await.map(|_| ())
    }

    /// Takes `pg_monitor` from the agent's role.
    pub async fn revoke_monitor(&self) -> Result<()> {
        self.sql(&format!("REVOKE pg_monitor FROM {AGENT}")).await.map(|_| ())
    }

    /// Gives `pg_monitor` back to the agent's role.
    pub async fn grant_monitor(&self) -> Result<()> {
        self.sql(&format!("GRANT pg_monitor TO {AGENT}")).await.map(|_| ())
    }

    /// Runs statements as superuser through the socket; the rows of all of them, as text.
    ///
    /// # Errors
    /// The server's, or no answer within 10 s (a frozen server).
    pub async fn sql(&self, statements: &str) -> Result<Rows> {
        let run = async {
            let mut connection = self.connect().await?;
            let rows = ask(&mut connection, statements).await?;
            connection.close().await?;
            anyhow::Ok(rows)
        };
        match tokio::time::timeout(ANSWER, run).await {
            Ok(done) => done.with_context(|| format!("{}: {statements}", self.name)),
            Err(_) => bail!("{} did not answer within {ANSWER:?}", self.name),
        }
    }

    /// Opens a transaction as superuser with these statements and leaves it open until it is dropped.
    pub async fn open_transaction(&self, statements: &str) -> Result<OpenTransaction> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {statements}"))).execute(&mut connection).await?;
        Ok(OpenTransaction { _connection: connection })
    }

    /// The first value of the first row; `None` for NULL and for no row.
    pub async fn value(&self, statement: &str) -> Result<Option<String>> {
        let rows = self.sql(statement).await?;
        Ok(rows.into_iter().flatten().next().flatten())
    }

    /// A connection as superuser through the socket.
    pub(super) async fn connect(&self) -> Result<PgConnection> {
        self.superuser().connect().await.with_context(|| format!("connect to {}", self.name))
    }

    /// How the superuser gets in.
    pub(super) fn superuser(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.home)
            .port(self.port)
            .username(SUPERUSER)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging()
    }

    /// Makes it a standby of the server behind `port`, from its next start on.
    pub fn follow(&self, port: u16, slot: Option<&str>) -> Result<()> {
        let conninfo = format!(
            "host=127.0.0.1 port={port} user={REPLICATOR} password=''{PASSWORD}'' application_name={}",
            self.name
        );
        let mut settings = self.settings();
        settings.insert("primary_conninfo".to_owned(), conninfo);
        settings.insert("primary_slot_name".to_owned(), slot.unwrap_or_default().to_owned());
        drop(settings);
        self.wait_for_files()
    }

    /// Makes it a standby from its next start on: without anybody to follow, one of what its `restore_command` fetches.
    pub(super) fn wait_for_files(&self) -> Result<()> {
        self.write_settings()?;
        let signal = self.data_dir().join("standby.signal");
        fs::write(&signal, "").context("write standby.signal")?;
        // Promotion removes it, and PostgreSQL wants to be able to write it.
        ServerUser::give(self.server.lab().user(), &signal)
    }

    /// Changes a setting in the server's file only.
    pub(super) fn note_setting(&self, setting: &str, value: &str) -> Result<()> {
        self.settings().insert(setting.to_owned(), value.to_owned());
        self.write_settings()
    }

    /// Sends a signal to the postmaster only.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal_main(signal)
    }

    pub(super) fn lab(&self) -> &Lab {
        self.server.lab()
    }

    fn settings(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.settings.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write_settings(&self) -> Result<()> {
        let text: String = self.settings().iter().map(|(setting, value)| format!("{setting} = '{value}'\n")).collect();
        fs::write(self.data_dir().join("lab.conf"), text).context("write lab.conf")
    }

    /// A process of this server by the title that PostgreSQL gives it.
    fn process(&self, title: &str) -> Option<Pid> {
        inside(self.server.dir()).into_iter().find(|pid| {
            let pid = pid.as_raw_nonzero();
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with("postgres:") && line.contains(title))
        })
    }

    /// SIGKILL without waiting, for the end of a pair.
    pub(super) fn kill_now(&self) {
        signal_inside(self.server.dir(), Signal::KILL);
    }
}

/// Runs statements on a connection; the rows of all of them, as text.
pub(super) async fn ask(connection: &mut PgConnection, statements: &str) -> Result<Rows> {
    let rows = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).fetch_all(connection).await?;
    let texts = |row: &sqlx::postgres::PgRow| {
        (0..row.len()).map(|column| Ok(row.try_get_raw(column)?.as_str().ok().map(str::to_owned))).collect()
    };
    rows.iter().map(texts).collect()
}
