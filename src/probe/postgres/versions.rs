//! What differs between PostgreSQL's versions: one table, so that no other file asks for the version.

/// A place in a statement, and what stands there.
struct Difference {
    /// In braces in the statement.
    place: &'static str,
    /// Before that version, and from it on.
    from: u32,
    before: &'static str,
    since: &'static str,
}

const DIFFERENCES: [Difference; 5] = [
    Difference {
        place: "{slot_inactive_since}",
        from: 17,
        before: "NULL::timestamptz",
        since: "CASE WHEN NOT active THEN inactive_since END",
    },
    Difference { place: "{slot_invalidation_reason}", from: 17, before: "NULL::text", since: "invalidation_reason" },
    // 14 has these counters in a file that another process writes on request, which may take its time.
    Difference {
        place: "{last_archive_failed}",
        from: 15,
        before: "NULL::boolean",
        since: "(SELECT CASE WHEN last_failed_time IS NULL THEN false WHEN last_archived_time IS NULL THEN true \
                ELSE last_failed_time > last_archived_time END FROM pg_stat_archiver)",
    },
    Difference {
        place: "{conflicts}",
        from: 15,
        before: "NULL::bigint",
        since: "(SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock)::bigint \
                FROM pg_stat_database_conflicts)",
    },
    Difference {
        place: "{prefetch}",
        from: 15,
        before: "NULL::json",
        since: "(SELECT json_build_object('prefetched', prefetch, 'hit', hit, 'wal_distance', wal_distance, \
                'block_distance', block_distance, 'io_depth', io_depth) FROM pg_stat_recovery_prefetch)",
    },
];

/// `template` as a server of this version (`server_version_num`) understands it. An unknown version gets the latest.
pub(super) fn statement(template: &str, version: Option<u32>) -> String {
    let major = version.map_or(u32::MAX, |version| version / 10_000);
    DIFFERENCES.iter().fold(template.to_owned(), |text, difference| {
        text.replace(difference.place, if major < difference.from { difference.before } else { difference.since })
    })
}

/// The version has its cumulative counters in a file that another process writes on request: they are asked apart.
pub(super) fn counts_slowly(version: Option<u32>) -> bool {
    version.is_some_and(|version| version / 10_000 < 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = include_str!("facts.sql");

    #[test]
    fn each_place_of_the_table_is_in_the_statement_once_and_none_is_left() {
        for difference in &DIFFERENCES {
            assert_eq!(FACTS.matches(difference.place).count(), 1, "{}", difference.place);
        }
        for version in [140_023, 150_018, 160_014, 170_010, 180_004, 990_001] {
            let statement = statement(FACTS, Some(version));
            assert!(!statement.contains(['{', '}']), "{version}: {statement}");
        }
    }

    #[test]
    fn a_column_is_asked_for_from_its_version_on() {
        let reason = |version| statement("{slot_invalidation_reason}", version);
        assert_eq!(reason(Some(169_999)), "NULL::text");
        assert_eq!(reason(Some(170_000)), "invalidation_reason");
        assert_eq!([reason(Some(990_000)), reason(None)], ["invalidation_reason", "invalidation_reason"]);
    }
}
