//! The slower lanes: canaries that stay for a while, so that a rollback, a loss or a flush shows, also over a restart of a store
//! or of the agent.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::canary::Mark;
use super::store::{Identity, Store};
use crate::clock::{self, Moment};
use crate::facts::{KeptCanary, ServerMark};
use crate::names::{Name, Outcome};

/// How much later than its own count a server may say that it started.
const SLACK: Duration = Duration::from_secs(2);

/// How a kept canary stands at one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It is there, or a newer one of the same lane.
    Holds,
    /// The server that had it is still the same, and it is gone.
    Gone,
    /// It is gone after a restart that is proven, or an older one has come back: an acknowledged write was rolled back.
    RolledBack,
    /// It was thrown away to make room.
    Evicted,
    /// Nobody knows: the store cannot be asked, or it is not known to be the server that had it.
    Unknown,
}

/// What both sides together are called.
pub(super) const fn verdict(standby: Side, primary: Side) -> Outcome {
    use Side::{Evicted, Gone, Holds, RolledBack, Unknown};
    match (standby, primary) {
        (Holds, Holds) => Outcome::Ok,
        (RolledBack, _) | (_, RolledBack) => Outcome::Lost,
        (Unknown, _) | (_, Unknown) => Outcome::Unknown,
        (Gone, Gone) | (Gone, Evicted) | (Evicted, Gone) => Outcome::Lost,
        (Evicted, _) | (_, Evicted) => Outcome::Evicted,
        (Gone, Holds) => Outcome::PrimaryOnly,
        (Holds, Gone) => Outcome::PrimaryStale,
    }
}

/// Looks for a kept canary at one store. What is missing is looked for twice, and then the server is asked who it is.
pub(super) async fn side(store: &mut Store, node: &Name, key: &str, kept: &KeptCanary, until: Instant) -> Side {
    for again in [false, true] {
        if again {
            tokio::time::sleep_until((Instant::now() + Duration::from_millis(50)).min(until)).await;
        }
        match store.mark(until, key).await {
            Err(_) => return Side::Unknown,
            Ok(found) if holds(found, kept) => return Side::Holds,
            Ok(found) if again => {
                let older = found.is_some();
                return match store.identity(until).await {
                    Err(_) => Side::Unknown,
                    Ok(identity) => missing(older, kept, node, identity.as_ref(), clock::now()),
                };
            }
            Ok(_) => {}
        }
    }
    Side::Unknown
}

/// The very canary, or a newer one: the agent may have been killed before it saved what it wrote last.
fn holds(found: Option<Mark>, kept: &KeptCanary) -> bool {
    found
        .is_some_and(|mark| mark.sequence > kept.sequence || (mark.sequence, mark.nonce) == (kept.sequence, kept.nonce))
}

fn missing(older: bool, kept: &KeptCanary, node: &Name, identity: Option<&Identity>, now: Moment) -> Side {
    if older {
        return Side::RolledBack;
    }
    if kept.written.is_none() {
        // Written in another boot: it may have expired.
        return Side::Unknown;
    }
    // A kind of store that does not tell who it is, is whoever answers at its address.
    let Some(identity) = identity else { return Side::Gone };
    let Some(before) = kept.servers.get(node) else { return Side::Unknown };
    if identity.run_id == before.run_id {
        let made_room = identity.evicts && identity.evicted > before.evicted;
        return if made_room { Side::Evicted } else { Side::Gone };
    }
    let restarted = before.seen.is_some_and(|seen| identity.uptime <= now.since(seen) + SLACK);
    match restarted {
        false => Side::Unknown,
        true if identity.evicts && identity.evicted > 0 => Side::Evicted,
        true => Side::RolledBack,
    }
}

/// Who the servers are that hold a canary now. One that does not tell is left out.
pub(super) async fn servers(sides: [(&Name, &mut Store); 2], until: Instant) -> BTreeMap<Name, ServerMark> {
    let [(first, first_store), (second, second_store)] = sides;
    let (one, other) = tokio::join!(first_store.identity(until), second_store.identity(until));
    let mark = |(node, identity): (&Name, Option<Identity>)| {
        let identity = identity?;
        let mark = ServerMark { run_id: identity.run_id, evicted: identity.evicted, seen: Some(clock::now()) };
        Some((node.clone(), mark))
    };
    [(first, one.ok().flatten()), (second, other.ok().flatten())].into_iter().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn kept() -> KeptCanary {
        let mark = ServerMark { run_id: "a".to_owned(), evicted: 7, seen: Some(at(100)) };
        KeptCanary {
            sequence: 5,
            nonce: 50,
            written: Some(at(100)),
            servers: BTreeMap::from([(Name::new("beta"), mark)]),
            outcome: Outcome::Ok,
        }
    }

    fn identity(run_id: &str, uptime: u64, evicted: u64, evicts: bool) -> Identity {
        Identity { run_id: run_id.to_owned(), uptime: Duration::from_secs(uptime), evicted, evicts }
    }

    fn found(identity: Option<&Identity>) -> Side {
        missing(false, &kept(), &Name::new("beta"), identity, at(200))
    }

    #[test]
    fn a_newer_canary_is_no_loss_and_an_older_one_is_a_rollback() {
        assert!(holds(Some(Mark { sequence: 5, nonce: 50 }), &kept()));
        assert!(holds(Some(Mark { sequence: 6, nonce: 1 }), &kept()));
        assert!(!holds(Some(Mark { sequence: 5, nonce: 51 }), &kept()), "another agent's");
        assert!(!holds(Some(Mark { sequence: 4, nonce: 50 }), &kept()));
        assert!(!holds(None, &kept()));
        assert_eq!(missing(true, &kept(), &Name::new("beta"), None, at(200)), Side::RolledBack);
    }

    #[test]
    fn evicted_is_told_from_gone_and_a_restart_must_be_proven() {
        assert_eq!(found(Some(&identity("a", 900, 7, true))), Side::Gone);
        assert_eq!(found(Some(&identity("a", 900, 8, false))), Side::Gone, "it may not evict");
        assert_eq!(found(Some(&identity("a", 900, 8, true))), Side::Evicted);
        assert_eq!(found(Some(&identity("b", 50, 0, true))), Side::RolledBack);
        assert_eq!(found(Some(&identity("b", 50, 1, true))), Side::Evicted, "since its start");
        assert_eq!(found(Some(&identity("b", 900, 0, false))), Side::Unknown, "it ran before: another server");
        assert_eq!(found(None), Side::Gone, "a kind that does not tell");
        assert_eq!(
            missing(false, &kept(), &Name::new("alpha"), Some(&identity("a", 1, 0, true)), at(200)),
            Side::Unknown
        );
        let of_before = KeptCanary { written: None, ..kept() };
        let same = identity("a", 900, 7, true);
        assert_eq!(
            missing(false, &of_before, &Name::new("beta"), Some(&same), at(200)),
            Side::Unknown,
            "it may have expired"
        );
    }

    #[test]
    fn both_sides_together() {
        use Side::{Evicted, Gone, Holds, RolledBack, Unknown};
        let table = [
            (Holds, Holds, Outcome::Ok),
            (Gone, Holds, Outcome::PrimaryOnly),
            (Holds, Gone, Outcome::PrimaryStale),
            (Gone, Gone, Outcome::Lost),
            (Evicted, Holds, Outcome::Evicted),
            (Holds, Evicted, Outcome::Evicted),
            (Evicted, Evicted, Outcome::Evicted),
            (Evicted, Gone, Outcome::Lost),
            (RolledBack, Holds, Outcome::Lost),
            (Unknown, RolledBack, Outcome::Lost),
            (Unknown, Holds, Outcome::Unknown),
            (Gone, Unknown, Outcome::Unknown),
        ];
        for (standby, primary, expected) in table {
            assert_eq!(verdict(standby, primary), expected, "{standby:?} {primary:?}");
        }
    }
}
