\i test/helpers.sql
-- Settings, secrets, and what concerns the machine.
SELECT mode, signature_tolerance, account_from, on_overdraw, keep_payload, max_payload, create_accounts,
	connected_accounts, success_url, cancel_url, install_id IS NOT NULL AS install_id FROM stripe_credit.settings;

--
-- One row, with sense in it
--
SELECT n, t.state('UPDATE stripe_credit.settings SET ' || what) AS state, what FROM (VALUES
	(1, $$mode = 'Test'$$), (2, $$mode = NULL$$),
	(3, $$signature_tolerance = '999 ms'$$), (4, $$signature_tolerance = '-1 s'$$), (5, $$signature_tolerance = NULL$$),
	(6, $$signature_tolerance = '1 s'$$), (7, $$signature_tolerance = '1 month'$$),
	(8, $$account_from = '{}'$$), (9, $$account_from = '{metadata,NULL}'$$), (10, $$account_from = '{email}'$$), (11, $$account_from = NULL$$),
	(12, $$account_from = '{customer,customer_details_email,customer_email,client_reference_id,metadata}'$$),
	(13, $$on_overdraw = 'both'$$), (14, $$on_overdraw = NULL$$), (15, $$keep_payload = 'some'$$), (16, $$keep_payload = NULL$$),
	(17, $$max_payload = 0$$), (18, $$max_payload = -1$$), (19, $$max_payload = NULL$$), (20, $$max_payload = 2147483647$$),
	(21, $$create_accounts = NULL$$), (22, $$connected_accounts = NULL$$), (23, $$connected_accounts = '{acct_1,NULL}'$$),
	(24, $$install_id = NULL$$), (25, $$only_row = false$$), (26, $$only_row = NULL$$)
) AS c (n, what) ORDER BY n;
-- a restored dump brings its own row
SELECT install_id AS fresh FROM stripe_credit.settings \gset
CREATE TEMPORARY TABLE dumped AS SELECT * FROM stripe_credit.settings;
UPDATE dumped SET mode = 'live', install_id = '11111111-2222-3333-4444-555555555555', max_payload = 5000;
INSERT INTO stripe_credit.settings SELECT * FROM dumped;
SELECT count(*) AS rows, min(mode) AS mode, min(max_payload) AS max_payload, min(install_id::text) AS install_id FROM stripe_credit.settings;
INSERT INTO stripe_credit.settings DEFAULT VALUES;
SELECT mode, max_payload, install_id NOT IN (:'fresh', '11111111-2222-3333-4444-555555555555') AS fresh FROM stripe_credit.settings;

--
-- Secrets
--
SELECT t.try($$SELECT t.deliver(t.session('a1'))$$) AS none;
SELECT n, t.try('SELECT stripe_credit.add_webhook_secret(' || arguments || ')') AS got FROM (VALUES
	(1, 'NULL'), (2, $$''$$), (3, $$' '$$), (4, $$E'\t\n'$$), (5, $$'sesame open'$$), (6, $$' sesame'$$), (7, $$E'sesame\n'$$),
	(8, $$E'ses\x7fame'$$), (9, $$'file:sesame'$$), (10, $$'file:'$$), (11, $$'file:./sesame'$$), (12, $$'env:'$$), (13, $$'vault:'$$),
	(14, $$'file:/ses ame'$$), (15, $$repeat('x', 1001)$$), (16, $$'sesame', NULL$$)
) AS c (n, arguments) ORDER BY n;
SELECT count(*) AS secrets FROM stripe_credit.webhook_secret;
SELECT t.try('SELECT stripe_credit.remove_webhook_secret(12345)') AS unknown,
	t.try('SELECT stripe_credit.remove_webhook_secret(NULL)') AS is_null;

-- several at once
SELECT stripe_credit.add_webhook_secret('whsec_old') AS old, stripe_credit.add_webhook_secret('whsec_new') AS new \gset
SELECT :old <> :new AS different;
CREATE FUNCTION t.by(secret text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT split_part(t.try(format('SELECT t.short(t.post(%L, %L))', t.event('x', 'x', '{}')::text, secret)), ' | ', 1)
$$;
SELECT t.by('whsec_old') AS old, t.by('whsec_new') AS new, t.by('whsec_other') AS other;
UPDATE stripe_credit.webhook_secret SET valid_until = clock_timestamp() - interval '1 s' WHERE id = :old;
SELECT t.by('whsec_old') AS old, t.by('whsec_new') AS new;
UPDATE stripe_credit.webhook_secret SET valid_until = clock_timestamp() + interval '1 hour' WHERE id = :old;
SELECT t.by('whsec_old') AS old, t.by('whsec_new') AS new;
SELECT stripe_credit.remove_webhook_secret(:old);
SELECT t.by('whsec_old') AS old, t.by('whsec_new') AS new;
SELECT t.try(format('SELECT stripe_credit.remove_webhook_secret(%s)', :old)) AS again;
SELECT stripe_credit.remove_webhook_secret(:new);
SELECT t.by('whsec_new') AS none_is_left;
SELECT stripe_credit.add_webhook_secret('whsec_past', now() - interval '1 s') AS id \gset
SELECT t.by('whsec_past') AS past;
SELECT stripe_credit.remove_webhook_secret(:id);
SELECT stripe_credit.add_webhook_secret('whsec_never', '-infinity') AS id \gset
SELECT t.by('whsec_never') AS never;
SELECT stripe_credit.remove_webhook_secret(:id);
-- what is rolled back was not
BEGIN;
SELECT stripe_credit.add_webhook_secret('whsec_brief') > 0 AS added;
SELECT t.by('whsec_brief') AS inside;
ROLLBACK;
SELECT t.by('whsec_brief') AS after;
BEGIN;
SAVEPOINT s;
SELECT stripe_credit.add_webhook_secret('whsec_brief') > 0 AS added;
SELECT t.by('whsec_brief') AS inside;
ROLLBACK TO s;
SELECT t.by('whsec_brief') AS after;
COMMIT;
-- as long and as odd as one may be
SELECT stripe_credit.add_webhook_secret(repeat('x', 1000)) AS long, stripe_credit.add_webhook_secret('s€cret:"''\') AS odd,
	stripe_credit.add_webhook_secret('x') AS short \gset
SELECT t.by(repeat('x', 1000)) AS long, t.by('s€cret:"''\') AS odd, t.by('x') AS short, t.by('xx') AS other;
DELETE FROM stripe_credit.webhook_secret WHERE true;

-- from a file, which is obeyed as it is now
SELECT current_setting('data_directory') || '/stripe_credit_' || pg_backend_pid() AS file \gset
CREATE FUNCTION t.write(file text, content text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COPY (SELECT %L) TO %L', content, file);
END
$$;
SELECT stripe_credit.add_webhook_secret('file:' || :'file') > 0 AS added;
SELECT t.by('whsec_file') AS missing;
SELECT t.write(:'file', 'whsec_file');
SELECT t.by('whsec_file') AS there;
SELECT t.write(:'file', 'whsec_changed');
SELECT t.by('whsec_file') AS old, t.by('whsec_changed') AS changed;
SELECT t.write(:'file', 'whsec_changed  ');
SELECT t.by('whsec_changed') AS space_behind;
SELECT t.write(:'file', 'whsec changed');
SELECT t.by('whsec changed') AS space_inside;
SELECT t.write(:'file', '');
SELECT t.by('') AS empty;
SELECT t.write(:'file', repeat('y', 1000));
SELECT t.by(repeat('y', 1000)) AS long;
SELECT t.write(:'file', repeat('y', 1001));
SELECT t.by(repeat('y', 1001)) AS too_long;
-- another that is good is enough
SELECT stripe_credit.add_webhook_secret('whsec_other') AS id \gset
SELECT t.by('whsec_other') AS other, t.by(repeat('y', 1001)) AS too_long;
\set remove 'rm -f ' :file
CREATE FUNCTION t.run(command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat > /dev/null; ' || command);
END
$$;
SELECT t.run(:'remove');
SELECT t.by('whsec_other') AS other, t.by('whsec_changed') AS gone;
DELETE FROM stripe_credit.webhook_secret WHERE true;
-- what is no file is not waited for
SELECT stripe_credit.add_webhook_secret('file:/') > 0 AS directory, stripe_credit.add_webhook_secret('file:/dev/zero') > 0 AS device;
SELECT t.by('/') AS neither;
SELECT t.run('mkfifo ' || :'file');
SELECT stripe_credit.add_webhook_secret('file:' || :'file') > 0 AS pipe;
SELECT t.by('/') AS pipe;
SELECT t.run(:'remove');
DELETE FROM stripe_credit.webhook_secret WHERE true;

-- from the environment
SELECT stripe_credit.add_webhook_secret('env:STRIPE_CREDIT_NO_SUCH_VARIABLE') > 0 AS added;
SELECT t.by('STRIPE_CREDIT_NO_SUCH_VARIABLE') AS missing;
CREATE TEMPORARY TABLE environment (line text);
-- which every server process has
COPY environment FROM PROGRAM 'printenv PGSYSCONFDIR';
SELECT stripe_credit.add_webhook_secret('env:PGSYSCONFDIR') > 0 AS added;
SELECT t.by(line) AS found FROM environment;
DELETE FROM stripe_credit.webhook_secret WHERE true;

-- from the vault, read as the owner of its view and nobody else
SELECT stripe_credit.add_webhook_secret('vault:stripe') > 0 AS added;
SELECT t.by('whsec_vault') AS no_vault;
CREATE SCHEMA vault;
SELECT t.by('whsec_vault') AS no_view;
DROP ROLE IF EXISTS regress_stripe_credit_vault;
CREATE ROLE regress_stripe_credit_vault;
GRANT USAGE, CREATE ON SCHEMA vault TO regress_stripe_credit_vault;
SET ROLE regress_stripe_credit_vault;
CREATE TABLE vault.seen (who text);
CREATE FUNCTION vault.decrypt(secret text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO vault.seen VALUES (current_user || CASE WHEN session_user = current_user THEN ' himself' ELSE '' END);
	RETURN secret;
END
$$;
CREATE TABLE vault.secrets (name text, secret text);
INSERT INTO vault.secrets VALUES ('other', 'whsec_wrong'), ('stripe', 'whsec_vault');
CREATE VIEW vault.decrypted_secrets AS SELECT name, vault.decrypt(secret) AS decrypted_secret FROM vault.secrets;
RESET ROLE;
SELECT t.by('whsec_vault') AS found, t.by('whsec_wrong') AS another;
SELECT DISTINCT who FROM vault.seen;
UPDATE vault.secrets SET secret = 'whsec_rotated' WHERE name = 'stripe';
SELECT t.by('whsec_vault') AS old, t.by('whsec_rotated') AS rotated;
DELETE FROM vault.secrets WHERE name = 'stripe';
SELECT t.by('whsec_rotated') AS gone;
-- who owns the view can do nothing there that only the owner of the extension could
SET ROLE regress_stripe_credit_vault;
CREATE FUNCTION vault.peek() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN (SELECT secret FROM stripe_credit.webhook_secret);
END
$$;
CREATE FUNCTION vault.rise() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RESET ROLE;
	RETURN 'whsec_robbed';
END
$$;
CREATE OR REPLACE VIEW vault.decrypted_secrets AS SELECT 'stripe'::text AS name, vault.peek() AS decrypted_secret;
RESET ROLE;
SELECT t.by('vault:stripe') LIKE '55000 %' AS refused;
SET ROLE regress_stripe_credit_vault;
CREATE OR REPLACE VIEW vault.decrypted_secrets AS SELECT 'stripe'::text AS name, vault.rise() AS decrypted_secret;
RESET ROLE;
SELECT t.by('whsec_robbed') LIKE '55000 %' AS refused;
SELECT current_user = session_user AS as_before;
-- nor does an error of his tell what he found
CREATE OR REPLACE VIEW vault.decrypted_secrets AS SELECT 'stripe'::text AS name, (s.secret::int)::text AS decrypted_secret
	FROM (VALUES ('whsec_told')) AS s (secret);
SELECT t.by('whsec_told') LIKE '%told%' AS told;
DROP SCHEMA vault CASCADE;
DROP ROLE regress_stripe_credit_vault;
DELETE FROM stripe_credit.webhook_secret WHERE true;

--
-- Each setting is obeyed, at once
--
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10);
CREATE FUNCTION t.aged(age int) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT split_part(t.try(format('SELECT t.short(stripe_credit.webhook(%L, %L))', p,
		t.sign(convert_to(p, 'UTF8'), 'whsec_t', t.unix_now() - age))), ' | ', 1) FROM (SELECT t.event('x', 'x', '{}')::text AS p) x
$$;
UPDATE stripe_credit.settings SET signature_tolerance = '1 hour';
SELECT t.aged(3500) AS fifty_minutes, t.aged(3700) AS over_an_hour, t.aged(-3500) AS ahead, t.aged(-3700) AS too_far_ahead;
UPDATE stripe_credit.settings SET signature_tolerance = '1 month';
SELECT t.aged(29 * 86400) AS days_29, t.aged(31 * 86400) AS days_31;
UPDATE stripe_credit.settings SET signature_tolerance = '30 s';
SELECT t.aged(20) AS twenty, t.aged(60) AS sixty;
UPDATE stripe_credit.settings SET signature_tolerance = DEFAULT;

-- the first that is there decides
CREATE FUNCTION t.whose(sources text[], name text, object jsonb) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE stripe_credit.settings SET account_from = sources WHERE only_row;
	RETURN t.deliver(t.session(name, '{"client_reference_id": "by_reference", "customer": "cus_1", "customer_email": "Given@Example.COM",
		"metadata": {"stripe_credit_account": "by_metadata"}}' || object));
END
$$;
SELECT n, t.whose(sources, 'b' || n, object) AS got FROM (VALUES
	(1, '{metadata,client_reference_id}'::text[], '{}'::jsonb),
	(2, '{client_reference_id,metadata}', '{}'),
	(3, '{client_reference_id,metadata}', '{"client_reference_id": null}'),
	(4, '{client_reference_id,metadata}', '{"client_reference_id": ""}'),
	(5, '{customer_email}', '{}'),
	(6, '{customer_details_email}', '{}'),
	(7, '{customer}', '{}'),
	(8, '{customer,metadata}', '{"customer": null}'),
	(9, '{customer_email,customer_details_email}', '{"customer_email": null}'),
	(10, '{customer_details_email}', '{"customer_details": null}'),
	(11, '{customer_email,metadata}', '{"customer_email": "a b@example.com "}'),
	(12, '{metadata}', '{"metadata": {}}')
) AS c (n, sources, object) ORDER BY n;
-- but what create_checkout() writes goes before everything
SELECT t.whose('{client_reference_id}', 'b13', jsonb_build_object('metadata',
	jsonb_build_object('stripe_credit_account', 'by_checkout', 'stripe_credit_install', install_id))) AS ours FROM stripe_credit.settings;
SELECT payment_id, account_from FROM stripe_credit.payment WHERE payment_id IN ('pi_b5', 'pi_b6', 'pi_b7', 'pi_b13') ORDER BY 1;
UPDATE stripe_credit.settings SET account_from = DEFAULT;

-- what is kept of a body
CREATE FUNCTION t.kept(keep text) RETURNS TABLE (event_id text, status text, payload boolean, facts boolean) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE stripe_credit.settings SET keep_payload = keep WHERE only_row;
	PERFORM t.deliver(t.session(keep || '_applied', t.meta('carl')));
	PERFORM t.deliver(t.session(keep || '_applied', t.meta('carl'), jsonb_build_object('id', 'evt_' || keep || '_duplicate')));
	PERFORM t.deliver(t.session(keep || '_pending', t.meta('carl') || '{"payment_status": "unpaid"}'));
	PERFORM t.deliver(t.session(keep || '_unmatched'));
	PERFORM t.deliver(t.refund(keep || '_refund', keep || '_refund', 5));
	PERFORM t.deliver(t.invoice(keep || '_invoice', keep || '_invoice', jsonb_build_array(t.line(keep))));
	PERFORM t.deliver(t.session(keep || '_resolved'));
	PERFORM stripe_credit.resolve('evt_' || keep || '_resolved', 'carl', 1);
	PERFORM t.deliver(t.session(keep || '_settled', t.meta('carl') || '{"payment_status": "unpaid"}'));
	PERFORM t.deliver(t.session(keep || '_settled', t.meta('carl'), jsonb_build_object('id', 'evt_' || keep || '_settles')));
	RETURN QUERY SELECT e.event_id, e.status, e.payload IS NOT NULL, e.facts IS NOT NULL FROM stripe_credit.event e
		WHERE e.event_id LIKE 'evt\_' || keep || '\_%' ORDER BY e.event_id COLLATE "C";
END
$$;
SELECT * FROM t.kept('unapplied');
SELECT * FROM t.kept('all');
SELECT * FROM t.kept('none');
-- a payload is the body as it came; facts are what we read, and no more
SELECT payload = t.session('unapplied_unmatched')::text AS as_it_came FROM stripe_credit.event WHERE event_id = 'evt_unapplied_unmatched';
SELECT facts::jsonb AS facts FROM stripe_credit.event WHERE event_id = 'evt_none_unmatched';
-- and either is enough
SELECT t.short(stripe_credit.replay(event_id)) AS replayed FROM stripe_credit.event
	WHERE event_id LIKE 'evt\_%\_unmatched' ORDER BY event_id;
UPDATE stripe_credit.settings SET account_from = '{customer_details_email}';
SELECT t.short(stripe_credit.replay(event_id)) AS replayed FROM stripe_credit.event
	WHERE event_id LIKE 'evt\_%\_unmatched' ORDER BY event_id;
UPDATE stripe_credit.settings SET account_from = DEFAULT, keep_payload = DEFAULT;

-- the largest body, in octets
UPDATE stripe_credit.settings SET max_payload = 100;
CREATE FUNCTION t.sized(octets int, filler text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT t.try(format('SELECT t.short(t.post(%L))', head || repeat(filler, (octets - octet_length(head || tail)) / octet_length(filler)) || tail))
	FROM (VALUES ('{"id": "evt_1", "object": "event", "type": "', '"}')) AS x (head, tail)
$$;
SELECT t.sized(100, 'x') AS hundred, t.sized(101, 'x') AS more, t.sized(100, U&'\00e9') AS of_two_octets, t.sized(102, U&'\00e9') AS one_more;
UPDATE stripe_credit.settings SET max_payload = DEFAULT;

-- no row: nothing works, and the hint does
DELETE FROM stripe_credit.settings WHERE only_row;
SELECT t.try($$SELECT t.deliver(t.session('d1', t.meta('dora')))$$) AS webhook,
	split_part(t.try($$SELECT stripe_credit.grant_credits('dora', 1, 'k')$$), ' | ', 1) AS granted;
INSERT INTO stripe_credit.settings DEFAULT VALUES;
SELECT t.deliver(t.session('d1', t.meta('dora'))) AS webhook;
TRUNCATE stripe_credit.settings;
SELECT t.state($$SELECT t.deliver(t.session('d2', t.meta('dora')))$$) AS truncated;
INSERT INTO stripe_credit.settings DEFAULT VALUES;
-- a change that is rolled back was none
BEGIN;
UPDATE stripe_credit.settings SET mode = 'live';
SELECT t.deliver(t.session('d2', t.meta('dora'))) AS live;
ROLLBACK;
SELECT t.deliver(t.session('d2', t.meta('dora'))) AS test;
BEGIN;
SAVEPOINT s;
UPDATE stripe_credit.settings SET mode = 'live';
SELECT t.deliver(t.session('d3', t.meta('dora'))) AS live;
ROLLBACK TO s;
SELECT t.deliver(t.session('d3', t.meta('dora'))) AS test;
COMMIT;

--
-- What concerns the machine
--
SELECT name, setting, unit, context, vartype, min_val, max_val FROM pg_settings WHERE name LIKE 'stripe\_credit.%' ORDER BY name COLLATE "C";
SELECT n, t.state(format('SET LOCAL stripe_credit.%s', what)) AS state, what FROM (VALUES
	(1, $$api_base = 'https://example.com'$$), (2, $$api_base = 'http://127.0.0.1:12111'$$), (3, $$api_base = 'http://127.0.0.1/x'$$),
	(4, $$api_base = 'http://example.com'$$), (5, $$api_base = 'http://127.0.0.1.example.com'$$), (6, $$api_base = 'http://localhost'$$),
	(7, $$api_base = 'http://127.0.0.1@example.com'$$), (8, $$api_base = 'file:///etc/passwd'$$), (9, $$api_base = 'https://'$$),
	(10, $$api_base = ''$$), (11, $$api_base = 'https://example.com/ x'$$), (12, $$api_base = E'https://example.com/\n'$$),
	(20, $$api_base = 'http://127.0.0.1:80@example.com'$$),
	(13, $$timeout = 0$$), (14, $$timeout = '5 s'$$), (15, $$connect_timeout = -1$$), (16, $$max_retries = 11$$), (17, $$max_retries = 0$$),
	(18, $$foo = 1$$), (19, $$secret = 'x'$$)
) AS c (n, what) ORDER BY n;
DROP ROLE IF EXISTS regress_stripe_credit_user;
CREATE ROLE regress_stripe_credit_user;
GRANT USAGE ON SCHEMA t TO regress_stripe_credit_user;
SET ROLE regress_stripe_credit_user;
SELECT n, t.state(format('SET LOCAL stripe_credit.%s', what)) AS state, what FROM (VALUES
	(1, $$api_base = 'https://example.com'$$), (2, $$ca_file = '/etc/passwd'$$), (3, $$api_version = 'x'$$), (4, $$timeout = 1$$),
	(5, $$connect_timeout = 1$$), (6, $$max_retries = 1$$), (7, $$foo = 1$$)
) AS c (n, what) ORDER BY n;
RESET ROLE;
DROP OWNED BY regress_stripe_credit_user;
DROP ROLE regress_stripe_credit_user;

SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
