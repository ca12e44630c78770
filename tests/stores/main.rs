//! The key-value channel on real stores: every kind of store, every proof, and what becomes of canaries when stores fail.

mod dashboard_data;
mod kinds;
mod losses;
mod observing;
mod watched;
