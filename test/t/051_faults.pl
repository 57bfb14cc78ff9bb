# Whatever goes wrong between the database and Stripe is one of two errors, in time,
# and leaves nothing behind: no row, no descriptor, no memory, and a session that goes
# on as if nothing had been.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use StripeCredit::OwnNetwork;

use IO::Socket::INET;
use JSON::PP qw(decode_json encode_json);
use List::Util qw(max sum uniq);
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

use constant {
	KEY => 'sk_test_CANARY0123456789',
	LIVE_KEY => 'sk_live_CANARY0123456789',
	TIMEOUT => 0.5 * SLOW,	# s
	SLACK => 1 * SLOW,	# s, on a machine that has other things to do
	LATE => 0.2 * SLOW,	# s, after a deadline
	REPETITIONS => 50,
	GROWTH => 3072	# kB of a backend, in that many requests; one that leaks a body is beyond that
};

my $double = StripeCredit::Double->new;
my $proxy = StripeCredit::Peer->new;
my $dir = PostgreSQL::Test::Utils::tempdir;

# A port whose queue is full: who connects waits.
my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp') or die "listen: $!";
my @in_queue = map {
	IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Proto => 'tcp', Blocking => 0)
} 1 .. 4;

# A server whose environment would lead libcurl astray
sub start_server
{
	my %environment = (
		(map { ($_ => $proxy->{url}) } qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY)),
		HOME => $dir,
		SSLKEYLOGFILE => "$dir/keys_of_tls",
		THE_TESTS_KEY => KEY,
		THE_TESTS_LIVE_KEY => LIVE_KEY);

	append_to_file("$dir/.netrc", "default login eve password eve\n");
	chmod 0600, "$dir/.netrc";
	utime 1, time, "$dir/.netrc";
	local %ENV = (%ENV, %environment);
	delete @ENV{qw(no_proxy NO_PROXY)};
	return new_node('faults', conf => <<"CONF");
stripe_credit.api_base = '$double->{api}'
stripe_credit.ca_file = '$double->{ca}'
stripe_credit.timeout = '@{[ 1000 * TIMEOUT ]}ms'
stripe_credit.max_retries = 0
log_statement = none
max_connections = 120
CONF
}

my $node = start_server();

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

sql(sprintf(q{SELECT stripe_credit.set_api_key('%s')}, KEY), q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/'});

my %query = (
	GET => q{SELECT stripe_credit.stripe_request('GET', '/v1/events')},
	POST => q{SELECT stripe_credit.stripe_request('POST', '/v1/customers', '{"name": "Ada"}')},
	checkout => q{SELECT session_id FROM stripe_credit.create_checkout('ada', 'starter')});
my @kinds = sort keys %query;
my $watcher = StripeCredit::Backend->new($node);

# What the double has heard since
my $heard = 0;

sub heard
{
	my @requests = @{ $double->control("/_double/requests?after=$heard") };

	$heard = $requests[-1]{number} if @requests;
	return @requests;
}

sub accepted { return $double->control('/_double/connections')->{accepted} }

# The rows that a purchase would leave
sub rows
{
	return $watcher->ask(
		q{SELECT concat_ws(' ', (SELECT count(*) FROM stripe_credit.checkout), (SELECT count(*) FROM stripe_credit.ledger),
			(SELECT count(*) FROM stripe_credit.customer), (SELECT count(*) FROM stripe_credit.account))})->{value};
}

# Nobody is told the key.
my $said = '';

sub remember
{
	my ($answer) = @_;

	$said .= StripeCredit::Backend::said($answer) . "\n";
	return $answer;
}

#
# Faults
#

my %message = (
	'' => '',
	'08006' => 'could not reach Stripe',
	PT502 => qr/^(Stripe refused the request|Stripe's answer can't be used)$/,
	'22023' => qr/./);

# By name: what each of GET, POST and checkout ends with; PT502 if nothing is said
my %double_fault = (
	(map { ("status-$_" => undef) } 400, 401, 402, 403, 404, 409, 429, 500, 503),
	(map { ("redirect-$_" => undef) } 301, 303, 307, 308),
	(map { ($_ => undef) } qw(redirect redirect-plain kept-402 kept-500 retry-after-60 should-retry-true-400 should-retry-false-500
		  html garbage empty array null deep nul nul-aside cut-json endless large not-http long-header echo-key)),
	(map { ($_ => '08006 08006 08006') }
		  qw(truncated trickle slow-9 slow-headers reset-before-answer close-before-answer reset-after-headers reset-in-body)),

	# whose answer is what was asked for, or as good as that for who asks for any object
	'many-headers' => 'ok ok ok',
	'wrong-type' => 'ok ok PT502');
my %other_fault = (
	(map { ($_ => $double->{$_}) } qw(closed reset silent unknown_ca wrong_host expired)),
	'full' => 'https://127.0.0.1:' . $full->sockport,
	'another name' => $double->{api} =~ s/localhost/localhost.localhost/r,
	'no such name' => 'https://' . 'a' x 64 . '.example',
	(StripeCredit::OwnNetwork::resolver() ? ('silent resolver' => 'https://stripe.example') : ()));

# Stripe offers HTTP/2, which is not taken.
$double_fault{"$_ where HTTP/2 is offered"} = $double_fault{$_} for qw(status-500 redirect empty cut-json endless large trickle slow-headers truncated
  reset-before-answer close-before-answer reset-after-headers reset-in-body wrong-type);

my %base = (%other_fault,
	map { my ($fault, $h2) = /^(\S+)( where.*)?/; ($_ => $double->{ $h2 ? 'h2' : 'api' } . "/_fault/$fault") } keys %double_fault);
my @faults = sort keys %base;

sub is_slow { return $_[0] =~ /silent|full|trickle|slow/ }

# Asked of each kind at once, each in its backend, which goes on from fault to fault
my %backend = map { ($_ => StripeCredit::Backend->new($node)) } @kinds;

$_->ask($query{GET}) for values %backend;

sub suffer
{
	my ($fault) = @_;
	my %answer;

	heard();
	my $rows = rows();
	$_->set(api_base => $base{$fault}) for values %backend;
	$backend{$_}->start($query{$_}) for @kinds;
	$answer{$_} = remember($backend{$_}->settle) for @kinds;
	my @requests = heard();
	my $expected = exists $double_fault{$fault} ? $double_fault{$fault} || 'PT502 PT502 PT502' : '08006 08006 08006';

	is(join(' ', map { $answer{$_}{sqlstate} || 'ok' } @kinds), $expected, 'the right error')
	  or diag(map { "$_: " . StripeCredit::Backend::said($answer{$_}) . "\n" } @kinds);
	like($answer{$_}{message}, qr/^$message{$answer{$_}{sqlstate}}$/, "$_: its message is a fixed text")
	  for grep { exists $message{ $answer{$_}{sqlstate} } } @kinds;
	cmp_ok(max(map { $answer{$_}{seconds} } @kinds), '<', TIMEOUT + SLACK,
		sprintf('in time: %s s', join ' ', map { sprintf '%.3f', $answer{$_}{seconds} } @kinds));

	# A connection that was kept, and turns out to be closed, is no try.
	my $most = $fault =~ /before-answer|not-http/ ? 2 : 1;
	my %asked;
	$asked{$_->{path}}++ for @requests;
	cmp_ok(max(0, values %asked), '<=', $most, 'asked once');
	cmp_ok(scalar(keys %asked), '==', 3, 'each of them') if exists $double_fault{$fault};

	$_->set(api_base => $double->{api}) for values %backend;
	is_deeply([ map { $backend{$_}->ask($query{GET})->{sqlstate} } @kinds ], [ '', '', '' ], 'the next request works');
	is(rows(), $rows, 'nothing is half done') unless $expected =~ /^ok/;
	return;
}

for my $fault (@faults)
{
	subtest "fault: $fault" => sub { suffer($fault) };
}
$_->quit for values %backend;
ok($said !~ /CANARY/, 'no error has the key');
for my $listener (qw(api h2))
{
	# A connection that was kept has died without a word: one request suffers.
	my ($port) = $double->{$listener} =~ /(\d+)$/;
	my $relay = StripeCredit::Peer->relay($port);
	my $backend = StripeCredit::Backend->new($node, api_base => "https://localhost:$relay->{port}");
	my $kept = $backend->ask($query{GET})->{sqlstate};

	$relay->stall(1);
	my $lost = $backend->ask($query{GET})->{sqlstate};
	$relay->stall(0);
	is_deeply([ $kept, $lost, map { $backend->ask($query{GET})->{sqlstate} } 1 .. 3 ], [ '', '08006', '', '', '' ],
		"$listener: a connection that is dead is not used for long");
	$backend->quit;
	$relay->stop;
}
{
	my $backend = StripeCredit::Backend->new($node, api_base => $other_fault{full}, connect_timeout => '300ms', timeout => '20s');
	my $answer = $backend->ask($query{GET});

	is($answer->{sqlstate}, '08006', 'connect_timeout');
	cmp_ok($answer->{seconds}, '<', 0.3 + SLACK / 2, sprintf 'is kept (%.2f s)', $answer->{seconds});
	$backend->quit;
}

#
# Leaks: each fault many times over, each in its backend, all at once
#

# One connection more or less may be kept for the next request.
sub is_kept
{
	my ($fault, $before, $after) = @_;
	my ($sockets_before, $sockets) = map { /socket (\d+)/ ? $1 : 0 } $before, $after;

	s{ socket .*}{} for $before, $after;
	is($after, $before, "$fault: no descriptor is left");
	cmp_ok($sockets, '<=', $sockets_before + 1, "$fault: nor a socket");
	return;
}

sub repeat
{
	my %backend;
	my %before;

	for my $fault (@faults)
	{
		$backend{$fault} = StripeCredit::Backend->new($node, timeout => is_slow($fault) ? '60ms' : '20s');
	}
	my $measure = sub {
		my ($fault) = @_;
		my $start = time;

		# threads that wait for a resolver have some of their own until they end
		sleep 0.05 while $backend{$fault}->masks_of_threads && time - $start < 10;
		$backend{$fault}->set(api_base => $double->{api});
		is($backend{$fault}->ask($query{GET})->{sqlstate}, '', "$fault: works") if !is_slow($fault);
		return [ $backend{$fault}->kinds_of_descriptors, $backend{$fault}->resident ];
	};
	my $suffer = sub {
		my ($times) = @_;

		$backend{$_}->set(api_base => $base{$_}) for @faults;
		for my $time (1 .. $times)
		{
			$backend{$_}->start($query{ $kinds[ $time % @kinds ] }) for @faults;
			$backend{$_}->settle for @faults;
		}
		return;
	};

	# libraries are loaded, plans made, caches and heaps filled
	$measure->($_) for @faults;
	$suffer->(12);
	%before = map { ($_ => $measure->($_)) } @faults;
	$suffer->(REPETITIONS);
	my %grown;
	for my $fault (@faults)
	{
		my $after = $measure->($fault);

		is_kept($fault, $before{$fault}[0], $after->[0]);
		$grown{$fault} = $after->[1] - $before{$fault}[1];
		cmp_ok($grown{$fault}, '<', GROWTH, "$fault: no memory is left ($grown{$fault} kB of $after->[1])");
		$backend{$fault}->quit;
	}
	return;
}

# What is lost by a handful of octets shows after some more requests.
sub many
{
	my ($name, $base, $sqlstate) = @_;
	my $backend = StripeCredit::Backend->new($node, api_base => $base);
	my $loop = sub { return $backend->ask($query{GET})->{sqlstate} };
	my (%states, $grown);

	$loop->() for 1 .. 200;

	# a heap may grow once for reasons of its own, but a leak never ends
	for my $round (1 .. 3)
	{
		my $before = $backend->resident;

		$states{ $loop->() }++ for 1 .. 2000;
		$grown = $backend->resident - $before;
		last if $grown < 128;
	}
	is_deeply([ keys %states ], [$sqlstate], "$name: thousands of times");
	cmp_ok($grown, '<', 128, "$name: no memory is left ($grown kB)");
	$backend->quit;
	return;
}

# Under valgrind a process holds more than its own, and valgrind says itself what leaks.
if (!UNDER_VALGRIND)
{
	subtest 'fifty times over' => \&repeat if -e '/proc/self/fd';
	many('closed', $double->{closed}, '08006');
	many('refused', "$double->{api}/_fault/status-400", 'PT502');
	many('answered', $double->{api}, '');
}
$double->control('/_double/reset', {});

#
# Tries
#

sub tries
{
	my ($fault, $kind, $count, $sqlstate, %settings) = @_;
	my $backend = StripeCredit::Backend->new($node, timeout => '20s', max_retries => 2, api_base => "$double->{api}/_fault/$fault", %settings);

	$double->control('/_double/reset', { only => ['faults'] });
	heard();
	my $answer = remember($backend->ask($query{$kind}));
	my @requests = heard();
	my @keys = map { $_->{headers}{'idempotency-key'} // () } @requests;

	is("$answer->{sqlstate} " . @requests, "$sqlstate $count", "$fault: $kind is asked for $count times");
	$kind eq 'GET' ? is(@keys, 0, 'without a key') : is(@keys == $count && uniq(@keys), 1, 'always by the same key');
	$backend->quit;
	return { %$answer, requests => \@requests, key => $keys[0] };
}

{
	my $first = tries('status-500-then-ok-1', 'POST', 2, '');
	my $second = tries('status-500-then-ok-1', 'POST', 2, '');

	isnt($first->{key}, $second->{key}, 'each request has a key of its own');
	like($first->{key}, qr/^stripe_credit_[0-9a-f]{32}$/, 'which is long');
	cmp_ok($first->{seconds}, '>=', 0.5, 'with a pause between the tries');
}
tries('status-503-then-ok-2', 'GET', 3, '');
tries('status-409-then-ok-1', 'checkout', 2, '');
tries('status-500', 'POST', 3, 'PT502');
tries('status-500', 'POST', 1, 'PT502', max_retries => 0);
tries("status-$_", 'POST', 1, 'PT502') for 400, 401, 402, 404, 429;
tries('should-retry-false-500', 'POST', 1, 'PT502');
tries('should-retry-true-429-then-ok-1', 'POST', 2, '');
tries('should-retry-true-200', $_, 1, '') for @kinds;
tries('reset-before-answer-then-ok-1', 'POST', 2, '');
tries('reset-in-body-then-ok-1', 'checkout', 2, '');
tries('html', 'GET', 1, 'PT502');
tries('redirect', 'GET', 1, 'PT502');
tries('slow-9', 'POST', 1, '08006', timeout => 300 * SLOW);
# The first is shorter than the pause between tries, and than one try under valgrind.
for my $timeout ((UNDER_VALGRIND ? () : 300), 1100 * SLOW)
{
	my $answer = tries('status-500', 'GET', $timeout < 500 ? 1 : 2, 'PT502', timeout => $timeout, max_retries => 1);

	cmp_ok($answer->{seconds}, '<', $timeout / 1000 + LATE, 'no try after the deadline');
}
{
	# between tries of which each is short, the deadline is that of all
	my $backend = StripeCredit::Backend->new($node, timeout => '1200ms', max_retries => 10, api_base => $double->{closed});
	my $answer = $backend->ask($query{GET});

	is($answer->{sqlstate}, '08006', 'ten tries at a closed port');
	cmp_ok($answer->{seconds}, '<', 1.2 + LATE, sprintf 'end at the deadline (%.2f s)', $answer->{seconds});
	cmp_ok($answer->{seconds}, '>', 0.4, 'and not before the first pause');
	$backend->quit;
}
for my $kind (qw(unknown_ca wrong_host expired silent))
{
	my $backend = StripeCredit::Backend->new($node, timeout => '700ms', max_retries => 2, api_base => $double->{$kind});
	my $before = accepted();

	$backend->ask($query{GET});
	is(accepted() - $before, 2, "$kind: is tried once");	# and who asks for the number is the other
	$backend->quit;
}
{
	# What was done at Stripe, but whose answer was lost, is had by the same key.
	my $backend = StripeCredit::Backend->new($node, timeout => '1500ms');
	my $ask = sub {
		my ($base) = @_;

		$backend->set(api_base => $base);
		return $backend->ask(
			q{SELECT session_id FROM stripe_credit.create_checkout('bob', 'starter', idempotency_key => 'order 1')});
	};

	heard();
	is($ask->("$double->{api}/_fault/$_")->{sqlstate}, '08006', "bought, but $_") for qw(slow-2 truncated reset-in-body);
	my $answer = $ask->($double->{api});
	my @requests = heard();

	like($answer->{value}, qr/^cs_test_/, 'and found again');
	is(uniq(map { $_->{headers}{'idempotency-key'} } @requests), 1, 'by its key');
	is($ask->($double->{closed})->{value}, $answer->{value}, 'and kept');
	$backend->quit;
}

#
# What an error says
#

my $long = "\x{e9}\x{20ac}" x 200_000;
my %refusal = (
	whole => [ 402,
		{ type => 'card_error', code => 'card_declined', decline_code => 'lost_card', param => 'source', message => 'Declined.' },
		'request-id' => 'req_1' ],
	lines => [ 400, { type => 'a', message => "one\r\ntwo\tthree\x7f\x1b[0m\nHTTP/1.1 200 OK" }, 'request-id' => 'req_2' ],
	long => [ 400, { (map { ($_ => $long) } qw(type code param message)) }, 'request-id' => 'r' x 10_000 ],
	text => [ 400, 'no' ],
	list => [ 400, [] ],
	types => [ 500, { type => 5, code => {}, param => [], message => \1 } ],
	echo_message => [ 400, { type => 'a', message => 'Bad key: ' . KEY } ],
	echo_forbidden => [ 403, { type => 'a', message => 'Key ' . KEY . ' may not' } ],
	echo_everywhere => [ 401, { (map { ($_ => KEY) } qw(type code decline_code param message)) }, 'request-id' => KEY ]);
my $peer = StripeCredit::Peer->new(
	(map { ($_ => StripeCredit::Peer::error_answer(@{ $refusal{$_} })) } keys %refusal),
	nothing => StripeCredit::Peer::answer(400, '{}'),
	informed => "HTTP/1.1 100 Continue\r\n\r\n" x 20_000,
	encoded => StripeCredit::Peer::answer(200, '{}', 'content-encoding' => 'gzip'),
	chunks => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
	no_content => "HTTP/1.1 204 No Content\r\n\r\n",
	half => StripeCredit::Peer::answer(200, '{"half a pair": "\ud83d"}'),
	great => StripeCredit::Peer::answer(200, '{"great": 1e1000000}'),
	many => StripeCredit::Peer::answer(200, '{"data": [' . '1,' x 2_000_000 . '1]}'),
	old => "HTTP/1.0 200 OK\r\n\r\n{\"old\": true}",
	dates => StripeCredit::Peer::answer(200, '{"dated": true}', date => 'Fri, 99 Foo 999999 99:99:99 GMT'),
	headers => sub { $_[0]->syswrite("HTTP/1.1 200 OK\r\n"); 1 while $_[0]->syswrite("x: y\r\n" x 1000) },
	line => sub { $_[0]->syswrite('HTTP/1.1 200 OK' . "\r\nx: "); 1 while $_[0]->syswrite('y' x 10_000) },
	status => sub { 1 while $_[0]->syswrite('H' x 10_000) });
my $to_peer = StripeCredit::Backend->new($node, api_base => $peer->{url}, timeout => '10s');

sub said_of
{
	my ($name) = @_;

	return remember($to_peer->ask(q{SELECT stripe_credit.stripe_request('GET', '/v1/' || ?)}, $name));
}

for my $name (sort keys %refusal, 'nothing')
{
	my $answer = said_of($name);

	is("$answer->{sqlstate} $answer->{message}", 'PT502 Stripe refused the request', "$name: is a refusal");
	unlike($answer->{detail}, qr/CANARY/, "$name: the key is not told");
	unlike($answer->{detail}, qr/[\x00-\x1f\x7f]/, "$name: no control character survives");
	cmp_ok(length $answer->{detail}, '<', 3000, "$name: no more than that");
}
is(said_of('whole')->{detail},
	'type: card_error, code: card_declined, decline_code: lost_card, param: source, message: Declined., status: 402, request: req_1',
	'all that a developer needs');
like(said_of('long')->{detail}, qr/^type: (\x{e9}\x{20ac})+\x{e9}?, code: /, 'what is long is cut between characters');

# Answers that are none
my %answer_of = (
	informed => 'PT502', encoded => '', chunks => 'PT502|08006', no_content => 'PT502', old => '', dates => '',
	half => 'PT502', great => 'PT502', headers => 'PT502', line => 'PT502', status => 'PT502');
for my $name (sort keys %answer_of)
{
	my $answer = said_of($name);

	like($answer->{sqlstate}, qr/^(?:$answer_of{$name})$/, "$name: the right error") or diag(StripeCredit::Backend::said($answer));
}
is(said_of('dates')->{value}, '{"dated": true}', 'and the next one is understood');
like($peer->heard, qr/^Authorization: Bearer \Q@{[ KEY ]}\E\r$/m, 'the key is told to whom it is for');
unlike($peer->heard, qr/Basic|accept-encoding|cookie|referer/i, 'and nothing else is');

# Memory that is not to be had for an answer says nothing of the answer.
SKIP:
{
	my $limit = sub { system_or_bail('prlimit', '--pid', $to_peer->pid, "--as=$_[0]:"); return };

	skip 'valgrind needs memory of its own', 3 if UNDER_VALGRIND;
	skip 'prlimit is not installed', 3 unless runs('prlimit', '--version');
	is(said_of('many')->{sqlstate}, '', 'a long list is read');
	$limit->(1024 * ($to_peer->mapped + 32 * 1024));
	is(said_of('many')->{sqlstate}, '53200', 'where memory ends with it, that is the error');
	$limit->('unlimited');
	is(said_of('many')->{sqlstate}, '', 'and it is read again afterwards');
}
$to_peer->quit;
$peer->stop;

#
# Arguments
#

my $arguments = StripeCredit::Backend->new($node, timeout => '20s');

heard();

sub refused
{
	my ($sqlstate, $what, $sql, @values) = @_;
	my $answer = remember($arguments->ask("SELECT stripe_credit.stripe_request($sql)", @values));

	is($answer->{sqlstate}, $sqlstate, "refused: $what") or diag(StripeCredit::Backend::said($answer));
	return;
}

refused('22023', 'method ' . ($_ // 'NULL'), q{?, '/v1/events'}, $_) for undef, '', 'get', 'PUT', 'PATCH', "GET\r\n", 'GET /v1/x', 'CONNECT';
refused('22023', 'path ' . ($_ // 'NULL'), q{'GET', ?}, $_) for undef, '', '/', 'v1/events', '/v1', '/v3/events', '/v1/../x', '/v1/..',
  '/v1//x', '//evil.example/v1/', 'https://evil.example/v1/', '/v1/x?y', '/v1/x#y', '/v1/x y', "/v1/x\r\nEvil: 1", "/v1/x\n", '/v1/%2e%2e',
  '/v1/x%0d%0a', '/v1/x@evil.example', '/v1/x:80', '/v1/x\y', "/v1/\x{e9}", '/v1/' . 'x' x 1000, ' /v1/x', '/_fault/html/v1/x';
refused('22023', "key '" . substr($_, 0, 20) . "'", q{'POST', '/v1/customers', '{}', ?}, $_) for '', ' ', "a\r\nEvil: 1", "a\n", 'a b', "\x{e9}",
  "a\x7f", "a\t", 'a' x 256;
refused('22023', "params $_", q{'POST', '/v1/customers', ?::jsonb}, $_) for '[]', '"x"', '1', 'null', '{"": 1}', '{"a[b]": 1}', '{"a": {"b]": 1}}',
  '{"[]": 1}', '{"a\r\n": 1}', '{"a": {"\u0001": 1}}', '{"a": ' x 30 . '1' . '}' x 30;
refused('22023', 'a name of 10 MB', q{'POST', '/v1/customers', jsonb_build_object(repeat('x', 10000000), 1)});
refused('22023', 'a value of 10 MB in a URL', q{'GET', '/v1/events', jsonb_build_object('type', repeat('x', 10000000))});
refused('22P05', 'a NUL, by jsonb itself', q{'POST', '/v1/customers', ?::jsonb}, '{"name": "\u0000"}');
is(heard(), 0, 'nothing of that was asked');
refused('PT502', 'a value of 10 MB, by Stripe', q{'POST', '/v1/customers', jsonb_build_object('nome', repeat('x', 10000000))});
is((heard())[0]{body_length}, 10_000_000 + length 'nome=', 'who has heard all of it');
{
	my $name = "a\r\nb: c&d=e[f]\x{20ac} %+";
	my $answer = $arguments->ask(q{SELECT stripe_credit.stripe_request('POST', '/v1/customers', jsonb_build_object('name', ?::text), ?)->>'name'},
		$name, '~' x 255);
	my ($request) = heard();

	is($answer->{value}, $name, 'what stands in a value stays there');
	is($request->{headers}{'idempotency-key'}, '~' x 255, 'and the longest key is taken as it is');
}
$arguments->quit;

#
# Keys
#

sub with_key { return StripeCredit::Backend->new($node)->ask($query{GET})->{sqlstate} }

sub set_key { return $watcher->ask('SELECT stripe_credit.set_api_key(?)', $_[0])->{sqlstate} }

sub write_key
{
	my ($text) = @_;

	unlink "$dir/key";
	append_to_file("$dir/key", $text);
	return;
}

heard();
write_key(KEY . "\n");
is(set_key("file:$dir/key"), '', 'a file');
is(with_key(), '', 'whose key is used');
write_key(LIVE_KEY);
is(with_key(), '55000', 'but not if it is of another mode by now');
write_key('whsec_CANARY');
is(with_key(), '55000', 'or no API key at all');
write_key(KEY . "\r\nEvil: 1");
is(with_key(), '55000', 'or more than a key');
write_key('');
is(with_key(), '55000', 'or nothing');
unlink "$dir/key";
is(with_key(), '55000', 'or not there');
write_key(KEY);
is(with_key(), '', 'and used again when it is back');
is(set_key('env:THE_TESTS_KEY'), '', 'the environment');
is(with_key(), '', 'whose key is used');
is(set_key('env:THE_TESTS_LIVE_KEY'), '', 'a live key beside it');
is(with_key(), '', 'changes nothing in test mode');
$watcher->ask(q{UPDATE stripe_credit.settings SET mode = 'live'});
is(with_key(), '', 'and is used in live mode');
$watcher->ask(q{DELETE FROM stripe_credit.api_key WHERE livemode});
is(with_key(), '55000', 'which has none without it');
$watcher->ask(q{UPDATE stripe_credit.settings SET mode = 'test'});
is(set_key($_ // undef), '22023', 'no key: ' . ($_ // 'NULL'))
  for undef, '', 'sk_', 'sk_tes', 'pk_test_CANARY', 'SK_TEST_CANARY', " sk_test_CANARY", "sk_test_CANARY\r\nEvil: 1", 'env:', 'env:NOT_THERE',
  'env:HOME', 'file:key', "file:$dir", 'file:/dev/zero', 'file:/nonexistent', 'vault:none';
is_deeply([ map { $_->{livemode} ? 1 : 0 } heard() ], [ 0, 0, 0, 0, 1 ], 'each request had the key of its mode');

#
# Addresses
#

is($watcher->ask(q{SELECT set_config('stripe_credit.api_base', ?, false)}, $_)->{sqlstate}, '22023', "no base: '$_'")
  for '', 'http://localhost', 'http://127.0.0.2', 'http://127.0.0.1.evil.example', 'http://127.0.0.1@evil.example', 'http://127.0.0.1:80@evil.example',
  'http://127.0.0.1?@evil.example', 'http://127.0.0.1#@evil.example', 'http://127.0.0.1\@evil.example', 'http://[::1]', 'http://api.stripe.com',
  'HTTP://127.0.0.1', 'ftp://127.0.0.1', 'file:///etc/passwd', 'https://', 'https:/x', "https://x\r\ny", 'https://x y', '127.0.0.1', 'x';
is($watcher->ask(q{SELECT set_config('stripe_credit.api_base', ?, false)}, $_)->{sqlstate}, '', "a base: '$_'")
  for 'https://api.stripe.com', 'http://127.0.0.1', 'http://127.0.0.1:80', 'http://127.0.0.1:80/x';
{
	my $plain = StripeCredit::Backend->new($node, api_base => $double->{plain});

	is($plain->ask($query{GET})->{sqlstate}, '', 'plain http to 127.0.0.1');
	$plain->set(api_base => $double->{api}, ca_file => '');
	is($plain->ask($query{GET})->{sqlstate}, '08006', 'the system does not vouch for the double');
	$plain->set(ca_file => '/nonexistent');
	is($plain->ask($query{GET})->{sqlstate}, '08006', 'nobody vouches');
	$plain->set(ca_file => $double->{ca});
	is($plain->ask($query{GET})->{sqlstate}, '', 'and over TLS, once more');
	$plain->quit;
}

#
# What must not have been
#

is($proxy->heard, '', 'no proxy of the environment was asked');
ok(!-e "$dir/keys_of_tls", "no key of TLS was written where the environment says");
cmp_ok((stat "$dir/.netrc")[8], '<=', 1, '.netrc was not read');
ok($said !~ /CANARY/, 'no error had the key');
ok(slurp_file($node->logfile) !~ /CANARY/, 'nor has the log');
ok(books_are_right($node), 'the books are right');
is(sql(q{SELECT count(*) FROM stripe_credit.ledger}), 0, 'and empty');

$watcher->quit;
$double->stop;
$proxy->stop;
$node->stop;
done_testing();
