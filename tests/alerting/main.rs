//! Alerts on their way out: two Alertmanagers as one, with and without Prometheus; Alertmanagers that fail; state that cannot be
//! kept; reloads.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cluster;
mod doors;
mod history;

mod outages;
mod reload;
mod reload_pairs;
mod rows;

mod site;
mod state;
