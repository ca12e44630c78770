//! PostgreSQL: a primary and its standby, streaming over a cable.

mod access;
mod certificates;
mod copying;
mod pair;
mod server;
mod template;
mod tools;
mod writer;

pub use certificates::{Authority, Certificate};
pub use pair::{PgPair, PgPairBuilder};
pub use server::{OpenTransaction, PgServer, Rows};
pub use tools::Taker;
pub use writer::{Load, Writer};

/// The lab's superuser; comes in through the server's socket, without a password.
const SUPERUSER: &str = "lab";
/// The role of the agent, with `pg_monitor`.
const AGENT: &str = "standbywatch";
/// The role with which standbys stream.
const REPLICATOR: &str = "replicator";
/// Password of both roles. It protects nothing but a test from not noticing that passwords are asked for.
const PASSWORD: &str = "correct horse";
