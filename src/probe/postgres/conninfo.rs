//! Reads the standby's connection string as `pg_stat_wal_receiver` shows it.
//!
//! It is shown without any quoting (`libpqrcv_get_conninfo`: `key=value`, a space between, passwords hidden), so that a value with
//! a space or a quote in it is not libpq's own form any more. What marks the end of a value is the key that follows.

/// The keys that may follow a name, in the order in which they are shown; versions differ in which of them they know.
const AFTER: [&str; 12] = [
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "gssencmode",
];
/// `MAXCONNINFO` of PostgreSQL less its final zero: what is longer is shown cut.
const SHOWN: usize = 1023;

/// The name under which a standby with this connection string connects to its primary: its `application_name`, else the fallback
/// that each receiver gives (`cluster_name`, or `walreceiver`). `None` if that cannot be told: no name is there, the text is cut
/// in the middle of it, or a value has the look of a key.
pub(super) fn application_name(conninfo: &str) -> Option<String> {
    let given = only(conninfo, "application_name")?;
    let fallback = only(conninfo, "fallback_application_name")?;
    let name = match (given, fallback) {
        (Some(given), Some(fallback)) => conninfo.get(given.value..fallback.key)?.strip_suffix(' ')?,
        (Some(name), None) | (None, Some(name)) => to_the_next(conninfo.get(name.value..)?, conninfo.len() >= SHOWN)?,
        (None, None) => return None,
    };
    Some(name).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Where a key begins, and where its value does.
struct Place {
    key: usize,
    value: usize,
}

/// Where `key=` stands, if anywhere. The outer `None`: in several places, of which all but one are part of some value.
#[allow(clippy::option_option, reason = "nowhere and nobody knows where are two things")]
fn only(text: &str, key: &str) -> Option<Option<Place>> {
    let word = format!("{key}=");
    let begins = |at: &usize| *at == 0 || text.as_bytes().get(at - 1) == Some(&b' ');
    let mut places = text.match_indices(&word).map(|(at, _)| at).filter(begins);
    let first = places.next().map(|key| Place { key, value: key + word.len() });
    places.next().is_none().then_some(first)
}

/// The value at the beginning of `rest`, up to the key that follows it. `None` if it is cut off.
fn to_the_next(rest: &str, is_cut: bool) -> Option<&str> {
    match AFTER.iter().filter_map(|key| rest.find(&format!(" {key}="))).min() {
        Some(end) => rest.get(..end),
        None => (!is_cut).then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As version 15 shows it.
    fn shown(name: &str) -> String {
        format!(
            "user=replicator password=******** channel_binding=prefer dbname=replication host=127.0.0.1 port=5432 {name}\
             fallback_application_name=beta sslmode=prefer sslcompression=0 sslsni=1 target_session_attrs=any"
        )
    }

    #[test]
    fn names_stand_there_as_they_are() {
        for name in ["beta", "my beta", "it's \"beta\"", r"a \ b", "bêta", "sslmode=odd", "x keepalives=1"] {
            let conninfo = shown(&format!("application_name={name} "));
            assert_eq!(application_name(&conninfo).as_deref(), Some(name), "{conninfo}");
        }
        assert_eq!(application_name("application_name=first fallback_application_name=x").as_deref(), Some("first"));
        assert_eq!(application_name("user=r application_name=alone").as_deref(), Some("alone"));
    }

    #[test]
    fn the_fallback_name_counts_where_there_is_no_other() {
        assert_eq!(application_name(&shown("")).as_deref(), Some("beta"));
        let spaced = "user=r fallback_application_name=our second one keepalives=1 sslmode=prefer";
        assert_eq!(application_name(spaced).as_deref(), Some("our second one"));
    }

    #[test]
    fn a_name_that_cannot_be_told_is_not_guessed() {
        let twice = shown("options=-c application_name=x application_name=beta ");
        let cut = format!("user=r application_name={}", "x".repeat(SHOWN));
        for conninfo in ["", "user=r host=h", "postgres://somewhere", twice.as_str(), &cut[..SHOWN]] {
            assert_eq!(application_name(conninfo), None, "{conninfo}");
        }
    }

    proptest! {
        #[test]
        fn no_text_crashes_it(text in r"[a-z_='\\ é]{0,40}", cut in 0_usize..100) {
            let _ = application_name(&text);
            let whole = shown(&format!("application_name={text} "));
            let _ = application_name(whole.get(..cut).unwrap_or(&whole));
        }

        #[test]
        fn any_name_without_the_keys_in_it_reads_back(name in r"[^=]{1,60}") {
            prop_assert_eq!(application_name(&shown(&format!("application_name={name} "))), Some(name));
        }
    }
}
