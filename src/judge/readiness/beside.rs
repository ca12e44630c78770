//! What the other channels of the pair add to the answer.

use crate::evidence::{ConfigEvidence, KvstoreEvidence, RebuildEstimate, SearchEvidence};
use crate::names::{Blocker, Proof};
use crate::units::short_duration;

/// What follows for the other channels; a channel that is not configured is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// Configuration.
    pub config: Option<&'a ConfigEvidence>,
    /// The key-value store.
    pub kvstore: Option<&'a KvstoreEvidence>,
    /// The search engines.
    pub search: Option<&'a SearchEvidence>,
}

impl Beside<'_> {
    /// What lies on one side only is revealed by a failover, or lost.
    pub(super) fn blocker(self) -> Option<(Blocker, String)> {
        let diverged = self.kvstore?.canaries.diverged == Some(true);
        diverged.then(|| {
            let text = "the two key-value stores differ: something lies on one side only, or is not the same on both";
            (Blocker::KvstoreDiverged, text.to_owned())
        })
    }

    /// Where canaries are written, it can be told what is at risk: if it is not, something is wrong with them.
    pub(super) fn untold(self) -> Option<String> {
        let kvstore = self.kvstore.filter(|kvstore| writes_canaries(kvstore))?;
        kvstore.at_risk.is_none().then(|| "how much of the key-value store would be lost is not known".to_owned())
    }

    pub(super) fn canaries(self) -> Option<u64> {
        Some(self.kvstore?.at_risk?.canaries)
    }

    pub(super) fn files(self) -> Option<u64> {
        self.config?.drift.drifted_files
    }

    pub(super) fn rebuild(self) -> Option<RebuildEstimate> {
        self.search.map(|search| search.estimate.clone())
    }

    /// For people. What is not known says so.
    pub(super) fn sentences(self) -> Vec<String> {
        let kvstore = self.kvstore.map(|kvstore| match kvstore.at_risk {
            Some(risk) if risk.canaries == 0 => "key-value store: no acknowledged canary is missing on the standby".to_owned(),
            Some(risk) => format!(
                "key-value store: {} acknowledged canaries of the last {} are not on the standby, nor are the writes of that time",
                risk.canaries,
                short_duration(risk.since)
            ),
            None => "key-value store: what would be lost is not known".to_owned(),
        });
        let config = self.config.map(|config| match (config.drift.drifted_files, config.drift.at_least) {
            (Some(0), _) => "configuration: no file differs on the standby".to_owned(),
            (Some(files), false) => format!("configuration: {files} files differ on the standby"),
            (Some(files), true) => format!("configuration: at least {files} files differ on the standby"),
            (None, _) => "configuration: whether files differ on the standby is not known".to_owned(),
        });
        let search = self.search.map(|search| format!("search index, to be rebuilt: {}", search.estimate.detail));
        [kvstore, config, search].into_iter().flatten().collect()
    }
}

fn writes_canaries(kvstore: &KvstoreEvidence) -> bool {
    kvstore.canaries.proofs.iter().any(|proof| matches!(proof, Proof::RoundTrip | Proof::Path))
}
