-- Files of WAL that wait to be archived. Lists a directory: asked apart.
SELECT count(*)::text FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'
