//! What the other channels of the pair add to the answer.

use crate::evidence::{ConfigEvidence, KvstoreEvidence, RebuildEstimate, SearchEvidence};
use crate::names::{Blocker, Proof, Reason};
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

    /// What a configured channel can tell and does not tell now: nobody knows then what its part of the loss is.
    pub(super) fn untold(self) -> Vec<String> {
        // A port never tells.
        let kvstore = self.kvstore.filter(|kvstore| kvstore.proof != Proof::Reachability);
        // Where canaries are written, it can be told what is at risk: if it is not, something is wrong with them.
        let at_risk = kvstore.filter(|kvstore| writes_canaries(kvstore) && kvstore.at_risk.is_none());
        let differ = kvstore.filter(|kvstore| !kvstore.verdict.up && kvstore.canaries.diverged.is_none());
        let copied = self.config.filter(|config| !config.verdict.up);
        // A port that answers says nothing; one that does not is no store to go on with.
        let gone = self.kvstore.filter(|kvstore| kvstore.canaries.link_up == Some(false));
        let told = [
            gone.map(|_| {
                "whether the standby's key-value store lives is not known: its port does not answer".to_owned()
            }),
            at_risk.map(|_| "how much of the key-value store would be lost is not known".to_owned()),
            differ.map(|_| "whether the two key-value stores differ is not known".to_owned()),
            copied.map(|_| "how old the configuration on the standby is, is not known".to_owned()),
        ];
        told.into_iter().flatten().collect()
    }

    /// What of the configuration would not be served by the standby as the primary has it; `None`: nothing is known to be.
    pub(super) fn outdated(self) -> Option<String> {
        let config = self.config?;
        match (config.drift.drifted_files, config.verdict.reason) {
            (Some(0), _) => None,
            (Some(files), _) => Some(format!("{files} files of its configuration are not the primary's")),
            // Nobody compared the files: an old copy lacks whatever was changed since.
            (None, Some(Reason::SyncStale)) => Some(match config.age {
                Some(age) => format!("its configuration was copied {} ago and not since", short_duration(age)),
                None => "its configuration is an old copy".to_owned(),
            }),
            (None, _) => None,
        }
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
        let no_engine = self.search.filter(|search| !search.standbys_up);
        let no_engine = no_engine.map(|_| {
            "search engine: a standby's is not known to live; nothing is rebuilt in it before it does".to_owned()
        });
        [kvstore, config, search, no_engine].into_iter().flatten().collect()
    }
}

fn writes_canaries(kvstore: &KvstoreEvidence) -> bool {
    kvstore.canaries.proofs.iter().any(|proof| matches!(proof, Proof::RoundTrip | Proof::Path))
}
