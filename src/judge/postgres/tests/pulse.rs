//! What pulses let one tell earlier, and what they must not.

use super::*;

/// As [`Watch::tick`] of an idle pair that is told of a pulse after each fifth reading. `answers`: the standby replies.
fn tick(watch: &mut Watch, answers: bool, held: &mut u64, wal: &mut u64) -> PostgresEvidence {
    let stamp = format!("reply at {held}");
    let mut row = sender(7, &stamp, *held);
    row.sent = Some(Lsn(*wal));
    let evidence = watch.tick(Ok(primary(*wal, vec![row])), Ok(standby(&watch.seconds.to_string(), *held)));
    if (watch.seconds as u64).is_multiple_of(5) {
        *wal += 64;
        let asked = at(watch.seconds + 0.06);
        let reading = Reading { asked, answered: asked, result: Ok(Lsn(*wal)) };
        watch.history.record_pulse(&Name::new("alpha"), &reading);
    }
    if answers {
        *held = *wal;
    }
    evidence
}

#[test]
fn a_standby_that_stops_answering_is_told_within_eight_seconds_of_an_idle_pair() {
    for begun in 0..5_u32 {
        let (mut watch, mut held, mut wal) = (Watch::new(None), 1000, 1000);
        for _ in 0..(30 + begun) {
            tick(&mut watch, true, &mut held, &mut wal);
        }
        let fault = watch.seconds + 0.06;
        assert!(watch.look(fault).verdict.up);
        loop {
            let evidence = tick(&mut watch, false, &mut held, &mut wal);
            let later = watch.look(watch.seconds + 0.95);
            if !later.verdict.up {
                assert_eq!(later.verdict.reason, Some(Reason::NotAnswering));
                break;
            }
            assert!(watch.seconds - fault < 8.0, "{begun}: {:?}", evidence.verdict);
        }
        for _ in 0..3 {
            tick(&mut watch, true, &mut held, &mut wal);
        }
        assert!(watch.look(watch.seconds + 0.5).verdict.up, "{begun}: it answers again");
    }
}

#[test]
fn a_pair_that_answers_stays_proven_for_minutes() {
    let (mut watch, mut held, mut wal) = (Watch::new(None), 1000, 1000);
    for second in 0..200 {
        let evidence = tick(&mut watch, true, &mut held, &mut wal);
        assert!(second < 12 || evidence.verdict.up, "{second}: {:?}", evidence.verdict);
    }
}

#[test]
fn a_pulse_that_fails_is_told_and_takes_nothing_from_the_proof() {
    let mut watch = Watch::new(None);
    watch.healthy(20);
    watch.pair.postgres.as_mut().unwrap().pulse = Some(5 * SECOND);
    let asked = at(20.1);
    let result = Err(Failure::new(FailureKind::Permission, "GRANT EXECUTE"));
    watch.history.record_pulse(&Name::new("alpha"), &Reading { asked, answered: asked, result });
    let channel = PostgresChannel { pulse: Some(5 * SECOND), ..channel() };
    let (evidence, _) = evidence(&channel, &watch.pair, &watch.latest, &watch.history, at(20.2));
    assert!(evidence.verdict.up && evidence.lag.is_some());
    assert_eq!(evidence.verdict.reason, Some(Reason::PulseFailing));
    assert!(evidence.verdict.detail.unwrap().contains("GRANT EXECUTE"));
}
