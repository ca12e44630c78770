//! Whether the servers can still be got into.

use super::Rule;
use super::postgres::critical;
use crate::judge::rules::condition::{Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{Reason, RuleName};

/// The series is of refusals, so that its greatest value is the worst: of two nodes one that refuses is enough.
pub(super) const NOT_ACCEPTING: Rule = critical(
    RuleName::PostgresNotAccepting,
    Condition::All(&[Compare::holds("standby_postgres_not_accepting")]),
    "A PostgreSQL server answers, but lets no new session in.",
    &[
        Part::Text("A server of pair "),
        Part::Pair,
        Part::Text(
            " answers over the session that is held with it, but no new one can be opened. Applications that connect \
             anew fail, and a promotion would bring up a server that nobody can get into.",
        ),
    ],
    "1. Read the node and the cause on the status page. 2. Try it: psql to that node. 3. It hangs: look at the \
     postmaster (stopped or starved of CPU?), then at the network. 4. No session left: end idle ones, raise \
     max_connections. 5. TLS: renew the certificate and reload.",
    Reason::NotAccepting,
);
