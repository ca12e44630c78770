//! The demo: a real pair that is watched, can be broken from another terminal, and tells what is said of it.
//!
//! | file | what is in it |
//! |---|---|
//! | `watched.rs` | the servers of a pair and the agent's configuration for them |
//! | `scene.rs` | the pair, the agent, Prometheus and Alertmanager |
//! | `faults.rs` | the list of faults, and how each is made and undone |
//! | `story.rs` | what follows the death of the primary |
//! | `control.rs` | the socket by which another terminal asks for a fault |
//! | `teller.rs` | one line for each change of a channel, and for each alert that arrives |
//! | `play.rs` | from the first line to the last |

mod control;
mod faults;
mod play;
mod scene;
mod story;
mod teller;
mod watched;

pub use control::{ask, meeting_place};
pub use faults::Fault;
pub use play::play;
pub use scene::Topology;
pub(crate) use watched::PERIOD;
pub use watched::{Watched, product_program};
