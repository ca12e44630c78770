//! `standbywatch` tells the truth about a warm-standby pair. The map of the crate, from the ground up:
//!
//! - `clock`, `units`, `names`, `secret`: words and units, which everything else is made of; `whole_file`: files written whole;
//! - `level`, `facts`, `config`: what is configured and what probes bring back;
//! - `evidence`, `snapshot`, `metrics`, `history`: what follows from facts, as types, and the catalogue of numbers;
//! - `http_client`: asking over HTTP, for probes, pushes and `status`;
//! - `probe`, `judge`, `view`: asking servers; deriving evidence and rules (pure); rendering (pure);
//! - `hub`, `serve`, `push`: the only mutable state of a pair; HTTP; Alertmanager;
//! - `app`, `cli`: building all of it from a configuration; the commands.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod evidence;
pub mod facts;
pub mod history;
pub mod http_client;
pub mod hub;
pub mod judge;
pub mod level;
pub mod metrics;
pub mod names;
pub mod probe;
pub mod push;
pub mod rsync_record;
pub mod secret;
pub mod serve;
pub mod snapshot;
pub mod state_file;
pub mod trend;
pub mod units;
pub mod view;
pub mod whole_file;
