# A backend that waits for Stripe can be cancelled, ended or timed out at any moment,
# and goes on as if nothing had been: whatever it was that it waited for.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use StripeCredit::OwnNetwork;

use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Backend;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use StripeCredit::Peer;
use StripeCredit::Slow;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'node is not installed' unless runs('node', '--version');
plan skip_all => 'there is no /proc to look into' unless -e '/proc/self/task';

use constant {
	# ms, from the signal to the answer: what is promised is 100, what is left is for a
	# machine that has other things to do
	PROMPT => 1000 * SLOW,
	PATIENCE => 20 * SLOW,
	TIMEOUT => 10 * SLOW,	# s, which nothing here should wait for

	# all that can be blocked but what the C library and valgrind keep for themselves
	FULL_MASK => UNDER_VALGRIND ? '7ffffffe7ffbfeff' : 'fffffffe7ffbfeff',
	SYN_SENT => '02'
};

# A body that comes without a pause, but slowly enough to be long
sub stream
{
	my ($socket) = @_;

	$socket->syswrite("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"data\": \"");
	1 while $socket->syswrite('a' x 1000) && sleep 0.002;
	return;
}

my $double = StripeCredit::Double->new;
my $peer = StripeCredit::Peer->new(stream => \&stream);

# A port whose queue is full: who connects waits.
my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp') or die "listen: $!";
my @in_queue = map {
	IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Proto => 'tcp', Blocking => 0)
} 1 .. 4;

my $node = new_node('cancel', conf => <<"CONF");
log_statement = none
stripe_credit.api_base = '$double->{api}'
stripe_credit.ca_file = '$double->{ca}'
stripe_credit.timeout = '@{[ TIMEOUT ]}s'
stripe_credit.connect_timeout = '@{[ TIMEOUT ]}s'
CONF
$node->safe_psql('postgres', q{SELECT stripe_credit.set_api_key('sk_test_CANARY');
	UPDATE stripe_credit.settings SET success_url = 'https://example.com/'});

my $watcher = StripeCredit::Backend->new($node);

sub await
{
	my ($what, $condition) = @_;
	my $start = time;

	until ($condition->())
	{
		die "waited in vain for $what\n" if time - $start > PATIENCE;
		sleep 0.002;
	}
	return;
}

# What pg_stat_activity says that a backend is at
sub waits
{
	my ($backend) = @_;
	my $answer = $watcher->ask(
		q{SELECT 1 FROM pg_stat_activity WHERE pid = ? AND state = 'active' AND wait_event_type = 'Extension'}, $backend->pid);

	return $answer->{value};
}

# The last request that the double has heard
sub last_request
{
	my @requests = $double->requests;

	return $requests[-1] || {};
}

sub connects_to
{
	my ($port) = @_;

	return grep { hex((split)[2] =~ s/.*://r) == $port && (split)[3] eq SYN_SENT }
	  grep { /^\s*\d+:/ } split /\n/, slurp_file('/proc/net/tcp');
}

my $orders = 0;
my $query = q{SELECT stripe_credit.stripe_request('GET', '/v1/events')};
my %wait = (
	'while it resolves a name' => {
		possible => sub { StripeCredit::OwnNetwork::resolver() },
		settings => { api_base => 'https://stripe.example' },
		reached => sub { return IO::Select->new(StripeCredit::OwnNetwork::resolver())->can_read(0) },
		again => sub {
			my $resolver = StripeCredit::OwnNetwork::resolver();
			recv $resolver, my $asked, 1000, 0 while IO::Select->new($resolver)->can_read(0);
		},
		threads => 1
	},
	'while it connects' => {
		settings => { api_base => 'https://127.0.0.1:' . $full->sockport },
		reached => sub { return connects_to($full->sockport) }
	},
	'in the TLS handshake' => {
		settings => { api_base => $double->{silent} },
		before => sub { $_[0]{accepted} = $double->control('/_double/connections')->{accepted} },
		reached => sub { return $double->control('/_double/connections')->{accepted} > $_[0]{accepted} }
	},
	'while it waits for headers' => {
		settings => { api_base => "$double->{api}/_fault/slow-headers" },
		reached => sub { return (last_request()->{fault} || '') eq 'slow-headers' }
	},
	'in a body that hardly comes' => {
		settings => { api_base => "$double->{api}/_fault/trickle" },
		reached => sub { return last_request()->{status} }
	},
	'while it waits for headers where HTTP/2 is offered' => {
		settings => { api_base => "$double->{h2}/_fault/slow-headers" },
		reached => sub { return (last_request()->{fault} || '') eq 'slow-headers' }
	},
	'in a body that hardly comes where HTTP/2 is offered' => {
		settings => { api_base => "$double->{h2}/_fault/trickle" },
		reached => sub { return last_request()->{status} }
	},
	'in a body that comes without a pause' => {
		settings => { api_base => $peer->{url} },
		query => q{SELECT stripe_credit.stripe_request('GET', '/v1/stream')},
		before => sub { $_[0]{heard} = length $peer->heard },
		reached => sub { return substr($peer->heard, $_[0]{heard}) =~ /stream/ }
	},
	'in the pause between tries' => {
		settings => { api_base => "$double->{api}/_fault/status-500", max_retries => 10 },
		reached => sub { return last_request()->{status} && $double->requests >= 3 }
	},
	'in create_checkout' => {
		settings => { api_base => "$double->{api}/_fault/slow-headers" },
		query => sub { return sprintf q{SELECT stripe_credit.create_checkout('ada', 'starter', idempotency_key => 'order %d')}, ++$orders },
		reached => sub { return (last_request()->{fault} || '') eq 'slow-headers' }
	});

# Starts the query, and returns when it waits there.
sub begin
{
	my ($backend, $wait) = @_;

	$double->control('/_double/reset', { only => [ 'requests', 'faults' ] });
	$wait->{again}->() if $wait->{again};
	$wait->{before}->($wait) if $wait->{before};
	$backend->start(ref $wait->{query} ? $wait->{query}->() : $wait->{query} || $query);
	await('the wait', sub { return $wait->{reached}->($wait) });
	await('the wait event', sub { return waits($backend) });
	return;
}

sub milliseconds { return sprintf '%.1f', 1000 * $_[0] }

# It works, over a connection like before.
sub is_usable
{
	my ($backend, $wait) = @_;
	my ($same) = $wait->{settings}{api_base} =~ m{^(.*)/_fault/};

	$backend->set(api_base => $same || $double->{api});
	my $answer = $backend->ask($query);
	$backend->set(%{ $wait->{settings} });
	return $answer->{sqlstate} || 'usable';
}

sub signal
{
	my ($function, $backend) = @_;
	my $start = time;

	$watcher->ask("SELECT $function(?)", $backend->pid);
	return $start;
}

# Threads that wait for a resolver may be there for a while: PostgreSQL's signal
# handlers must not run in them.
sub threads_are_deaf
{
	my ($backend, $what) = @_;
	my @masks = $backend->masks_of_threads;

	is_deeply([ grep { $_ ne FULL_MASK } @masks ], [], "$what: no thread of " . @masks . ' takes a signal');
	return scalar @masks;
}

sub try_cancel
{
	my ($name, $wait) = @_;
	my $backend = StripeCredit::Backend->new($node, %{ $wait->{settings} });
	my (@took, @states, $threads);

	is_usable($backend, $wait);
	my $before = $backend->kinds_of_descriptors;

	for my $round (0 .. 5)
	{
		begin($backend, $wait);
		$threads += threads_are_deaf($backend, "$name, round $round") if $round == 0;
		my $start = signal('pg_cancel_backend', $backend);
		my $answer = $backend->settle;

		push @took, milliseconds($answer->{ended} - $start);
		push @states, "$answer->{sqlstate} " . is_usable($backend, $wait);
		last if $states[-1] ne '57014 usable';
	}
	is_deeply(\@states, [ ('57014 usable') x 6 ], "cancelled $name");
	my ($worst) = sort { $b <=> $a } @took;
	ok($worst < PROMPT, "cancelled $name: at once (@took ms)");
	if ($wait->{threads})
	{
		ok($threads, "$name: a thread resolves");
		threads_are_deaf($backend, "$name, cancelled");
		await('the threads', sub { return !$backend->masks_of_threads });
	}
	is($backend->kinds_of_descriptors, $before, "cancelled $name: no descriptor is left ($before)");
	$backend->quit;
	return;
}

sub try_statement_timeout
{
	my ($name, $wait) = @_;
	my $backend = StripeCredit::Backend->new($node, %{ $wait->{settings} });
	my $limit = 500 * SLOW + ($name =~ /tries/ ? 2000 : 0);

	is(is_usable($backend, $wait), 'usable', 'before');
	$backend->ask("SET statement_timeout = $limit");
	begin($backend, $wait);
	my $answer = $backend->settle;
	my $late = milliseconds($answer->{seconds} - $limit / 1000);

	$backend->ask('SET statement_timeout = 0');
	is("$answer->{sqlstate} " . is_usable($backend, $wait), '57014 usable', "statement_timeout $name");
	ok($late < PROMPT, "statement_timeout $name: at once ($late ms)");
	$backend->quit;
	return;
}

sub try_terminate
{
	my ($name, $wait) = @_;
	my $backend = StripeCredit::Backend->new($node, %{ $wait->{settings} });

	is(is_usable($backend, $wait), 'usable', 'before');
	begin($backend, $wait);
	my $start = signal('pg_terminate_backend', $backend);
	my $answer = $backend->settle;

	await('its end', sub { return !$backend->is_there });
	my $gone = milliseconds(time - $start);
	like($answer->{text}, qr{terminating connection due to administrator command}, "terminated $name");
	ok($gone < PROMPT, "terminated $name: gone at once ($gone ms)");
	return;
}

for my $name (sort keys %wait)
{
	my $wait = $wait{$name};

	subtest $name => sub {
		plan skip_all => 'this system lets nobody have a network of his own' if $wait->{possible} && !$wait->{possible}->();
		try_cancel($name, $wait);
		try_statement_timeout($name, $wait);
		try_terminate($name, $wait);
	};
}

# What was caught can be followed by another request in the same transaction.
{
	my $wait = $wait{'while it waits for headers'};
	my $backend = StripeCredit::Backend->new($node, %{ $wait->{settings} });
	my $caught = sprintf <<'SQL', $double->{api};
DO $$
BEGIN
	PERFORM stripe_credit.stripe_request('GET', '/v1/events');
EXCEPTION WHEN query_canceled THEN
	PERFORM set_config('stripe_credit.api_base', '%s', false);
	PERFORM stripe_credit.stripe_request('GET', '/v1/events');
END $$
SQL

	begin($backend, { %$wait, query => $caught });
	signal('pg_cancel_backend', $backend);
	is($backend->settle->{sqlstate}, '', 'who catches it can ask again at once');
	$backend->quit;
}

# Two that wait: the one that is not meant is not disturbed.
{
	my $wait = $wait{'while it waits for headers'};
	my $backend = StripeCredit::Backend->new($node, %{ $wait->{settings} });
	my $other = StripeCredit::Backend->new($node, api_base => "$double->{api}/_fault/slow-2");

	begin($other, { reached => sub { return (last_request()->{fault} || '') eq 'slow-2' } });
	begin($backend, $wait);
	signal('pg_cancel_backend', $backend);
	is($backend->settle->{sqlstate}, '57014', 'one of two is cancelled');
	is($other->settle->{sqlstate}, '', 'the other has its answer');
	$_->quit for $backend, $other;
}

is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM stripe_credit.checkout), (SELECT count(*) FROM stripe_credit.ledger)}),
	'0|0', 'nothing is left half done');
is( $node->safe_psql('postgres', q{SELECT session_id ~ '^cs_test_' FROM stripe_credit.create_checkout('ada', 'starter', idempotency_key => 'order 1')}),
	't', 'and a purchase that was cancelled is had by its key');
unlike(slurp_file($node->logfile), qr/CANARY/, 'the log does not know the key');

# The postmaster's death
{
	my %waiting;

	for my $name (grep { !/body|checkout/ } sort keys %wait)
	{
		my $wait = $wait{$name};

		next if $wait->{possible} && !$wait->{possible}->();
		$waiting{$name} = StripeCredit::Backend->new($node, %{ $wait->{settings} });
		begin($waiting{$name}, $wait);
	}
	my $start = time;
	kill 'KILL', slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	for my $name (sort keys %waiting)
	{
		await('its end', sub { return !$waiting{$name}->is_there });
		my $gone = milliseconds(time - $start);
		ok($gone < PROMPT, "without a postmaster no backend waits $name ($gone ms)");
	}
	$node->{_pid} = undef;
}

$double->stop;
$peer->stop;
done_testing();
