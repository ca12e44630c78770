//! Words of the question "promote now?".

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// The answer.
    FailoverVerdict {
        /// Nothing is in the way, and what would be lost is acceptable.
        Ready = "ready",
        /// Nothing is in the way, but more would be lost than is acceptable.
        ReadyWithLoss = "ready_with_loss",
        /// Something is in the way.
        NotReady = "not_ready",
        /// What would be lost, or whether something is in the way, cannot be told.
        Unknown = "unknown",
        /// Nobody sees the primary any more: this is the hour for which the question is asked.
        PrimaryGone = "primary_gone",
    }
}

closed_list! {
    /// What is in the way of a promotion.
    Blocker {
        SameServer = "same_server",
        WrongCluster = "wrong_cluster",
        SplitBrain = "split_brain",
        TimelineDiverged = "timeline_diverged",
        NotAccepting = "not_accepting",
        SettingsTooLow = "settings_too_low",
        /// Something lies in one key-value store only, or differs.
        KvstoreDiverged = "kvstore_diverged",
    }
}

closed_list! {
    /// What is known of the life of the present primary.
    PrimaryLife {
        /// It answers.
        Answers = "answers",
        /// It cannot be asked, but a standby hears from it.
        Heard = "heard",
        /// It cannot be reached, and no standby that can be asked hears from it.
        Gone = "gone",
        Unknown = "unknown",
    }
}
