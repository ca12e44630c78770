-- The role that standbywatch probes PostgreSQL with. Run it on the primary, as a superuser; the standby gets it by
-- replication. It may be run again at any time: it puts the role right.
--
--   psql -X -d postgres -f deploy/monitoring-role.sql -c '\password standbywatch'
--
-- `-v password=…` sets the password without asking; then it stands in the list of processes while psql runs. Without it the
-- role's password stays as it is.
-- Allow the connection in pg_hba.conf of both servers, for example:
--
--   hostssl  postgres  standbywatch  10.0.0.3/32  scram-sha-256

\set ON_ERROR_STOP on

BEGIN;

-- The statements below hold the password: keep them out of this server's log.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';

SELECT 'CREATE ROLE standbywatch'
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'standbywatch')
\gexec

-- One session per agent, two for a while after a server was frozen, and room for a person who looks.
ALTER ROLE standbywatch LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 10;

\if :{?password}
ALTER ROLE standbywatch PASSWORD :'password';
\endif

-- Without it the rows of pg_stat_replication come with NULLs instead of positions.
GRANT pg_monitor TO standbywatch;

-- From PostgreSQL 16 on: probing still works when clients have taken all other connections. For older versions keep
-- `superuser_reserved_connections` as it is; a full server is then told as such.
SELECT 'GRANT pg_use_reserved_connections TO standbywatch'
 WHERE pg_catalog.current_setting('server_version_num')::int >= 160000
\gexec

-- One statement a second would be 86,400 lines a day in the log of a server that logs all.
ALTER ROLE standbywatch SET log_statement = 'none';
ALTER ROLE standbywatch SET log_min_duration_statement = -1;
ALTER ROLE standbywatch SET log_duration = off;

-- `pulse`, where it is configured, calls pg_logical_emit_message, which everybody may. Where that was taken from PUBLIC, in the
-- database that is probed: GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) TO standbywatch, from
-- PostgreSQL 17 on with a fourth argument, boolean.

-- It only reads, and only the system's own views.
ALTER ROLE standbywatch SET default_transaction_read_only = on;
ALTER ROLE standbywatch SET search_path = pg_catalog;

COMMIT;
