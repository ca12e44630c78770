-- What changes only while a server is down, for the comparison of both nodes.
SELECT json_build_object(
    'data_checksums', current_setting('data_checksums', true) = 'on',
    'version_text', version()
)::text
