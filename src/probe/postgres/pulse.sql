-- An empty message in the WAL, which no table holds and no replica stores. Asked on a standby, it does nothing.
SELECT pg_catalog.pg_logical_emit_message(false, 'standbywatch', ''::text)::text
 WHERE NOT pg_catalog.pg_is_in_recovery()
