//! A standby's slot, and whether it has lost what it was to keep.

use super::*;

/// A primary with this slot beside another's that is lost.
fn with_slot(name: &str, wal_status: Option<&str>) -> PostgresFacts {
    let mut facts = primary(500, vec![sender(7, "9", 500)]);
    if let PostgresRole::Primary(primary) = &mut facts.role {
        let slot = |name: &str, wal_status: Option<&str>| Slot {
            name: name.into(),
            physical: true,
            wal_status: wal_status.map(str::to_owned),
            ..Slot::default()
        };
        primary.slots = vec![slot("other", Some("lost")), slot(name, wal_status)];
    }
    facts
}

fn lost(watch: &mut Watch, alpha: PostgresFacts) -> Option<bool> {
    watch.tick(Ok(alpha), silent(FailureKind::Refused)).standbys[0].slot_lost
}

#[test]
fn the_configured_slot_is_lost_when_the_primary_says_so() {
    let mut watch = Watch::new(Some(ReplicaMatch::Slot("beta".into())));
    let states = [("reserved", false), ("extended", false), ("unreserved", false), ("lost", true)];
    for (state, expected) in states {
        assert_eq!(lost(&mut watch, with_slot("beta", Some(state))), Some(expected), "{state}");
    }
    assert_eq!(lost(&mut watch, with_slot("beta", None)), None, "not told");
    assert_eq!(lost(&mut watch, with_slot("gamma", Some("lost"))), None, "there is no such slot");
    let silent = watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout));
    assert!(silent.standbys.iter().all(|standby| standby.slot_lost.is_none()), "the primary cannot be asked");
}

#[test]
fn the_slot_that_the_standby_named_last_is_remembered() {
    let mut watch = Watch::new(None);
    assert_eq!(lost(&mut watch, with_slot("beta", Some("lost"))), None, "nobody said that it is the standby's");
    let mut beta = standby("1", 500);
    standby_of(&mut beta).receiver.as_mut().unwrap().slot = Some("beta".into());
    let evidence = watch.tick(Ok(with_slot("beta", Some("reserved"))), Ok(beta));
    assert_eq!(evidence.standbys[0].slot_lost, Some(false));
    let mut alone = standby("1", 500);
    standby_of(&mut alone).receiver = None;
    let evidence = watch.tick(Ok(with_slot("beta", Some("lost"))), Ok(alone));
    assert_eq!(evidence.standbys[0].slot_lost, Some(true));
}
