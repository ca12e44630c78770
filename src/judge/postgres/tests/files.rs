//! Standbys that are fed by files: log shipping, and what goes on from the archive while its stream is missing.

use super::*;
use crate::history::feed::{Alone, Feed};
use crate::history::lsn_ring::Stood;
use crate::judge::postgres::archive::{Shipped, shipped};
use crate::names::StandbyKind;

/// Files of 100 bytes.
const FILE: Option<Bytes> = Some(Bytes(100));

fn fetching(replayed: u64, alone_at: u64) -> Feed {
    Feed {
        replayed: Some((Lsn(replayed), None)),
        asked_at: Some(Lsn(replayed)),
        alone: Some(Alone { since: at(0.0), at: Some(Lsn(alone_at)), beyond: None }),
        ..Feed::default()
    }
}

#[test]
fn what_could_be_shipped_by_example() {
    use Shipped::{Late, TooEarly, Yes};
    let stood = |lsn| Some(Stood::At(Lsn(lsn)));
    let young = |lsn| Some(Stood::AtMost(Lsn(lsn)));
    let table = [
        // Where the primary was, what is replayed, how long a file is, where replay was first seen (it asks for more), the verdict.
        (stood(500), 500, FILE, None, Yes, "all of it"),
        (stood(500), 499, FILE, None, Late(Lsn(500)), "a byte of a whole file is missing"),
        (stood(599), 500, FILE, None, Yes, "the file that is being written cannot have been shipped"),
        (stood(600), 500, FILE, None, Late(Lsn(600)), "a whole file is missing"),
        (stood(599), 500, None, None, Late(Lsn(599)), "nobody knows how long a file is"),
        (stood(599), 599, None, None, Yes, "each byte is there"),
        (stood(500), 480, FILE, Some(300), Yes, "its last record goes on in the next file"),
        (stood(500), 480, FILE, Some(450), Late(Lsn(500)), "the file need not have come as a whole"),
        (stood(600), 480, FILE, Some(300), Late(Lsn(600)), "the next file is missing"),
        (stood(500), 480, None, Some(300), Late(Lsn(500)), "without the length of a file there is no last record"),
        (young(500), 480, FILE, None, TooEarly, "it may have been written since"),
        (young(500), 500, FILE, None, Yes, "all that was ever seen is replayed"),
        (None, 500, FILE, None, TooEarly, "the primary was never seen"),
    ];
    for (stood, replayed, file, alone_at, verdict, why) in table {
        let feed = alone_at.map(|alone_at| fetching(replayed, alone_at));
        assert_eq!(shipped(stood, Lsn(replayed), file, feed.as_ref()), verdict, "{why}");
    }
    let busy = Feed { asked_at: None, ..fetching(480, 300) };
    assert_eq!(shipped(stood(500), Lsn(480), FILE, Some(&busy)), Late(Lsn(500)), "it still replays, or stands still");
}

fn log_shipping() -> Watch {
    let mut watch = Watch::new(None);
    let channel = PostgresChannel {
        replication: Replication::Archive,
        archive_period: 20 * SECOND,
        ..watch.pair.postgres.clone().unwrap()
    };
    watch.pair.postgres = Some(channel);
    watch
}

/// A primary that tells how long its files are.
fn archiving(lsn: u64) -> PostgresFacts {
    let mut facts = primary(lsn, vec![]);
    facts.settings.wal_segment_size = FILE;
    facts
}

fn fed(replayed: u64) -> PostgresFacts {
    let mut facts = standby("-", 0);
    let standby = standby_of(&mut facts);
    (standby.receiver, standby.receive_lsn, standby.replay_lsn) = (None, None, Some(Lsn(replayed)));
    facts
}

#[test]
fn log_shipping_runs_while_it_has_what_could_be_shipped_a_period_ago() {
    let mut watch = log_shipping();
    // The primary writes 10 bytes a second; files come whole, and stop coming after a minute.
    for second in 1..=120_u64 {
        let evidence = watch.tick(Ok(archiving(1000 + second * 10)), Ok(fed(1000 + second.min(60) * 10 / 100 * 100)));
        // What it has not got at 60 s is the file that ends at 70 s: a period later it is missed.
        let late = second >= 90;
        let expected = if late { (false, Some(Reason::ArchiveLate)) } else { (true, None) };
        assert_eq!(told(&evidence), expected, "after {second} s: {:?}", evidence.verdict);
        assert_eq!(evidence.standbys[0].kind, Some(StandbyKind::Archive));
        assert_eq!(evidence.lag.is_some(), !late);
        assert!(evidence.standbys[0].gap.is_some());
    }
    assert_eq!(told(&watch.tick(Ok(archiving(2200)), Ok(fed(2200)))), (true, None), "repaired");
}

#[test]
fn an_idle_primary_ships_nothing_and_that_is_not_late() {
    let mut watch = log_shipping();
    for second in 0..600 {
        let evidence = watch.tick(Ok(archiving(1099)), Ok(fed(1000)));
        assert_eq!(told(&evidence), (true, None), "after {second} s: a file that is not full cannot be shipped");
        assert_eq!(evidence.lag, Some(Bytes(99)), "and is missing all the same");
    }
}

#[test]
fn before_the_primary_was_watched_for_a_period_nothing_is_late() {
    let mut watch = log_shipping();
    for second in 1..=30_u64 {
        let expected = if second <= 20 { Reason::NotSeenYet } else { Reason::ArchiveLate };
        assert_eq!(told(&watch.tick(Ok(archiving(1100)), Ok(fed(900)))), (false, Some(expected)), "{second} s");
    }
}

#[test]
fn log_shipping_is_proven_by_both_servers_only() {
    let mut watch = log_shipping();
    watch.tick(Ok(archiving(1000)), Ok(fed(1000)));
    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(fed(1000)));
    assert_eq!((told(&evidence), evidence.primary_seen), ((false, Some(Reason::Timeout)), false));
    let evidence = watch.tick(Ok(archiving(1000)), silent(FailureKind::Refused));
    assert_eq!(told(&evidence), (false, Some(Reason::Refused)));
    let mut behind = archiving(1000);
    behind.timeline = Some(2);
    assert_eq!(told(&watch.tick(Ok(behind), Ok(fed(1000)))), (false, Some(Reason::Starting)));
}

/// The stream is lost at 500. From then on the primary writes 100 bytes a second.
fn cut(watch: &mut Watch, second: u64, received: u64, replayed: u64) -> PostgresEvidence {
    let mut beta = fed(replayed);
    standby_of(&mut beta).receive_lsn = Some(Lsn(received));
    watch.tick(Ok(archiving(500 + second * 100)), Ok(beta))
}

#[test]
fn replay_of_what_was_received_is_no_restoring() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 1..60 {
        // Replay goes on for all that time, through what had been received and was not replayed.
        let mut beta = fed(500 + second * 80);
        standby_of(&mut beta).receive_lsn = Some(Lsn(5500));
        let evidence = watch.tick(Ok(archiving(6000 + second * 100)), Ok(beta));
        assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)), "after {second} s");
    }
}

#[test]
fn restoring_is_a_warning_for_a_quarter_of_an_hour_and_then_not_proven() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 1..=1000 {
        // A file of 100 bytes is there two seconds after it was full.
        let evidence = cut(&mut watch, second, 500, 500 + second.saturating_sub(2) * 100);
        let expected = match second {
            // The primary stood at 700 once the receiver was known to be gone: only what came later came by no stream.
            0..=4 => (false, Some(Reason::NotConnected)),
            5..=900 => (true, Some(Reason::RestoringFromArchive)),
            _ => (false, Some(Reason::RestoringFromArchive)),
        };
        assert_eq!(told(&evidence), expected, "after {second} s: {:?}", evidence.verdict);
        assert_eq!(evidence.lag, expected.0.then_some(Bytes(200)));
        assert_eq!(evidence.standbys[0].kind, (second > 4).then_some(StandbyKind::Archive));
    }
    // The stream comes back.
    let evidence = watch.tick(Ok(primary(100_500, vec![sender(9, "x", 100_500)])), Ok(standby("x", 100_500)));
    assert_eq!(told(&evidence), (true, None));
}

#[test]
fn an_archive_that_gives_nothing_any_more_is_no_restoring_after_a_minute() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 1..=120 {
        let evidence = cut(&mut watch, second, 500, 500 + second.min(10) * 100);
        let up = (3..=70).contains(&second);
        assert_eq!(evidence.verdict.up, up, "after {second} s: {:?}", evidence.verdict);
    }
}
