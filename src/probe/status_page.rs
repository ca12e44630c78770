//! The probe of a vendor's own `/monitor/replication`, for servers that cannot be asked themselves.
//!
//! No redirect is followed: what a login page answers is no lag. One connection is held, and made anew after any failure.

mod answer;

use std::time::Duration;

use hyper::Method;

use crate::clock;
use crate::config::{PostgresChannel, StatusPage};
use crate::facts::{Failure, Reading, StatusPageFacts};
use crate::http_client::{Connection, Response};
use crate::names::FailureKind;
use crate::probe::password::password_of;
use crate::units::duration_text;

/// An answer is this long at most, in bytes: room for a page about hundreds of pairs.
const MAX_BODY: usize = 1 << 20;

/// A cache on the way should ask the vendor, not its memory.
const HEADERS: &[(&str, &str)] = &[("accept", "application/json"), ("cache-control", "no-cache")];

/// Asks one vendor's page.
pub struct StatusPageProbe {
    page: StatusPage,
    timeout: Duration,
    held: Option<(Connection, String)>,
}

impl StatusPageProbe {
    /// A probe that connects at its first run.
    pub fn new(page: &StatusPage, channel: &PostgresChannel) -> Self {
        Self { page: page.clone(), timeout: channel.schedule.timeout, held: None }
    }

    /// One look, under one deadline.
    pub async fn run(&mut self) -> Reading<StatusPageFacts> {
        let asked = clock::now();
        let result = match tokio::time::timeout(self.timeout, self.look()).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                FailureKind::Timeout,
                format!(
                    "{} did not answer within {}; open it yourself, and look at the load of the machine behind it",
                    self.page.shown,
                    duration_text(self.timeout)
                ),
            )),
        };
        if result.is_err() {
            self.held = None;
        }
        Reading { asked, answered: clock::now(), result }
    }

    async fn look(&mut self) -> Result<StatusPageFacts, Failure> {
        let response = self.ask().await?;
        answer::read(&response, &self.page.shown)
    }

    async fn ask(&mut self) -> Result<Response, Failure> {
        let (mut connection, path) = match self.held.take() {
            Some(held) => held,
            None => self.connection().await?,
        };
        let response = connection.send(Method::GET, &path, HEADERS, Vec::new(), MAX_BODY).await?;
        self.held = Some((connection, path));
        Ok(response)
    }

    /// The password and the certificates are read anew each time.
    async fn connection(&self) -> Result<(Connection, String), Failure> {
        let (mut connection, path) = Connection::for_url(self.page.url.expose())?;
        if let Some(user) = &self.page.user {
            let password = password_of(self.page.password.as_ref()).await?;
            connection.authenticate(user, password.as_ref().map_or("", |password| password.expose()));
        }
        if let Some(file) = &self.page.root_certificate {
            connection.trust_only(file)?;
        }
        Ok((connection, path))
    }
}
