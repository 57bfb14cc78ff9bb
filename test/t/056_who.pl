# Who may do what through PostgREST: the table in the README against the catalogue.
# Each role may call what has its cross, and has nothing else, in no schema of ours.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my @roles = qw(webhook_role user_role service_role);

# The crosses of each row: name of the function => roles
sub table_of_readme
{
	my $readme = slurp_file("$FindBin::RealBin/../../README.md");
	my ($rows) = $readme =~ /^\| function \| webhook_role \| user_role \| service_role \|\n\|[-|]+\n((?:\|.*\n)+)/m
	  or die "the README has no such table\n";
	my %crosses;

	for my $row (split /\n/, $rows)
	{
		my (undef, $function, @cells) = split /\s*\|\s*/, $row, -1;
		my ($name) = $function =~ /^`(\w+)\(/;

		$crosses{ $name // '' } = [ grep { $cells[$_] eq '×' } 0 .. $#roles ] if $name || $function =~ /^anything/;
	}
	return %crosses;
}

my $node = new_node('who', conf => '');
$node->safe_psql('postgres', join ";\n",
	(map { "CREATE ROLE $_" } @roles, 'app_owner'),
	q{SELECT stripe_credit.administer('app_owner')},
	'CREATE SCHEMA api AUTHORIZATION app_owner',
	'SET ROLE app_owner',
	"SELECT stripe_credit.expose('api', " . join(', ', map { "'$_'" } @roles) . ')');

my %crosses = table_of_readme();
is_deeply(delete $crosses{''}, [], 'nobody has anything in stripe_credit, says the README');

my %granted;
push @{ $granted{ (split /\|/)[0] } }, (split /\|/)[1]
  for split /\n/, $node->safe_psql('postgres', q{
	SELECT p.proname, r.n - 1
	FROM pg_proc p, unnest('{webhook_role,user_role,service_role}'::text[]) WITH ORDINALITY r (role, n)
	WHERE p.pronamespace = 'api'::regnamespace AND has_function_privilege(r.role, p.oid, 'EXECUTE')
	ORDER BY 1, 2});
is_deeply(\%granted, \%crosses, 'each role may call what has its cross in the README');

# What a role can reach of ours at all, by itself or as anybody
is( $node->safe_psql('postgres', q{
	SELECT r.role, o.name
	FROM unnest('{webhook_role,user_role,service_role}'::text[]) r (role), LATERAL (
		SELECT n.nspname AS name, has_schema_privilege(r.role, n.oid, 'USAGE, CREATE') AS has
		FROM pg_namespace n WHERE n.nspname = 'stripe_credit'
		UNION ALL
		SELECT p.oid::regprocedure::text, has_function_privilege(r.role, p.oid, 'EXECUTE')
		FROM pg_proc p WHERE p.pronamespace = 'stripe_credit'::regnamespace
		UNION ALL
		SELECT c.oid::regclass::text, CASE c.relkind WHEN 'S' THEN has_sequence_privilege(r.role, c.oid, 'USAGE, SELECT, UPDATE')
			ELSE has_table_privilege(r.role, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
				OR has_any_column_privilege(r.role, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END
		FROM pg_class c WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind IN ('r', 'v', 'S')
		UNION ALL
		SELECT 'CREATE in api', has_schema_privilege(r.role, 'api', 'CREATE')) o
	WHERE o.has}),
	'', 'and has nothing else');
is( $node->safe_psql('postgres', q{
	SELECT count(*) FROM pg_proc WHERE pronamespace = 'api'::regnamespace
	  AND (NOT prosecdef OR NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false))}),
	0, 'all of them run as their owner, with a pinned search_path');

$node->stop;
done_testing();
