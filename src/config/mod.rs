//! The configuration: YAML as a tree that knows its places, walked against one table of keys; only the checked types
//! leave this room.

mod checked;
mod key;
mod keys;
mod kvstore;
mod load;
mod node;
mod pair;
mod postgres_url;
mod printed;
mod problems;
mod secrets;
mod section;
mod status_page;
mod stores;
mod tree;
mod value;
mod wording;

pub use checked::*;
pub use load::{DEFAULT_PATH, from_urls, load, parse};
pub use printed::{example, reference};
pub use problems::{Place, Problem, Problems};
pub use secrets::{Environment, SecretError, libpq_password_file};
pub use stores::*;
pub use wording::shown;
