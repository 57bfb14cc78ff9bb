# A crowd of workers spends, holds, captures, reverses and grants on a few
# accounts, at all isolation levels, while statements are cancelled, connections
# lost and answers never heard.  In the end the books are what each of them was
# told, and everything was done once or not at all.
#
# The operations come from a seed: STRIPE_CREDIT_SEED names it.
# STRIPE_CREDIT_OPERATIONS says how many there are, STRIPE_CREDIT_WORKERS and
# STRIPE_CREDIT_ACCOUNTS by how many and on how many.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;
use Time::HiRes qw(sleep time);

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
}

use StripeCredit::Crowd;
use StripeCredit::Oracle qw(read_books);
use StripeCredit::Worker qw(connect_to);

my %options = (
	seed => $ENV{STRIPE_CREDIT_SEED} || time ^ $$,
	operations => $ENV{STRIPE_CREDIT_OPERATIONS} || 8000,
	workers => $ENV{STRIPE_CREDIT_WORKERS} || 12,
	accounts => $ENV{STRIPE_CREDIT_ACCOUNTS} || 4,
	faults => { cancel => 0.04, terminate => 0.015, abandon => 0.03 });

# For those who want to see it again
END
{
	diag(join ' ', map { 'STRIPE_CREDIT_' . uc . "=$options{$_}" } qw(seed operations workers accounts))
	  if $? || !Test::More->builder->is_passing;
}

my $node = new_node('spending', conf => "max_connections = 100\n");
my $dbh = connect_to($node, 'the test');
my $wrong_snapshots = 0;
my $snapshots = 0;
my $began = time;

note("seed $options{seed}, $options{operations} operations");
prepare_catalogue($dbh);

# The books are right at every moment at which one can look.
sub look_at_books
{
	$dbh->do('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
	my $wrong = $dbh->selectall_arrayref('SELECT * FROM stripe_credit.check_books()');
	$dbh->do('COMMIT');
	$snapshots++;
	return unless @$wrong;
	$wrong_snapshots++;
	diag("check_books(): @$_") for @$wrong;
	return;
}

my @history = run_crowd(
	$node,
	{ %options, until => time + 60 },
	sub {
		my ($seconds) = @_;

		look_at_books();
		sell_later($dbh) if $seconds > 2;
	});
note(sprintf('the crowd took %.1f s', time - $began));
note($_) for outcomes(@history);
is($wrong_snapshots, 0, "the books were right in all of $snapshots snapshots");

sell_later($dbh);
push @history, heal($node, $dbh, 200, @history);
settle($dbh);
my $books = read_books($dbh);
is_right('the crowd', $books, @history);
# In a short run there may be nothing to spoil.
sees_defects($books, 'account 1', @history) if $options{operations} >= 5000;
note(sprintf('all of it took %.1f s', time - $began));

# Whatever is available can be spent, and no more.
for my $account (map { "account $_" } 1 .. $options{accounts})
{
	my ($available) = $dbh->selectrow_array('SELECT available FROM stripe_credit.balance(?)', undef, $account);

	($available) = $dbh->selectrow_array(q{SELECT available FROM stripe_credit.adjust_credits(?, ?, 'last', 'test')},
		undef, $account, 5 - $available)
	  if $available < 5;
	is(eval { $dbh->selectrow_array('SELECT available FROM stripe_credit.spend(?, ?)', undef, $account, $available) },
		0, "$account: what is available can be spent");
	ok(!eval { $dbh->do('SELECT stripe_credit.spend(?, 1)', undef, $account) }, "$account: and no more");
	is($dbh->state, 'PT402', "$account: not enough credits");
}
ok(books_are_right($node), 'the books are right in the end');
$dbh->disconnect;
$node->stop;
done_testing();
