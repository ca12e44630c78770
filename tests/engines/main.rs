//! The search channel on real engines of each supported kind, and a rebuild as it is watched.

#[path = "../catalogues/dashboard.rs"]
#[allow(dead_code, reason = "that of one file is used here")]
mod dashboard;
mod facts;
mod rebuild;
mod tls;
