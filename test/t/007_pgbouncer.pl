# Nothing depends on which server connection a transaction gets: purchases and
# settings through pgbouncer, which gives a client another one each time.

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
logfile = $dir/log
INI

my $output = '';
my $run = IPC::Run::start([ $pgbouncer, "$dir/pgbouncer.ini" ],
	'<', '/dev/null', '>', \$output, '2>&1');
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
	BAIL_OUT("pgbouncer does not answer: $output") if $tries++ > 100 || !$run->pumpable;
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

# Spends with keys, each tried by every client, and holds that another
# connection captures
pooled(q{SELECT stripe_credit.grant_credits('carol', 1000, 'to spend')});
my $spent = join '',
  all_at_once_over(
	$pooled, $node,
	map {
		join '', map { "SELECT duplicate FROM stripe_credit.spend('carol', 2, 'request $_');\n" } 1 .. ROUNDS;
	} 1 .. CONNECTIONS);
is(($spent =~ s/^f$//mgr =~ tr/t//), (CONNECTIONS - 1) * ROUNDS, 'each spend is made once, whoever is first');
is(pooled(q{SELECT available FROM stripe_credit.hold('carol', 40, 'stream')}), 900 . "\n", 'a hold');
is(pooled(q{SELECT available FROM stripe_credit.capture('carol', 'stream', 10)}), 930 . "\n", 'is captured over another connection');
is(pooled(q{SELECT count(*) FROM stripe_credit.spend_many('carol', '{1,2,3}', '{a,b,c}')}), "3\n", 'many at once');
pooled(q{BEGIN; SET LOCAL synchronous_commit = off; SELECT stripe_credit.spend('carol', 1, 'soon'); COMMIT});
is(pooled(q{SELECT stripe_credit.spend('carol', 1000, 'too many')}) =~ /PT402/, 1, 'a refusal');
is(pooled(q{SELECT balance FROM stripe_credit.balance('carol')}), "923\n", 'what is left');

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

# The level of a commit is raised for its own transaction only.
pooled("BEGIN; SET LOCAL synchronous_commit = off; "
	  . call(session_event('evt_level', account => 'bob')) . '; COMMIT');
is(join('', map { pooled('SHOW synchronous_commit') } 1 .. CONNECTIONS),
	"on\n" x CONNECTIONS, 'no setting is left behind');

ok(books_are_right($node), 'the books are right');
$run->kill_kill;
undef $run;
$node->stop;
done_testing();
