//! The table of truth: faults on one side, what the agent says on the other, against real servers.
//!
//! Each row starts its own pair, agent, Prometheus and Alertmanager, waits until all is well, breaks one thing, and asserts what is
//! told and by when: level and reason, the number in the JSON, series present and absent, the alert in Alertmanager. Then it repairs,
//! and all must be well again without a restart. What it measured goes into a file, from which `docs/truth.md` is printed.
//!
//! Here they are played on PostgreSQL 15, in `tests/truth_on_18` the same files on 18: a new file belongs into both lists of modules.

mod access;
mod benign;
mod chaos;
mod checksums;
mod clocks;
mod commits;
mod company;
mod config;
mod config_files;
mod contradictions;
mod forecast;
mod kinds;
mod kvstore;
mod names;
mod postgres;
mod pulse;
mod replay;
mod restart;
mod row;
mod search;
mod sessions;
mod settings;
mod site;
mod slots;
mod standbys;
mod stopped_agent;
mod vendor;

/// The major version of PostgreSQL that this program plays its rows on.
const MAJOR: u32 = 15;
