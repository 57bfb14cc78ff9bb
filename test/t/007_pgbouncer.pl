# Nothing depends on which server connection a transaction gets: purchases,
# spending and settings through pgbouncer, which gives a client another one each
# time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

use constant {
	CONNECTIONS => 3,
	CLIENTS => 8,
	ROUNDS => 30
};

# Debian has it where only root looks.
my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';

plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $node = new_node('pooled');
my $dir = PostgreSQL::Test::Utils::tempdir_short;
my $port = PostgreSQL::Test::Cluster::get_free_port();

my $user = $node->safe_psql('postgres', 'SELECT current_user');
append_to_file("$dir/users.txt", qq{"$user" ""\n});
append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
postgres = host=@{[ $node->host ]} port=@{[ $node->port ]} user=$user

[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users.txt
admin_users = $user
pool_mode = transaction
default_pool_size = @{[ CONNECTIONS ]}
server_round_robin = 1
query_timeout = 30
logfile = $dir/log
INI

# It writes to its log only: it would wait for a pipe that nobody reads.
my $run = IPC::Run::start([ $pgbouncer, '-q', "$dir/pgbouncer.ini" ], '<', '/dev/null', '>', '/dev/null', '2>&1');
END { $run->kill_kill if $run }

my $pooled = "host=$dir port=$port user=$user dbname=postgres";

# What a psql script prints through the pool
sub pooled
{
	my ($script) = @_;
	my ($stdout, $stderr);

	IPC::Run::run([ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $pooled ],
		'<', \$script, '>', \$stdout, '2>', \$stderr);
	return $stdout . $stderr;
}

# What each of many clients prints that run their scripts at the same time.  They
# are more than there are connections.
sub crowd
{
	my (@scripts) = @_;
	my @runs;

	for my $i (0 .. $#scripts)
	{
		append_to_file("$dir/$i.sql", $scripts[$i]);
		push @runs,
		  IPC::Run::start(
			[ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $pooled, '-f', "$dir/$i.sql" ],
			'<', '/dev/null', '>', "$dir/$i.out", '2>&1');
	}
	$_->finish for @runs;
	my @outputs = map { slurp_file("$dir/$_.out") } 0 .. $#scripts;
	unlink map { ("$dir/$_.sql", "$dir/$_.out") } 0 .. $#scripts;
	return @outputs;
}

# How often each line is there, errors without where they were
sub tally
{
	my %count;

	$count{s/^psql:\S+ //r}++ for map { split /\n/ } @_;
	return \%count;
}

# Not over its standard input, which a psql that is refused doesn't read.
sub answers
{
	return IPC::Run::run(
		[ $node->installed_command('psql'), '-XAtq', '-d', $pooled, '-c', 'SELECT 1' ],
		'<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
}

my $tries = 0;
until (answers())
{
	$run->pump_nb;
	BAIL_OUT('pgbouncer does not answer: ' . slurp_file("$dir/log")) if $tries++ > 100 || !$run->pumpable;
	select(undef, undef, undef, 0.1);
}

# As many clients as there are connections, which go from one to the other
my $answers = join '',
  all_at_once_over(
	$pooled, $node,
	map {
		my $client = $_;
		join '', map { call(session_event("evt_${client}_$_", account => 'alice')) . ";\n" } 1 .. ROUNDS;
	} 1 .. CONNECTIONS);
my $applied = () = $answers =~ /"status": "applied"/g;
is($applied, CONNECTIONS * ROUNDS, 'all purchases are applied');
is( pooled(q{SELECT balance FROM stripe_credit.balance('alice')}),
	100 * CONNECTIONS * ROUNDS . "\n", 'and count once');
my $servers = $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()});
is($servers, CONNECTIONS, 'over all connections of the pool');

#
# Spending
#

pooled(q{SELECT stripe_credit.grant_credits('carol', 1000, 'to spend')});

# Keys that every client uses, and keys of his own
is_deeply(
	tally(
		crowd(
			map {
				my $client = $_;
				join '', map {
					"SELECT duplicate FROM stripe_credit.spend('carol', 2, 'everybody $_');
					SELECT duplicate FROM stripe_credit.spend('carol', 1, 'client $client, $_');\n"
				} 1 .. ROUNDS;
			} 1 .. CLIENTS)),
	{ f => ROUNDS + CLIENTS * ROUNDS, t => (CLIENTS - 1) * ROUNDS },
	'each key is spent once, whoever tries it');
is(pooled(q{SELECT balance FROM stripe_credit.balance('carol')}),
	1000 - 2 * ROUNDS - CLIENTS * ROUNDS . "\n", 'and paid for once');

# The last credits
pooled(q{SELECT stripe_credit.grant_credits('dave', 100, 'to spend')});
is_deeply(
	tally(crowd(("SELECT duplicate FROM stripe_credit.spend('dave', 1);\n" x ROUNDS) x CLIENTS)),
	{ f => 100, 'ERROR:  PT402' => CLIENTS * ROUNDS - 100 },
	'nobody spends what is not there');

# Batches that overlap, and transactions of several calls
is_deeply(
	tally(
		crowd(
			map {
				my $keys = join ',', $_ .. $_ + 9;

				"SELECT duplicate FROM stripe_credit.spend_many('carol', '{1,1,1,1,1,1,1,1,1,1}', '{$keys}');
				BEGIN;
				SELECT duplicate FROM stripe_credit.hold('carol', 5, 'hold $_');
				SELECT duplicate FROM stripe_credit.capture('carol', 'hold $_', 4);
				SELECT duplicate FROM stripe_credit.reverse_spend('carol', 'hold $_');
				COMMIT;\n"
			} 1 .. CLIENTS)),
	{ f => CLIENTS + 9 + 3 * CLIENTS, t => 9 * CLIENTS - 9 },
	'batches and transactions');
is( pooled(q{SELECT balance, held FROM stripe_credit.balance('carol')}),
	1000 - 2 * ROUNDS - CLIENTS * ROUNDS - CLIENTS - 9 . "|0\n", 'are what they should be');

# A lone client gets one connection after the other: one hold more than there
# are, so that each is captured over another one than made it.
pooled(q{SELECT stripe_credit.grant_credits('erin', 100, 'to hold')});
my @held = split /\n/, pooled(join '', map { "SELECT pg_backend_pid(), duplicate FROM stripe_credit.hold('erin', 10, 'stream $_');\n" } 0 .. CONNECTIONS);
my @captured = split /\n/, pooled(join '', map { "SELECT pg_backend_pid(), duplicate FROM stripe_credit.capture('erin', 'stream $_', 3);\n" } 0 .. CONNECTIONS);
is_deeply([ grep { !/^\d+\|f$/ } @held, @captured ], [], 'holds are made and captured');
is_deeply([ grep { $held[$_] eq $captured[$_] } 0 .. CONNECTIONS ], [], 'over different connections');
is(pooled(q{SELECT balance, held FROM stripe_credit.balance('erin')}), 100 - 3 * (CONNECTIONS + 1) . "|0\n", 'and count');

# A setting that is changed over one of them is in force over all.
my $event = 0;
my $says = sub {
	my ($status) = @_;
	my $count = 0;

	for (1 .. 2 * CONNECTIONS)
	{
		$event++;
		$count++
		  if pooled(call(session_event("evt_more_$event", account => 'bob'))) =~ /"status": "$status"|ERROR:  $status/;
	}
	return $count;
};
pooled(q{UPDATE stripe_credit.settings SET mode = 'live'});
is($says->('ignored'), 2 * CONNECTIONS, 'live: test events are ignored');
pooled(q{UPDATE stripe_credit.settings SET mode = 'test'});
is($says->('applied'), 2 * CONNECTIONS, 'test: they count again');
pooled(q{BEGIN; UPDATE stripe_credit.settings SET mode = 'live'; ROLLBACK});
is($says->('applied'), 2 * CONNECTIONS, 'a change that was rolled back');
pooled(q{UPDATE stripe_credit.webhook_secret SET valid_until = now()});
is($says->('55000'), 2 * CONNECTIONS, 'no secret is valid');
pooled(q{UPDATE stripe_credit.webhook_secret SET valid_until = 'infinity'});
is($says->('applied'), 2 * CONNECTIONS, 'a secret is valid again');

# The level of a commit is raised for a purchase and lowered for a spend in its own
# transaction only, whatever becomes of that; nor does anything else stay.
for my $level (1 .. CONNECTIONS)
{
	pooled("BEGIN; SET LOCAL synchronous_commit = off; $_; COMMIT")
	  for (
		call(session_event("evt_level_$level", account => 'bob')),
		"SELECT stripe_credit.spend('erin', 1, 'level $level')",
		"SELECT stripe_credit.spend('erin', 1000, 'too much')",
		"SELECT stripe_credit.spend_many('erin', '{1,1000}')");
	pooled(call(session_event("evt_waits_$level", account => 'bob', pack => 'none')));
	pooled('SELECT stripe_credit.maintain()');
}
is(join('', map { pooled('SHOW synchronous_commit') } 1 .. CONNECTIONS),
	"on\n" x CONNECTIONS, 'the level of commits is as it was');
my $left_behind = slurp_file("$FindBin::RealBin/../left_behind.sql");
is(join('', map { pooled($left_behind) } 1 .. CONNECTIONS), '', 'nothing is left behind in a connection');

ok(books_are_right($node), 'the books are right');
$run->kill_kill;
undef $run;
$node->stop;
done_testing();
