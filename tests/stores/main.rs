//! The key-value channel on real stores: every kind of store, every proof, and what becomes of canaries when stores fail.

#[path = "../catalogues/dashboard.rs"]
mod dashboard;
mod dashboard_data;
mod kinds;
mod losses;
mod observing;
mod watched;
