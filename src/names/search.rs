//! Words for the search engines.

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// How the primary's indices stand on their way to being whole again.
    RebuildState {
        /// They are whole, or nothing says that they are to be made anew.
        NotExpected = "not_expected",
        /// They are to be made anew, and nobody has begun.
        Idle = "idle",
        Rebuilding = "rebuilding",
        /// Nothing has been written for too long.
        Stalled = "stalled",
        /// A rebuild that was watched has ended, and they are whole.
        Complete = "complete",
        Unknown = "unknown",
    }
}

closed_list! {
    /// Who says how many documents an index should hold.
    ExpectedBy {
        /// A query on the primary's database.
        Sql = "sql",
        /// The configuration.
        Fixed = "fixed",
        /// The last count of the primary's index while it was whole.
        Remembered = "remembered",
    }
}

closed_list! {
    /// What an estimate of a rebuild rests on.
    EstimateBy {
        /// The rate of a rebuild that was watched.
        Measured = "measured",
        /// The operator's word.
        Declared = "declared",
        /// Nothing.
        Unknown = "unknown",
    }
}
