\i test/helpers.sql
-- Who may do what: nobody anything, until he is named.
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
DROP ROLE IF EXISTS regress_stripe_credit_greedy, regress_stripe_credit_plain, regress_stripe_credit_admin, "regress_stripe_credit ""odd"" role";
CREATE ROLE regress_stripe_credit_greedy;
CREATE ROLE regress_stripe_credit_plain;
CREATE ROLE regress_stripe_credit_admin;
CREATE ROLE "regress_stripe_credit ""odd"" role";
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_stripe_credit_greedy, "regress_stripe_credit ""odd"" role" WITH GRANT OPTION;
CREATE EXTENSION stripe_credit;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, regress_stripe_credit_greedy, "regress_stripe_credit ""odd"" role";
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC, regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM regress_stripe_credit_greedy;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM PUBLIC, regress_stripe_credit_greedy;
DROP ROLE "regress_stripe_credit ""odd"" role";

-- what anybody but the owner has
CREATE VIEW t.given AS
	WITH object AS (
		SELECT 'schema' AS kind, n.nspname::text AS name, n.nspowner AS owner, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
		FROM pg_namespace n WHERE n.nspname = 'stripe_credit'
		UNION ALL
		SELECT 'relation', c.relname, c.relowner,
			coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
		FROM pg_class c WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
		UNION ALL
		SELECT 'column', c.relname || '.' || a.attname, c.relowner, a.attacl
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'stripe_credit'::regnamespace AND a.attacl IS NOT NULL
		UNION ALL
		SELECT 'function', p.proname, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
		FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace
		UNION ALL
		SELECT 'type', y.typname, y.typowner, y.typacl
		FROM pg_type y WHERE y.typnamespace = 'stripe_credit'::regnamespace
	)
	SELECT o.kind, o.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
		x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END AS privilege
	FROM object o, LATERAL aclexplode(o.acl) x WHERE x.grantee <> o.owner;
SELECT * FROM t.given ORDER BY 1, 2, 3, 4;
SELECT DISTINCT pg_get_userbyid(relowner) = current_user AS own FROM pg_class WHERE relnamespace = 'stripe_credit'::regnamespace;

--
-- A plain role: refused by the schema, and inside it by each thing
--
GRANT USAGE ON SCHEMA t TO PUBLIC;
-- each function, and each table in each way, as the present role
CREATE FUNCTION t.attempts() RETURNS TABLE (what text, state text) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	statement text;
BEGIN
	FOR what, statement IN
		SELECT p.oid::regprocedure::text, format('SELECT %s(%s)', p.oid::regproc,
			(SELECT string_agg(CASE WHEN NOT p.proisstrict THEN 'NULL::' WHEN y = 'timestamptz'::regtype THEN '''now''::' ELSE '''1''::' END || format_type(y, NULL), ', ') FROM unnest(p.proargtypes::oid[]) AS y))
		FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace AND p.prorettype <> 'trigger'::regtype
		UNION ALL
		SELECT format('%s %s', verb, c.oid::regclass), CASE verb
			WHEN 'SELECT' THEN format('SELECT FROM %s', c.oid::regclass) WHEN 'DELETE' THEN format('DELETE FROM %s WHERE true', c.oid::regclass)
			WHEN 'TRUNCATE' THEN format('TRUNCATE %s', c.oid::regclass)
			WHEN 'INSERT' THEN format('INSERT INTO %s DEFAULT VALUES', c.oid::regclass)
			ELSE format('UPDATE %s SET %I = NULL WHERE false', c.oid::regclass,
				(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 2)) END
		FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS verb
		WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind = 'r'
	LOOP
		state := t.state(statement);
		RETURN NEXT;
	END LOOP;
END
$$;
SET ROLE regress_stripe_credit_plain;
SELECT state, count(*) > 30 AS many FROM t.attempts() GROUP BY state ORDER BY state;
RESET ROLE;
-- with the schema opened by somebody careless, still nothing
GRANT USAGE ON SCHEMA stripe_credit TO regress_stripe_credit_plain;
SET ROLE regress_stripe_credit_plain;
SELECT state, count(*) > 30 AS many FROM t.attempts() GROUP BY state ORDER BY state;
SELECT t.state($$SELECT nextval('stripe_credit.webhook_secret_id_seq')$$) AS sequence, t.state('CREATE TABLE stripe_credit.mine ()') AS schema,
	t.state('SELECT FROM stripe_credit.attention') AS attention, t.state('DROP EXTENSION stripe_credit') AS extension,
	t.state('LOCK stripe_credit.account IN ACCESS SHARE MODE') AS lock;
RESET ROLE;
REVOKE USAGE ON SCHEMA stripe_credit FROM regress_stripe_credit_plain;

--
-- administer()
--
SELECT stripe_credit.administer('regress_stripe_credit_admin');
SELECT kind, name, string_agg(privilege, ' ' ORDER BY privilege) AS privileges FROM t.given
	WHERE grantee = 'regress_stripe_credit_admin' AND kind <> 'function' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS functions_not_given FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace
	AND NOT has_function_privilege('regress_stripe_credit_admin', p.oid, 'EXECUTE WITH GRANT OPTION');
SELECT count(*) AS to_others FROM t.given WHERE grantee <> 'regress_stripe_credit_admin';
SET ROLE regress_stripe_credit_admin;
-- what he can do
SELECT t.state($$SELECT stripe_credit.add_webhook_secret('whsec_t')$$) AS secret,
	t.state($$INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('starter', 100, 1000, 'usd')$$) AS pack,
	t.state($$UPDATE stripe_credit.pack SET name = 'Starter' WHERE pack_id = 'starter'$$) AS rename,
	t.state($$INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10), ('eur', 1, 10)$$) AS rate,
	t.state($$DELETE FROM stripe_credit.rate WHERE currency = 'eur'$$) AS no_rate,
	t.state($$INSERT INTO stripe_credit.payment_link VALUES ('plink_1', 'starter')$$) AS link,
	t.state($$UPDATE stripe_credit.settings SET on_overdraw = 'clamp'$$) AS settings,
	t.state($$INSERT INTO stripe_credit.account (account_id) VALUES ('made')$$) AS account;
SELECT t.deliver(t.session('a1', t.meta('alice', 'starter'))) AS webhook, (stripe_credit.grant_credits('alice', 5, 'k')).balance AS granted,
	(stripe_credit.adjust_credits('alice', -1, 'l', 'x')).balance AS adjusted;
SELECT (stripe_credit.balance('alice')).available, (SELECT count(*) FROM stripe_credit.statement('alice')) AS entries, (SELECT count(*) FROM stripe_credit.check_books()) AS wrong,
	(SELECT count(*) FROM stripe_credit.attention) AS attention;
SELECT t.deliver(t.session('a2')) AS unmatched, t.short(stripe_credit.replay('evt_a2')) AS replayed, t.short(stripe_credit.resolve('evt_a2', 'bob', 3)) AS resolved;
SELECT (stripe_credit.spend('alice', 1, 's')).balance AS spent, (stripe_credit.hold('alice', 2, 'h')).held, (stripe_credit.capture('alice', 'h', 1)).balance AS captured,
	(stripe_credit.hold('alice', 2, 'r')).held, (stripe_credit.release('alice', 'r')).held AS released, (stripe_credit.reverse_spend('alice', 's')).balance AS undone,
	(SELECT count(*) FROM stripe_credit.spend_many('alice', '{1,1}')) AS many, stripe_credit.maintain() ->> 'complete' AS complete, (SELECT count(*) FROM stripe_credit.hold) AS holds;
UPDATE stripe_credit.account SET low_balance = 10 WHERE account_id = 'alice';
SELECT id > 0 AS id, valid_until FROM stripe_credit.webhook_secret;
SELECT (SELECT count(*) FROM stripe_credit.account) AS accounts, (SELECT count(*) FROM stripe_credit.ledger) AS entries,
	(SELECT count(*) FROM stripe_credit.lot) AS lots, (SELECT count(*) FROM stripe_credit.event) AS events, (SELECT count(*) FROM stripe_credit.payment) AS payments;
-- what he can't
SELECT what, t.state(what) AS state FROM unnest(ARRAY['SELECT secret FROM stripe_credit.webhook_secret', 'SELECT * FROM stripe_credit.webhook_secret',
	'SELECT w FROM stripe_credit.webhook_secret w', 'SELECT FROM stripe_credit.webhook_secret WHERE secret > $$w$$',
	'SELECT FROM stripe_credit.webhook_secret ORDER BY secret',
	'UPDATE stripe_credit.webhook_secret SET secret = $$x$$', 'UPDATE stripe_credit.webhook_secret SET valid_until = now()',
	'INSERT INTO stripe_credit.webhook_secret (secret) VALUES ($$x$$)', 'DELETE FROM stripe_credit.webhook_secret',
	'INSERT INTO stripe_credit.account (account_id, balance) VALUES ($$x$$, 5)', 'UPDATE stripe_credit.account SET balance = 9', 'DELETE FROM stripe_credit.account',
	'INSERT INTO stripe_credit.ledger (account_id) VALUES ($$x$$)', 'UPDATE stripe_credit.ledger SET credits = 9', 'DELETE FROM stripe_credit.ledger',
	'INSERT INTO stripe_credit.hold (account_id) VALUES ($$x$$)', 'UPDATE stripe_credit.hold SET credits = 9', 'DELETE FROM stripe_credit.hold',
	'UPDATE stripe_credit.account SET held = 0', 'UPDATE stripe_credit.account SET head_remaining = 9',
	'UPDATE stripe_credit.lot SET remaining = 9', 'DELETE FROM stripe_credit.lot', 'INSERT INTO stripe_credit.lot (lot_id) VALUES (1)',
	'UPDATE stripe_credit.payment SET posted = 0', 'DELETE FROM stripe_credit.payment', 'INSERT INTO stripe_credit.payment (livemode) VALUES (true)',
	'UPDATE stripe_credit.event SET status = $$applied$$', 'DELETE FROM stripe_credit.event', 'INSERT INTO stripe_credit.event (type) VALUES ($$x$$)',
	'DELETE FROM stripe_credit.settings', 'INSERT INTO stripe_credit.settings DEFAULT VALUES', 'TRUNCATE stripe_credit.ledger', 'TRUNCATE stripe_credit.pack',
	'CREATE TABLE stripe_credit.mine ()', 'ALTER TABLE stripe_credit.pack ADD x int', 'CREATE INDEX ON stripe_credit.pack (name)', 'DROP EXTENSION stripe_credit',
	'CREATE TRIGGER x AFTER INSERT ON stripe_credit.pack EXECUTE FUNCTION stripe_credit.settings_changed()',
	'ALTER TABLE stripe_credit.settings DISABLE TRIGGER ALL', 'SELECT nextval($$stripe_credit.webhook_secret_id_seq$$)']) AS what;
-- he lets another role take webhooks, and that is all it can do
GRANT USAGE ON SCHEMA stripe_credit TO regress_stripe_credit_plain;
GRANT EXECUTE ON FUNCTION stripe_credit.webhook(text, text) TO regress_stripe_credit_plain;
RESET ROLE;
SET ROLE regress_stripe_credit_plain;
SELECT t.deliver(t.session('a3', t.meta('alice', 'starter'))) AS webhook;
SELECT what, state FROM t.attempts() WHERE state <> '42501' ORDER BY what;
-- and it can't shadow anything that webhook() uses
RESET ROLE;
CREATE SCHEMA regress_stripe_credit_hijack AUTHORIZATION regress_stripe_credit_plain;
SELECT t.session('a4', t.meta('alice', 'starter'))::text AS body \gset
SELECT t.session('a5', t.meta('alice', 'starter') || '{"payment_status": "unpaid"}')::text AS unpaid \gset
SELECT t.sign(convert_to(:'body', 'UTF8')) AS signature, t.sign(convert_to(:'unpaid', 'UTF8')) AS unpaid_signature \gset
SET ROLE regress_stripe_credit_plain;
CREATE FUNCTION regress_stripe_credit_hijack.trap() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END$$;
CREATE FUNCTION regress_stripe_credit_hijack.trap(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT regress_stripe_credit_hijack.trap()';
CREATE FUNCTION regress_stripe_credit_hijack.trap(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT regress_stripe_credit_hijack.trap()';
CREATE FUNCTION regress_stripe_credit_hijack.trap(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT regress_stripe_credit_hijack.trap()';
CREATE FUNCTION regress_stripe_credit_hijack.plus(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT regress_stripe_credit_hijack.trap()::int::bigint';
CREATE OPERATOR regress_stripe_credit_hijack.= (FUNCTION = regress_stripe_credit_hijack.trap, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR regress_stripe_credit_hijack.= (FUNCTION = regress_stripe_credit_hijack.trap, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR regress_stripe_credit_hijack.> (FUNCTION = regress_stripe_credit_hijack.trap, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR regress_stripe_credit_hijack.<= (FUNCTION = regress_stripe_credit_hijack.trap, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR regress_stripe_credit_hijack.+ (FUNCTION = regress_stripe_credit_hijack.plus, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION regress_stripe_credit_hijack.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END$$;
CREATE FUNCTION regress_stripe_credit_hijack.least(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT regress_stripe_credit_hijack.trap()::int::bigint';
CREATE TABLE pg_temp.account (LIKE pg_catalog.pg_class);
CREATE TABLE pg_temp.pg_class (x int);
CREATE DOMAIN pg_temp.text AS pg_catalog.int4;
SET search_path = pg_temp, regress_stripe_credit_hijack, pg_catalog, stripe_credit;
SELECT stripe_credit.webhook(:'body', :'signature')->>'status' AS webhook;
SELECT stripe_credit.webhook(:'unpaid', :'unpaid_signature')->>'status' AS unpaid;
RESET search_path;
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA stripe_credit TO regress_stripe_credit_plain;
SET ROLE regress_stripe_credit_plain;
SET search_path = pg_temp, regress_stripe_credit_hijack, pg_catalog, stripe_credit;
SELECT balance FROM stripe_credit.grant_credits('carl', 5, 'k', 'infinity');
SELECT balance FROM stripe_credit.adjust_credits('carl', -2, 'l', 'x');
SELECT balance FROM stripe_credit.spend('carl', 1, 's');
SELECT balance FROM stripe_credit.spend('carl', 1, 's') AS again;
SELECT balance FROM stripe_credit.spend_many('carl', '{1}', '{m}');
SELECT balance FROM stripe_credit.reverse_spend('carl', 's');
SELECT available FROM stripe_credit.hold('carl', 2, 'h');
SELECT available FROM stripe_credit.hold('carl', 2, 'h') AS again;
SELECT balance FROM stripe_credit.capture('carl', 'h', 1);
SELECT available FROM stripe_credit.hold('carl', 1, 'r');
SELECT available FROM stripe_credit.release('carl', 'r');
SELECT stripe_credit.maintain() ->> 'complete' AS complete;
SELECT balance FROM stripe_credit.balance('carl');
SELECT seq, credits FROM stripe_credit.statement('carl');
SELECT * FROM stripe_credit.check_books();
SELECT stripe_credit.add_webhook_secret('whsec_u') OPERATOR(pg_catalog.>) 0 AS added;
RESET search_path;
RESET ROLE;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA stripe_credit FROM regress_stripe_credit_plain;
DROP SCHEMA regress_stripe_credit_hijack CASCADE;
DISCARD TEMP;

--
-- unadminister(): all of it is taken back, what he granted on too
--
SELECT stripe_credit.administer('regress_stripe_credit_admin');
SET ROLE regress_stripe_credit_admin;
GRANT EXECUTE ON FUNCTION stripe_credit.webhook(text, text) TO regress_stripe_credit_plain;
GRANT SELECT ON stripe_credit.pack TO regress_stripe_credit_plain;
GRANT UPDATE ON stripe_credit.settings TO regress_stripe_credit_plain;
RESET ROLE;
SELECT count(*) > 0 AS given FROM t.given WHERE grantee = 'regress_stripe_credit_plain';
SELECT stripe_credit.unadminister('regress_stripe_credit_admin');
SELECT * FROM t.given ORDER BY 1, 2, 3, 4;
SET ROLE regress_stripe_credit_admin;
SELECT state, count(*) > 30 AS many FROM t.attempts() GROUP BY state ORDER BY state;
RESET ROLE;
SELECT stripe_credit.unadminister('regress_stripe_credit_admin') AS again;
SELECT what, t.try('SELECT stripe_credit.' || what) AS got FROM unnest(ARRAY['administer(NULL)', 'unadminister(NULL)',
	$$administer('regress_stripe_credit_nobody')$$, $$unadminister('regress_stripe_credit_nobody')$$]) AS what;
-- a name is a name, not SQL
CREATE ROLE "regress_stripe_credit ""odd"" role";
SELECT stripe_credit.administer('regress_stripe_credit "odd" role');
SELECT count(*) > 30 AS given FROM t.given WHERE grantee = 'regress_stripe_credit "odd" role';
SELECT stripe_credit.unadminister('regress_stripe_credit "odd" role');
SELECT * FROM t.given ORDER BY 1, 2, 3, 4;
SELECT t.try($$SELECT stripe_credit.administer('public')$$) AS everybody;
SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
DROP ROLE regress_stripe_credit_greedy, regress_stripe_credit_plain, regress_stripe_credit_admin, "regress_stripe_credit ""odd"" role";
