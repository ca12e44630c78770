//! The search channel on real engines of each supported kind, and a rebuild as it is watched.

mod anew;
#[path = "../catalogues/dashboard.rs"]
mod dashboard;
mod facts;
mod rebuild;
mod tls;
