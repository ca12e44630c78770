//! The beacon in a tree of configuration, and the clocks by which its age is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{self, BootId, Moment, WallTime};
use crate::names::{Name, Reason};

/// What the agent on the primary writes into the tree, for the copy's age to be read off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beacon {
    /// The node that was the primary when it was written.
    pub node: Name,
    /// When that was, on the writer's clocks.
    pub written: BeaconTime,
}

/// One instant on both clocks of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeaconTime {
    /// The boot under which the moment counts: a machine's clocks are compared with themselves only.
    pub boot: Option<BootId>,
    /// Boot time.
    pub moment: Moment,
    /// Wall time.
    pub wall: WallTime,
}

/// A beacon, and when it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeaconFacts {
    /// What it says.
    pub beacon: Beacon,
    /// The reader's clocks.
    pub read_at: BeaconTime,
}

impl BeaconTime {
    /// This machine's clocks, now.
    pub fn present() -> Self {
        Self { boot: clock::boot_id().ok(), moment: clock::now(), wall: clock::wall() }
    }
}

/// The clocks of one node, as its own agent has told them.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeClock {
    /// What they showed.
    pub time: BeaconTime,
    /// The moment here at which they were asked for: they showed it then or, by the round trip at most, later.
    pub asked: Moment,
}

/// By whose clocks the age of a beacon is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BeaconClocks {
    /// One process writes all beacons and reads them: the ones beside each.
    #[default]
    Readers,
    /// Each beacon's by those of the node that wrote it, as that node's agent tells them; or why they are not known.
    Writers(BTreeMap<Name, Result<NodeClock, (Reason, String)>>),
}
