//! Two agents, one on each node of a real pair, that ask each other: what each tells, and that nobody is paged for nothing.

mod clocks;
mod config_trees;
#[path = "../catalogues/dashboard.rs"]
mod dashboard;
mod dashboard_data;
mod door;
mod failover;
mod faults;
mod links;
mod own_stores;
mod restarts;
mod roles;
mod row;
mod search;
mod site;
mod topologies;
