//! The configuration: YAML as a tree that knows its places, walked against one table of keys; only the checked types
//! leave this room.

mod checked;
mod key;
mod keys;
mod load;
mod node;
mod pair;
mod peer;
mod postgres_url;
mod printed;
mod problems;
mod seat;
mod secrets;
mod section;
mod status_page;
mod tree;
mod value;
mod wording;

pub use checked::*;
pub use load::{DEFAULT_PATH, from_urls, load, parse};
pub use peer::{Fingerprint, PeerConfig, Seat};
pub use printed::{example, reference};
pub use problems::{Place, Problem, Problems};
pub use seat::{NoSeat, Sitting};
pub use secrets::{Environment, SecretError, libpq_password_file};
pub use wording::shown;
