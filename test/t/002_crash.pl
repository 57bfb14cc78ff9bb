# What was answered is there after a crash, however weak the commits of the
# session are by default: HTTP 200 means durable.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

# An asynchronous commit reaches the disk by the WAL writer, which has ten
# seconds time here: so it is lost when the server crashes right behind.
my $node = new_node('crash', conf => <<'CONF');
wal_writer_delay = 10s
wal_writer_flush_after = 0
bgwriter_delay = 10s
autovacuum = off
CONF

sub crash
{
	$node->stop('immediate');
	$node->start;
	return;
}

sub value
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub balance
{
	my ($account) = @_;

	return value("SELECT balance FROM stripe_credit.balance('$account')");
}

value('CREATE TABLE control (round integer)');
value("ALTER SYSTEM SET synchronous_commit = 'off'");
value('CHECKPOINT');
crash();
is(value('SHOW synchronous_commit'), 'off', 'commits are asynchronous by default');

# Each round: something is done and answered, then the server crashes.  What is
# found afterwards must be what was answered.
my $round = 0;
my $lost = 0;

sub survives
{
	my ($what, $answer, $script, $query, $found) = @_;

	$round++;
	like(value($script), $answer, "$what: answered");
	crash();
	is(value($query), $found, "$what: found after a crash");
	ok(books_are_right($node), "$what: the books are right");

	# what the same server does to a commit that is not ours
	value("INSERT INTO control VALUES ($round)");
	crash();
	$lost++ if value("SELECT count(*) FROM control WHERE round = $round") eq '0';
	return;
}

my $applied = qr/"status": "applied"/;
my $balance = q{SELECT balance FROM stripe_credit.balance('alice')};

survives('a delivery', $applied,
	call(session_event('evt_1', account => 'alice')),
	$balance, 100);
survives('a second one', $applied,
	call(session_event('evt_2', account => 'alice')),
	$balance, 200);

my $explicit = call(session_event('evt_3', account => 'alice'));
survives('in a transaction of its own', $applied, "BEGIN; $explicit; COMMIT;", $balance, 300);

my $inner = call(session_event('evt_4', account => 'alice'));
survives('under a savepoint', $applied, "BEGIN; SAVEPOINT s; $inner; RELEASE s; COMMIT;", $balance, 400);

my $caught = call(session_event('evt_5', account => 'alice'));
$caught =~ s/SELECT/PERFORM/;
survives('inside a function with an exception block', qr/^done$/,
	"DO \$\$ BEGIN BEGIN $caught; EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$; SELECT 'done';",
	$balance, 500);

survives('what waits for its payment', qr/"status": "pending"/,
	call(session_event('evt_6', account => 'alice', payment_status => 'unpaid')),
	q{SELECT status FROM stripe_credit.event WHERE event_id = 'evt_6'}, 'pending');
survives('what is nobody\'s', qr/"status": "unmatched"/,
	call(session_event('evt_7')),
	q{SELECT status FROM stripe_credit.event WHERE event_id = 'evt_7'}, 'unmatched');
survives('what a person resolved', $applied,
	q{SELECT stripe_credit.resolve('evt_7', 'alice', 11)},
	$balance, 511);

value(call(session_event('evt_8', account => 'alice', pack => 'large')));
value("INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('large', 30, 100, 'usd')");
survives('what was replayed', $applied,
	q{SELECT stripe_credit.replay('evt_8')},
	$balance, 811);

value('ALTER SYSTEM RESET synchronous_commit');
value('ALTER DATABASE postgres SET synchronous_commit = off');
crash();
survives('asynchronous by the database', $applied,
	call(session_event('evt_9', account => 'alice')),
	$balance, 911);

value('ALTER DATABASE postgres RESET synchronous_commit');
value('ALTER ROLE CURRENT_USER SET synchronous_commit = off');
crash();
survives('asynchronous by the role', $applied,
	call(session_event('evt_10', account => 'alice')),
	$balance, 1011);

note("of $round other commits $lost were lost");

# What the session itself sees of it
sub levels
{
	my ($level) = @_;
	my $event = 'evt_level_' . $level;

	return join ' ', split /\n/,
	  value(join "\n",
		"SET synchronous_commit = $level;",
		'BEGIN;',
		'\o /dev/null',
		call(session_event($event, account => 'bob')) . ';',
		'\o',
		'SHOW synchronous_commit;',
		'COMMIT;',
		'BEGIN;',
		'SHOW synchronous_commit;',
		'COMMIT;');
}

is(levels('off'), 'on off', 'off becomes on for the transaction');
is(levels('local'), 'on local', 'local becomes on for the transaction');
is(levels('remote_write'), 'on remote_write', 'remote_write becomes on for the transaction');
is(levels('on'), 'on on', 'on stays');
is(levels('remote_apply'), 'remote_apply remote_apply', 'remote_apply stays');

my $event = call(session_event('evt_undone', account => 'bob'));
is( value(join "\n",
		'SET synchronous_commit = off;',
		'BEGIN;', 'SAVEPOINT s;',
		'\o /dev/null', "$event;", '\o',
		'ROLLBACK TO s;',
		'SHOW synchronous_commit;',
		'COMMIT;'),
	'off',
	'a delivery that was undone leaves the level as it was');

$node->stop;
done_testing();
