//! How many documents a search index should hold, by a query of the operator's on the primary's database.
//!
//! Each run opens a session of its own, which may only read, and ends it: a count may take long, and must not delay the facts.

use std::time::Duration;

use super::SHORTEST_IDLE;
use super::session::{ServerLimits, Session};
use super::turns::{Turn, Turns};
use crate::clock;
use crate::config::{PairConfig, PostgresNode};
use crate::facts::{Failure, Reading};
use crate::names::{FailureKind, Name};
use crate::units::duration_text;

/// The operator's query finds tables as in the operator's own session. (That nothing may write, each session of ours is opened with.)
const AS_USUAL: &str = "SET search_path = \"$user\", public; SELECT 'set'";

/// The query for one index.
#[derive(Clone, Debug)]
pub struct ExpectedProbe {
    sql: String,
    timeout: Duration,
    nodes: Vec<(Name, PostgresNode)>,
    failing: bool,
}

impl ExpectedProbe {
    /// One for each index that has a query, with its name and period.
    pub fn all(pair: &PairConfig) -> Vec<(String, Self, Duration)> {
        let server = |node: &crate::config::NodeConfig| Some((node.name.clone(), node.postgres.clone()?));
        let nodes: Vec<_> = pair.nodes.iter().filter_map(server).collect();
        let configured = pair.search.iter().flat_map(|channel| &channel.expected);
        let probe = |(index, expected): (&String, &crate::config::Expected)| {
            let sql = expected.sql.clone()?;
            let probe = Self { sql, timeout: expected.timeout, nodes: nodes.clone(), failing: false };
            Some((index.clone(), probe, expected.period))
        };
        configured.filter_map(probe).collect()
    }

    /// Asks the server of `primary`, within the query's own timeout, which counts from its turn to open a session.
    pub async fn run(&mut self, primary: &Name) -> Reading<u64> {
        let turn = Turns::of_this_process().place().await.ok();
        let asked = clock::now();
        let result = match tokio::time::timeout(self.timeout, self.ask(turn, primary)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Failure::new(
                FailureKind::Timeout,
                format!(
                    "the query took longer than {}; give it an index, or a longer timeout",
                    duration_text(self.timeout)
                ),
            )),
        };
        match &result {
            Err(failure) if !self.failing => {
                tracing::warn!(node = %primary, %failure, "how many documents are expected is not known by the database");
            }
            _ => {}
        }
        self.failing = result.is_err();
        Reading { asked, answered: clock::now(), result }
    }

    async fn ask(&self, turn: Option<Turn>, primary: &Name) -> Result<u64, Failure> {
        let (_, node) = self.nodes.iter().find(|(name, _)| name == primary).ok_or_else(|| {
            Failure::new(FailureKind::Unreachable, format!("{primary} has no PostgreSQL server that is asked"))
        })?;
        let limits = ServerLimits { statement: self.timeout, idle: self.timeout.max(SHORTEST_IDLE) };
        let opening = Session::open(node, limits);
        let mut session = match turn {
            Some(turn) => turn
                .make(self.timeout, opening)
                .await
                .unwrap_or_else(|| Err(super::failure::timeout(node, "accept a session", self.timeout)))?,
            None => opening.await?,
        };
        let answer = match session.ask_apart(AS_USUAL.to_owned()).await {
            Ok(_) => session.ask_apart(self.message()).await,
            Err(error) => Err(error),
        };
        session.close();
        let wrong =
            |what: String| Failure::new(FailureKind::Protocol, format!("{what}; try the query by hand as this role"));
        let text = answer.map_err(wrong)?;
        text.parse().map_err(|_| wrong(format!("the query's answer {text:?} is no count")))
    }

    /// The query as one value of a known type, so that it has one row and one column.
    fn message(&self) -> String {
        let sql = self.sql.trim().trim_end_matches(';');
        format!("SELECT (\n{sql}\n)::bigint::text")
    }
}
