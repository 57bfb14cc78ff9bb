# What Supabase's linter looks for in a database, in our own words: one query for each of
# its rules that a database without its storage, queues and statistics can break.  With most
# of them stand statements that break them, by which a test can see that a query finds something.

package StripeCredit::Linter;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(%RULES findings findings_of_splinter breaking);

# Its own schemas and the system's, which most rules leave alone
my $others = q{'{pg_catalog, information_schema, auth, cron, extensions, graphql, graphql_public, net, realtime, storage, vault}'};
my $relations = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname <> ALL ($others)";
my $policies = "pg_policy p JOIN ($relations) ON c.oid = p.polrelid";
my $terms = q{concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))};

my $served = q{n.nspname IN (SELECT trim(s) FROM unnest(string_to_array(current_setting('pgrst.db_schemas'), ',')) s)};
my $readable = q{(has_table_privilege('anon', c.oid, 'SELECT') OR has_table_privilege('authenticated', c.oid, 'SELECT'))};
my $invoker = q{(SELECT option_value::boolean FROM pg_options_to_table(c.reloptions) WHERE option_name = 'security_invoker')};

# Some rules pass over what belongs to an extension.
sub not_a_member
{
	my ($catalog, $oid) = @_;

	return "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '$catalog'::regclass AND d.objid = $oid AND d.deptype = 'e')";
}

my $yours = not_a_member('pg_class', 'c.oid');

sub executable
{
	my ($role) = @_;

	return qq{
		SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE $served AND p.prosecdef AND has_function_privilege('$role', p.oid, 'EXECUTE')};
}

sub in_graphql
{
	my ($role) = @_;

	return qq{
		SELECT c.relname FROM $relations
		WHERE c.relkind IN ('r', 'v', 'm', 'f') AND has_any_column_privilege('$role', c.oid, 'SELECT')
		  AND EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_graphql')};
}

our %RULES = (
	# 0001: every foreign key leads with an index
	unindexed_foreign_keys => {
		finds => qq{
			SELECT c.relname FROM pg_constraint f, $relations
			WHERE c.oid = f.conrelid AND f.contype = 'f' AND $yours AND NOT EXISTS (
				SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
				  AND (i.indkey::smallint[])[0:cardinality(f.conkey) - 1] = f.conkey)},
		broken => 'CREATE TABLE public.pointing (id int PRIMARY KEY, at int REFERENCES public.pointing)' },
	# 0002
	auth_users_exposed => {
		finds => qq{
			SELECT DISTINCT c.relname FROM $relations JOIN pg_rewrite r ON r.ev_class = c.oid
				JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.deptype = 'n'
			WHERE d.refobjid = to_regclass('auth.users') AND $readable AND $served
			  AND (c.relkind = 'm' OR $invoker IS NOT TRUE OR NOT (SELECT relrowsecurity FROM pg_class WHERE oid = d.refobjid))},
		broken => 'CREATE VIEW api.everybody WITH (security_invoker = true) AS SELECT id FROM auth.users;
			GRANT SELECT ON api.everybody TO authenticated' },
	# 0003: what is the same for all rows is asked once
	auth_rls_initplan => {
		finds => qq{
			SELECT c.relname FROM $policies
			WHERE c.relrowsecurity AND $terms ~* '(?<!select )(auth\\.(uid|jwt|role|email)|current_setting)\\('},
		broken => q{CREATE TABLE public.asking (id uuid PRIMARY KEY); ALTER TABLE public.asking ENABLE ROW LEVEL SECURITY;
			CREATE POLICY own ON public.asking FOR SELECT USING (id = auth.uid())} },
	# 0004
	no_primary_key => {
		finds => qq{
			SELECT c.relname FROM $relations
			WHERE c.relkind = 'r' AND $yours AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)},
		broken => 'CREATE TABLE public.keyless (id int)' },
	# 0006: one policy for a role and a command, so that one is evaluated
	multiple_permissive_policies => {
		finds => qq{
			SELECT DISTINCT c.relname FROM $policies JOIN pg_policy q ON q.polrelid = p.polrelid AND q.oid > p.oid
			WHERE p.polpermissive AND q.polpermissive AND $yours
			  AND (p.polcmd = q.polcmd OR '*' IN (p.polcmd, q.polcmd))
			  AND (p.polroles && q.polroles OR 0 = ANY (p.polroles || q.polroles))},
		broken => 'CREATE TABLE public.twofold (id int PRIMARY KEY); ALTER TABLE public.twofold ENABLE ROW LEVEL SECURITY;
			CREATE POLICY one ON public.twofold FOR SELECT TO anon USING (id > 0);
			CREATE POLICY two ON public.twofold FOR SELECT TO anon USING (id < 9)' },
	# 0007
	policy_exists_rls_disabled => {
		finds => qq{SELECT DISTINCT c.relname FROM $policies WHERE NOT c.relrowsecurity AND $yours},
		broken => 'CREATE TABLE public.idle (id int PRIMARY KEY); CREATE POLICY own ON public.idle FOR SELECT USING (id > 0)' },
	# 0008
	rls_enabled_no_policy => {
		finds => qq{
			SELECT c.relname FROM $relations WHERE c.relkind = 'r' AND c.relrowsecurity AND $yours
			  AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)},
		broken => 'CREATE TABLE public.shut (id int PRIMARY KEY); ALTER TABLE public.shut ENABLE ROW LEVEL SECURITY' },
	# 0009
	duplicate_index => {
		finds => qq{
			SELECT c.relname FROM $relations JOIN pg_indexes i ON i.schemaname = n.nspname AND i.tablename = c.relname
			WHERE $yours GROUP BY c.oid, c.relname, replace(i.indexdef, i.indexname, '') HAVING count(*) > 1},
		broken => 'CREATE TABLE public.indexed (id int PRIMARY KEY, n int);
			CREATE INDEX one ON public.indexed (n); CREATE INDEX two ON public.indexed (n)' },
	# 0010
	security_definer_view => {
		finds => qq{SELECT c.relname FROM $relations WHERE c.relkind = 'v' AND $readable AND $served AND $yours AND $invoker IS NOT TRUE},
		broken => 'CREATE VIEW api.balances AS SELECT account_id, balance FROM stripe_credit.account; GRANT SELECT ON api.balances TO anon' },
	# 0011
	function_search_path_mutable => {
		finds => qq{
			SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname <> ALL ($others)
			WHERE @{[ not_a_member('pg_proc', 'p.oid') ]}
			  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%')},
		broken => q{CREATE FUNCTION public.unpinned() RETURNS int LANGUAGE sql AS 'SELECT 1'} },
	# 0013, 0023: members of extensions too
	rls_disabled_in_public => {
		finds => qq{SELECT c.relname FROM $relations WHERE c.relkind = 'r' AND NOT c.relrowsecurity AND $readable AND $served},
		broken => 'CREATE TABLE public.open (id int PRIMARY KEY); GRANT SELECT ON public.open TO anon' },
	sensitive_columns_exposed => {
		finds => qq{
			SELECT DISTINCT c.relname FROM $relations JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
			WHERE c.relkind = 'r' AND NOT c.relrowsecurity AND $readable AND $served
			  AND lower(a.attname) IN ('secret', 'api_key', 'password', 'token', 'session_id', 'card_number')},
		broken => 'CREATE TABLE public.telling (id int PRIMARY KEY, api_key text); GRANT SELECT ON public.telling TO anon' },
	# 0014
	extension_in_public => {
		finds => q{SELECT e.extname FROM pg_extension e WHERE e.extnamespace = 'public'::regnamespace AND e.extname <> 'plpgsql'},
		broken => q{UPDATE pg_extension SET extnamespace = 'public'::regnamespace WHERE extname = 'stripe_credit'} },
	# 0015: users edit it themselves
	rls_references_user_metadata => {
		finds => qq{SELECT c.relname FROM $policies WHERE $terms ~ '(auth\\.jwt\\(|current_setting\\(.*request\\.jwt\\.claims).*user_metadata'},
		broken => q{CREATE TABLE public.believing (id int PRIMARY KEY); ALTER TABLE public.believing ENABLE ROW LEVEL SECURITY;
			CREATE POLICY paid ON public.believing FOR SELECT USING (
				(SELECT current_setting('request.jwt.claims', true)::jsonb #>> '{user_metadata,paid}') = 'yes')} },
	# 0016
	materialized_view_in_api => {
		finds => qq{SELECT c.relname FROM $relations WHERE c.relkind = 'm' AND $readable AND $served AND $yours},
		broken => 'CREATE MATERIALIZED VIEW api.stale AS SELECT 1 AS n; GRANT SELECT ON api.stale TO anon' },
	# 0017
	foreign_table_in_api => {
		finds => qq{SELECT c.relname FROM $relations WHERE c.relkind = 'f' AND $readable AND $served AND $yours},
		broken => 'CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
			CREATE FOREIGN TABLE api.far (id int) SERVER nowhere; GRANT SELECT ON api.far TO anon' },
	# 0018: pg_upgrade refuses them
	unsupported_reg_types => {
		finds => q{
			SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
			WHERE a.atttypid = ANY ('{regcollation, regconfig, regdictionary, regnamespace, regoper, regoperator, regproc, regprocedure}'::regtype[])
			  AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)},
		broken => 'CREATE TABLE public.named (id int PRIMARY KEY, f regproc)' },
	# 0021
	fkey_to_auth_unique => {
		finds => q{
			SELECT c.relname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_index i ON i.indexrelid = f.conindid
				JOIN pg_class t ON t.oid = f.confrelid
			WHERE f.contype = 'f' AND t.relnamespace = 'auth'::regnamespace AND NOT i.indisprimary},
		broken => 'CREATE TABLE public.addressed (email text PRIMARY KEY REFERENCES auth.users (email))' },
	# 0022: which takes files of another version
	extension_versions_outdated => {
		finds => q{
			SELECT e.name FROM pg_available_extensions e JOIN pg_available_extension_versions v ON v.name = e.name AND v.installed
			WHERE e.installed_version <> e.default_version} },
	# 0024
	rls_policy_always_true => {
		finds => qq{
			SELECT c.relname FROM $policies
			WHERE c.relrowsecurity AND p.polpermissive AND p.polcmd <> 'r'
			  AND (0 = ANY (p.polroles) OR p.polroles && '{anon, authenticated}'::regrole[]::oid[]) AND 'true' IN
				(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))},
		broken => 'CREATE TABLE public.trusting (id int PRIMARY KEY); ALTER TABLE public.trusting ENABLE ROW LEVEL SECURITY;
			CREATE POLICY anything ON public.trusting FOR UPDATE TO authenticated USING (true)' },
	# 0026, 0027: only where pg_graphql is, which is not to be had for a test
	pg_graphql_anon_table_exposed => { finds => in_graphql('anon') },
	pg_graphql_authenticated_table_exposed => { finds => in_graphql('authenticated') },
	# 0028, 0029
	anon_security_definer_function_executable => {
		finds => executable('anon'),
		broken => 'GRANT EXECUTE ON FUNCTION api.packs() TO anon' },
	authenticated_security_definer_function_executable => {
		finds => executable('authenticated'),
		broken => 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated' });

# All that this text of SQL answers, in lines "rule name"; what was broken before it is whole again
sub query
{
	my ($node, $sql, $broken) = @_;

	return split /\n/, $node->safe_psql('postgres', join ";\n",
		'BEGIN', 'SET LOCAL allow_system_table_mods = on', $broken // (),
		q{SET LOCAL pgrst.db_schemas = 'public, api'}, $sql, 'ROLLBACK');
}

# rule => names
sub sorted
{
	my %found;

	push @{ $found{ (split / /, $_, 2)[0] } }, (split / /, $_, 2)[1] for sort @_;
	return \%found;
}

# What our rules find, after statements that break some
sub findings
{
	my ($node, $broken) = @_;

	my @queries = map { "SELECT '$_ ' || f.name FROM ($RULES{$_}{finds}) f (name)" } sort keys %RULES;

	return sorted(query($node, join(' UNION ALL ', @queries), $broken));
}

# What Supabase's own file finds, but for what it reads from statistics, which say nothing of a new database
sub findings_of_splinter
{
	my ($node, $file, $broken) = @_;
	my $sql = slurp_file($file) =~ s/\A\s*set local search_path = '';//r =~ s/;\s*\z//r;

	return sorted(query($node, qq{SET LOCAL search_path = '';
		SELECT s.name || ' ' || coalesce(s.metadata->>'name', s.metadata->>'extension_name') FROM (\n$sql\n) s
		WHERE s.name NOT IN ('unused_index', 'table_bloat')}, $broken));
}

# Statements that break all rules that can be broken here
sub breaking { return join ";\n", map { $RULES{$_}{broken} // () } sort keys %RULES }

1;
