-- For version 14, which has these counters in a file that another process writes on request. Later ones: `versions.rs`.
SELECT json_build_object(
    'last_archive_failed', (
        SELECT CASE
            WHEN last_failed_time IS NULL THEN false
            WHEN last_archived_time IS NULL THEN true
            ELSE last_failed_time > last_archived_time
        END
        FROM pg_stat_archiver
    ),
    'conflicts', (
        SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock)::bigint
        FROM pg_stat_database_conflicts
    )
)::text
