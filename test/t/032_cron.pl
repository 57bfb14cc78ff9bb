# maintain() as it is run in earnest: by pg_cron, and by many at once.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my $has_cron = -e "$sharedir/extension/pg_cron.control";
my $node = new_node('cron',
	conf => $has_cron ? <<'CONF' : '');
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.timezone = 'UTC'
CONF

sub query
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

# Many sessions that maintain, while others spend: what has expired is entered
# once, and nobody fails.
my $accounts = 20;
query(qq{
	SELECT count(stripe_credit.grant_credits('user ' || n, 100, 'stays')),
		count(stripe_credit.grant_credits('user ' || n, 10, 'goes', clock_timestamp() + interval '1 s')),
		count(stripe_credit.hold('user ' || n, 5, 'goes too', '1 s'))
	FROM generate_series(1, $accounts) AS n});
$node->poll_query_until('postgres',
	q{SELECT bool_and(available = 100) FROM stripe_credit.account, stripe_credit.balance(account_id)})
  or die 'nothing expired';
my @outputs = all_at_once($node,
	("SELECT count(*) FROM generate_series(1, 10), stripe_credit.maintain(7);") x 8,
	map { "SELECT count(stripe_credit.spend('user ' || n, 1, 'spend $_ ' || n)) FROM generate_series(1, $accounts) AS n;" } 1 .. 8);
is_deeply([ grep { /ERROR/ } @outputs ], [], 'maintain() and spends at once: no session fails');
query('SELECT stripe_credit.maintain()');
is( query(q{SELECT count(*), sum(credits) FROM stripe_credit.ledger WHERE kind = 'expiry'}),
	"$accounts|" . -10 * $accounts,
	'what expired is entered once');
is(query(q{SELECT count(*) FROM stripe_credit.hold WHERE state = 'expired'}), $accounts, 'and every hold is closed');
is( query(q{SELECT sum(available) FROM stripe_credit.account, stripe_credit.balance(account_id)}),
	$accounts * (100 - 8),
	'every spend counts');
ok(books_are_right($node), 'the books are right');

SKIP:
{
	skip 'pg_cron is not installed', 5 unless $has_cron;

	is(delivered($node, session_event('evt_waits', account => 'alice', pack => 'later')), 'unmatched', 'a pack that is not there yet');
	query(q{
		SELECT stripe_credit.grant_credits('bob', 10, 'goes', clock_timestamp() + interval '0.5 s'),
			stripe_credit.hold('bob', 4, 'goes too', '0.5 s');
		INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('later', 100, 1000, 'usd');
		CREATE EXTENSION pg_cron;
		SELECT cron.schedule('stripe_credit', '* * * * *', 'SELECT stripe_credit.maintain()')});
	ok($node->poll_query_until('postgres', q{
			SELECT EXISTS (SELECT FROM stripe_credit.ledger WHERE account_id = 'bob' AND kind = 'expiry')
				AND EXISTS (SELECT FROM stripe_credit.ledger WHERE account_id = 'alice' AND kind = 'purchase')
				AND EXISTS (SELECT FROM cron.job_run_details WHERE status = 'succeeded')}),
		'within a minute pg_cron has run maintain()');
	is(query(q{SELECT state FROM stripe_credit.hold WHERE account_id = 'bob'}), 'expired', 'it closed the hold');
	is( query(q{SELECT count(*) FROM cron.job_run_details WHERE status NOT IN ('succeeded', 'starting', 'running')}),
		0, 'no run failed');
	ok(books_are_right($node), 'the books are right');
}

$node->stop;
done_testing();
