# maintain() as it is run in earnest: every minute by pg_cron, as the README
# says, and by several sessions at once while others spend.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

use constant {
	ACCOUNTS => 200,
	WITH_LOTS => 150,
	LOTS => 3,
	EVENTS => 40,
	MAINTAINERS => 6,
	SPENDERS => 4,
	SPENT_FROM => 50,
	ROUNDS => 60,
	# until the next full minute, and a machine that is busy
	PATIENCE => 90
};

# Until a query says so, or so many seconds have passed: how long that takes must
# not depend on how long psql takes.
sub await
{
	my ($node, $seconds, $query) = @_;
	my $deadline = time + $seconds;

	until ($node->safe_psql('postgres', $query) eq 't')
	{
		return 0 if time >= $deadline;
		select(undef, undef, undef, 0.25);
	}
	return 1;
}

#
# pg_cron: the job is scheduled here, and looked at when the rest is done
#

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my $cron;

if (-e "$sharedir/extension/pg_cron.control")
{
	$cron = new_node('cron', conf => <<'CONF');
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
# which need no password
cron.use_background_workers = on
CONF
	my ($schedule) = slurp_file("$FindBin::RealBin/../../README.md") =~ /^ +(SELECT cron\.schedule\(.*\);)$/m;

	$cron->safe_psql(
		'postgres', q{
		CREATE EXTENSION pg_cron;
		CREATE ROLE keeper LOGIN;
		GRANT USAGE ON SCHEMA cron TO keeper;
		SELECT stripe_credit.administer('keeper');
		SELECT stripe_credit.grant_credits('alice', 10, 'stays');
		SELECT stripe_credit.hold('alice', 4, 'stream', '0.5 s');
		SELECT stripe_credit.grant_credits('alice', 7, 'goes', clock_timestamp() + interval '0.5 s')});
	is(delivered($cron, session_event('evt_waits', account => 'bob', pack => 'later')),
		'unmatched', 'an event waits for its pack');
	$cron->safe_psql('postgres',
		q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('later', 50, 1000, 'usd')});
	ok(await($cron, PATIENCE, q{SELECT available = 10 FROM stripe_credit.balance('alice')}), 'a lot and a hold have expired');
	is( $cron->safe_psql('postgres', q{
			SELECT (SELECT count(*) FROM stripe_credit.ledger), (SELECT state FROM stripe_credit.hold),
				(SELECT status FROM stripe_credit.event)}),
		'2|open|unmatched', 'and nobody has entered anything');
	$cron->safe_psql('postgres', "SET SESSION AUTHORIZATION keeper; $schedule");
}
else
{
	diag('pg_cron is not installed: not tested with it');
}

#
# Many sessions
#

my $node = new_node('many');

# Some accounts have only holds that expire, others also lots; some of the holds
# are of credits that expire meanwhile.
$node->safe_psql(
	'postgres', sprintf(q{
	BEGIN;
	SELECT stripe_credit.grant_credits('user ' || n, 1000, 'stays') FROM generate_series(1, %1$d) AS n;
	SELECT stripe_credit.hold('user ' || n, 4, 'stream 1', '1 s') FROM generate_series(1, %1$d) AS n;
	SELECT stripe_credit.grant_credits('user ' || n, 10, 'goes ' || i, clock_timestamp() + interval '1 s')
		FROM generate_series(1, %2$d) AS n, generate_series(1, %3$d) AS i;
	SELECT stripe_credit.hold('user ' || n, 5, 'stream 2', '1 s') FROM generate_series(1, %1$d) AS n;
	COMMIT}, ACCOUNTS, WITH_LOTS, LOTS));
$node->safe_psql('postgres',
	join ";\n", map { call(session_event("evt_$_", account => "user $_", pack => 'later')) } 1 .. EVENTS);
$node->safe_psql('postgres',
	q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('later', 50, 1000, 'usd')});
ok( await($node, PATIENCE, q{
		SELECT bool_and(b.available = 1000) FROM stripe_credit.account AS a, stripe_credit.balance(a.account_id) AS b}),
	'lots and holds have expired');

my @outputs = all_at_once(
	$node,
	("SELECT stripe_credit.maintain(7);\n" x ROUNDS) x MAINTAINERS,
	map {
		my $spender = $_;
		join '', map {
			sprintf "SELECT duplicate FROM stripe_credit.spend('user %d', 1, 'spender %d, %d');\n",
			  1 + (7 * $spender + $_) % SPENT_FROM, $spender, $_
		} 1 .. ROUNDS;
	} 1 .. SPENDERS);
my @answers = map { split /\n/ } @outputs[ 0 .. MAINTAINERS - 1 ];
is(join('', @outputs[ MAINTAINERS .. $#outputs ]), "f\n" x (SPENDERS * ROUNDS), 'every spend is made');
is_deeply([ grep { !/^\{.*\}$/ } @answers ], [], 'maintain() never fails');

# What was passed over is there the next time.
do { push @answers, $node->safe_psql('postgres', 'SELECT stripe_credit.maintain()') }
  until $answers[-1] =~ /"complete": true/ || @answers > 2 * MAINTAINERS * ROUNDS;
like($answers[-1], qr/"complete": true/, 'in the end there is nothing left to do');

my %sum;
for my $answer (map { JSON::PP::decode_json($_) } grep { /^\{/ } @answers)
{
	$sum{$_} += $answer->{$_} for qw(expired applied pruned);
}
is($sum{applied}, EVENTS, 'every event is applied by one of them');
is($sum{pruned}, 0, 'none is old enough to be forgotten');
cmp_ok($sum{expired}, '>=', (WITH_LOTS - SPENT_FROM) * LOTS + (ACCOUNTS - SPENT_FROM) * 2,
	'they enter what expired where nobody spends');
cmp_ok($sum{expired}, '<=', WITH_LOTS * LOTS + ACCOUNTS * 2, 'and nothing that somebody else has entered');
is( $node->safe_psql('postgres', q{
		SELECT count(*), count(*) FILTER (WHERE granted = expired AND granted = (
			SELECT -sum(credits) FROM stripe_credit.ledger AS l
			WHERE l.account_id = lot.account_id AND l.lot_id = lot.lot_id AND l.kind = 'expiry'))
		FROM stripe_credit.lot WHERE expires_at < 'infinity'}),
	WITH_LOTS * LOTS . '|' . WITH_LOTS * LOTS, 'each lot is in the ledger as expired, once and whole');
is($node->safe_psql('postgres', 'SELECT state, count(*) FROM stripe_credit.hold GROUP BY state'),
	'expired|' . 2 * ACCOUNTS, 'each hold is closed');
is($node->safe_psql('postgres', q{SELECT count(*), sum(credits) FROM stripe_credit.ledger WHERE kind = 'purchase'}),
	EVENTS . '|' . 50 * EVENTS, 'each purchase counts once');
is( $node->safe_psql('postgres', 'SELECT sum(balance), sum(held) FROM stripe_credit.account'),
	ACCOUNTS * 1000 + EVENTS * 50 - SPENDERS * ROUNDS . '|0', 'and so does each spend');
ok(books_are_right($node), 'the books are right');
$node->stop;

#
# What pg_cron has done meanwhile
#

if ($cron)
{
	ok( await($cron, PATIENCE, q{
			SELECT EXISTS (SELECT FROM stripe_credit.ledger WHERE account_id = 'alice' AND kind = 'expiry')
				AND EXISTS (SELECT FROM stripe_credit.event WHERE event_id = 'evt_waits' AND status = 'applied')
				AND EXISTS (SELECT FROM cron.job_run_details WHERE end_time IS NOT NULL)}),
		'pg_cron has run maintain()');
	is( $cron->safe_psql('postgres',
			'SELECT DISTINCT username, command, status FROM cron.job_run_details WHERE end_time IS NOT NULL'),
		'keeper|SELECT stripe_credit.maintain()|succeeded', 'as the administrator who scheduled it');
	is( $cron->safe_psql('postgres', q{
			SELECT kind, credits, balance FROM stripe_credit.ledger WHERE account_id = 'alice' ORDER BY seq}),
		"grant|10|10\ngrant|7|17\nexpiry|-7|10", 'the expiry is in the ledger');
	is($cron->safe_psql('postgres', 'SELECT state FROM stripe_credit.hold'), 'expired', 'the hold is closed');
	is($cron->safe_psql('postgres', q{SELECT balance FROM stripe_credit.balance('bob')}), 50, 'the event is applied');
	ok(books_are_right($cron), 'the books are right');
	$cron->stop;
}
done_testing();
