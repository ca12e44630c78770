//! The commands, one short file each.

pub mod check_config;
pub mod rsync;
