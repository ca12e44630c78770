//! The other nodes' trees of configuration: their agents tell a digest with every answer; the manifest itself is asked for when it is
//! neither this node's own nor one that is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::peers::News;
use super::schedule::Told;
use crate::clock::Moment;
use crate::config::PairConfig;
use crate::facts::{
    Arrival, Arrived, Failure, Latest, Manifest, Observation, PeerFacts, Reading, TreeFacts, TreeSummary, digest_text,
};
use crate::names::{FailureKind, Name};
use crate::probe::peer_tree::PeerTreeProbe;

/// What an agent said when it was asked for a whole tree.
pub type Fetched = Result<Arrived<TreeFacts>, Reading<TreeFacts>>;

/// What is held of the other nodes' trees.
#[derive(Debug)]
pub struct PeerTrees(BTreeMap<Name, PeerTree>);

#[derive(Debug)]
struct PeerTree {
    /// The one that was asked for last. Not held a second time where it is the same as this node's own.
    held: Option<Arc<Manifest>>,
    /// Which reading was told last, and its moments here as it was first told: were the clock of its machine stopped from outside, it
    /// would seem to stay young.
    newest: Option<(String, Moment, Moment)>,
    /// The digest of one that is told of and not held.
    wanted: watch::Sender<Option<String>>,
}

impl PeerTrees {
    /// Nothing is held yet.
    pub fn new(pair: &PairConfig) -> Self {
        let others = pair.nodes.iter().filter(|node| !pair.probes(&node.name) && node.config.is_some());
        let nothing = || PeerTree { held: None, newest: None, wanted: watch::channel(None).0 };
        Self(others.map(|node| (node.name.clone(), nothing())).collect())
    }

    /// By node: the digest of a manifest that must be asked for.
    pub fn wanted(&self) -> BTreeMap<Name, watch::Receiver<Option<String>>> {
        self.0.iter().map(|(node, tree)| (node.clone(), tree.wanted.subscribe())).collect()
    }

    /// Takes in what an answer says of `node`'s tree, beside the trees that are `known` here.
    pub fn told(
        &mut self,
        pair: &PairConfig,
        node: &Name,
        reading: &Reading<PeerFacts>,
        known: &BTreeMap<Name, Latest<TreeFacts>>,
    ) -> Option<News> {
        let own = pair.seat.as_ref().and_then(|seat| known.get(&seat.node));
        let tree = self.0.get_mut(node)?;
        let failed = |kind, message: String| {
            let result = Err(Failure::new(kind, message));
            let reading = Reading { asked: reading.asked, answered: reading.answered, result };
            Some(News::Again(Observation::Tree(node.clone(), reading)))
        };
        let news = match &reading.result {
            Err(failure) => failed(FailureKind::PeerUnreachable, failure.message.clone()),
            Ok(facts) => match &facts.tree {
                Arrival::Here(Arrived { id, reading }) => match &reading.result {
                    Ok(summary) => return tree.summary(node, id, reading, summary, own),
                    Err(failure) => failed(failure.kind, failure.message.clone()),
                },
                Arrival::NotYet => {
                    failed(FailureKind::StartingUp, format!("the agent of {node} is reading it for the first time"))
                }
                Arrival::Dropped => failed(
                    FailureKind::StartingUp,
                    format!("the agent of {node} does not believe its last look any more"),
                ),
                Arrival::Absent => {
                    let message =
                        format!("the agent of {node} is of an older version, which tells nothing of it: update it");
                    failed(FailureKind::Protocol, message)
                }
                Arrival::NotUnderstood(why) => {
                    let message = format!(
                        "what the agent of {node} tells of it is not understood ({why}): update the older agent"
                    );
                    failed(FailureKind::Protocol, message)
                }
            },
        };
        tree.want(None);
        news
    }

    /// Takes in the manifest that was asked for, or why it did not come.
    pub fn fetched(&mut self, node: &Name, fetched: Fetched) -> Option<News> {
        let tree = self.0.get_mut(node)?;
        match fetched {
            Ok(Arrived { id, reading }) => {
                tree.held = reading.facts().map(|facts| facts.manifest.clone());
                tree.want(None);
                tree.newest = Some((id, reading.asked, reading.answered));
                Some(News::New(Observation::Tree(node.clone(), reading)))
            }
            // It is asked for again after a while; nobody needs it where nothing is wanted any more.
            Err(reading) => {
                tree.wanted.borrow().as_ref()?;
                Some(News::Again(Observation::Tree(node.clone(), reading)))
            }
        }
    }

    /// Moments from before count no longer. What is held is known by its digest, whenever it came.
    pub fn forget(&mut self) {
        for tree in self.0.values_mut() {
            tree.newest = None;
        }
    }
}

impl PeerTree {
    fn summary(
        &mut self,
        node: &Name,
        id: &str,
        told: &Reading<TreeSummary>,
        summary: &TreeSummary,
        own: Option<&Latest<TreeFacts>>,
    ) -> Option<News> {
        let own = match own {
            Some(Latest::Have(reading)) => reading.facts().map(|facts| &facts.manifest),
            _ => None,
        };
        let is_it = |manifest: &&Arc<Manifest>| digest_text(manifest) == summary.digest;
        let manifest = match (own.filter(is_it), self.held.as_ref().filter(is_it)) {
            (Some(own), _) => own.clone(),
            (None, Some(held)) => held.clone(),
            (None, None) => {
                // What was known before counts until it is too old.
                self.want(Some(summary.digest.clone()));
                return None;
            }
        };
        self.held = Some(manifest.clone());
        self.want(None);
        let known = self.newest.as_ref().filter(|(newest, ..)| newest == id);
        let (new, asked, answered) = match known {
            Some((_, asked, answered)) => (false, *asked, *answered),
            None => (true, told.asked, told.answered),
        };
        self.newest = Some((id.to_owned(), asked, answered));
        let Ok(patterns) = u64::from_str_radix(&summary.patterns, 16) else { return None };
        let result = Ok(TreeFacts { manifest, patterns, place: None });
        let observation = Observation::Tree(node.clone(), Reading { asked, answered, result });
        Some(if new { News::New(observation) } else { News::Again(observation) })
    }

    fn want(&self, digest: Option<String>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != digest;
            *wanted = digest;
            changed
        });
    }
}

/// Asks for each manifest that is wanted, not oftener than once in `pause`; until nobody listens.
pub(super) async fn fetch(
    probe: PeerTreeProbe,
    node: Name,
    mut wanted: watch::Receiver<Option<String>>,
    pause: Duration,
    inbox: mpsc::Sender<Told>,
) {
    while wanted.wait_for(Option::is_some).await.is_ok() {
        let again = Instant::now() + pause;
        if inbox.send(Told::PeerTree(node.clone(), probe.run().await)).await.is_err() {
            return;
        }
        sleep_until(again).await;
    }
}

#[cfg(test)]
mod tests;
