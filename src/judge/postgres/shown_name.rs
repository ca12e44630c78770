//! How a primary shows the name that a standby gives itself.

/// `NAMEDATALEN - 1`: what PostgreSQL keeps of any name, in bytes.
const KEPT: usize = 63;
/// From this version on a byte that is not shown stands as `\x` and two digits; before, as a question mark.
const DIGITS_SINCE: u32 = 16;

/// `application_name` in the `pg_stat_replication` of a server of this major version, for a standby that connects with `name`
/// (in UTF-8). An unknown version gets the latest.
///
/// Source: PostgreSQL's `pg_clean_ascii`, applied to the first 63 bytes, and `pgstat_report_appname`, which keeps 63 of the outcome.
/// A walsender belongs to no database, so bytes are counted, not letters.
pub(super) fn shown_application_name(name: &str, major: Option<u32>) -> String {
    let digits = major.is_none_or(|major| major >= DIGITS_SINCE);
    let mut shown = String::new();
    for byte in name.bytes().take(KEPT) {
        match byte {
            b' '..=b'~' => shown.push(char::from(byte)),
            _ if digits => shown.push_str(&format!("\\x{byte:02x}")),
            _ => shown.push('?'),
        }
    }
    shown.truncate(KEPT);
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_by_version() {
        let (long, crossing) = ("x".repeat(70), format!("{}é", "x".repeat(62)));
        let (kept, cut) = ("x".repeat(63), "x".repeat(62));
        let table = [
            ("beta", "beta", "beta"),
            ("it's \"my\" \\ standby", "it's \"my\" \\ standby", "it's \"my\" \\ standby"),
            ("bêta", "b??ta", r"b\xc3\xaata"),
            ("備", "???", r"\xe5\x82\x99"),
            ("a\tb\u{7f}", "a?b?", r"a\x09b\x7f"),
            (long.as_str(), kept.as_str(), kept.as_str()),
            (crossing.as_str(), &format!("{cut}?"), &format!("{cut}\\")),
            ("", "", ""),
        ];
        for (name, until_15, since_16) in table {
            let shown = [14, 15, 16, 17, 18].map(|major| shown_application_name(name, Some(major)));
            assert_eq!(shown, [until_15, until_15, since_16, since_16, since_16], "{name:?}");
            assert_eq!(shown_application_name(name, None), since_16, "{name:?} on a version that is not known");
        }
    }

    proptest! {
        /// Whoever copies a name from the primary's view into the configuration is right, too.
        #[test]
        fn what_is_shown_is_shown_as_it_is(name in ".{0,80}", major in 14_u32..19) {
            let shown = shown_application_name(&name, Some(major));
            prop_assert!(shown.len() <= KEPT && shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(shown_application_name(&shown, Some(major)), shown);
        }
    }
}
