//! Who gets into a server, and how: certificates, rules of access, reloads that are awaited.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::certificates::{Authority, Certificate, write_key};
use super::server::{OpenTransaction, PgServer};
use super::template::ACCESS;
use crate::keeper::freeze;
use crate::user::ServerUser;
use crate::wait::wait_until;

const RELOAD: Duration = Duration::from_secs(20);
/// A lab's server takes fewer.
const MOST_SESSIONS: usize = 300;

impl PgServer {
    /// Speaks TLS with this certificate from now on; certificates of roles are checked against `authority`.
    pub async fn use_certificate(&self, authority: &Authority, own: &Certificate) -> Result<()> {
        let user = self.lab().user();
        let data = self.data_dir();
        let read = |path| fs::read_to_string(path).context("read a certificate");
        fs::write(data.join("server.crt"), read(&own.certificate)?)?;
        write_key(&data.join("server.key"), &read(&own.key)?)?;
        fs::write(data.join("root.crt"), read(&authority.root())?)?;
        for file in ["server.crt", "server.key", "root.crt"] {
            ServerUser::give(user, &data.join(file))?;
        }
        self.note_setting("ssl_ca_file", "root.crt")?;
        self.note_setting("ssl", "on")?;
        self.reload().await
    }

    /// Puts these lines before all others of `pg_hba.conf`; an empty text leaves the lab's own.
    pub async fn let_in_by(&self, lines: &str) -> Result<()> {
        fs::write(self.data_dir().join("pg_hba.conf"), format!("{lines}\n{ACCESS}")).context("write pg_hba.conf")?;
        self.reload().await
    }

    /// Reloads its configuration and waits until new sessions are made by it.
    pub async fn reload(&self) -> Result<()> {
        const LOADED: &str = "SELECT pg_conf_load_time()::text";
        let before = self.value(LOADED).await?;
        self.signal(Signal::HUP)?;
        wait_until("the server has reloaded", RELOAD, async || Ok((self.value(LOADED).await? != before).then_some(())))
            .await
    }

    /// Opens idle sessions until no more is let in, also none of a superuser; they go when `held` is dropped.
    pub async fn fill(&self, held: &mut Vec<OpenTransaction>) -> Result<()> {
        for _ in 0..MOST_SESSIONS {
            match self.open_transaction("SELECT 1").await {
                Ok(session) => held.push(session),
                Err(error) if format!("{error:#}").contains("too many clients") => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        bail!("{MOST_SESSIONS} sessions do not fill it")
    }

    /// How many sessions call themselves so.
    pub async fn sessions_of(&self, application_name: &str) -> Result<usize> {
        Ok(self.pids_of(application_name, "true").await?.len())
    }

    /// SIGSTOP to the backends of these sessions, caught while they wait for a question, so that they hold nothing that
    /// others need. [`PgServer::thaw`] lets them go on.
    pub async fn freeze_sessions_of(&self, application_name: &str) -> Result<()> {
        wait_until("sessions are frozen while idle", RELOAD, async || {
            let pids = self.pids_of(application_name, "state = 'idle'").await?;
            for pid in &pids {
                freeze(*pid)?;
            }
            if !pids.is_empty() && self.pids_of(application_name, "state = 'idle'").await? == pids {
                return Ok(Some(()));
            }
            self.thaw()?;
            Ok(None)
        })
        .await
    }

    async fn pids_of(&self, application_name: &str, condition: &str) -> Result<Vec<Pid>> {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = '{application_name}' AND {condition} ORDER BY pid"
        );
        let rows = self.sql(&sql).await?;
        let pid = |text: String| text.parse().ok().and_then(Pid::from_raw).context("a pid");
        rows.into_iter().flatten().flatten().map(pid).collect()
    }
}
