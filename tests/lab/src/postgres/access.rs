//! Who gets into a server, and how: certificates, rules of access, reloads that are awaited.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::certificates::{Authority, Certificate, write_key};
use super::server::PgServer;
use super::template::ACCESS;
use crate::user::ServerUser;
use crate::wait::wait_until;

const RELOAD: Duration = Duration::from_secs(20);

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
}
