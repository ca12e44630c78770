//! What holds whatever servers say.

use proptest::prelude::*;

use super::*;

/// Anything that a server may say, as far as evidence goes by it.
fn any_row() -> impl Strategy<Value = Walsender> {
    let lsn = || prop::option::of((0_u64..2000).prop_map(Lsn));
    let state = prop::option::of(prop::sample::select(vec!["streaming", "catchup", "startup", "stopping", "odd"]));
    (7..9_i32, lsn(), lsn(), lsn(), lsn(), state, prop::option::of(0..3_u8)).prop_map(
        |(pid, sent, write, flush, replay, state, reply)| Walsender {
            sent,
            write,
            flush,
            replay,
            state: state.map(str::to_owned),
            reply_time: reply.map(|reply| Opaque(reply.to_string())),
            ..sender(pid, "0", 0)
        },
    )
}

fn any_answer() -> impl Strategy<Value = Result<PostgresFacts, Failure>> {
    let lsn = || prop::option::of((0_u64..2000).prop_map(Lsn));
    let of_primary = (lsn(), prop::collection::vec(any_row(), 0..3)).prop_map(|(wal_lsn, walsenders)| {
        Ok(facts(PostgresRole::Primary(PrimaryFacts { wal_lsn, walsenders, ..PrimaryFacts::default() }), "alpha's"))
    });
    let of_standby =
        (lsn(), lsn(), 0..3_u8, any::<bool>()).prop_map(|(receive_lsn, replay_lsn, message, connected)| {
            let mut facts = standby(&message.to_string(), 0);
            let standby = standby_of(&mut facts);
            (standby.receive_lsn, standby.replay_lsn) = (receive_lsn, replay_lsn);
            standby.receiver = standby.receiver.take().filter(|_| connected);
            Ok(facts)
        });
    let kinds = prop::sample::select(FailureKind::ALL);
    prop_oneof![of_primary, of_standby, kinds.prop_map(silent)]
}

proptest! {
    #[test]
    fn no_history_makes_not_known_a_number(answers in prop::collection::vec((any_answer(), any_answer()), 1..30)) {
        let mut watch = Watch::new(None);
        for (alpha, beta) in answers {
            let evidence = watch.tick(alpha, beta);
            prop_assert_eq!(evidence.verdict.up, evidence.verdict.up && evidence.standbys.iter().any(|standby| standby.verdict.up));
            prop_assert!(evidence.verdict.up || evidence.verdict.reason.is_some());
            if !evidence.verdict.up {
                prop_assert_eq!((evidence.lag, evidence.lag_seconds), (None, None));
            }
            for standby in &evidence.standbys {
                if let (Some(stages), Some(total)) = (standby.stages, standby.total) {
                    prop_assert_eq!(stages.iter().map(|(_, bytes)| bytes.0).sum::<u64>(), total.0);
                    prop_assert!(standby.verdict.up);
                }
            }
        }
    }

    #[test]
    fn a_lost_reading_never_makes_a_verdict_better(
        answers in prop::collection::vec((any_answer(), any_answer()), 1..20), lost: prop::sample::Index,
    ) {
        let mut whole = Watch::new(None);
        let mut holed = Watch::new(None);
        let lost = lost.index(answers.len());
        for (n, (alpha, beta)) in answers.into_iter().enumerate() {
            let full = whole.tick(alpha.clone(), beta.clone());
            let part = if n == lost { holed.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout)) } else { holed.tick(alpha, beta) };
            if n == lost {
                prop_assert!(!part.verdict.up, "{:?} although neither was asked; before: {:?}", part.verdict, full.verdict);
            }
        }
    }

    #[test]
    fn shifting_all_times_changes_nothing(
        answers in prop::collection::vec((any_answer(), any_answer()), 1..20), shift in 1_u32..1_000_000,
    ) {
        let mut here = Watch::new(None);
        let mut there = Watch::new(None);
        there.seconds += f64::from(shift);
        for (alpha, beta) in answers {
            let a = here.tick(alpha.clone(), beta.clone());
            let b = there.tick(alpha, beta);
            prop_assert_eq!((a.verdict.up, a.verdict.reason, a.lag), (b.verdict.up, b.verdict.reason, b.lag));
        }
    }
}
