//! The laboratory: real servers, cables and faults for the tests and the demo of standbywatch.
//!
//! A test opens a [`Lab`] with the servers it [`Need`]s, starts them, breaks something and looks.
//! Everything lives on loopback, on free ports, in one temporary directory, and is gone when the
//! lab is dropped or when its process dies, however it dies.
//!
//! ```no_run
//! # use standbywatch_lab::*;
//! # async fn row() -> Result<()> {
//! let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
//! let pair = PgPair::builder().start(&lab).await?;
//! pair.repl.set(Mode::BlackHole);
//! # Ok(()) }
//! ```
//!
//! | room | what is in it |
//! |---|---|
//! | [`Lab`] | the directory, its keeper, what is installed |
//! | [`Server`] | one started program and all that it started: stop, kill, freeze, thaw |
//! | [`Cable`] | a TCP proxy with faults |
//! | [`PgPair`], [`PgServer`], [`Writer`] | PostgreSQL: a primary, its standby, load |
//! | [`Wire`] | a relay that counts the messages of PostgreSQL's protocol |
//! | [`Authority`], [`Certificate`] | TLS between the agent and PostgreSQL |
//! | [`RedisPair`], [`RedisServer`], [`KvWriter`] | two stores, and an application that writes to both |
//! | [`Gateway`], [`EtcdServer`] | the application's own write path, and a store that is asked over HTTP |
//! | [`SyncLoop`], [`RsyncDaemon`] | rsync on a loop; its daemon |
//! | [`SharedSearch`], [`OwnSearch`], [`Search`] | OpenSearch: one for all tests, or one to be broken |
//! | [`Monitoring`], [`Alertmanager`], [`Receiver`] | Prometheus, Alertmanager, and what arrives |
//! | [`Agent`], [`Metrics`] | the agent under test and what it says |
//! | [`AllRules`], [`Ear`] | every rule, held for less long; what is heard where nothing may be told |
//! | [`full_disk`], [`make_room`] | a disk that takes nothing more from one agent |
//! | [`AgentPair`] | an agent on each node, and the ways between them |
//! | [`demo`] | a watched pair that can be broken from another terminal |
//! | [`bench`] | how fast and how small the agent is |
//! | [`chaos`] | random courses of faults, and an oracle beside the agent |
//! | [`compare`] | what the usual formula says beside it |
//! | [`http`] | a small client |
//! | [`Machine`] | what measured figures depend on |
//! | [`Record`] | what a row of truth measured |
//! | [`wait_until`] | waiting for a condition under a deadline |
//!
//! Variables: `LAB_REQUIRE_ALL=1` fails a test whose server is missing instead of skipping it;
//! `LAB_KEEP=1` leaves the directory behind for a look at the logs; `LAB_DIR` says below which directory
//! labs are made.

mod agent;
mod agents;
pub mod bench;
mod cable;
pub mod chaos;
pub mod compare;
pub mod demo;
mod disk;
mod etcd;
mod find;
mod gateway;
pub mod http;
mod keeper;
mod lab;
mod machine;
mod monitoring;
mod ports;
mod postgres;
mod process;
mod record;
mod redis;
mod rsync;
mod rsync_daemon;
mod search;
mod silence;
pub mod soak;
mod user;
mod wait;

pub use agent::{Agent, AgentOptions, Metrics};
pub use agents::{AgentPair, AgentPairOptions, Meet};
pub use anyhow::{Context, Error, Result};
pub use cable::{Cable, Mode, Traffic, Way};
pub use disk::{full_disk, make_room};
pub use etcd::EtcdServer;
pub use find::Need;
pub use gateway::{Gateway, Skips};
pub use lab::Lab;
pub use machine::Machine;
pub use monitoring::{
    Alert, Alertmanager, AlertmanagerPlan, Monitoring, MonitoringOptions, Notice, Prometheus, Receiver, Sample,
};
pub use postgres::{
    Authority, Certificate, Load, OpenTransaction, PgPair, PgPairBuilder, PgServer, Rows, Spoken, Taker, Wire, Writer,
};
pub use process::Server;
pub use record::{Record, says_who_is_called};
pub use redis::{KvWriter, Persistence, RedisPair, RedisServer};
pub use rsync::{How, Runs, SyncLoop};
pub use rsync_daemon::RsyncDaemon;
pub use search::{Engine, OwnSearch, Search, SharedSearch};
pub use silence::{AllRules, Ear};
pub use wait::wait_until;
