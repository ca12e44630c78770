//! The table of truth: faults on one side, what the agent says on the other, against real servers.
//!
//! Each row starts its own pair, agent, Prometheus and Alertmanager, waits until all is well, breaks one thing, and asserts what is
//! told and by when: level and reason, the number in the JSON, series present and absent, the alert in Alertmanager. Then it repairs,
//! and all must be well again without a restart. What it measured goes into a file, from which `docs/truth.md` is printed.

mod access;
mod benign;
mod commits;
mod config;
mod contradictions;
mod kvstore;
mod postgres;
mod replay;
mod row;
mod search;
mod sessions;
mod site;
mod slots;
mod stopped_agent;
