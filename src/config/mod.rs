//! The configuration: a raw mirror of the YAML, and the checked types that alone leave this room.

mod checked;

pub use checked::*;
