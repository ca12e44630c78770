//! What is remembered of a pair over time, one file per channel. Only the hub changes it.

pub mod config_sync;
pub mod kvstore;
pub mod lag_trend;
pub mod lsn_ring;
pub mod postgres;
pub mod pulse;
pub mod rules;
pub mod search;
pub mod status_page;
