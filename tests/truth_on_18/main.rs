//! The table of truth once more, on PostgreSQL 18: the same rows as in `tests/truth`, from the same files.
//!
//! Left out are the rows of the other channels, to which the version of PostgreSQL is nothing: `config`, `config_files`, `kvstore` and `search`;
//! and `checksums`, for which these servers bring no program.

#![allow(dead_code, reason = "some of what rows share is used by the other channels' rows only")]

#[path = "../truth/access.rs"]
mod access;
#[path = "../truth/benign.rs"]
mod benign;
#[path = "../truth/commits.rs"]
mod commits;
#[path = "../truth/contradictions.rs"]
mod contradictions;
#[path = "../truth/forecast.rs"]
mod forecast;
#[path = "../truth/postgres.rs"]
mod postgres;
#[path = "../truth/pulse.rs"]
mod pulse;
#[path = "../truth/replay.rs"]
mod replay;
#[path = "../truth/restart.rs"]
mod restart;
#[path = "../truth/row.rs"]
mod row;
#[path = "../truth/sessions.rs"]
mod sessions;
#[path = "../truth/settings.rs"]
mod settings;
#[path = "../truth/site.rs"]
mod site;
#[path = "../truth/slots.rs"]
mod slots;
#[path = "../truth/stopped_agent.rs"]
mod stopped_agent;

/// The major version of PostgreSQL that this program plays its rows on.
const MAJOR: u32 = 18;
