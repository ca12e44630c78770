//! How well a thing is: the four levels, in Nagios's order of exit codes.

use crate::names::{Severity, closed_list};
use serde::{Deserialize, Serialize};
use std::fmt;

closed_list! {
    /// How well a channel or a pair is. The order is the order of badness: unknown is worst.
    Level {
        Ok = "ok",
        Warning = "warning",
        Critical = "critical",
        Unknown = "unknown",
    }
}

impl Level {
    /// Nagios's exit code and the value of `standby_level`: 0 ok, 1 warning, 2 critical, 3 unknown.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The level of a thing one of whose rules of this severity is met.
    pub const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::None | Severity::Info => Self::Ok,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_worse_than_critical() {
        assert_eq!(Level::ALL.iter().max(), Some(&Level::Unknown));
        assert_eq!(Level::ALL.iter().map(|level| level.code()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
