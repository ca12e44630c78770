//! What is remembered of a pair over time, one file per channel. Only the hub changes it.

pub mod catch_up;
pub mod config_drift;
pub mod config_sync;
pub mod day;
pub mod feed;
pub mod flapping;
pub mod kvstore;
pub mod kvstore_observed;
pub mod lag_trend;
pub mod lsn_ring;
pub mod postgres;
pub mod pulse;
pub mod roles_change;
pub mod rules;
pub mod saved;
pub mod search;
pub mod sender;
pub mod set_up;
pub mod slot_room;
pub mod status_page;
