//! The commands.

pub mod check_config;
pub mod rsync;
