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

/// `pg_receivewal --slot` or `--synchronous`, and the stream of a `pg_basebackup`, report what they have flushed, from the very machine
/// that the standby is to run on.
#[test]
fn an_archiver_on_the_standbys_machine_is_not_the_standby_whatever_it_flushes() {
    let address = "10.0.0.2".parse().expect("an address");
    let of_beta = |row: Walsender| Walsender { client_addr: Some(address), ..row };
    let archiver = |n: u64| of_beta(Walsender { replay: None, ..sender(9, &n.to_string(), n) });
    let mut watch = Watch::new(Some(ReplicaMatch::ClientAddr(address)));
    for n in 1..=3 {
        let stamp = n.to_string();
        let both = vec![of_beta(sender(7, &stamp, n)), archiver(n)];
        let evidence = watch.tick(Ok(primary(n, both)), Ok(standby(&stamp, n)));
        assert!(n == 1 || evidence.verdict.up, "which of the two is the standby's can be told: {:?}", evidence.verdict);
    }
    for n in 4..=40 {
        let evidence = watch.tick(Ok(primary(n, vec![archiver(n)])), silent(FailureKind::Refused));
        assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)), "the standby is down");
    }
}
