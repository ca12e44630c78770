//! Words about two trees that should be the same.

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// What is wrong with a path of the standby's copy.
    DriftKind {
        Missing = "missing",
        /// The primary does not have it.
        Extra = "extra",
        Content = "content",
        Mode = "mode",
        /// A file on one side, a directory or a link on the other.
        Kind = "kind",
    }
}

closed_list! {
    /// The bound that a tree has gone over.
    TreeBound {
        Files = "files",
        Bytes = "bytes",
        Depth = "depth",
        /// The list of its paths is too long.
        Paths = "paths",
    }
}
