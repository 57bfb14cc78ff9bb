\i test/helpers.sql
-- Where the extension can be made, and what it makes.
\set SHOW_CONTEXT never

--
-- Refusals
--
-- PostgreSQL leaves the schema behind
DROP EXTENSION stripe_credit;
DROP ROLE IF EXISTS regress_stripe_credit_other;
CREATE TABLE stripe_credit.mine ();
CREATE EXTENSION stripe_credit;
DROP TABLE stripe_credit.mine;
CREATE FUNCTION stripe_credit.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE EXTENSION stripe_credit;
DROP FUNCTION stripe_credit.mine();
CREATE TYPE stripe_credit.mine AS ENUM ('x');
CREATE EXTENSION stripe_credit;
DROP TYPE stripe_credit.mine;
CREATE OPERATOR stripe_credit.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
CREATE EXTENSION stripe_credit;
DROP OPERATOR stripe_credit.=== (int, int);
-- empty, but somebody else's
CREATE ROLE regress_stripe_credit_other SUPERUSER;
ALTER SCHEMA stripe_credit OWNER TO regress_stripe_credit_other;
CREATE EXTENSION stripe_credit;
-- his own is good enough for him
SET ROLE regress_stripe_credit_other;
CREATE EXTENSION stripe_credit;
SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'stripe_credit'::regnamespace;
DROP EXTENSION stripe_credit;
RESET ROLE;
DROP SCHEMA stripe_credit;
-- no superuser
ALTER ROLE regress_stripe_credit_other NOSUPERUSER;
SELECT current_database() AS database \gset
GRANT CREATE ON DATABASE :"database" TO regress_stripe_credit_other;
GRANT USAGE ON SCHEMA t TO regress_stripe_credit_other;
SET ROLE regress_stripe_credit_other;
SELECT t.state('CREATE EXTENSION stripe_credit') AS no_superuser;
RESET ROLE;
DROP OWNED BY regress_stripe_credit_other;
DROP ROLE regress_stripe_credit_other;
SELECT t.state('CREATE EXTENSION stripe_credit SCHEMA public') AS another_schema, t.state($$CREATE EXTENSION stripe_credit VERSION '0.0'$$) AS another_version;
SELECT count(*) AS left_behind FROM pg_namespace WHERE nspname = 'stripe_credit';
-- another encoding
DROP DATABASE IF EXISTS regression_stripe_credit_latin1;
CREATE DATABASE regression_stripe_credit_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
\c regression_stripe_credit_latin1
CREATE EXTENSION stripe_credit;
SELECT count(*) AS left_behind FROM pg_namespace WHERE nspname = 'stripe_credit';
\c :database
DROP DATABASE regression_stripe_credit_latin1;
SET client_min_messages = warning;

--
-- What it makes
--
CREATE EXTENSION stripe_credit;
SELECT e.extversion = v.default_version AS newest, e.extrelocatable, n.nspname, v.comment FROM pg_extension e
	JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_available_extensions v ON v.name = e.extname WHERE e.extname = 'stripe_credit';
SELECT superuser, trusted, relocatable, schema, requires FROM pg_available_extension_versions WHERE name = 'stripe_credit' AND installed;
SELECT t.state('ALTER EXTENSION stripe_credit SET SCHEMA public') AS relocated;
\pset format unaligned
SELECT p.proname AS function, pg_get_function_identity_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
	concat_ws(' ', l.lanname, CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
		CASE WHEN p.proisstrict THEN 'strict' END, CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'u' THEN 'unsafe' ELSE 'restricted' END,
		CASE WHEN p.prosecdef THEN 'definer' END, array_to_string(p.proconfig, ' ')) AS how
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'stripe_credit'::regnamespace ORDER BY p.proname COLLATE "C", 2;
SELECT pg_get_function_arguments(p.oid) AS with_defaults FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace AND p.pronargdefaults > 0
	ORDER BY p.proname COLLATE "C";
\pset format aligned
-- the tables that people edit
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.oid IN ('stripe_credit.pack'::regclass, 'stripe_credit.rate'::regclass, 'stripe_credit.payment_link'::regclass, 'stripe_credit.attention'::regclass)
	GROUP BY c.relname ORDER BY c.relname COLLATE "C";
-- what names a thing is compared octet by octet
SELECT c.relname, a.attname AS without_collate_c FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind = 'r' AND a.attname ~ '(_id|_key|link|currency)$' AND a.atttypid = 'text'::regtype
	AND a.attcollation <> '"C"'::regcollation;
-- whoever is named definer has a path that nobody else can write to
SELECT p.proname AS unsafe FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace AND p.prosecdef
	AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'];
-- nothing goes without a word
SELECT c.relname AS without_comment FROM pg_class c WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind IN ('r', 'v')
	AND obj_description(c.oid, 'pg_class') IS NULL
	UNION ALL SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
-- account_id leads every key of what spending touches, but for where maintain() looks across accounts, and no trigger stands there
SELECT i.indexrelid::regclass AS index FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
	WHERE i.indrelid IN ('stripe_credit.account'::regclass, 'stripe_credit.ledger'::regclass, 'stripe_credit.lot'::regclass,
		'stripe_credit.hold'::regclass) AND a.attname <> 'account_id';
SELECT tgname AS trigger FROM pg_trigger WHERE tgrelid IN ('stripe_credit.account'::regclass, 'stripe_credit.ledger'::regclass, 'stripe_credit.lot'::regclass,
	'stripe_credit.hold'::regclass);
SELECT conrelid::regclass AS foreign_key FROM pg_constraint WHERE connamespace = 'stripe_credit'::regnamespace AND contype = 'f';
SELECT c.relname AS unlogged FROM pg_class c WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relpersistence <> 'p';
-- what a dump holds: all but the secrets
SELECT c.relname, c.oid = ANY (e.extconfig) AS dumped FROM pg_class c, pg_extension e
	WHERE e.extname = 'stripe_credit' AND c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind IN ('r', 'S') ORDER BY 1;
SELECT DISTINCT unnest(extcondition) AS only FROM pg_extension WHERE extname = 'stripe_credit';

--
-- Dropped and made again in one session, whose plans and caches survive
--
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10);
UPDATE stripe_credit.settings SET on_overdraw = 'clamp', connected_accounts = '{acct_1}';
SELECT t.deliver(t.session('a1', t.meta('alice'))) AS credited, t.deliver(t.session('a2')) AS unmatched, (stripe_credit.grant_credits('alice', 5, 'k')).balance;
SELECT install_id AS first FROM stripe_credit.settings \gset
DROP EXTENSION stripe_credit;
SELECT t.state($$SELECT stripe_credit.balance('alice')$$) AS gone;
-- the schema that was left behind may have been opened: it is shut again
GRANT ALL ON SCHEMA stripe_credit TO PUBLIC;
CREATE EXTENSION stripe_credit;
SELECT count(*) AS given FROM pg_namespace n, aclexplode(n.nspacl) x WHERE n.nspname = 'stripe_credit' AND x.grantee <> n.nspowner;
SELECT split_part(t.try($$SELECT t.deliver(t.session('a1', t.meta('alice')))$$), ' | ', 1) AS no_secret;
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
SELECT t.deliver(t.session('a1', t.meta('alice'))) AS no_rate, t.deliver(t.session('a3', t.meta('alice'), '{"account": "acct_1"}')) AS not_listed;
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 100);
SELECT t.short(stripe_credit.replay('evt_a1')) AS credited, (stripe_credit.grant_credits('alice', 5, 'k')).balance,
	(stripe_credit.adjust_credits('alice', -5, 'l', 'x')).balance AS adjusted;
SELECT install_id <> :'first' AS another_install FROM stripe_credit.settings;
SELECT * FROM stripe_credit.check_books();
-- what hangs on it stands in the way
CREATE VIEW t.hanging AS SELECT * FROM stripe_credit.account;
SELECT t.state('DROP EXTENSION stripe_credit') AS hanging;
DROP VIEW t.hanging;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
DROP SCHEMA t CASCADE;
