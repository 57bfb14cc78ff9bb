\i test/helpers.sql
-- The functions for PostgREST: who has them, what they do for whom, and how they go again.
CREATE ROLE regress_stripe_credit_owner;
CREATE ROLE regress_stripe_credit_anon;
CREATE ROLE regress_stripe_credit_user;
CREATE ROLE regress_stripe_credit_service;
SELECT stripe_credit.administer('regress_stripe_credit_owner');
CREATE SCHEMA regress_api AUTHORIZATION regress_stripe_credit_owner;
GRANT USAGE ON SCHEMA t TO PUBLIC;
INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency, recurring_interval, active) VALUES
	('large', 'Large', 1000, 5000, 'usd', NULL, true), ('small', 'Small', 100, 1000, 'usd', NULL, true),
	('monthly', 'Monthly', 500, 900, 'eur', 'month', true), ('old', 'Old', 10, 10, 'usd', NULL, false);

-- what is made: whose, and for whom
CREATE VIEW t.made AS
	SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
		p.provolatile AS v, p.prosecdef AS d, p.proconfig AS settings, pg_get_userbyid(p.proowner) AS owner,
		(SELECT string_agg(CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END, ', ')
		 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee <> p.proowner) AS granted
	FROM pg_proc p WHERE p.pronamespace = 'regress_api'::regnamespace;
GRANT SELECT ON t.made TO PUBLIC;

-- nothing that is not given by name, even where new functions are given away
ALTER DEFAULT PRIVILEGES FOR ROLE regress_stripe_credit_owner GRANT EXECUTE ON FUNCTIONS TO regress_stripe_credit_anon;
SET ROLE regress_stripe_credit_owner;
SELECT stripe_credit.expose('regress_api');
SELECT name, granted FROM t.made WHERE granted IS NOT NULL;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM regress_stripe_credit_anon;
SELECT has_schema_privilege('regress_stripe_credit_anon', 'regress_api', 'USAGE') AS may_see;
-- in steps, and again
SELECT stripe_credit.expose('regress_api', webhook_role => 'regress_stripe_credit_anon');
SELECT name, granted FROM t.made WHERE granted IS NOT NULL;
SELECT stripe_credit.expose('regress_api', 'regress_stripe_credit_anon', 'regress_stripe_credit_user', 'regress_stripe_credit_service');
\x on
SELECT * FROM t.made ORDER BY name COLLATE "C";
\x off
CREATE TEMP TABLE before AS SELECT * FROM t.made;
SELECT stripe_credit.expose('regress_api', 'regress_stripe_credit_anon', 'regress_stripe_credit_user', 'regress_stripe_credit_service');
(SELECT * FROM t.made EXCEPT SELECT * FROM before) UNION ALL (SELECT * FROM before EXCEPT SELECT * FROM t.made);
DROP TABLE before;
-- what somebody was given besides stays his
GRANT EXECUTE ON FUNCTION regress_api.packs() TO regress_stripe_credit_anon;
SELECT stripe_credit.expose('regress_api');
SELECT granted FROM t.made WHERE name = 'packs';

-- but nobody's are the service's functions, whatever was given with all the rest of the schema
GRANT ALL ON ALL ROUTINES IN SCHEMA regress_api TO PUBLIC, regress_stripe_credit_anon, regress_stripe_credit_user;
SELECT stripe_credit.expose('regress_api', 'regress_stripe_credit_anon', 'regress_stripe_credit_user', 'regress_stripe_credit_service');
SELECT name, granted FROM t.made WHERE arguments LIKE 'account_id%' ORDER BY name COLLATE "C";
SELECT granted FROM t.made WHERE name = 'packs';
REVOKE ALL ON ALL ROUTINES IN SCHEMA regress_api FROM PUBLIC, regress_stripe_credit_anon, regress_stripe_credit_user;
SELECT stripe_credit.expose('regress_api', 'regress_stripe_credit_anon', 'regress_stripe_credit_user', 'regress_stripe_credit_service');
GRANT EXECUTE ON FUNCTION regress_api.packs() TO regress_stripe_credit_anon;
-- one role may be both
SELECT stripe_credit.expose('regress_api', user_role => 'regress_stripe_credit_service', service_role => 'regress_stripe_credit_service');
SELECT granted FROM t.made WHERE name IN ('credits', 'spend_credits');
REVOKE ALL ON ALL ROUTINES IN SCHEMA regress_api FROM regress_stripe_credit_service;
SELECT stripe_credit.expose('regress_api', service_role => 'regress_stripe_credit_service');
RESET ROLE;

-- A request as PostgREST makes one: the role of the token, the token, the headers; and what status came of it.
CREATE FUNCTION t.request(role text, statement text, sub text DEFAULT NULL, signature text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('request.jwt.claims', jsonb_strip_nulls(jsonb_build_object('role', role, 'sub', sub))::text, true),
		set_config('request.headers', jsonb_strip_nulls(jsonb_build_object('stripe-signature', signature))::text, true),
		set_config('response.status', '', true), set_config('role', 'regress_stripe_credit_' || role, true);
	result := t.try(statement);
	PERFORM set_config('role', 'none', true), set_config('request.jwt.claims', '', true), set_config('request.headers', '', true);
	RETURN concat_ws(' ', nullif(current_setting('response.status'), ''), result);
END
$$;

CREATE FUNCTION t.webhook(body text, signature text) RETURNS text
	LANGUAGE sql VOLATILE AS $$
	SELECT t.request('anon', format('SELECT regress_api.stripe_webhook(%L)', body), NULL, signature)
$$;

--
-- The webhook
--
SELECT t.session('1', t.meta('alice'))::text AS body \gset
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'))) AS no_secret;
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10);
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'))) AS good;
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'))) AS again;
SELECT t.webhook(:'body', NULL) AS no_signature;
SELECT t.webhook(:'body', 'nonsense') AS nonsense;
SELECT t.webhook(:'body' || ' ', t.sign(convert_to(:'body', 'UTF8'))) AS altered;
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'), 'whsec_other')) AS another_secret;
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'), 'whsec_t', t.unix_now() - 301)) AS late;
SELECT t.webhook('{"signed": "but no event"}', t.sign('{"signed": "but no event"}')) AS no_event;
SELECT t.webhook(NULL, NULL) AS nothing;
-- its bytes, whatever stands between them
SELECT E' \t\r\n' || replace(t.session('2', t.meta('alice') || '{"note": "é 😀"}')::text, ', ', E' ,\r\n\t') || E'\n' AS odd \gset
SELECT t.webhook(:'odd', t.sign(convert_to(:'odd', 'UTF8'))) AS odd;
UPDATE stripe_credit.settings SET max_payload = 10;
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'))) AS too_large;
UPDATE stripe_credit.settings SET max_payload = DEFAULT;
-- a refusal spoils nothing else of its transaction, and outside PostgREST there are no headers
BEGIN;
SELECT set_config('request.headers', '', true) AS none;
SELECT regress_api.stripe_webhook(:'body') AS refused, current_setting('response.status') AS status;
SELECT (stripe_credit.grant_credits('bob', 5, 'k')).balance;
COMMIT;
-- what was answered 200 is on disk, though it was done in a subtransaction
BEGIN;
SET LOCAL synchronous_commit = off;
SELECT t.session('3', t.meta('alice'))::text AS body \gset
SELECT t.webhook(:'body', t.sign(convert_to(:'body', 'UTF8'))) AS good;
SHOW synchronous_commit;
COMMIT;

--
-- The users'
--
SELECT t.request('user', 'SELECT regress_api.credits()') AS nobody;
SELECT t.request('user', 'SELECT regress_api.credits()', '') AS empty_name;
SELECT t.request('user', 'SELECT regress_api.credits()', ' x') AS bad_name;
SELECT t.request('user', 'SELECT regress_api.credits()', 'alice') AS alice, t.request('user', 'SELECT regress_api.credits()', 'bob') AS bob,
	t.request('user', 'SELECT regress_api.credits()', 'nobody') AS nobody;
SELECT t.request('user', 'SELECT string_agg(concat_ws('' '', seq, kind, credits), '', '') FROM regress_api.credit_history()', 'alice') AS history,
	t.request('user', 'SELECT string_agg(concat_ws('' '', seq, kind, credits), '', '') FROM regress_api.credit_history(3, 1)', 'alice') AS page,
	t.request('user', 'SELECT count(*) FROM regress_api.credit_history()', 'nobody') AS nobodys,
	t.request('user', 'SELECT regress_api.credit_history(max_rows => 0)', 'alice') AS no_rows;
SELECT t.request('user', 'SELECT string_agg(p::text, '' '') FROM regress_api.packs() p') AS packs;
SELECT t.request('user', 'SELECT regress_api.create_checkout(''large'')') AS nobody;
SELECT t.request('user', 'SELECT regress_api.create_checkout(''large'')', 'alice') AS not_configured;
SELECT t.request('user', 'SELECT regress_api.create_checkout(''old'')', 'alice') AS inactive;
SELECT t.request('user', 'SELECT regress_api.create_checkout(''large'', 0)', 'alice') AS none_of_it;
SELECT t.request('user', 'SELECT regress_api.customer_portal()', 'alice') AS no_customer;
-- a session is its buyer's: known by its checkout, or by what was paid
INSERT INTO stripe_credit.checkout (session_id, account_id, livemode, pack_id, quantity, credits, request)
	VALUES ('cs_carol', 'carol', false, 'large', 1, 1000, '{}');
SELECT id, who, t.request('user', format('SELECT regress_api.confirm_checkout(%L)', id), who) AS confirmed
FROM (VALUES ('cs_test_1'), ('cs_carol'), ('cs_unknown'), ('no session'), (NULL)) s (id), (VALUES ('alice'), ('bob'), (NULL)) w (who)
ORDER BY id COLLATE "C", who COLLATE "C";
SELECT t.request('user', 'SELECT regress_api.confirm_checkout(''cs_carol'')', 'carol') AS asks_stripe;

--
-- The service's
--
SELECT t.request('service', 'SELECT regress_api.grant_credits(''dave'', 20, ''g'')') AS granted,
	t.request('service', 'SELECT regress_api.spend_credits(''dave'', 3, ''s'')') AS spent,
	t.request('service', 'SELECT regress_api.spend_credits(''dave'', 3, ''s'')') AS again,
	t.request('service', 'SELECT regress_api.spend_credits(''dave'', 4, ''s'')') AS otherwise,
	t.request('service', 'SELECT regress_api.spend_credits(''dave'', 18)') AS too_many;
SELECT t.request('service', 'SELECT regress_api.reverse_spend(''dave'', ''s'')') AS reversed,
	t.request('service', 'SELECT regress_api.hold_credits(''dave'', 8, ''h'')') AS held,
	t.request('service', 'SELECT regress_api.hold_credits(account_id => ''dave'', credits => 8, idempotency_key => ''r'', ttl => ''1 h'')') AS held_too,
	t.request('service', 'SELECT regress_api.capture_credits(''dave'', ''h'', 5)') AS captured,
	t.request('service', 'SELECT regress_api.release_credits(''dave'', ''r'')') AS released;

--
-- Who may call what: a group is its role's, and its role has nothing else
--
SELECT r.role, string_agg(p.proname, ', ' ORDER BY p.proname COLLATE "C") FILTER (WHERE has_function_privilege(r.role, p.oid, 'EXECUTE')) AS may_call
FROM pg_proc p, (VALUES ('regress_stripe_credit_anon'), ('regress_stripe_credit_user'), ('regress_stripe_credit_service')) r (role)
WHERE p.pronamespace IN ('regress_api'::regnamespace, 'stripe_credit'::regnamespace) GROUP BY 1 ORDER BY 1;
SELECT t.request('anon', 'SELECT regress_api.credits()', 'alice') AS anon, t.request('user', 'SELECT regress_api.spend_credits(''alice'', 1)', 'alice') AS user,
	t.request('service', 'SELECT regress_api.stripe_webhook(''{}'')') AS service, t.request('user', 'TABLE stripe_credit.pack', 'alice') AS tables;

--
-- What can't be
--
SELECT t.try('SELECT stripe_credit.expose(NULL)') AS no_schema, t.try('SELECT stripe_credit.expose(''stripe_credit'')') AS ours,
	t.try('SELECT stripe_credit.expose(''regress_nowhere'')') AS nowhere, t.try('SELECT stripe_credit.unexpose(''regress_nowhere'')') AS nowhere_too;
SELECT t.try('SELECT stripe_credit.expose(''regress_api'', ''regress_nobody'')') AS no_role, t.try('SELECT stripe_credit.expose(''regress_api'', ''public'')') AS everybody;
SET ROLE regress_stripe_credit_user;
SELECT stripe_credit.expose('regress_api');
RESET ROLE;
-- somebody's own function of that name is not replaced, and not dropped
SET ROLE regress_stripe_credit_owner;
SELECT stripe_credit.unexpose('regress_api');
SELECT count(*) AS left FROM t.made;
CREATE FUNCTION regress_api.credits() RETURNS text LANGUAGE sql AS 'SELECT ''mine''';
SELECT t.try('SELECT stripe_credit.expose(''regress_api'')') AS in_the_way;
SELECT stripe_credit.unexpose('regress_api');
SELECT regress_api.credits(), count(*) AS left FROM t.made;
DROP FUNCTION regress_api.credits();
-- without the right to make functions there
RESET ROLE;
ALTER SCHEMA regress_api OWNER TO CURRENT_USER;
SET ROLE regress_stripe_credit_owner;
SELECT t.try('SELECT stripe_credit.expose(''regress_api'')') AS no_right;
RESET ROLE;
-- a name that must be quoted
CREATE SCHEMA "regress ""odd"" api" AUTHORIZATION regress_stripe_credit_owner;
SET ROLE regress_stripe_credit_owner;
SELECT stripe_credit.expose('regress "odd" api', 'regress_stripe_credit_anon');
SELECT has_function_privilege('regress_stripe_credit_anon', '"regress ""odd"" api".stripe_webhook(json)', 'EXECUTE') AS given;
SELECT stripe_credit.unexpose('regress "odd" api');
SELECT count(*) AS left FROM pg_proc WHERE pronamespace = '"regress ""odd"" api"'::regnamespace;
RESET ROLE;
-- how long a request may take follows what the server waits for
CREATE SCHEMA regress_slow;
BEGIN;
SET LOCAL stripe_credit.timeout = '2 min';
SELECT stripe_credit.expose('regress_slow');
SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'regress_slow'::regnamespace AND cardinality(proconfig) > 1 ORDER BY proname COLLATE "C";
ROLLBACK;

DROP SCHEMA regress_slow, regress_api, "regress ""odd"" api" CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
DROP SCHEMA t CASCADE;
DROP OWNED BY regress_stripe_credit_owner, regress_stripe_credit_anon, regress_stripe_credit_user, regress_stripe_credit_service;
DROP ROLE regress_stripe_credit_owner, regress_stripe_credit_anon, regress_stripe_credit_user, regress_stripe_credit_service;
