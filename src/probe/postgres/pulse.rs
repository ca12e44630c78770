//! The one thing that this agent ever writes: on the proven primary, where the configuration asks for it.

use super::failure;
use super::session::{caught, nonsense};
use super::{PostgresProbe, Session};
use crate::clock;
use crate::config::PostgresNode;
use crate::facts::{Failure, Reading};
use crate::names::FailureKind;
use crate::units::Lsn;

const PULSE: &str = include_str!("pulse.sql");

impl PostgresProbe {
    /// Has the server write a pulse, over the held session and under the probe's deadline; where it ends in the WAL, or why it
    /// was not written. `None`: there is no session, or the server is a standby by now and nothing was written.
    pub async fn pulse(&mut self) -> Option<Reading<Lsn>> {
        let session = self.session.as_mut()?;
        let asked = clock::now();
        let written = tokio::time::timeout(self.timeout, session.pulse(&self.node)).await;
        let answered = clock::now();
        let result = match written {
            Ok(Ok(end)) => Ok(end?),
            Ok(Err(failure)) => {
                // Without the right to write it, the session is as good as before.
                if failure.kind != FailureKind::Permission {
                    self.session = None;
                }
                Err(failure)
            }
            Err(_) => {
                self.session = None;
                self.pace.lost_session(answered);
                Err(failure::timeout(&self.node, "write a pulse", self.timeout))
            }
        };
        Some(Reading { asked, answered, result })
    }
}

impl Session {
    /// One round trip. `None`: the server is in recovery.
    async fn pulse(&mut self, node: &PostgresNode) -> Result<Option<Lsn>, Failure> {
        let writing = caught(sqlx::query_scalar(PULSE).fetch_optional(&mut self.connection));
        let end: Option<String> = writing
            .await
            .unwrap_or_else(|| Err(nonsense()))
            .map_err(|error| lacks_right(&error, node).unwrap_or_else(|| failure::of(&error, node)))?;
        let Some(end) = end else { return Ok(None) };
        let wrong = |error| Failure::new(FailureKind::Protocol, format!("{}: {error}", failure::place(node)));
        end.parse().map(Some).map_err(wrong)
    }
}

/// Everybody may call the function, unless somebody has taken that right away.
fn lacks_right(error: &sqlx::Error, node: &PostgresNode) -> Option<Failure> {
    let sqlx::Error::Database(error) = error else { return None };
    let lacks = error.code().is_some_and(|code| code == "42501");
    lacks.then(|| {
        let text = format!(
            "{}: {:?} may not write the pulse: GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO \
             {:?} (from PostgreSQL 17 on with a fourth argument, boolean), or leave pulse out",
            failure::place(node),
            node.user,
            node.user
        );
        Failure::new(FailureKind::Permission, text)
    })
}
