//! The table of truth once more, on PostgreSQL 18: the same rows as in `tests/truth`, from the same files.
//!
//! Left out are the rows of the other channels, to which the version of PostgreSQL is nothing: `config`, `kvstore` and `search`.

#![allow(dead_code, reason = "some of what rows share is used by the other channels' rows only")]

#[path = "../truth/access.rs"]
mod access;
#[path = "../truth/benign.rs"]
mod benign;
#[path = "../truth/commits.rs"]
mod commits;
#[path = "../truth/contradictions.rs"]
mod contradictions;
#[path = "../truth/postgres.rs"]
mod postgres;
#[path = "../truth/replay.rs"]
mod replay;
#[path = "../truth/row.rs"]
mod row;
#[path = "../truth/site.rs"]
mod site;
#[path = "../truth/slots.rs"]
mod slots;
#[path = "../truth/stopped_agent.rs"]
mod stopped_agent;

/// The major version of PostgreSQL that this program plays its rows on.
const MAJOR: u32 = 18;
