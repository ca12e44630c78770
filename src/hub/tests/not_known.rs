//! What is not known stays unknown: whatever servers say, and whatever they leave out.

use proptest::prelude::*;
use proptest::sample::select;

use super::properties::{amounts, is_sound, postgres, value};
use super::world::{Asked, any_course, any_node, looks, watched};
use super::*;
use crate::evidence::PostgresEvidence;
use crate::facts::Slot;

/// Something that no server tells, all the time.
#[derive(Clone, Copy, Debug)]
enum Untold {
    PrimaryPosition,
    ReplayedPosition,
    Replies,
    Messages,
    WalsendersState,
    ReceiversState,
}

const UNTOLD: [Untold; 6] = [
    Untold::PrimaryPosition,
    Untold::ReplayedPosition,
    Untold::Replies,
    Untold::Messages,
    Untold::WalsendersState,
    Untold::ReceiversState,
];

impl Untold {
    fn left_out_of(self, mut facts: PostgresFacts) -> PostgresFacts {
        match (&mut facts.role, self) {
            (PostgresRole::Primary(primary), Self::PrimaryPosition) => primary.wal_lsn = None,
            (PostgresRole::Primary(primary), _) => {
                for row in &mut primary.walsenders {
                    match self {
                        Self::ReplayedPosition => row.replay = None,
                        Self::Replies => row.reply_time = None,
                        Self::WalsendersState => row.state = None,
                        Self::PrimaryPosition | Self::Messages | Self::ReceiversState => {}
                    }
                }
            }
            (PostgresRole::Standby(standby), Self::ReplayedPosition) => standby.replay_lsn = None,
            (PostgresRole::Standby(standby), _) => {
                if let Some(receiver) = &mut standby.receiver {
                    match self {
                        Self::Messages => (receiver.last_message, receiver.last_message_age) = (None, None),
                        Self::ReceiversState => receiver.status = None,
                        Self::PrimaryPosition | Self::ReplayedPosition | Self::Replies | Self::WalsendersState => {}
                    }
                }
            }
        }
        facts
    }

    /// What follows for what is told, while the nodes answer or do not.
    fn is_not_made_up(
        self,
        evidence: &PostgresEvidence,
        answer: [bool; 2],
        told: &[String],
    ) -> Result<(), TestCaseError> {
        let lags = |told: &&String| told.contains("lag") || told.contains("catch_up");
        let [alpha, beta] = answer;
        match self {
            Self::PrimaryPosition => prop_assert!(told.is_empty(), "{told:?}"),
            Self::ReplayedPosition => prop_assert!(!told.iter().any(|told| lags(&told)), "{told:?}"),
            Self::Replies | Self::WalsendersState => {
                prop_assert!(!told.iter().any(|told| lags(&told)), "{told:?}");
                prop_assert!(!(alpha && evidence.verdict.up), "{:?}", evidence.verdict);
            }
            Self::Messages | Self::ReceiversState => {
                prop_assert!(!(beta && evidence.verdict.up), "{:?}", evidence.verdict)
            }
        }
        Ok(())
    }
}

fn any_lsn() -> impl Strategy<Value = Option<Lsn>> {
    prop::option::of(prop_oneof![Just(0), 0_u64..5000, any::<u64>(), Just(u64::MAX)].prop_map(Lsn))
}

fn any_stamp() -> impl Strategy<Value = Option<Opaque>> {
    prop::option::of((0_u8..4).prop_map(|stamp| Opaque(stamp.to_string())))
}

fn any_number() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop_oneof![Just(0.0), -10.0..100.0, Just(f64::MAX), Just(f64::INFINITY), Just(f64::NAN)])
}

fn any_row() -> impl Strategy<Value = Walsender> {
    let state = prop::option::of(select(vec!["streaming", "catchup", "startup", "stopping", "odd"]));
    let positions = (any_lsn(), any_lsn(), any_lsn(), any_lsn());
    (positions, state, any_stamp(), any_number(), 7..9_i32, prop::option::of(select(vec!["beta", "gamma"]))).prop_map(
        |((sent, write, flush, replay), state, reply_time, backend_age, pid, slot)| Walsender {
            pid,
            slot: slot.map(str::to_owned),
            state: state.map(str::to_owned),
            backend_start: Some(Opaque(pid.to_string())),
            write_lag: backend_age,
            sent,
            write,
            flush,
            replay,
            backend_age,
            reply_time,
            ..Walsender::default()
        },
    )
}

fn any_slot() -> impl Strategy<Value = Slot> {
    let size = prop::option::of(any::<i64>());
    let status = prop::option::of(select(vec!["reserved", "extended", "unreserved", "lost", "odd"]));
    (any_lsn(), size, status, any_number()).prop_map(|(restart_lsn, safe_wal_size, status, inactive_age)| Slot {
        name: "beta".to_owned(),
        physical: true,
        restart_lsn,
        safe_wal_size,
        wal_status: status.map(str::to_owned),
        inactive_age,
        ..Slot::default()
    })
}

/// Anything that an answer may hold, likely or not.
fn any_facts() -> impl Strategy<Value = PostgresFacts> {
    let of_primary = (any_lsn(), prop::collection::vec(any_row(), 0..3), prop::option::of(any_slot())).prop_map(
        |(wal_lsn, walsenders, slot)| {
            let slots = slot.into_iter().collect();
            PostgresRole::Primary(PrimaryFacts { wal_lsn, walsenders, slots, ..PrimaryFacts::default() })
        },
    );
    let receiver = prop::option::of((any_stamp(), any_number(), prop::option::of(0_u32..3), any::<bool>()));
    let of_standby = (any_lsn(), any_lsn(), receiver, prop::option::of(any::<bool>()), any_number()).prop_map(
        |(receive_lsn, replay_lsn, receiver, replay_paused, last_replayed_commit)| {
            let receiver = receiver.map(|(last_message, last_message_age, timeline, streams)| Receiver {
                status: Some(if streams { "streaming" } else { "waiting" }.to_owned()),
                slot: Some("beta".to_owned()),
                timeline,
                last_message,
                last_message_age,
                ..Receiver::default()
            });
            PostgresRole::Standby(StandbyFacts {
                receive_lsn,
                replay_lsn,
                receiver,
                replay_paused,
                last_replayed_commit,
                ..StandbyFacts::default()
            })
        },
    );
    let role = prop_oneof![of_primary, of_standby];
    (role, select(vec!["a", "b"]), prop::option::of(1_u32..4), any_number()).prop_map(
        |(role, start, timeline, server_clock)| PostgresFacts { timeline, server_clock, ..facts(start, role) },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_no_server_tells_is_no_number(course in any_course(), untold in select(UNTOLD.to_vec())) {
        let mut watch = watched(true);
        let mut answer = [false, false];
        for look in looks(&course) {
            answer[usize::from(look.node == Asked::Beta)] = look.result.is_ok();
            let result = look.result.clone().map(|facts| untold.left_out_of(facts));
            watch.advance(look.world.now, vec![told(look.node.node(), look.world.now, result)]);
            let view = watch.snapshot.at(at(look.world.now));
            is_sound(view)?;
            let all: Vec<String> = amounts(view).into_iter().collect();
            // One that has not answered for long is as one that does not.
            let fresh = ["alpha", "beta"].map(|node| view.probes.iter().any(|probe| probe.node == Name::new(node) && probe.up));
            untold.is_not_made_up(postgres(view), [answer[0] && fresh[0], answer[1] && fresh[1]], &all)?;
        }
    }

    #[test]
    fn no_answer_whatever_becomes_a_number_without_a_proof(
        answers in prop::collection::vec((any_node(), prop::option::weighted(0.9, any_facts()), 1_u8..12), 1..40), by_slot: bool,
    ) {
        let mut watch = watched(by_slot);
        let mut now = 0.0;
        for (node, answer, quarters) in answers {
            now += 0.25 * f64::from(quarters);
            let result = answer.ok_or_else(|| Failure::new(FailureKind::Protocol, "garbage"));
            watch.advance(now, vec![told(node.node(), now, result)]);
            let view = watch.snapshot.at(at(now));
            is_sound(view)?;
            prop_assert!(value(view, "standby_replication_up").is_some(), "what says whether we know is always there");
            // Once nobody has answered for long, nothing is left.
            let late = watch.snapshot.at(at(now + 3600.0));
            is_sound(late)?;
            prop_assert!(amounts(late).is_empty() && value(late, "standby_replication_up") == Some(0.0));
        }
    }
}
