//! What went wrong between this agent and a PostgreSQL server, as one of the closed kinds, with the cause and the cure in words.

use std::io;
use std::time::Duration;

use crate::config::PostgresNode;
use crate::facts::Failure;
use crate::names::FailureKind;
use crate::units::duration_text;

/// Where the server is, for messages. Never with a password.
pub(super) fn place(node: &PostgresNode) -> String {
    if is_socket(node) {
        format!("{}/.s.PGSQL.{}", node.host.trim_end_matches('/'), node.port)
    } else if node.host.contains(':') {
        format!("[{}]:{}", node.host, node.port)
    } else {
        format!("{}:{}", node.host, node.port)
    }
}

fn is_socket(node: &PostgresNode) -> bool {
    node.host.starts_with('/')
}

/// No answer within the deadline.
pub(super) fn timeout(node: &PostgresNode, doing: &str, after: Duration) -> Failure {
    Failure::new(
        FailureKind::Timeout,
        format!("{} did not {doing} within {}; is it frozen, or a cable cut?", place(node), duration_text(after)),
    )
}

/// Nobody has asked the server: this agent makes sessions a few at a time. `others`: how many wait, this one among them.
pub(super) fn waits_for_its_turn(node: &PostgresNode, others: usize) -> Failure {
    let place = place(node);
    let text = format!(
        "{place} has not been asked: this agent is waiting for its turn to open a session there, {others} are to be opened; is this machine too busy?"
    );
    Failure::new(FailureKind::Timeout, text)
}

/// The failure that `error` stands for.
pub(super) fn of(error: &sqlx::Error, node: &PostgresNode) -> Failure {
    let place = place(node);
    match error {
        // No network call answers so: it is about a file on this machine.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::NotFound && !is_socket(node) => {
            Failure::new(FailureKind::Tls, format!("{place}: a file that `tls` names is not there: {error}"))
        }
        sqlx::Error::Io(error) => of_io(error, &place),
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => of_state(&code, error.message(), node),
            None => not_the_protocol(&place, error.message()),
        },
        sqlx::Error::Tls(error) => tls(&place, &error.to_string()),
        sqlx::Error::Configuration(error) => Failure::new(FailureKind::Tls, format!("{place}: {error}")),
        sqlx::Error::Protocol(text) if text.contains("SSLRequest: 0x00") => closed_without_a_word(&place),
        sqlx::Error::Protocol(text) => not_the_protocol(&place, text),
        other => not_the_protocol(&place, &other.to_string()),
    }
}

fn tls(place: &str, cause: &str) -> Failure {
    Failure::new(FailureKind::Tls, format!("no TLS with {place}: {cause}; {}", cure_of_tls(cause)))
}

/// By what rustls and sqlx say.
fn cure_of_tls(cause: &str) -> &'static str {
    let cures = [
        ("expired", "renew the server's certificate and reload the server"),
        ("not valid yet", "compare the clocks of both machines"),
        (
            "not valid for",
            "write the host as the certificate names it, or issue one whose subjectAltName has this host",
        ),
        ("UnknownIssuer", "set `root_certificate` to the authority that signed the server's certificate"),
        ("CaUsedAsEndEntity", "the server shows an authority's certificate; issue one for the server itself"),
        ("does not support TLS", "switch on `ssl` in the server, or write `mode: prefer`"),
    ];
    let cure = cures.iter().find(|(said, _)| cause.contains(said)).map(|(_, cure)| *cure);
    cure.unwrap_or("compare `tls` with the server's certificate")
}

fn not_the_protocol(place: &str, cause: &str) -> Failure {
    // sqlx adds the place in its own source that noticed.
    let cause = cause.split(" (sqlx_").next().unwrap_or(cause);
    Failure::new(
        FailureKind::Protocol,
        format!("{place} does not answer as PostgreSQL does: {cause}; is the port right?"),
    )
}

/// A proxy or a socket unit without a server behind it does this. (sqlx reads the missing answer to its TLS request as a zero.)
fn closed_without_a_word(place: &str) -> Failure {
    let text = format!("{place} closed the connection without an answer; is the server behind it running?");
    Failure::new(FailureKind::Refused, text)
}

fn of_io(error: &io::Error, place: &str) -> Failure {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::ConnectionRefused => {
            Failure::new(FailureKind::Refused, format!("{place} refuses connections; is the server running?"))
        }
        Io::NotFound => Failure::new(
            FailureKind::Refused,
            format!("there is no socket {place}; is the server running, is the port right?"),
        ),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe => Failure::new(
            FailureKind::Refused,
            format!("{place} broke the connection off ({error}); the server's log tells why"),
        ),
        Io::TimedOut => Failure::new(FailureKind::Timeout, format!("{place} does not answer; is the machine up?")),
        Io::PermissionDenied => {
            let text = format!("this process may not connect to {place}, or not read a file that `tls` names: {error}");
            Failure::new(FailureKind::Permission, text)
        }
        Io::UnexpectedEof if error.to_string().contains("got 0 bytes") => closed_without_a_word(place),
        Io::UnexpectedEof => not_the_protocol(place, "the answer is cut short"),
        // rustls hands its own errors through as invalid data.
        Io::InvalidData => tls(place, &error.to_string()),
        // What is left while connecting: no route, no such name, no address.
        _ => Failure::new(FailureKind::Unreachable, format!("{place} cannot be reached: {error}")),
    }
}

/// By PostgreSQL's error code (Appendix A of its documentation).
fn of_state(code: &str, message: &str, node: &PostgresNode) -> Failure {
    let place = place(node);
    let user = &node.user;
    let (kind, text) = match code {
        _ if code.starts_with("28") => (
            FailureKind::Authentication,
            format!("{place} does not let {user:?} in: {message}; check the password and pg_hba.conf"),
        ),
        "57P03" => (FailureKind::StartingUp, format!("{place} takes no sessions now: {message}; wait, or see its log")),
        "57014" => (FailureKind::Timeout, format!("{place} did not finish the probe's statement in time: {message}")),
        "42501" => {
            (FailureKind::Permission, format!("{place}: {message}; run as a superuser: GRANT pg_monitor TO \"{user}\""))
        }
        "53300" => (
            FailureKind::Refused,
            format!(
                "{place} has no session left: {message}; raise max_connections, or the role's CONNECTION LIMIT; the probe needs 2"
            ),
        ),
        "3D000" => (FailureKind::Refused, format!("{place}: {message}; set `database` to one that exists")),
        "57P01" | "57P02" | "57P05" => (FailureKind::Refused, format!("{place} ended the session: {message}")),
        _ => (FailureKind::Protocol, format!("{place} answers the probe with an error: {message} (SQLSTATE {code})")),
    };
    Failure::new(kind, text)
}

/// The server has ended this session by itself or the connection is gone: a new one may succeed at once.
pub(super) fn session_is_gone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PostgresTls;

    fn node(host: &str) -> PostgresNode {
        PostgresNode {
            host: host.to_owned(),
            port: 5432,
            user: "probe".to_owned(),
            database: "postgres".to_owned(),
            password: None,
            tls: PostgresTls::default(),
            replica: None,
            apply_delay: None,
        }
    }

    #[test]
    fn codes_of_the_server_by_kind() {
        use FailureKind as Kind;
        let cases = [
            ("28P01", Kind::Authentication),
            ("28000", Kind::Authentication),
            ("57P03", Kind::StartingUp),
            ("57014", Kind::Timeout),
            ("42501", Kind::Permission),
            ("53300", Kind::Refused),
            ("57P01", Kind::Refused),
            ("42883", Kind::Protocol),
        ];
        for (code, kind) in cases {
            assert_eq!(of_state(code, "text", &node("a")).kind, kind, "{code}");
        }
    }

    #[test]
    fn failures_of_the_network_by_kind() {
        let of = |kind: io::ErrorKind| of(&sqlx::Error::Io(io::Error::from(kind)), &node("a")).kind;
        assert_eq!(of(io::ErrorKind::ConnectionRefused), FailureKind::Refused);
        assert_eq!(of(io::ErrorKind::HostUnreachable), FailureKind::Unreachable);
        assert_eq!(of(io::ErrorKind::Other), FailureKind::Unreachable);
        assert_eq!(of(io::ErrorKind::UnexpectedEof), FailureKind::Protocol);
        assert_eq!(of(io::ErrorKind::NotFound), FailureKind::Tls, "over TCP, only a certificate's file can be missing");
        let missing = sqlx::Error::Io(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(super::of(&missing, &node("/run/postgresql")).kind, FailureKind::Refused);
    }

    #[test]
    fn places_by_their_form() {
        assert_eq!(place(&node("10.0.0.1")), "10.0.0.1:5432");
        assert_eq!(place(&node("::1")), "[::1]:5432");
        assert_eq!(place(&node("/run/postgresql")), "/run/postgresql/.s.PGSQL.5432");
    }
}
