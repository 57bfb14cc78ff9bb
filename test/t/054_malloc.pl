# Memory that is not to be had: whichever allocation of ours, of libcurl and of
# OpenSSL fails, the backend lives, says what it was, leaves nothing half done, and
# does the next call as if nothing had been.
#
# test/shim/failing_malloc.c fails the n-th allocation of a call.  Where there are
# thousands, some n are chosen by chance: STRIPE_CREDIT_SEED chooses the same again,
# and with STRIPE_CREDIT_EVERY=1 it is every n.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use StripeCredit::OwnNetwork;

use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;
use Time::HiRes qw(time);

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
	plan skip_all => 'node is not installed' unless runs('node', '--version');
	plan skip_all => 'gcc is not installed' unless runs('gcc', '--version');
}
use DBI;

use constant { NEVER => 1_000_000_000, PATIENCE => 30, FIRST => 100, LATE => 1, ORDERS => 'q<q<q<Z232' };

my $seed = $ENV{STRIPE_CREDIT_SEED} || int rand 1_000_000_000;
my $every = $ENV{STRIPE_CREDIT_EVERY};

srand $seed;
note("STRIPE_CREDIT_SEED=$seed" . ($every ? ', every n' : ''));

#
# The shim, and a server that is preloaded with it
#

my $dir = PostgreSQL::Test::Utils::tempdir();
my $shim = "$dir/failing_malloc.so";
my $source = File::Spec->rel2abs("$FindBin::RealBin/../shim/failing_malloc.c");
my $double = StripeCredit::Double->new;
my $node;

plan skip_all => 'the shim is for Linux on 64 bits' unless $^O eq 'linux' && length pack('l!', 0) == 8;
plan skip_all => 'the shim cannot be built or preloaded here'
  unless system('gcc', '-shared', '-fPIC', '-O2', '-o', $shim, $source) == 0
  && do { local $ENV{LD_PRELOAD} = $shim; system('true') == 0 };
{
	local $ENV{LD_PRELOAD} = $shim;
	local $ENV{FAILING_MALLOC_DIR} = $dir;
	$node = new_node('malloc', conf => <<"CONF");
stripe_credit.api_base = '$double->{api}'
stripe_credit.ca_file = '$double->{ca}'
stripe_credit.max_retries = 0
stripe_credit.timeout = 10s
restart_after_crash = on
CONF
}
$node->safe_psql('postgres', q{
	SELECT stripe_credit.set_api_key('sk_test_of_the_malloc_test');
	UPDATE stripe_credit.settings SET success_url = 'https://example.com/';
});

# From now on that process's n-th allocation fails.
sub give_orders
{
	my ($pid, $n) = @_;
	my $new = !-e "$dir/$pid";
	my $file = $new ? "$dir/new" : "$dir/$pid";

	open my $out, $new ? '>:raw' : '+<:raw', $file or die "$file: $!";
	syswrite $out, pack(ORDERS, $n, 0, 0, '');
	close $out;
	rename $file, "$dir/$pid" if $new;
	return;
}

# How many allocations there were since, how many failed, and where
sub reports
{
	my ($pid) = @_;

	open my $in, '<:raw', "$dir/$pid" or die "$pid: $!";
	sysread $in, my $orders, 256;
	return (unpack ORDERS, $orders)[ 1 .. 3 ];
}

#
# Sessions
#

sub session
{
	my $dbh = DBI->connect(sprintf('dbi:Pg:host=%s;port=%s;dbname=postgres', $node->host, $node->port),
		undef, '', { RaiseError => 0, PrintError => 0, PrintWarn => 0, pg_server_prepare => 0 });

	# after a crash the server takes a moment
	for (my $end = time + PATIENCE; !$dbh && time < $end; select undef, undef, undef, 0.1)
	{
		$dbh = DBI->connect(sprintf('dbi:Pg:host=%s;port=%s;dbname=postgres', $node->host, $node->port),
			undef, '', { RaiseError => 0, PrintError => 0, PrintWarn => 0, pg_server_prepare => 0 });
	}
	die "no session: $DBI::errstr" unless $dbh;
	return $dbh;
}

# The first column of the first row; or its SQLSTATE and all that is said
sub ask
{
	my ($dbh, $sql) = @_;
	my @row = $dbh->selectrow_array($sql);

	return (defined $row[0] ? $row[0] : '', '', '') unless $dbh->err;
	return (undef, $dbh->state, $dbh->errstr =~ s/\nCONTEXT:.*//sr =~ s/\s+/ /gr);
}

sub usable { my ($dbh) = @_; my ($value) = ask($dbh, 'SELECT pg_backend_pid()'); return ($value // '') eq $dbh->{pg_pid} }

#
# Calls: each is a hash of
#
#     name
#     sql       of a number, the statement that must succeed, or must not
#     right     of what it answers, whether that is right
#     excuse    what it may say instead: a pattern for SQLSTATE and message
#     before    what goes before the orders, in the same session
#     fresh     whether each n has a backend of its own.  What fails while OpenSSL loads
#               and initializes itself, it may never try again in the same process:
#               then the next session has to succeed.
#     again     whether the same statement has to succeed afterwards
#     timeout   in seconds: it takes no longer than that
#     done      of a number, a query that tells how often it was done
#     sample    how many n, of those that are not among the first hundred
#     connects  whether it makes a connection
#

my $no_memory = qr/^53200 .*out of memory|^53200 .*could not prepare a webhook secret|^XX000 .*could not (compute a signature|\w+ SHA256 context)/;
my $unreached = qr/$no_memory|^08006 .*could not reach Stripe|^PT502 .*Stripe's answer can't be used/;
my $number = 0;

sub body { return session_event("evt_malloc$_[0]", account => 'alice') }

my %webhook = (
	sql => sub { call(body($_[0])) },
	right => sub { $_[0] =~ /"status": "applied"/ },
	excuse => $no_memory,
	again => 1,
	done => sub { "SELECT count(*) FROM stripe_credit.ledger WHERE payment_id = 'pi_evt_malloc$_[0]'" });
my %forged = (
	sql => sub { call(body($_[0]), secret => 'whsec_forged') },
	right => sub { 0 },
	excuse => qr/$no_memory|^PT400 .*webhook signature verification failed/,
	done => sub { "SELECT count(*) FROM stripe_credit.event WHERE event_id = 'evt_malloc$_[0]'" });
my %checkout = (
	sql => sub { "SELECT session_id FROM stripe_credit.create_checkout('bob', 'starter', idempotency_key => 'order $_[0]')" },
	right => sub { $_[0] =~ /^cs_test_/ },
	excuse => $unreached,
	again => 1,
	done => sub { "SELECT count(*) FROM stripe_credit.checkout WHERE account_id = 'bob' AND idempotency_key = 'order $_[0]' AND url LIKE 'http://127.0.0.1:%/c/pay/cs_test_%'" });
my %untrusted = (
	%checkout,
	right => sub { 0 },
	again => 0,
	connects => 1);

# A request whose connection is cut: the next one makes another.
my $cut = sub {
	return ("SET stripe_credit.api_base = '$double->{api}/_fault/close-before-answer'",
		q{SELECT stripe_credit.stripe_request('GET', '/v1/events')}, "RESET stripe_credit.api_base");
};
my @calls = (
	{ name => 'webhook, by a backend that has taken some', %webhook },
	{
		name => 'webhook, after secrets have changed', %webhook,
		before => sub { q{UPDATE stripe_credit.webhook_secret SET created_at = now()} }
	},
	{ name => "webhook, a backend's first call", %webhook, fresh => 1 },
	{ name => 'forged webhook, by a backend that has taken some', %forged },
	{ name => "forged webhook, a backend's first call", %forged, fresh => 1, sample => 100 },
	{ name => 'checkout, over a connection that was kept', %checkout },
	{ name => 'checkout, over another connection', %checkout, before => $cut, connects => 1, sample => 300 },
	{ name => "checkout, a backend's first call", %checkout, fresh => 1, connects => 1, sample => 150 },
	{ name => 'checkout with one whom nobody vouches for', %untrusted, before => sub { "SET stripe_credit.api_base = '$double->{unknown_ca}'" }, sample => 300 },
	{ name => 'checkout with another host', %untrusted, before => sub { "SET stripe_credit.api_base = '$double->{wrong_host}'" }, sample => 300 });

# A name is still looked up for the request before, which has been given up, when
# memory runs out, and perhaps for this one.
my $lost = q{SELECT stripe_credit.stripe_request('GET', '/v1/events')};

push @calls,
  {
	name => 'request to one whose name nobody finds',
	sql => sub { $lost },
	right => sub { 0 },
	excuse => $unreached,
	before => sub { (q{SET stripe_credit.api_base = 'https://stripe.example'}, q{SET stripe_credit.timeout = '100ms'}, $lost) },
	timeout => 0.1,
	connects => 1,
	done => sub { 'SELECT 0' }
  }
  if StripeCredit::OwnNetwork::resolver();

# One call with the n-th allocation failing: what was wrong, or nothing.  Counts what
# is said into the hash.
sub one_call
{
	my ($call, $dbh, $n, $said) = @_;
	my $id = ++$number;
	my $pid = $dbh->{pg_pid};
	my @wrong;

	ask($dbh, $_) for $call->{before} ? $call->{before}->() : ();
	give_orders($pid, $n);
	my $start = time;
	my ($value, $state, $message) = ask($dbh, $call->{sql}->($id));
	my $seconds = time - $start;
	my ($seen, $failed, $where) = reports($pid);
	give_orders($pid, 0);
	my $at = "n = $n ($where): ";

	unless (usable($dbh))
	{
		return { seen => $seen, failed => $failed, crashed => 1, wrong => [ "${at}the backend is dead: $message" ] };
	}
	$message = "$state $message" if $state;
	$said->{ $state ? $message =~ s/ order \d+//r : 'success' }++;
	push @wrong, sprintf '%s%.1f s', $at, $seconds if $call->{timeout} && $seconds > $call->{timeout} + LATE;
	push @wrong, "$at$value" if $state eq '' && !$call->{right}->($value);
	push @wrong, "$at$message" if $state ne '' && $message !~ $call->{excuse};
	push @wrong, "$at$message, though nothing failed" if $call->{again} && $state ne '' && !$failed;

	# nothing half done, and then all of it, once
	my ($done) = ask($dbh, $call->{done}->($id));
	push @wrong, "${at}done $done times" unless $done eq ($state eq '' ? 1 : 0);
	if ($call->{again} && $state ne '')
	{
		($value, $state, $message) = ask($dbh, $call->{sql}->($id));
		return { seen => $seen, failed => $failed, crashed => 1, wrong => [ "${at}dead in the next call: $message" ] } unless usable($dbh);
		if ($call->{fresh} && $state ne '' && "$state $message" =~ $call->{excuse})
		{
			$said->{"the next call in that session, too: $state"}++;
			my $other = session();
			($value, $state, $message) = ask($other, $call->{sql}->($id));
			$other->disconnect;
		}
		push @wrong, "${at}the next call: $state $message" if $state ne '' || !$call->{right}->($value);
		($done) = ask($dbh, $call->{done}->($id));
		push @wrong, "${at}the next call did it $done times" unless $done eq '1';
	}
	return { seen => $seen, failed => $failed, wrong => \@wrong };
}

# The n that are tried, of so many
sub choose
{
	my ($total, $sample) = @_;
	my @rest = FIRST + 1 .. $total;
	my %chosen;

	return 1 .. $total + 1 if $every || !$sample || $total <= FIRST + $sample;
	$chosen{ splice @rest, int rand @rest, 1 } = 1 for 1 .. $sample;
	return (1 .. FIRST, sort { $a <=> $b } keys %chosen);
}

# A backend that has made the call, twice, so that it has all that lasts
sub warm_session
{
	my ($call) = @_;
	my $dbh = session();

	one_call($call, $dbh, NEVER, {}) for 1 .. 2;
	return $dbh;
}

sub open_files { my ($dbh) = @_; return scalar(() = glob "/proc/$dbh->{pg_pid}/fd/*") }

# Those of a thread that still looks a name up are closed when it ends.
sub open_files_at_last
{
	my ($dbh, $most) = @_;

	for (my $end = time + PATIENCE; open_files($dbh) > $most && time < $end; select undef, undef, undef, 0.1) { }
	return open_files($dbh);
}

sub try_all
{
	my ($call) = @_;
	my $started = time;
	my $dbh = $call->{fresh} ? session() : warm_session($call);
	my $total = one_call($call, $dbh, NEVER, {})->{seen};
	my $files = open_files($dbh);
	my $crashes = 0;
	my ($tried, $failed) = (0, 0);
	my %said;
	my @wrong;

	for my $n (choose($total, $call->{sample}))
	{
		if ($call->{fresh})
		{
			$dbh->disconnect;
			$dbh = session();
		}
		my $outcome = one_call($call, $dbh, $n, \%said);

		$tried++;
		$failed += $outcome->{failed};
		push @wrong, @{ $outcome->{wrong} };
		if ($outcome->{crashed})
		{
			last if ++$crashes == 10;
			$dbh = $call->{fresh} ? session() : warm_session($call);
			$files = open_files($dbh);
		}
	}
	note(sprintf '%s: %d allocations, %d of them failed, %.1f s', $call->{name}, $total, $failed, time - $started);
	note("    $said{$_} times: $_") for sort { $said{$b} <=> $said{$a} } keys %said;
	ok(!@wrong, "$call->{name}: whichever of $total allocations fails")
	  or diag(join "\n", scalar(@wrong) . ' times wrong', @wrong[ 0 .. (@wrong > 20 ? 19 : $#wrong) ]);
	cmp_ok($failed, '>=', ($tried - 1) * 0.8, "$call->{name}: and they do fail");
	cmp_ok(open_files_at_last($dbh, $files + 2), '<=', $files + 2, "$call->{name}: no more files are open than before")
	  unless $crashes || $call->{fresh};
	$dbh->disconnect;
	is($node->safe_psql('postgres', 'SELECT * FROM stripe_credit.check_books()'), '', "$call->{name}: the books are right");
	return;
}

# Newer versions of libcurl, as 8.14 and 8.23, crash themselves where memory runs out while they
# prepare TLS: they hand OpenSSL a BIO that could not be made.  7.88 does not, and no backend may die.
sub libcurl_crashes
{
	my ($version) = eval { run_command([ 'curl-config', '--version' ]) };

	return ($version // '') =~ /^libcurl ([0-9]+)/ && $1 >= 8;
}

if (libcurl_crashes())
{
	diag('this libcurl crashes when memory runs out while it connects: that was not tried');
	@calls = grep { !$_->{connects} } @calls;
}
try_all($_) for @calls;
is($node->safe_psql('postgres', q{SELECT count(*) FROM stripe_credit.checkout WHERE session_id !~ '^cs_test_' OR url IS NULL}),
	0, 'no checkout is without its session');
my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal/g;
is($crashes, 0, 'no backend was killed');
$double->stop;
$node->stop;
done_testing();
