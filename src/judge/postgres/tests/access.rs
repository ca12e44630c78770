//! Servers that answer over the held session and let no new one in.

use super::*;

fn after(seconds: u64, kind: FailureKind) -> (Duration, Failure) {
    (Duration::from_secs(seconds), Failure::new(kind, "beta:5432 did not accept a new session"))
}

/// A running pair in which both nodes say this of new sessions.
fn with(alpha: Option<NewSessions>, beta: Option<NewSessions>) -> PostgresEvidence {
    let mut watch = Watch::new(None);
    watch.healthy(3);
    let primary = PostgresFacts { new_sessions: alpha, ..primary(900, vec![sender(7, "later", 900)]) };
    let standby = PostgresFacts { new_sessions: beta, ..standby("later", 900) };
    watch.tick(Ok(primary), Ok(standby))
}

fn refusals(evidence: &PostgresEvidence) -> Vec<Option<bool>> {
    evidence.nodes.iter().map(|node| node.not_accepting).collect()
}

#[test]
fn replication_runs_and_the_node_that_lets_nobody_in_is_named() {
    let (since, failure) = after(42, FailureKind::Timeout);
    let evidence = with(Some(NewSessions::Accepted), Some(NewSessions::Refused(since, failure)));
    assert_eq!(told(&evidence), (true, Some(Reason::NotAccepting)));
    assert_eq!(refusals(&evidence), [Some(false), Some(true)]);
    assert_eq!(evidence.lag, Some(Bytes(0)), "its numbers are what they are");
    let detail = evidence.verdict.detail.unwrap();
    assert!(
        detail.starts_with("beta answers") && detail.contains("42s") && detail.contains("did not accept"),
        "{detail}"
    );
    assert_eq!(evidence.nodes[1].no_new_session, Some(detail));
}

#[test]
fn what_is_not_known_is_no_refusal() {
    let evidence = with(None, Some(NewSessions::Accepted));
    assert_eq!((told(&evidence), refusals(&evidence)), ((true, None), vec![None, Some(false)]));
    let (since, failure) = after(5, FailureKind::Permission);
    let evidence = with(Some(NewSessions::NotTried(since, failure)), None);
    assert_eq!((told(&evidence), refusals(&evidence)), ((true, Some(Reason::Permission)), vec![None, None]));
}

#[test]
fn a_refusal_is_told_before_what_the_agent_could_not_try() {
    let (since, failure) = after(5, FailureKind::Permission);
    let alpha = Some(NewSessions::NotTried(since, failure));
    let (since, failure) = after(5, FailureKind::Refused);
    let evidence = with(alpha, Some(NewSessions::Refused(since, failure)));
    assert_eq!(told(&evidence), (true, Some(Reason::NotAccepting)));
}

#[test]
fn a_channel_that_is_not_proven_keeps_its_own_reason() {
    let mut watch = Watch::new(None);
    watch.healthy(3);
    let (since, failure) = after(5, FailureKind::Refused);
    let primary = PostgresFacts { new_sessions: Some(NewSessions::Refused(since, failure)), ..primary(900, vec![]) };
    let evidence = watch.tick(Ok(primary), silent(FailureKind::Refused));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
    assert_eq!(refusals(&evidence), [Some(true), None], "still told of the node; a silent one is not known");
}
