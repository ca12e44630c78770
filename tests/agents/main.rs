//! Two agents, one on each node of a real pair, that ask each other: what each tells, and that nobody is paged for nothing.

mod clocks;
mod door;
mod faults;
mod links;
mod restarts;
mod roles;
mod search;
mod site;
mod topologies;
