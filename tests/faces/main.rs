//! The faces of the agent, as its users see them: pages, numbers and commands of the real program, over real servers.

#[path = "../catalogues/dashboard.rs"]
mod dashboard;
mod dashboard_data;
mod exposition;
mod failover;
mod health;
mod printed;
mod promtool;
mod replication;
mod restart;
mod runbooks;
mod site;
mod status;
mod web;
mod without_file;
