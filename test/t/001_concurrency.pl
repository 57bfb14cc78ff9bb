# Many real sessions at once: nothing is counted twice, and nothing is lost.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

use constant SESSIONS => 64;

my @levels = ('read committed', 'repeatable read', 'serializable');
my $node = new_node('concurrency', conf => "max_connections = 100\n");

# Each body in a session of its own
sub deliver_at_once
{
	my (@bodies) = @_;

	return all_at_once($node, map { call($_) . ';' } @bodies);
}

# The same with a third of the sessions at each isolation level; each tries
# until it gets an answer.
sub deliver_at_levels
{
	my (@bodies) = @_;
	my $n = 0;

	return all_at_once(
		$node,
		map {
			"SET default_transaction_isolation = '" . $levels[ $n++ % 3 ] . "';\n"
			  . insisting(call($_), 2 * SESSIONS)
		} @bodies);
}

# How many of the outputs end with an answer of that status
sub count_status
{
	my ($status, @outputs) = @_;

	return scalar grep { /^\{.*"status": "$status".*\}$/m } @outputs;
}

# Every SQLSTATE that stands in the outputs
sub errors_in
{
	return sort { $a cmp $b } keys %{ { map { $_ => 1 } map { /ERROR:  (\w+)/g } @_ } };
}

sub account_is
{
	my ($account, $balance, $entries, $what) = @_;

	is( $node->safe_psql(
			'postgres',
			"SELECT balance, seq FROM stripe_credit.account WHERE account_id = '$account'"),
		"$balance|$entries",
		$what);
	ok(books_are_right($node), "$what: the books are right");
	return;
}

# One event, by all sessions
my $body = session_event('evt_one', account => 'alice');
my @outputs = deliver_at_once(($body) x SESSIONS);
is(count_status('applied', @outputs), 1, 'one event at once: applied by one session');
is(count_status('duplicate', @outputs), SESSIONS - 1, 'one event at once: a duplicate to all others');
is_deeply([ errors_in(@outputs) ], [], 'one event at once: no session fails');
account_is('alice', 100, 1, 'one event at once: credited once');

$body = session_event('evt_levels', account => 'bob');
@outputs = deliver_at_levels(($body) x SESSIONS);
is(count_status('applied', @outputs), 1, 'one event at all levels: applied by one session');
is(count_status('duplicate', @outputs), SESSIONS - 1, 'one event at all levels: a duplicate to all others');
is_deeply([ grep { $_ ne '40001' } errors_in(@outputs) ],
	[], 'one event at all levels: only serialization failures');
account_is('bob', 100, 1, 'one event at all levels: credited once');

# As many purchases for one account, which is new
@outputs = deliver_at_once(map { session_event("evt_carol_$_", account => 'carol') } 1 .. SESSIONS);
is(count_status('applied', @outputs), SESSIONS, 'purchases at once: all applied');
is_deeply([ errors_in(@outputs) ], [], 'purchases at once: no session fails');
account_is('carol', 100 * SESSIONS, SESSIONS, 'purchases at once: all count');

@outputs = deliver_at_levels(map { session_event("evt_dave_$_", account => 'dave') } 1 .. SESSIONS);
is(count_status('applied', @outputs), SESSIONS, 'purchases at all levels: all applied');
is_deeply([ grep { $_ ne '40001' } errors_in(@outputs) ],
	[], 'purchases at all levels: only serialization failures');
account_is('dave', 100 * SESSIONS, SESSIONS, 'purchases at all levels: all count');

# Half as many payments, each told by two events
@outputs = deliver_at_once(
	map {
		session_event("evt_session_$_", payment => "erin_$_", account => 'erin'),
		  intent_event("evt_intent_$_", payment => "erin_$_", account => 'erin')
	} 1 .. SESSIONS / 2);
is_deeply([ errors_in(@outputs) ], [], 'two events of each payment at once: no session fails');
is(count_status('pending|unmatched|ignored', @outputs), 0, 'two events of each payment at once: none waits');
account_is('erin', 50 * SESSIONS, SESSIONS / 2, 'two events of each payment at once: each credited once');

# Both of them waited, and come again when what they waited for is there
my @pairs = map {
	session_event("evt_wait_session_$_", payment => "frank_$_", account => 'frank', pack => 'large'),
	  intent_event("evt_wait_intent_$_", payment => "frank_$_", account => 'frank', pack => 'large')
} 1 .. SESSIONS / 2;
is(count_status('unmatched', deliver_at_once(@pairs)), SESSIONS, 'without their pack, all are unmatched');
$node->safe_psql('postgres',
	"INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('large', 30, 100, 'usd')");
@outputs = deliver_at_once(@pairs);
is_deeply([ errors_in(@outputs) ], [], 'waiting events again at once: no session fails');
is( $node->safe_psql('postgres', "SELECT count(*) FROM stripe_credit.event WHERE status = 'unmatched'"),
	0, 'waiting events again at once: none waits any more');
account_is('frank', 150 * SESSIONS, SESSIONS / 2, 'waiting events again at once: each credited once');

# Grants with one key, to a new account and to a known one
for my $account ('grace', 'alice')
{
	my ($balance, $seq) = split /\|/,
	  $node->safe_psql('postgres',
		"SELECT coalesce(max(balance), 0), coalesce(max(seq), 0) FROM stripe_credit.account WHERE account_id = '$account'");

	@outputs = all_at_once($node,
		("SELECT duplicate FROM stripe_credit.grant_credits('$account', 7, 'welcome');") x SESSIONS);
	is(scalar(grep { $_ eq "f\n" } @outputs), 1, "one key at once for $account: given by one session");
	is(scalar(grep { $_ eq "t\n" } @outputs), SESSIONS - 1, "one key at once for $account: a duplicate to all others");
	account_is($account, $balance + 7, $seq + 1, "one key at once for $account: given once");
}

# A hold that had to wait for the row's lock longer than its ttl lasts from when
# it got it.  The holder works on so many accounts that it keeps no place in line.
$node->safe_psql('postgres', q{SELECT stripe_credit.grant_credits('heidi', 10, 'to hold')});
my $holder = $node->background_psql('postgres');
my $waiter = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN;
	SELECT count((stripe_credit.grant_credits('other ' || n, 1, 'k')).seq) FROM generate_series(1, 50) AS n;
	SELECT stripe_credit.spend('heidi', 1, 'given up')});
$waiter->query_until(qr/asked/, q{\echo asked
	SELECT stripe_credit.hold('heidi', 5, 'brief', '0.3 s');
});
$node->poll_query_until('postgres', q{
	SELECT clock_timestamp() > query_start + interval '0.4 s' FROM pg_stat_activity
	WHERE wait_event_type = 'Lock' AND query LIKE '%brief%' AND pid <> pg_backend_pid()})
  or die 'nobody waits';
$holder->query_safe('ROLLBACK');
$waiter->quit;
$holder->quit;
is($node->safe_psql('postgres', q{SELECT expires_at > created_at FROM stripe_credit.hold WHERE account_id = 'heidi'}),
	't', 'a hold lasts from when it got the lock');

$node->stop;
done_testing();
