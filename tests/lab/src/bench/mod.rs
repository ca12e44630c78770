//! How fast and how small the agent is, beside the exporters that are usually there. Figures, no limits: nothing here can fail
//! for being slow.
//!
//! | file | what is in it |
//! |---|---|
//! | `usage.rs` | what a process uses, from `/proc` |
//! | `scraper.rs` | a client that scrapes over one connection, and how long its scrapes took |
//! | `exporters.rs` | the exporters, started beside the agent |
//! | `backends.rs` | what their sessions cost the primary |
//! | `phase.rs` | some minutes in which all are scraped at one pace |
//! | `cadence.rs` | how regularly each probe succeeds, also while one server is a black hole |
//! | `course.rs` | the order of things |
//! | `report.rs` | the tables |

mod backends;
mod cadence;
mod course;
pub(crate) mod exporters;
mod phase;
mod report;
mod scraper;
mod usage;

pub use course::run;
