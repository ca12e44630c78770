//! Who is the primary while none answers as one.

use super::*;

const REFUSED: FailureKind = FailureKind::Refused;

fn seen(watch: &mut Watch, seconds: f64, beta: Option<PostgresFacts>) -> Roles {
    watch.take("alpha", seconds, 0.01, silent(REFUSED));
    watch.take("beta", seconds, 0.01, beta.ok_or_else(|| Failure::new(REFUSED, "made up")));
    watch.look(seconds + 0.05);
    roles(&channel(), &watch.pair, &watch.latest, &watch.history, at(seconds + 0.05))
}

fn primary_of(roles: &Roles) -> Option<&str> {
    roles.primary.as_ref().map(Name::as_str)
}

#[test]
fn while_all_are_silent_the_last_proof_counts_for_minutes_and_is_remembered_for_good() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let soon = seen(&mut watch, 304.0, None);
    assert_eq!((primary_of(&soon), soon.standbys.as_slice()), (Some("alpha"), &[Name::new("beta")][..]));
    assert_eq!(roles_run_out(&watch.history), Some(at(305.0)), "five minutes after the last proof");
    let late = seen(&mut watch, 306.0, None);
    assert_eq!((primary_of(&late), late.standbys.len()), (None, 0));
    assert!(late.because().contains("by memory it was alpha, proven 5m"), "{}", late.because());
    // Hours later the only other node answers as a standby: it has not been promoted.
    let excluded = seen(&mut watch, 9000.0, Some(standby("9", 500)));
    assert_eq!((primary_of(&excluded), excluded.proven_at), (Some("alpha"), Some(at(5.0))));
    assert_eq!(primary_of(&seen(&mut watch, 9001.0, None)), None, "and now it may be");
}

#[test]
fn one_that_answers_as_a_standby_itself_is_not_it() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for seconds in [6.0, 400.0] {
        watch.take("alpha", seconds, 0.01, Ok(standby("9", 500)));
        watch.take("beta", seconds, 0.01, Ok(standby("9", 500)));
        let roles = roles(&channel(), &watch.pair, &watch.latest, &watch.history, at(seconds + 0.1));
        assert_eq!((primary_of(&roles), roles.contradicted), (None, false), "at {seconds} s");
    }
}

#[test]
fn a_third_node_that_is_silent_may_have_been_promoted() {
    let mut watch = Watch::new(None);
    watch.pair.nodes.push(node("gamma", None));
    watch.healthy(5);
    assert_eq!(primary_of(&seen(&mut watch, 400.0, Some(standby("9", 500)))), None);
    watch.take("gamma", 400.5, 0.01, Ok(standby("9", 500)));
    assert_eq!(primary_of(&seen(&mut watch, 401.0, Some(standby("9", 500)))), Some("alpha"));
}

#[test]
fn a_node_that_is_no_longer_configured_is_nobody() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    watch.pair.nodes[0].name = Name::new("omega");
    assert_eq!(seen(&mut watch, 6.0, None), Roles::default());
}

#[test]
fn who_answers_as_the_primary_is_it_whatever_was_remembered() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let promoted = PostgresFacts { timeline: Some(2), ..primary(900, vec![]) };
    let roles = seen(&mut watch, 6.0, Some(promoted));
    assert_eq!((primary_of(&roles), roles.contradicted), (Some("beta"), false));
}
