-- All facts of one server in one answer: one row, one column of JSON text. `answer.rs` reads it.
--
-- Order matters. The view of the walsenders must be read before the primary's own position; the other way round a busy
-- primary would seem to have sent more than it has written. `walsenders` is materialized, so its row is complete before
-- the outer query sees it, and each volatile function outside stands behind a CASE on a column of that row.
--
-- Whether the server is in recovery is asked once and decides every branch: a promotion in the middle of the statement
-- cannot mix two roles. (The standby's functions answer on a server that has just been promoted, too; those that do not
-- stand behind `pg_is_in_recovery()` of their own.)
--
-- Amounts of time leave as seconds (float8), amounts of data as bytes (bigint), positions and foreign time stamps as text.
-- What differs between versions stands in braces; `versions.rs` has the table of what takes its place. All other columns are
-- the same in versions 14 to 18 (`tests/versions` asks each). A setting that a later version has no more is NULL, so that it
-- alone is not known, not all facts.
WITH
role AS MATERIALIZED (
    SELECT pg_is_in_recovery() AS in_recovery
),
slots AS MATERIALIZED (
    SELECT
        slot_name,
        slot_type,
        active,
        active_pid,
        restart_lsn,
        wal_status,
        safe_wal_size,
        {slot_inactive_since} AS inactive_since,
        {slot_invalidation_reason} AS invalidation_reason
    FROM pg_replication_slots
),
walsenders AS MATERIALIZED (
    SELECT
        in_recovery,
        -- A standby may have standbys of its own.
        (
            SELECT coalesce(json_agg(one), '[]')
            FROM (
                SELECT
                    view.pid,
                    view.application_name,
                    host(view.client_addr) AS client_addr,
                    slots.slot_name::text AS slot,
                    view.state,
                    view.sync_state,
                    view.sent_lsn::text AS sent,
                    view.write_lsn::text AS write,
                    view.flush_lsn::text AS flush,
                    view.replay_lsn::text AS replay,
                    view.backend_start::text,
                    extract(epoch FROM clock_timestamp() - view.backend_start)::float8 AS backend_age,
                    view.reply_time::text,
                    extract(epoch FROM view.write_lag)::float8 AS write_lag,
                    extract(epoch FROM view.flush_lag)::float8 AS flush_lag,
                    extract(epoch FROM view.replay_lag)::float8 AS replay_lag
                FROM pg_stat_replication AS view
                LEFT JOIN slots ON slots.active_pid = view.pid
                -- Base backups and logical subscribers are no standbys.
                WHERE view.state IS DISTINCT FROM 'backup' AND slots.slot_type IS DISTINCT FROM 'logical'
            ) AS one
        ) AS rows
    FROM role
),
commits AS MATERIALIZED (
    SELECT
        count(*)::bigint AS waiting,
        extract(epoch FROM max(clock_timestamp() - query_start))::float8 AS longest
    FROM role, pg_stat_activity
    WHERE NOT in_recovery AND wait_event = 'SyncRep'
),
receiver AS MATERIALIZED (
    SELECT
        status,
        slot_name AS slot,
        conninfo,
        received_tli AS timeline,
        last_msg_receipt_time,
        latest_end_lsn::text AS latest_end,
        sender_host,
        sender_port
    FROM role, pg_stat_wal_receiver
    WHERE in_recovery
)
SELECT row_to_json(answer)::text
FROM (
    SELECT
        current_setting('server_version_num')::bigint AS version,
        current_user::text AS asked_as,
        pg_has_role('pg_read_all_stats', 'USAGE') AS may_read_statistics,
        (SELECT system_identifier FROM pg_control_system())::text AS system_identifier,
        pg_postmaster_start_time()::text AS postmaster_start,
        CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END
            AS data_directory,
        extract(epoch FROM clock_timestamp())::float8 AS server_clock,
        CASE WHEN NOT walsenders.in_recovery THEN json_build_object(
            'walsenders', walsenders.rows,
            'wal_lsn', pg_current_wal_lsn()::text,
            -- The first eight digits are the timeline in hexadecimal; pg_control_checkpoint() is late after a promotion.
            'timeline', left(pg_walfile_name(pg_current_wal_lsn()), 8),
            'slots', (
                SELECT coalesce(json_agg(one), '[]')
                FROM (
                    SELECT
                        slot_name::text AS name,
                        slot_type = 'physical' AS physical,
                        active,
                        active_pid,
                        restart_lsn::text,
                        wal_status,
                        safe_wal_size::bigint,
                        inactive_since::text,
                        extract(epoch FROM clock_timestamp() - inactive_since)::float8 AS inactive_age,
                        invalidation_reason
                    FROM slots
                ) AS one
            ),
            'synchronous_standby_names', current_setting('synchronous_standby_names', true),
            'commits_waiting', (SELECT waiting FROM commits),
            'longest_commit_wait', (SELECT longest FROM commits),
            'archive_mode', current_setting('archive_mode', true),
            -- NULL in the view means "never": a failure without a success before it counts, too.
            'last_archive_failed', {last_archive_failed}
        ) END AS "primary",
        CASE WHEN walsenders.in_recovery THEN json_build_object(
            'walsenders', walsenders.rows,
            -- Replay before receive: what was replayed had been received.
            'replay_lsn', pg_last_wal_replay_lsn()::text,
            'receive_lsn', pg_last_wal_receive_lsn()::text,
            'last_replayed_commit', extract(epoch FROM pg_last_xact_replay_timestamp())::float8,
            'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() <> 'not paused' END,
            'startup_wait_event', (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup' LIMIT 1),
            'receiver', (
                SELECT row_to_json(one)
                FROM (
                    SELECT
                        status,
                        slot,
                        conninfo,
                        timeline,
                        last_msg_receipt_time::text AS last_message,
                        extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8 AS last_message_age,
                        latest_end,
                        sender_host,
                        sender_port
                    FROM receiver
                    LIMIT 1
                ) AS one
            ),
            -- Without a receiver the control file is all there is; it follows at each restartpoint.
            'control_timeline', CASE WHEN NOT EXISTS (SELECT FROM receiver) THEN (
                SELECT greatest(checkpoint.timeline_id, recovery.min_recovery_end_timeline)
                FROM pg_control_checkpoint() AS checkpoint, pg_control_recovery() AS recovery
            ) END,
            'conflicts', {conflicts},
            'prefetch', {prefetch}
        ) END AS standby,
        json_build_object(
            'wal_receiver_status_interval', extract(epoch FROM current_setting('wal_receiver_status_interval', true)::interval)::float8,
            'wal_receiver_timeout', extract(epoch FROM current_setting('wal_receiver_timeout', true)::interval)::float8,
            'wal_sender_timeout', extract(epoch FROM current_setting('wal_sender_timeout', true)::interval)::float8,
            'max_standby_streaming_delay', extract(epoch FROM current_setting('max_standby_streaming_delay', true)::interval)::float8,
            'recovery_min_apply_delay', extract(epoch FROM current_setting('recovery_min_apply_delay', true)::interval)::float8,
            -- A standby's counts from its promotion on.
            'synchronous_standby_names', current_setting('synchronous_standby_names', true),
            'wal_segment_size', pg_size_bytes(current_setting('wal_segment_size', true))::bigint,
            'max_slot_wal_keep_size', pg_size_bytes(current_setting('max_slot_wal_keep_size', true))::bigint,
            'must_not_be_lower', json_build_object(
                'max_connections', current_setting('max_connections', true)::bigint,
                'max_worker_processes', current_setting('max_worker_processes', true)::bigint,
                'max_wal_senders', current_setting('max_wal_senders', true)::bigint,
                'max_prepared_transactions', current_setting('max_prepared_transactions', true)::bigint,
                'max_locks_per_transaction', current_setting('max_locks_per_transaction', true)::bigint
            )
        ) AS settings
    FROM walsenders
    OFFSET 0
) AS answer
