//! Pure functions: facts, history, limits and the present moment in; evidence and findings out.

pub mod config_sync;
pub mod kvstore;
pub mod level;
pub mod parity;
pub mod postgres;
pub mod readiness;
pub mod rules;
pub mod search;
pub mod status_page;
