//! What a vendor's page says of the replication.

use std::time::Duration;

use crate::units::Bytes;

/// One answer of a vendor's `/monitor/replication`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusPageFacts {
    /// `postgres_lag_bytes`; `None` where the page says `"unknown"`: its replication is not running.
    pub lag: Option<Bytes>,
    /// How old the answer was by the vendor's own clocks when it came: it had lain in a cache, or in a file that was written then.
    pub age: Option<Duration>,
}
