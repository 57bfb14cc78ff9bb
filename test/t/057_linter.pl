# What Supabase's linter says of a database that is set up as examples/supabase does it: what
# the README says that it says, and nothing else.  The rules are ours, in StripeCredit/Linter.pm;
# where STRIPE_CREDIT_SPLINTER names Supabase's own splinter.sql, that is run too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use StripeCredit::Linter;
use StripeCredit::Supabase;
use Test::More;

# rule => names, by the README's table
sub table_of_readme
{
	my $readme = slurp_file("$FindBin::RealBin/../../README.md");
	my ($rows) = $readme =~ /^\| rule \| names \| why it stays \|\n\|[-|]+\n((?:\|.*\n)+)/m or die "the README has no such table\n";
	my %table;

	for my $row (split /\n/, $rows)
	{
		my (undef, $rule, $names) = split /\s*\|\s*/, $row;

		$table{ ($rule =~ /`(\w+)`/)[0] } = [ sort $names =~ /`(\w+)`/g ];
	}
	return \%table;
}

my $node = new_supabase('linter');
set_up_example($node);

my $table = table_of_readme();
my $splinter = $ENV{STRIPE_CREDIT_SPLINTER};

is_deeply(findings($node), $table, 'our rules find what the README says, and nothing else');

# A rule whose query is wrong would find nothing, too.
my $broken = findings($node, breaking());
for my $rule (sort grep { $RULES{$_}{broken} } keys %RULES)
{
	cmp_ok(scalar @{ $broken->{$rule} // [] }, '>', scalar @{ $table->{$rule} // [] }, "$rule can be broken");
}

# What guides to custom schemas say, and what the README says to that
my $given = 'GRANT ALL ON ALL ROUTINES IN SCHEMA api TO anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA api GRANT ALL ON ROUTINES TO anon, authenticated, service_role';
my ($revoke) = slurp_file("$FindBin::RealBin/../../README.md") =~ /`(REVOKE ALL ON ALL ROUTINES [^`]*)`/;
cmp_ok(scalar(grep { $_ eq 'grant_credits' } @{ findings($node, $given)->{anon_security_definer_function_executable} }), '==', 1,
	'who gives everything away is told so');
is_deeply(
	[
		grep { /^(?:grant|spend|hold|capture|release|reverse)_/ }
		map { @{ $_ } } @{ findings($node, "$given; SET LOCAL ROLE postgres;
			DO \$\$ BEGIN PERFORM stripe_credit.expose('api', 'anon', 'authenticated', 'service_role'); END \$\$; RESET ROLE") }
		  {qw(anon_security_definer_function_executable authenticated_security_definer_function_executable)}
	],
	[], "by expose() the service's functions are nobody else's again");
is_deeply(findings($node, "$given; $revoke; SET LOCAL ROLE postgres;
		DO \$\$ BEGIN PERFORM stripe_credit.expose('api', 'anon', 'authenticated', 'service_role'); END \$\$; RESET ROLE"),
	$table, 'and can make it good as the README says');

# What some rules pass over because an extension brings it
is( $node->safe_psql('postgres', q{
	SELECT c.conname FROM pg_constraint c
	WHERE c.connamespace = 'stripe_credit'::regnamespace AND c.contype = 'f' AND NOT EXISTS (
		SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] = c.conkey)
	UNION ALL
	SELECT c.relname FROM pg_class c
	WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind = 'r'
	  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
	UNION ALL
	SELECT i.tablename FROM pg_indexes i WHERE i.schemaname = 'stripe_credit'
	GROUP BY i.tablename, replace(i.indexdef, i.indexname, '') HAVING count(*) > 1}),
	'', 'our tables have primary keys, indexes under their foreign keys, and none twice');
is( $node->safe_psql('postgres', q{
	SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'stripe_credit'::regnamespace AND (p.prosecdef OR l.lanname <> 'c')
	  AND NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)}),
	'', 'and but for some functions in C, which look nothing up, ours have a pinned search_path');

SKIP:
{
	skip "STRIPE_CREDIT_SPLINTER names no splinter.sql of Supabase's", 2 unless $splinter;
	is_deeply(findings_of_splinter($node, $splinter), $table, 'so does the linter itself');
	is_deeply(findings_of_splinter($node, $splinter, breaking()), $broken, 'and of a broken database it says what ours say');
}

$node->stop;
done_testing();
