//! Probes: each asks one endpoint one question under one deadline. They know no threshold, no metric and nothing of HTTP.

pub mod config_sync;
pub mod host;
pub mod kvstore;
pub mod password;
pub mod peer;
pub mod peer_tree;
pub mod postgres;
pub mod program;
pub mod search;
pub mod status_page;
pub mod tree;
