-- Bytes of all files in the directory of the WAL. Lists the directory: asked apart.
SELECT sum(size)::bigint::text FROM pg_ls_waldir()
