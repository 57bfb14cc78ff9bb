-- What clients have left in a server connection, which the next one would get
-- from a pooler in transaction mode.  Of settings, not those that pgbouncer itself
-- keeps for each client.
SELECT 'setting ' || name FROM pg_settings WHERE source = 'session'
	AND lower(name) NOT IN ('application_name', 'client_encoding', 'datestyle', 'intervalstyle', 'standard_conforming_strings', 'timezone')
UNION SELECT 'role ' || current_user WHERE current_user <> session_user
UNION SELECT 'lock ' || objsubid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION SELECT 'statement ' || name FROM pg_prepared_statements
UNION SELECT 'cursor ' || name FROM pg_cursors
UNION SELECT 'channel ' || channel FROM pg_listening_channels() AS channel
ORDER BY 1;
