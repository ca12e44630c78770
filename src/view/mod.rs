//! Pure renderings of a snapshot, one file per format.
//!
//! `api` turns views into one versioned document; `html` and `table` are renderings of that document, so that the page, the
//! terminal and the API cannot disagree. `prometheus` and `replication` render samples and views directly.

pub mod api;
mod document;
pub mod failover;
#[cfg(test)]
pub(crate) mod fixture;
pub mod history;
pub mod html;
pub mod plots;
pub mod prometheus;
pub mod replication;
pub mod runbooks;
mod search;
pub mod table;
mod wording;
