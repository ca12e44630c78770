//! What the comparisons of the application's own data say.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::KvstoreChannel;
use crate::evidence::{ObservedEvidence, Roles};
use crate::facts::{Latest, ObservedFacts};
use crate::history::kvstore::KvstoreHistory;
use crate::names::{Name, Reason};

/// The moment that a comparison counts from, or why there is none and in words.
pub(super) type Since = Result<Moment, (Reason, String)>;

/// What is told where two names lead to one server.
pub(super) const ONE_SERVER: &str = "both nodes' stores are one and the same server (it tells the same run_id, or shows at one address what \
     was written at the other only), so nothing is proven: give each node the address of its own store";

/// A comparison takes its time, since it may read only so much in a second.
pub(super) fn stale_after(channel: &KvstoreChannel) -> Duration {
    channel.schedule.stale_after + Duration::from_secs(30)
}

/// What is known, and since when; or why nothing is.
pub(super) fn evidence(
    channel: &KvstoreChannel,
    latest: &Latest<ObservedFacts>,
    history: &KvstoreHistory,
    roles: &Roles,
    now: Moment,
) -> (ObservedEvidence, Since) {
    let (facts, asked) = match latest.fresh(now, stale_after(channel)) {
        Ok(fresh) => fresh,
        Err(reason) => {
            let detail = "no comparison of the application's data has come back";
            return (ObservedEvidence::default(), Err((reason, detail.to_owned())));
        }
    };
    if let Some((_, failure)) = facts.failures.first() {
        return (ObservedEvidence::default(), Err((failure.kind.into(), failure.message.clone())));
    }
    if facts.same_server {
        return (ObservedEvidence::default(), Err((Reason::SameServer, ONE_SERVER.to_owned())));
    }
    // a default is right: with the primary unknown, no missing key is known to be the primary's.
    let on = |node: Option<&Name>| node.map_or(0, |node| history.observed.missing_on(node));
    let primary = roles.primary.as_ref();
    // With the roles unknown, both sides' missing keys are told as the standby's rather than not at all.
    let missing: u64 = facts.missing.iter().map(|(node, _)| history.observed.missing_on(node)).sum();
    let missing_on_primary = on(primary);
    let compared = history.observed.compared();
    let drifted = compared.differing + missing;
    let now_differs =
        facts.differing + facts.still_differing + facts.missing.iter().map(|(_, count)| count).sum::<u64>();
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    // Whose the missing keys are is not known without a primary: then no number is told, only that something differs.
    let ratio = (compared.compared > 0 && primary.is_some()).then(|| drifted as f64 / compared.compared as f64);
    let evidence = ObservedEvidence {
        compared: compared.compared,
        differing: compared.differing,
        missing_on_standby: missing.saturating_sub(missing_on_primary),
        missing_on_primary,
        drift_ratio: ratio,
        differs: (facts.compared > 0 || now_differs > 0).then_some(now_differs > 0),
        sizes: facts.sizes.clone(),
    };
    (evidence, Ok(asked))
}

/// What differs, in words.
pub(super) fn told(observed: &ObservedEvidence) -> String {
    let ObservedEvidence { compared, differing, missing_on_standby, missing_on_primary, .. } = observed;
    let drifted = differing + missing_on_standby + missing_on_primary;
    if drifted == 0 {
        return "keys of the application that were found to differ still do".to_owned();
    }
    format!(
        "of {compared} keys of the application that were compared, {differing} differ, {missing_on_standby} are missing on \
         the standby and {missing_on_primary} on the primary"
    )
}
