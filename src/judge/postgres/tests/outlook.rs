//! What is coming: when a slot loses WAL or fills the disk, how old a replication is, how long a lag may be in seconds.

use super::*;
use crate::evidence::Outlook;

const MIB: u64 = 1 << 20;

/// What one reading of the primary says of the slot `beta`.
#[derive(Clone, Copy)]
struct Room {
    /// Where the primary stands.
    wal: u64,
    /// The oldest WAL that the slot keeps.
    restart: Option<u64>,
    /// Its limit; `None`: it has none.
    limit: Option<u64>,
    wal_status: Option<&'static str>,
    disk: Option<u64>,
}

impl Room {
    const fn limited(wal: u64, restart: u64) -> Self {
        let (restart, wal_status) = (Some(restart), Some("extended"));
        Self { wal, restart, limit: Some(1000 * MIB), wal_status, disk: None }
    }

    const fn unlimited(wal: u64, restart: u64, disk: Option<u64>) -> Self {
        Self { limit: None, disk, ..Self::limited(wal, restart) }
    }

    fn facts(self) -> PostgresFacts {
        let mut facts = primary(self.wal, vec![]);
        facts.settings.max_slot_wal_keep_size = self.limit.map(Bytes);
        facts.settings.slots_keep_all = Some(self.limit.is_none());
        let kept = self.restart.map(|restart| self.wal - restart);
        let safe = self.limit.zip(kept).map(|(limit, kept)| limit as i64 - kept as i64);
        let slot = Slot {
            name: "beta".into(),
            physical: true,
            restart_lsn: self.restart.map(Lsn),
            wal_status: self.wal_status.map(str::to_owned),
            safe_wal_size: safe,
            ..Slot::default()
        };
        let PostgresRole::Primary(primary) = &mut facts.role else { panic!("a primary") };
        primary.slots = vec![slot];
        primary.wal_disk_free = self.disk.map(Bytes);
        facts
    }
}

fn watch() -> Watch {
    Watch::new(Some(ReplicaMatch::Slot("beta".into())))
}

fn tick(watch: &mut Watch, room: Room) -> Outlook {
    watch.tick(Ok(room.facts()), silent(FailureKind::Refused)).standbys[0].outlook.clone()
}

/// So many seconds, the last one's outlook.
fn run(watch: &mut Watch, seconds: u64, room: impl Fn(u64) -> Room) -> Outlook {
    (0..seconds).map(|second| tick(watch, room(second))).last().unwrap()
}

#[test]
fn a_slot_that_keeps_up_is_never_lost_and_one_that_does_not_has_its_time() {
    let mut watch = watch();
    // 3 MiB a second, and the slot follows 10 MiB behind: naively 330 s.
    let busy = |s: u64| Room::limited(20 * MIB + 3 * MIB * s, 10 * MIB + 3 * MIB * s);
    assert_eq!(run(&mut watch, 590, busy).slot_loss_seconds, None, "not known before a whole window");
    let healthy = run(&mut watch, 20, |s| busy(590 + s));
    assert_eq!((healthy.slot_loss_seconds, healthy.slot_share), (Some(f64::INFINITY), Some(0.01)));
    // It stops: after 600 s 300 MiB are kept, which grew by half a MiB a second.
    let restart = 10 * MIB + 3 * MIB * 610;
    let stopped = run(&mut watch, 601, |s| Room::limited(restart + 10 * MIB + s * MIB / 2, restart));
    let (seconds, share) = (stopped.slot_loss_seconds.unwrap(), stopped.slot_share.unwrap());
    assert!((1370.0..1390.0).contains(&seconds), "690 MiB at half a MiB a second: {seconds}");
    assert!((0.30..0.32).contains(&share), "{share}");
    assert_eq!(stopped.wal_disk_full_seconds, None, "it has a limit");
}

#[test]
fn a_slot_without_room_may_be_lost_at_any_moment_and_a_lost_one_has_no_time() {
    let mut watch = watch();
    let full = Room { wal_status: Some("unreserved"), ..Room::limited(2000 * MIB, 5 * MIB) };
    assert_eq!(tick(&mut watch, full).slot_loss_seconds, Some(0.0), "whatever the rate");
    let lost = Room { wal_status: Some("lost"), restart: None, ..Room::limited(2001 * MIB, 0) };
    assert_eq!(tick(&mut watch, lost).slot_loss_seconds, None);
    let exactly = Room::limited(1005 * MIB, 5 * MIB);
    assert_eq!(tick(&mut self::watch(), exactly).slot_loss_seconds, Some(0.0), "no byte is left");
    let told = watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout));
    assert!(told.standbys.iter().all(|standby| standby.outlook.slot_share.is_none()), "the primary cannot be asked");
}

#[test]
fn a_slot_without_a_limit_fills_the_disk_that_is_seen() {
    let mut watch = watch();
    let grows = |disk| move |s: u64| Room::unlimited(MIB + s * MIB, MIB, disk);
    let outlook = run(&mut watch, 602, grows(Some(6000 * MIB)));
    let seconds = outlook.wal_disk_full_seconds.unwrap();
    assert!((5990.0..6010.0).contains(&seconds), "{seconds}");
    assert_eq!((outlook.slot_loss_seconds, outlook.slot_share), (None, None));
    let unseen = tick(&mut watch, grows(None)(602));
    assert_eq!(unseen.wal_disk_full_seconds, None, "nobody sees the disk");
}

#[test]
fn another_primary_or_timeline_begins_anew() {
    let mut watch = watch();
    let grows = |s: u64| Room::limited(MIB + s * MIB, MIB);
    assert!(run(&mut watch, 610, grows).slot_loss_seconds.is_some());
    let mut facts = grows(611).facts();
    facts.timeline = Some(2);
    let told = watch.tick(Ok(facts), silent(FailureKind::Refused));
    assert_eq!(told.standbys[0].outlook.slot_loss_seconds, None);
}

/// Beta as it streams from its slot.
fn from_its_slot(stamp: u64, lsn: u64) -> PostgresFacts {
    let mut beta = standby(&stamp.to_string(), lsn);
    standby_of(&mut beta).receiver.as_mut().unwrap().slot = Some("beta".into());
    beta
}

/// A healthy second in which the standby's connection is so old.
fn connected(watch: &mut Watch, age: f64, slots: &[&str]) -> Option<f64> {
    let n = watch.seconds as u64 + 1;
    let row =
        Walsender { backend_age: Some(age), slot: Some("beta".into()), ..sender(n as i32, &n.to_string(), n * 100) };
    let mut alpha = primary(n * 100, vec![row]);
    let PostgresRole::Primary(facts) = &mut alpha.role else { panic!("a primary") };
    let slot = |name: &&str| Slot { name: (*name).into(), physical: true, ..Slot::default() };
    facts.slots = slots.iter().map(slot).collect();
    let evidence = watch.tick(Ok(alpha), Ok(from_its_slot(n, n * 100)));
    evidence.standbys[0].outlook.set_up_age.map(|age| age.as_secs_f64())
}

#[test]
fn a_reconnect_is_no_new_set_up_but_a_new_slot_is() {
    let mut watch = watch();
    assert!(connected(&mut watch, 100_000.0, &["beta"]).unwrap() >= 100_000.0);
    assert!(watch.look(watch.seconds + 1.0).established, "older than a day");
    let reconnected = connected(&mut watch, 0.5, &["beta"]).unwrap();
    assert!(reconnected >= 100_001.0, "{reconnected}");
    let dropped = connected(&mut watch, 0.5, &[]).unwrap();
    assert!(dropped < 1.0, "{dropped}");
    assert!(!watch.look(watch.seconds + 1.0).established);
    // The slot is there again; from now on it is as old as the agent has seen it.
    connected(&mut watch, 1.5, &["beta"]);
    watch.seconds += 50.0;
    let age = connected(&mut watch, 0.5, &["beta"]).unwrap();
    assert!((50.0..55.0).contains(&age), "{age}");
}

#[test]
fn what_was_remembered_is_told_while_the_primary_is_silent() {
    let mut watch = watch();
    connected(&mut watch, 100_000.0, &["beta"]);
    let silent = watch.tick(silent(FailureKind::Timeout), Ok(standby("2", 200)));
    let of = |name: &str| silent.standbys.iter().find(|standby| standby.node.as_str() == name).unwrap();
    assert!(of("beta").outlook.set_up_age.is_some_and(|age| age.as_secs() >= 100_000));
    assert_eq!(of("alpha").outlook.set_up_age, None, "was never a standby");
}

#[test]
fn seconds_after_a_restart_are_an_upper_bound_until_the_ring_reaches_back() {
    let mut watch = watch();
    let lagging = |watch: &mut Watch, commit: Option<f64>, clock: Option<f64>| {
        let n = watch.seconds as u64 + 1;
        let row = Walsender { slot: Some("beta".into()), replay: Some(Lsn(500)), ..sender(7, &n.to_string(), 9000) };
        let mut alpha = primary(9000 + n, vec![row]);
        alpha.server_clock = clock.map(|clock| clock + n as f64);
        let mut beta = from_its_slot(n, 9000);
        standby_of(&mut beta).replay_lsn = Some(Lsn(500));
        standby_of(&mut beta).last_replayed_commit = commit;
        let evidence = watch.tick(Ok(alpha), Ok(beta));
        (evidence.standbys[0].lag_seconds, evidence.standbys[0].lag_seconds_at_least, evidence.lag_seconds)
    };
    lagging(&mut watch, None, None);
    let (told, least, _) = lagging(&mut watch, None, Some(1e9));
    assert_eq!((told, least), (None, Some(1.0)), "nothing replayed yet: a lower bound only");
    let (told, least, worst) = lagging(&mut watch, Some(1e9 - 40.0), Some(1e9));
    assert_eq!((told, least, worst), (Some(43.0), Some(2.0), Some(43.0)));
    let (told, _, _) = lagging(&mut watch, Some(1e9 + 9.0), Some(1e9));
    assert_eq!(told, None, "a clock was set: less than the lower bound is no upper bound");
}

#[test]
fn what_was_saved_goes_on_in_a_new_history() {
    let mut before = watch();
    run(&mut before, 700, |s| Room::limited(MIB + s * MIB / 2, MIB));
    connected(&mut before, 100_000.0, &["beta"]);
    let saved = before.history.saved();
    let alpha = Name::new("alpha");
    assert_eq!(saved.ring_of.as_ref().map(|of| &of.node), Some(&alpha));
    assert!(saved.ring.newest().is_some() && saved.slots.contains_key("beta"));
    assert_eq!((saved.set_ups.len(), saved.slot_names.len()), (1, 1));
    assert!(saved.roles_proven.is_some() && saved.roles_change.primary() == Some(&alpha));
    assert_eq!(saved.growing.map(|(growing, _)| growing), Some(false));
    assert_eq!(saved.trends.len(), 1);
    let text = serde_json::to_string(&saved).unwrap();
    let mut after = watch();
    after.seconds = before.seconds + 20.0;
    after.history.restore(serde_json::from_str(&text).unwrap(), at(after.seconds));
    assert_eq!(after.history.saved(), before.history.saved());
    let age = connected(&mut after, 0.5, &["beta"]).unwrap();
    assert!(age >= 100_020.0, "{age}");
}

#[test]
fn a_lost_slot_has_nothing_more_to_lose_and_one_with_a_limit_fills_no_disk() {
    let mut watch = watch();
    let grows = |s: u64| Room { disk: Some(6000 * MIB), ..Room::limited(MIB + s * MIB / 2, MIB) };
    let before = run(&mut watch, 610, grows);
    assert!(before.slot_loss_seconds.is_some() && before.slot_share.is_some());
    assert_eq!(before.wal_disk_full_seconds, None);
    let lost = tick(&mut watch, Room { wal_status: Some("lost"), ..grows(611) });
    assert_eq!((lost.slot_loss_seconds, lost.slot_share, lost.wal_disk_full_seconds), (None, None, None));
}

#[test]
fn a_slot_that_keeps_less_and_less_is_never_lost() {
    let mut watch = watch();
    let shrinks = |s: u64| Room::limited(900 * MIB + s, s * MIB);
    assert_eq!(run(&mut watch, 610, shrinks).slot_loss_seconds, Some(f64::INFINITY));
}
