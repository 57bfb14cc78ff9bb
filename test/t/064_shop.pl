# The shop of examples/shop: what its server lets be asked, by whom and from where;
# and its page in a browser, which buys at the double of Stripe and uses credits up
# (test/shop/browser.mjs).
#
# STRIPE_CREDIT_NPM names a directory whose node_modules has pg, and for the
# browser playwright-core, as .ci/run makes one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(newest_node runs);
use Test::More;

my $npm = $ENV{STRIPE_CREDIT_NPM};

plan skip_all => 'there is no pg package for node: STRIPE_CREDIT_NPM names no directory that has it'
  unless $npm && -e "$npm/node_modules/pg/package.json";

# The one that npm brought is new enough.
my $program = newest_node();

plan skip_all => 'node is not installed' unless runs($program, '--version');

my $double = StripeCredit::Double->new;
my $node = new_node('shop', conf => "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n");
my $json = JSON::PP->new->utf8->canonical;
my $examples = "$FindBin::RealBin/../../examples/shop";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $shops = 0;

sub sql { return $node->safe_psql('shop', join ";\n", @_) }

# Prices of currencies in which Stripe's minor units are not those of others
sub open_books
{
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	sql('CREATE EXTENSION stripe_credit', 'SELECT stripe_credit.add_webhook_secret(' . literal(SECRET) . ')',
		q{SELECT stripe_credit.set_api_key('sk_test_51TheShop')});
	$node->safe_psql('shop', slurp_file("$examples/$_")) for 'roles.sql', 'packs.sql';
	sql(q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES
		('forints', 2001, 2500, 'huf'), ('dinars', 2002, 1250, 'kwd'), ('kronur', 2003, 900, 'isk'), ('ariary', 2004, 20000, 'mga')});
	return;
}

sub database_url { return sprintf 'postgres://%s@localhost:%d/shop?host=%s', $_[0], $node->port, $node->host }

# What its users would install beside it
sub install_shop
{
	system_or_bail('cp', '-R', $examples, "$dir/shop");
	symlink "$npm/node_modules", "$dir/shop/node_modules" or die "symlink: $!";
	return;
}

# A shop that runs, as { url, pid }, or that has ended, as { status, said }
sub start_shop
{
	my (%environment) = @_;
	my $log = "$dir/log." . ++$shops;
	my $pid = open(my $out, '-|') // die "fork: $!";
	my $line;

	if (!$pid)
	{
		open STDERR, '>', $log or die "$log: $!";
		%ENV = (%ENV, PORT => 0, PUBLIC_URL => '', OPERATOR_URL => '', %environment);
		exec $program, "$dir/shop/server.js" or die "exec: $!";
	}
	$line = <$out>;
	return { url => $1, pid => $pid, out => $out, log => $log }
	  if ($line // '') =~ m{^listening on (http://127\.0\.0\.1:\d+)$};
	waitpid $pid, 0;
	return { status => $? >> 8, said => slurp_file($log) };
}

sub stop_shop
{
	my ($shop) = @_;

	kill 'TERM', $shop->{pid};
	waitpid $shop->{pid}, 0;
	return $? >> 8;
}

my $shop;

# What is answered: status, headers, content and, if that is JSON, what it says
sub request
{
	my ($method, $path, %options) = @_;
	my $answer = HTTP::Tiny->new(timeout => 20)->request($method, "$shop->{url}$path",
		{ headers => $options{headers} || {}, defined $options{content} ? (content => $options{content}) : () });

	$answer->{says} = $json->decode($answer->{content}) if ($answer->{headers}{'content-type'} // '') =~ m{^application/json};
	return $answer;
}

# As the page of the shop asks, if nothing else is said
sub post
{
	my ($path, $given, %headers) = @_;
	my %sent = (origin => $shop->{url}, 'sec-fetch-site' => 'same-origin', 'content-type' => 'application/json', %headers);

	delete @sent{ grep { !defined $sent{$_} } keys %sent };
	return request('POST', $path, headers => \%sent, content => ref $given ? $json->encode($given) : $given);
}

# As who somebody is: the cookie of a page
sub guest
{
	my $cookie = request('GET', '/')->{headers}{'set-cookie'};

	return $cookie =~ /^([^;]+)/ ? $1 : die "no cookie: $cookie\n";
}

# A request whose Host is another than its address
sub status_under_name
{
	my ($host) = @_;
	my ($port) = $shop->{url} =~ /:(\d+)$/;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $!";

	print $socket "GET / HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n";
	return (<$socket> =~ m{^HTTP/1.1 (\d+)})[0];
}

open_books();
install_shop();

# What the roles may do
{
	my $may = sub {
		my ($role) = @_;
		return sql(qq{SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
			WHERE pronamespace = 'stripe_credit'::regnamespace AND has_function_privilege('$role', oid, 'EXECUTE')});
	};

	is($may->('shop_web'), 'balance capture confirm_checkout create_checkout hold release statement webhook_bytes',
		'what the shop may call');
	is($may->('shop_operator'), 'check_books maintain refund_payment statement', 'what its operator may call');
	is(sql(q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'shop\_%' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls)}),
		0, 'neither is more than a user');
}

# It says at once what it can't do without.
{
	my %complaints = (
		'DATABASE_URL is not set' => [ DATABASE_URL => '' ],
		"can't be used" => [ DATABASE_URL => database_url('nobody_of_that_name') ],
		'permission denied' => [ DATABASE_URL => database_url('outsider') ]);
	my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";

	sql('CREATE ROLE outsider LOGIN');
	for my $complaint (sort keys %complaints)
	{
		my $failed = start_shop(@{ $complaints{$complaint} });

		is($failed->{status}, 1, "it does not start: $complaint");
		like($failed->{said}, qr/^error: .*\Q$complaint\E/, 'and says why');
	}
	like(start_shop(DATABASE_URL => database_url('shop_web'), PORT => $_)->{said}, qr/^error: PORT is no port/, "no port: $_")
	  for 'http', 65536, -1;
	like(start_shop(DATABASE_URL => database_url('shop_web'), PORT => $taken->sockport)->{said},
		qr/^error: can't listen on port \d+ of 127\.0\.0\.1: .*in use/, 'a port that is taken');
}

$shop = start_shop(DATABASE_URL => database_url('shop_web'), OPERATOR_URL => database_url('shop_operator'));
ok($shop->{url}, 'it starts') or BAIL_OUT($shop->{said});

# The page
{
	my $page = request('GET', '/');
	my $policy = $page->{headers}{'content-security-policy'};

	is($page->{status}, 200, 'the page');
	like($policy, qr/^default-src 'none';/, 'which may load nothing that is not named');
	unlike($policy, qr/unsafe|https?:|\*/, 'and nothing from elsewhere, nor what stands in it');
	like($page->{headers}{'set-cookie'}, qr/^shop=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/, 'a new guest has a cookie');
	isnt(guest(), guest(), 'which is his own');
	ok(!request('GET', '/', headers => { cookie => guest() })->{headers}{'set-cookie'}, 'and keeps it');
	is($_->{headers}{'x-content-type-options'}, 'nosniff', 'no answer is taken for something else')
	  for $page, map { request('GET', $_) } '/shop.js', '/shop.css', '/icon.svg', '/shop', '/nothing';
	unlike(slurp_file("$examples/page/index.html"), qr/<(?:script|style)\b[^>]*>[^<]|\son\w+=|\sstyle=|https?:/, 'nothing stands in it that a policy would stop');
}

# Who asks, and from where
{
	my $cookie = guest();
	my %order = (pack => 'sampler', visit => 'visit 1');
	my ($own, $url);

	is(request('GET', $_)->{status}, 401, "$_ is nobody's without a session") for '/shop', '/statement', '/events', '/operator';
	is(request('GET', '/statement', headers => { cookie => "shop=$_" })->{status}, 401, "no session: '$_'")
	  for '', 'guest_1', 'x' x 42, 'x' x 44, q{' OR true --};
	is(post('/buy', \%order, cookie => $cookie, %{ $_->[0] })->{status}, 403, "no order from elsewhere: $_->[1]") for
	  [ { origin => undef }, 'it does not say where' ],
	  [ { origin => 'https://evil.example' }, 'another origin' ],
	  [ { origin => 'null' }, 'an origin that is none' ],
	  [ { origin => "$shop->{url}.evil.example" }, 'one that begins like it' ],
	  [ { 'sec-fetch-site' => 'cross-site' }, 'another site' ],
	  [ { 'sec-fetch-site' => 'same-site' }, 'a neighbour' ];
	is(sql('SELECT count(*) FROM stripe_credit.checkout'), 0, 'and none was taken');
	is(status_under_name($_->[0]), $_->[1], "asked for as $_->[0]") for
	  [ 'evil.example', 421 ], [ 'localhost', 200 ], [ '127.0.0.1.evil.example', 421 ], [ '', 421 ];

	$own = post('/buy', { %order, account => 'somebody', account_id => 'somebody' }, cookie => $cookie);
	is($own->{status}, 200, 'its own page may order');
	like($own->{says}{url}, qr{^\Q$double->{plain}\E/c/pay/cs_test_\w+$}, 'and is sent to pay');
	like(sql('SELECT account_id FROM stripe_credit.checkout'), qr/^guest_[0-9a-f]{32}$/, 'for the account of its session and no other');
	is(post('/buy', \%order, cookie => $cookie)->{says}{url}, $own->{says}{url}, 'the same visit again: the same');
	isnt($url = post('/buy', { %order, visit => 'visit 2' }, cookie => $cookie)->{says}{url}, $own->{says}{url}, 'another visit: another');

	my ($session) = $url =~ /(cs_\w+)$/;
	is(post('/confirm', { session => $session }, cookie => $cookie)->{says}{status}, 'pending', 'nothing is paid yet');
	like($double->pay($url), qr{^\Q$shop->{url}\E/thanks\?session=$session$}, 'who has paid is sent back');
	is(post('/confirm', { session => $session }, cookie => guest())->{status}, 404, 'where nobody else is told');
	is_deeply(post('/confirm', { session => $session }, cookie => $cookie)->{says}, { status => 'duplicate', credits => 100 }, 'what has come');
	is(scalar @{ request('GET', '/statement', headers => { cookie => $cookie })->{says}{rows} }, 1, 'his statement');
	is(scalar @{ request('GET', '/statement?account=' . sql('SELECT account_id FROM stripe_credit.account'),
		headers => { cookie => guest() })->{says}{rows} }, 0, 'is nobody else’s');
}

# What is wrong is said in words of the shop, and nothing of what is behind it.
{
	my $cookie = guest();
	my $ask = sub { return post($_[0], $_[1], cookie => $cookie) };
	my @asked = (
		[ 400, 'no JSON', $ask->('/buy', 'pack=sampler') ],
		[ 400, 'no object', $ask->('/buy', 'null') ],
		[ 400, 'a field is missing', $ask->('/buy', { pack => 'sampler' }) ],
		[ 400, 'a field is no text', $ask->('/buy', { pack => [ 'sampler' ], visit => 'v' }) ],
		[ 400, 'a key that is none', $ask->('/buy', { pack => 'sampler', visit => ' v' }) ],
		[ 400, 'a session that is none', $ask->('/confirm', { session => 'x' }) ],
		[ 400, 'a page that is none', request('GET', '/statement?before=-1', headers => { cookie => $cookie }) ],
		[ 402, 'too few credits', $ask->('/generate', {}) ],
		[ 404, 'an unknown pack', $ask->('/buy', { pack => 'nothing', visit => 'v' }) ],
		[ 404, 'an unknown session', $ask->('/confirm', { session => 'cs_test_unknown' }) ],
		[ 404, 'nothing to refund', $ask->('/refund', { visit => 'v' }) ],
		[ 404, 'an unknown path', request('GET', '/constructor') ],
		[ 404, 'a path to a file', request('GET', '/../server.js') ],
		[ 404, 'another method', request('GET', '/buy') ],
		[ 413, 'too much', $ask->('/buy', 'x' x 10_001) ]);

	for (@asked)
	{
		my ($status, $what, $answer) = @$_;

		is($answer->{status}, $status, $what);
		like($answer->{says}{error}, qr/^[\w’ :]+\.$/, 'a plain sentence');
	}
	$double->control('/_double/fault', { name => 'status-402', times => 1, path => '/v1/checkout/sessions' });
	is($ask->('/buy', { pack => 'sampler', visit => 'w' })->{status}, 502, 'Stripe refuses');
	like(slurp_file($shop->{log}), qr/^request failed: PT502 /m, 'which the log explains');
	sql(q{UPDATE stripe_credit.settings SET mode = 'live'});
	is_deeply($ask->('/buy', { pack => 'sampler', visit => 'w' })->{says}, { error => 'Something went wrong on our side.' },
		'no key of the mode: a matter for the log');
	is(request('GET', '/shop', headers => { cookie => $cookie })->{says}{mode}, 'live', 'the page is told the mode');
	sql(q{UPDATE stripe_credit.settings SET mode = 'test'});
}

# The webhook takes what Stripe has signed, from anywhere.
{
	my $body = session_event('evt_shop', account => 'ada', pack => 'sampler', object => { amount_subtotal => 500, amount_total => 500 });
	my $deliver = sub { return request('POST', '/webhook', headers => { 'stripe-signature' => $_[1] }, content => $_[0]) };

	is($deliver->($body, signature($body, secret => 'whsec_guessed'))->{status}, 400, 'a webhook that is forged');
	is($deliver->('x' x (1024 * 1024 + 1), 't=1,v1=1')->{status}, 413, 'one that is too large');
	is($deliver->($body, signature($body))->{says}{status}, 'applied', 'one of Stripe');
	is($deliver->($body, signature($body))->{says}{status}, 'duplicate', 'the same again');
}
unlike(slurp_file($shop->{log}), qr/sk_test|whsec_|guest_/, 'no secret is in the log, and no account');
is(stop_shop($shop), 0, 'told to end, it ends');

# Behind a proxy, and without an operator
$shop = start_shop(DATABASE_URL => database_url('shop_web'), PUBLIC_URL => 'https://shop.example.com/');
{
	my $cookie = guest();
	my %order = (pack => 'sampler', visit => 'visit 3');

	like(request('GET', '/')->{headers}{'set-cookie'}, qr/^__Host-shop=.*; Secure$/, 'where there is TLS the cookie wants it');
	is(request('GET', $_, headers => { cookie => $cookie })->{status}, 404, "no operator: $_") for '/operator', '/refund';
	is(request('GET', '/shop', headers => { cookie => $cookie })->{says}{operator}, JSON::PP::false, 'and no panel');
	is(post('/buy', \%order, cookie => $cookie)->{status}, 403, 'its address behind the proxy is not its own');
	my $bought = post('/buy', \%order, cookie => $cookie, origin => 'https://shop.example.com');
	like($double->pay($bought->{says}{url}), qr{^https://shop\.example\.com/thanks\?}, 'buyers are sent back to where they came from');
}
stop_shop($shop);

# In a browser, from an empty database
SKIP:
{
	my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") } split /:/, $ENV{PATH};

	skip 'chromium is not installed', 1 unless $chromium;
	skip 'there is no playwright-core: STRIPE_CREDIT_NPM names no directory that has it', 1
	  unless -e "$npm/node_modules/playwright-core/package.json";
	$node->safe_psql('postgres', $_) for 'DROP DATABASE shop', 'DROP ROLE shop_web', 'DROP ROLE shop_operator';
	$double->control('/_double/reset', {});
	open_books();
	$shop = start_shop(DATABASE_URL => database_url('shop_web'), OPERATOR_URL => database_url('shop_operator'));

	# What the browser leaves in its home goes with this test.
	local $ENV{HOME} = "$dir/home";
	mkdir $ENV{HOME};
	open my $lines, '-|', $program, "$FindBin::RealBin/../shop/browser.mjs", $json->encode({ npm => $npm, chromium => $chromium,
		shop => $shop->{url}, double => $double->{plain}, database => database_url($ENV{USER} || getpwuid $<), secret => SECRET })
	  or die "can't run the browser: $!";
	while (my $line = <$lines>)
	{
		if ($line =~ /^(not )?ok - (.*)/) { ok(!$1, $2) }
		elsif ($line =~ /^# (.*)/) { diag($1) }
		elsif ($line =~ /^done$/) { pass('the browser came to the end') }
	}
	ok(close $lines, 'and found nothing else') or diag(slurp_file($shop->{log}));
	is(stop_shop($shop), 0, 'the shop ends');
}

$double->stop;
$node->stop;
done_testing();
