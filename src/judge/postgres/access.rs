//! Whether new sessions are let in. A held session goes on working where no new one would: replication is what it is, but a
//! promotion would need sessions.

use crate::evidence::Verdict;
use crate::facts::NewSessions;
use crate::names::{FailureKind, Name, Reason};
use crate::units::short_duration;

use super::nodes::{Node, Nodes};

/// The server answers but lets no new session in; `None` if it does not answer, or no attempt has told.
pub(super) fn not_accepting(node: Node<'_>) -> Option<bool> {
    match node.facts()?.new_sessions.as_ref()? {
        NewSessions::Accepted => Some(false),
        NewSessions::Refused(..) => Some(true),
        NewSessions::NotTried(..) => None,
    }
}

/// What keeps new sessions out, in words; `None` if nothing is known to.
pub(super) fn no_new_session(name: &Name, node: Node<'_>) -> Option<String> {
    match node.facts()?.new_sessions.as_ref()? {
        NewSessions::Accepted => None,
        NewSessions::Refused(since, failure) => {
            let since = short_duration(*since);
            Some(format!("{name} answers over a held session, but has let no new one in for {since}: {failure}"))
        }
        NewSessions::NotTried(_, failure) if failure.kind != FailureKind::Permission => Some(format!(
            "{name} answers over a held session; whether it lets new ones in is not known before the next attempt: {failure}"
        )),
        NewSessions::NotTried(_, failure) => {
            Some(format!("{name} answers over a held session; a new one cannot be tried: {failure}"))
        }
    }
}

/// A proven channel that has nothing else to say says that new sessions are kept out.
pub(super) fn with_warning(verdict: Verdict, nodes: &Nodes<'_>) -> Verdict {
    if !verdict.up || verdict.reason.is_some() {
        return verdict;
    }
    // What a server refuses is worse than what the agent could not try.
    let told = |refused: bool| {
        nodes.all.iter().find_map(|&(name, node)| {
            let reason = match node.facts()?.new_sessions.as_ref()? {
                NewSessions::Refused(..) if refused => Reason::NotAccepting,
                NewSessions::NotTried(_, failure) if !refused => failure.kind.into(),
                _ => return None,
            };
            Some((reason, no_new_session(name, node)))
        })
    };
    match told(true).or_else(|| told(false)) {
        Some((reason, detail)) => Verdict { reason: Some(reason), detail, ..verdict },
        None => verdict,
    }
}
