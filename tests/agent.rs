//! The agent and its PostgreSQL probe on real servers: what is learned, what fails how, and what survives.

#[path = "agent/cli.rs"]
mod cli;
#[path = "agent/lifecycle.rs"]
mod lifecycle;
#[path = "agent/postgres_probe.rs"]
mod postgres_probe;
#[path = "agent/roles.rs"]
mod roles;
