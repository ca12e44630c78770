//! Reads what libpq calls a connection string, as `pg_stat_wal_receiver` shows the standby's own.

/// The value of `key` in a libpq connection string (`key = value` with libpq's quoting); `None` if it is not set, is empty,
/// or the text before it is no connection string.
///
/// Source of the quoting: PostgreSQL's documentation, "Connection Strings", keyword/value form.
pub(super) fn value_of(conninfo: &str, key: &str) -> Option<String> {
    let mut rest = conninfo.trim_start();
    let mut found = None;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start())?;
        // As in libpq, the last of several wins.
        if name.trim_end() == key {
            found = Some(value);
        }
        rest = after.trim_start();
    }
    found.filter(|value| !value.is_empty())
}

/// The name under which a standby with this connection string shows in its primary's `pg_stat_replication`.
pub(super) fn application_name(conninfo: &str) -> Option<String> {
    value_of(conninfo, "application_name").or_else(|| value_of(conninfo, "fallback_application_name"))
}

/// One value, quoted or plain, and what follows it. `None` if a quote is not closed.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted.is_some() => return Some((value, &body[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => return Some((value, &body[at..])),
            c => value.push(c),
        }
    }
    quoted.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_by_libpqs_quoting() {
        let text = r"host=10.0.0.1 port = 5432 application_name='my \'own\' \\ name' password=a\ b sslcert=''";
        assert_eq!(value_of(text, "application_name").as_deref(), Some(r"my 'own' \ name"));
        assert_eq!(value_of(text, "port").as_deref(), Some("5432"));
        assert_eq!(value_of(text, "password").as_deref(), Some("a b"));
        assert_eq!(value_of(text, "sslcert"), None, "empty is as good as not set");
        assert_eq!(value_of(text, "name"), None);
        assert_eq!(value_of("user=x application_name='open", "application_name"), None);
        assert_eq!(value_of("postgres://somewhere", "application_name"), None);
        assert_eq!(
            value_of("dbname='x application_name=wrong' application_name=right", "application_name").as_deref(),
            Some("right")
        );
    }

    #[test]
    fn the_fallback_name_counts_where_there_is_no_other() {
        assert_eq!(application_name("user=r fallback_application_name=walreceiver").as_deref(), Some("walreceiver"));
        let both = "application_name=beta fallback_application_name=walreceiver";
        assert_eq!(application_name(both).as_deref(), Some("beta"));
    }

    proptest! {
        #[test]
        fn no_text_crashes_it(text in r"[a-z='\\ é]{0,40}") {
            let _ = application_name(&text);
        }

        #[test]
        fn a_quoted_value_reads_back(name in r".{1,20}") {
            let quoted = name.replace('\\', r"\\").replace('\'', r"\'");
            prop_assert_eq!(value_of(&format!("a=b application_name='{quoted}' c=d"), "application_name"), Some(name));
        }
    }
}
