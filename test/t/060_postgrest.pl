# The functions of expose() by HTTP: what each of them answers to whom, with which status,
# and what is refused.  In PostgREST's place is a stand-in that speaks to the server as
# PostgREST does; where a postgrest is on the PATH, the same is asked of it as well.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Api;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use StripeCredit::Slow;
use Test::More;

plan skip_all => 'node is not installed' unless runs('node', '--version');

my ($double, $node, $api);

# Every error that was answered
my @errors;

# What a PTxyz error may say, since it becomes a part of the status line
my %messages = (
	PT402 => qr/^not enough credits$/,
	PT404 => qr/^(?:unknown (?:pack|session|hold|spend|account)|account has no Stripe customer)$/,
	PT409 => qr/^(?:idempotency key was used for something else|hold is closed)$/,
	PT502 => qr/^(?:Stripe refused the request|Stripe's answer can't be used)$/);

# What would be another header, or another answer, if it came into a status line
use constant OUTSIDE => "none\r\nX-Outside: 1\r\n\r\n";

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }
sub sql_of_owner { return sql('SET ROLE app_owner', @_) }

sub count_requests { return scalar $double->requests }

sub set_up
{
	my ($make_api) = @_;

	$double = StripeCredit::Double->new;
	$node = new_node('postgrest', conf => <<"END");
stripe_credit.api_base = '$double->{api}'
stripe_credit.ca_file = '$double->{ca}'
stripe_credit.max_retries = 0
stripe_credit.timeout = '@{[ 5 * SLOW ]}s'
END
	StripeCredit::Api::make_roles($node);
	$api = $make_api->($node);
	@errors = ();
	return;
}

sub tear_down
{
	is($api->trouble, '', 'there was nothing that could not be answered');
	$api->stop;
	$double->stop;
	$node->stop;
	$node->clean_node;
	return;
}

sub answered
{
	my ($what, $answer, $expected) = @_;

	is($answer->{status}, 200, $what) or diag($answer->{content});
	is_deeply($answer->{value}, $expected, '... and what') if defined $expected;
	return $answer->{value};
}

sub refused
{
	my ($what, $answer, $status, $code) = @_;
	my $error = ref $answer->{value} eq 'HASH' ? $answer->{value} : {};

	is(join(' ', $answer->{status}, $error->{code} // '-'), "$status $code", $what) or diag($answer->{content});
	push @errors, $answer if $error->{code};
	return $error;
}

# What the server's log has got of it, when it is done
sub log_of
{
	my ($do) = @_;
	my $before = -s $node->logfile;

	$do->();
	return slurp_file($node->logfile, $before);
}

#
# Made, and made known
#

sub functions_of_api { return split /\n/, sql(q{SELECT proname FROM pg_proc WHERE pronamespace = 'api'::regnamespace ORDER BY 1}) }

# All that the catalogue says of them
sub catalogue
{
	return sql(q{SELECT p, obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE pronamespace = 'api'::regnamespace ORDER BY proname},
		q{SELECT nspacl FROM pg_namespace WHERE nspname = 'api'});
}

my $expose = q{SELECT stripe_credit.expose('api', 'anon', 'authenticated', 'service_role')};
my $notice = qr/Asynchronous notification "pgrst" with payload "reload schema"/;

sub test_expose
{
	my ($once, @catalogues);

	refused('nothing is there before', $api->as_user('ada', 'packs'), 404, 'PGRST202');
	like(sql_of_owner('LISTEN pgrst', $expose), $notice, 'expose() tells PostgREST');
	ok(StripeCredit::Api::wait_until(sub { $api->as_user('ada', 'packs')->{status} == 200 }), '... which finds what is new');
	push @catalogues, catalogue();
	sql_of_owner($expose);
	is(catalogue(), $catalogues[0], 'expose() again: all is as it was');
	is(sql(q{SELECT DISTINCT proowner::regrole FROM pg_proc WHERE pronamespace = 'api'::regnamespace}),
		'app_owner', q{all are the administrator's});
	return;
}

sub test_unexpose
{
	like(sql_of_owner('LISTEN pgrst', q{SELECT stripe_credit.unexpose('api')}), $notice, 'unexpose() tells it too');
	is(sql(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'api'::regnamespace}), 0, '... and leaves nothing');
	ok(StripeCredit::Api::wait_until(sub { $api->as_user('ada', 'packs')->{status} == 404 }), '... to be found');
	is(sql_of_owner(q{SELECT stripe_credit.unexpose('api')}), '', 'unexpose() again is quiet');

	sql_of_owner(q{CREATE FUNCTION api.credits() RETURNS text LANGUAGE sql AS $$SELECT 'mine'$$});
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET ROLE app_owner; $expose");
	like($err, qr/ERROR:\s+42723/, 'somebody\'s own function is not replaced');
	is(join(' ', functions_of_api()), 'credits', '... and nothing is made beside it');
	sql_of_owner(q{DROP FUNCTION api.credits()});
	return;
}

#
# Who may
#

# Each function, whose it is, and arguments by which it is found
my %functions = (
	stripe_webhook => [ anon => {} ],
	packs => [ user => {} ],
	credits => [ user => {} ],
	credit_history => [ user => {} ],
	create_checkout => [ user => { pack_id => 'starter' } ],
	confirm_checkout => [ user => { session_id => 'cs_test_x' } ],
	customer_portal => [ user => {} ],
	spend_credits => [ service => { account_id => 'ada', credits => 1 } ],
	reverse_spend => [ service => { account_id => 'ada', idempotency_key => 'k' } ],
	hold_credits => [ service => { account_id => 'ada', credits => 1, idempotency_key => 'k' } ],
	capture_credits => [ service => { account_id => 'ada', credits => 1, idempotency_key => 'k' } ],
	release_credits => [ service => { account_id => 'ada', idempotency_key => 'k' } ],
	grant_credits => [ service => { account_id => 'ada', credits => 1, idempotency_key => 'k' } ]);

my %callers = (
	anon => sub { return $api->as_anon(@_) },
	user => sub { return $api->as_user('ada', @_) },
	service => sub { return $api->as_service(@_) });

sub functions_for { my ($who) = @_; return grep { $functions{$_}[0] eq $who } sort keys %functions }

sub test_who_may
{
	is_deeply([ functions_of_api() ], [ sort keys %functions ], 'no function that is not looked at here');
	for my $name (sort keys %functions)
	{
		my ($whose, $arguments) = @{ $functions{$name} };

		refused("$name is not for $_", $callers{$_}->($name, $arguments), $_ eq 'anon' ? 401 : 403, '42501')
		  for grep { $_ ne $whose } sort keys %callers;
	}
	is(sql(q{SELECT (SELECT count(*) FROM stripe_credit.account) + (SELECT count(*) FROM stripe_credit.event)}), 0, 'nothing came of that');
	refused("$_ needs to know who asks", $api->call({ role => 'authenticated' }, $_, $functions{$_}[1]), 403, '42501')
	  for grep { $_ ne 'packs' } functions_for('user');
	return;
}

sub test_tokens
{
	my $forged = StripeCredit::Api::token(role => 'service_role') =~ s/.{4}$/AAAA/r;

	refused('a forged token', $api->post('credits', '{}', authorization => "Bearer $forged"), 401, 'PGRST301');
	refused('no token at all', $api->post('credits', '{}', authorization => 'Bearer sb_publishable_x'), 401, 'PGRST301');
	refused('one that has expired', $api->call({ role => 'authenticated', sub => 'ada', exp => time - 60 }, 'credits'), 401, 'PGRST303');
	refused('a role that the connection may not become', $api->call({ role => 'pg_monitor', sub => 'ada' }, 'credits'), 403, '42501');
	refused('nor the owner', $api->call({ role => 'app_owner', sub => 'ada' }, 'credits'), 403, '42501');
	return;
}

# Who pays what, and where he is sent, is not the browser's to say.
sub test_parameters
{
	my @names = qw(account_id account user_id sub credits amount unit_amount price price_id currency success_url cancel_url return_url
	  customer customer_email params metadata expires_at livemode);
	my @found;

	for my $name (functions_for('user'))
	{
		for my $parameter (@names)
		{
			my $answer = $api->as_user('ada', $name, { %{ $functions{$name}[1] }, $parameter => 'x' });

			push @found, "$name($parameter)" if "$answer->{status} $answer->{value}{code}" ne '404 PGRST202';
		}
	}
	is("@found", '', 'no function of the users takes an account, a price or an address');
	return;
}

#
# The webhook
#

sub webhook { my ($body, @headers) = @_; return $api->post('stripe_webhook', $body, @headers) }

# As Stripe delivers it; options go to signature().
sub deliver_by_http { my ($body, %options) = @_; return webhook($body, 'stripe-signature' => signature($body, %options)) }

sub status_of_event
{
	my ($answer) = @_;

	return join ' ', $answer->{status}, $answer->{value}{status} // $answer->{value}{code} // $answer->{content};
}

# Refused, but by an answer: nothing is raised, and nothing is in the log as an error.
sub declined
{
	my ($what, $status, $error, @call) = @_;
	my $answer;
	my $log = log_of(sub { $answer = webhook(@call) });

	is($answer->{status}, $status, $what);
	is_deeply($answer->{value}, { ok => JSON::PP::false, error => $error }, '... and why');
	unlike($log, qr/ERROR|FATAL/, '... without an error in the log');
	return;
}

sub test_webhook
{
	my $body = session_event('evt_first', account => 'ada');
	my $refusal = 'webhook signature verification failed';
	my $no_event = '{"object": "nothing that is known"}';

	is(status_of_event(deliver_by_http($body)), '200 applied', 'a webhook');
	is(status_of_event(deliver_by_http($body)), '200 duplicate', 'the same again');
	declined('no signature', 400, $refusal, $body);
	declined('an empty one', 400, $refusal, $body, 'stripe-signature' => '');
	declined('nonsense for one', 400, $refusal, $body, 'stripe-signature' => 'nonsense');
	declined('one of another secret', 400, $refusal, $body, 'stripe-signature' => signature($body, secret => 'whsec_other'));
	declined('one of another body', 400, $refusal, "$body ", 'stripe-signature' => signature($body));
	declined('one that has expired', 400, $refusal, $body, 'stripe-signature' => signature($body, time => time - 400));
	declined('one of the future', 400, $refusal, $body, 'stripe-signature' => signature($body, time => time + 400));
	declined('of two headers the last counts', 400, $refusal, $body, 'stripe-signature' => [ signature($body), 'nonsense' ]);
	is(status_of_event(webhook($body, 'stripe-signature' => [ 'nonsense', signature($body) ])), '200 duplicate', '... if it is good');
	declined('what is signed but no event', 400, 'webhook payload is not a Stripe event',
		$no_event, 'stripe-signature' => signature($no_event));
	# what is neither object nor array comes as an empty array, of which it isn't the signature
	declined('a lone value', 400, $refusal, '"x"', 'stripe-signature' => signature('"x"'));

	sql('UPDATE stripe_credit.settings SET max_payload = 100');
	declined('too large a body', 413, 'webhook payload is too large', $body, 'stripe-signature' => signature($body));
	sql('UPDATE stripe_credit.settings SET max_payload = DEFAULT');

	my $secret = sql('SELECT id FROM stripe_credit.webhook_secret');
	sql("SELECT stripe_credit.remove_webhook_secret($secret)");
	refused('without a secret it is our fault', deliver_by_http($body), 500, '55000');
	sql(sprintf 'SELECT stripe_credit.add_webhook_secret(%s)', literal(SECRET));
	is(status_of_event(deliver_by_http(session_event('evt_second', account => 'ada'))), '200 applied', 'and when it is mended, all goes on');
	is(sql(q{SELECT balance FROM stripe_credit.balance('ada')}), 200, 'two packs were credited');
	return;
}

# The signature is of these very bytes, so that all of them must arrive as they are.
sub test_bytes
{
	my %in_front = (
		'escapes and slashes' => '"a\/b \u00fc \ud83d\ude00 \t"',
		'text beyond the BMP' => "\"\xf0\x9f\x98\x80 \xc3\xa9 \xe2\x80\xa8\"",
		'numbers of many digits' => '[12345678901234567890, 1.50e3, -0, 0.10000000000000000000001]',
		'keys that stand there twice' => '{"a": 1, "b": 2, "a": 3}',
		'a zero character' => '"\u0000"',
		'deep nesting' => '[' x 40 . ']' x 40);
	my $n = 0;

	for my $what (sort keys %in_front)
	{
		my $body = session_event('evt_bytes' . ++$n, account => 'odd') =~ s/^\{/{"unread": $in_front{$what}, /r;

		is(status_of_event(deliver_by_http($body)), '200 applied', $what);
	}
	my $body = session_event('evt_spaces', account => 'odd') =~ s/,/ ,\r\n\t /gr;
	is(status_of_event(deliver_by_http(" \t\r\n$body\r\n \n")), '200 applied', 'odd spacing');
	$body = session_event('evt_large', account => 'odd') =~ s/^\{/'{"unread": "' . 'x' x 100_000 . '", '/er;
	is(status_of_event(deliver_by_http($body)), '200 applied', 'a large body');
	is(sql(q{SELECT balance FROM stripe_credit.balance('odd')}), 100 * ($n + 2), 'all of them were credited');
	return;
}

# What PostgREST doesn't let through
sub test_refused_bodies
{
	my $body = session_event('evt_never', account => 'ada');
	my $signed = sub { return ('stripe-signature' => signature($_[0])) };

	for (
		[ 'cut off', substr $body, 0, 50 ],
		[ 'with something behind it', "$body x" ],
		[ 'with a byte order mark', "\xef\xbb\xbf$body" ],
		[ 'with a lone surrogate', $body =~ s/^\{/{"x": "\\ud800", /r ],
		[ 'with what is no UTF-8', $body =~ s/^\{/{"x": "\xff", /r ],
		[ 'with a raw line feed in a text', $body =~ s/^\{/{"x": "\n", /r ],
		[ 'that is an array of scalars', '[1, 2]' ])
	{
		my ($what, $sent) = @$_;

		refused("a body $what", webhook($sent, $signed->($sent)), 400, 'PGRST102');
	}
	refused('no body', webhook('', $signed->('')), 400, '22P02');
	refused('a body as text', webhook($body, $signed->($body), 'content-type' => 'text/plain'), 404, 'PGRST202');
	is(status_of_event(webhook($body, $signed->($body), 'content-type' => 'Application/JSON; charset=utf-8')), '200 applied',
		'with a charset, as Stripe sends it');
	refused('a key in the address', $api->post('stripe_webhook?apikey=abc', $body, $signed->($body)), 400, 'PGRST100');
	refused('a GET', $api->get('stripe_webhook'), 404, 'PGRST202');
	return;
}

# What the functions find set, here as with PostgREST.
sub test_settings
{
	my %role = (authenticated => '8s', anon => '3s');
	my $seen;

	sql_of_owner(q{CREATE FUNCTION api.seen() RETURNS json LANGUAGE sql STABLE AS $$
		SELECT json_build_object('users', concat_ws(' ', session_user, current_user), 'sub', current_setting('request.jwt.claims')::json->>'sub',
			'request', concat_ws(' ', current_setting('request.method'), current_setting('request.path')),
			'headers', concat_ws(' ', h->>'x-odd', h->>'cookie'), 'cookie', current_setting('request.cookies')::json->>'a',
			'path', current_setting('search_path'), 'time', current_setting('statement_timeout'),
			'mode', concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only')))
		FROM (SELECT current_setting('request.headers')::json AS h) r $$}, q{NOTIFY pgrst, 'reload schema'});
	StripeCredit::Api::wait_until(sub { $api->as_anon('seen')->{status} == 200 });
	for my $role (sort keys %role)
	{
		$seen = answered("a request of $role", $api->post('seen', '{}', StripeCredit::Api::bearer(role => $role, sub => "of $role"),
			'X-Odd' => [ 'first', 'last' ], cookie => 'a=1; b=2'));
		is_deeply($seen, { users => "authenticator $role", sub => "of $role", request => 'POST /rpc/seen', headers => 'last', cookie => '1',
			path => '"api", "public"', time => $role{$role}, mode => 'read committed on' }, '... and what is set for it');
	}
	is(answered('a request of nobody', $api->get('seen'))->{users}, 'authenticator anon', '... is the role of nobody');
	sql_of_owner('DROP FUNCTION api.seen()');
	return;
}

# An application may keep what was refused: the transaction is committed.
sub test_commit
{
	sql_of_owner('CREATE TABLE api.audit (answer json)',
		q{CREATE FUNCTION api.audited_webhook(json) RETURNS json LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		  'INSERT INTO api.audit SELECT api.stripe_webhook($1) RETURNING answer'},
		q{NOTIFY pgrst, 'reload schema'});
	StripeCredit::Api::wait_until(sub { $api->post('audited_webhook', '{}')->{status} == 400 });
	sql_of_owner('DELETE FROM api.audit WHERE true');
	is($api->post('audited_webhook', '{}')->{status}, 400, 'refused through a function of the application');
	is(sql(q{SELECT answer->>'ok' FROM api.audit}), 'false', 'which has kept the answer');
	sql_of_owner('DROP FUNCTION api.audited_webhook(json)', 'DROP TABLE api.audit');
	return;
}

#
# A user
#

sub checkout { my ($who, %arguments) = @_; return $api->as_user($who, 'create_checkout', { pack_id => 'starter', %arguments }) }
sub confirm { my ($who, $session) = @_; return $api->as_user($who, 'confirm_checkout', { session_id => $session }) }

sub test_not_configured
{
	for (
		q{SELECT stripe_credit.set_api_key('sk_test_canary')},
		q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/?s={CHECKOUT_SESSION_ID}'})
	{
		my $error = refused('create_checkout is not configured', checkout('ada'), 500, '55000');

		ok(length $error->{hint}, '... and a hint says what to do');
		sql_of_owner($_);
	}
	is(count_requests(), 0, 'Stripe has heard nothing of that');
	return;
}

sub test_checkout
{
	my $session = answered('a checkout', checkout('ada', quantity => 2, idempotency_key => 'form 1'));
	my $requests = count_requests();

	is_deeply([ sort keys %$session ], [qw(amount credits currency expires_at livemode session_id url)], 'with all that is to be known');
	is("$session->{credits} $session->{amount} $session->{currency}", '200 2000 usd', 'of two packs');
	answered('the same form again', checkout('ada', quantity => 2, idempotency_key => 'form 1'), $session);
	is(count_requests(), $requests, '... is not asked for again');
	refused('the same form for something else', checkout('ada', quantity => 3, idempotency_key => 'form 1'), 409, 'PT409');
	isnt(answered('another user with that key', checkout('bob', quantity => 2, idempotency_key => 'form 1'))->{session_id},
		$session->{session_id}, '... has a session of his own');
	is(sql("SELECT account_id FROM stripe_credit.checkout WHERE session_id = '$session->{session_id}'"), 'ada', 'a session is his who made it');

	$requests = count_requests();
	refused('an unknown pack', checkout('ada', pack_id => OUTSIDE), 404, 'PT404');
	refused('one that is sold no more', checkout('ada', pack_id => 'old'), 404, 'PT404');
	refused('no pack', checkout('ada', pack_id => undef), 404, 'PT404');
	refused('none of it', checkout('ada', quantity => 0), 400, '22023');
	refused('a quantity that is none', checkout('ada', quantity => 'many'), 400, '22P02');
	refused('a key that is none', checkout('ada', idempotency_key => OUTSIDE), 400, '22023');
	refused('an account that is none', checkout(' ada'), 400, '22023');
	refused('a checkout by a GET', $api->get('create_checkout?pack_id=starter', StripeCredit::Api::bearer(role => 'authenticated', sub => 'ada')),
		405, '25006');
	is(count_requests(), $requests, 'of none of these has Stripe heard');
	return;
}

# The next requests of that kind go wrong.  Over a connection that was kept libcurl tries
# once more, so there are enough of them.
sub refused_when
{
	my ($fault, $where, $call, $status, $code) = @_;
	my $error;

	$double->control('/_double/fault', { name => $fault, times => 10, %$where });
	$error = refused("Stripe fails: $fault", $call->(), $status, $code);
	$double->control('/_double/reset', { only => ['faults'] });
	return $error;
}

# What Stripe's own text says comes with the details, and never with the key.
sub test_stripe_fails
{
	for (
		[ 'status-402' => 502, 'PT502' ], [ 'echo-key' => 502, 'PT502' ], [ 'status-500' => 502, 'PT502' ], [ 'html' => 502, 'PT502' ],
		[ 'redirect' => 502, 'PT502' ], [ 'reset-before-answer' => 503, '08006' ])
	{
		my ($fault, $status, $code) = @$_;
		my $error = refused_when($fault, { path => '/v1/checkout/sessions', method => 'POST' }, sub { return checkout('ada') }, $status, $code);

		unlike(JSON::PP::encode_json($error), qr/canary/, '... and the key is not told');
	}
	return;
}

# The webhook goes where Stripe would send it.
sub test_purchase
{
	my $session = checkout('ada')->{value};
	my $before = sql(q{SELECT balance FROM stripe_credit.balance('ada')});
	my $requests = count_requests();
	my $none = refused('an unknown session', confirm('eve', OUTSIDE), 404, 'PT404');

	is_deeply(refused("another's session", confirm('eve', $session->{session_id}), 404, 'PT404'), $none, '... looks like one that is not there');
	refused('no session', confirm('eve', undef), 404, 'PT404');
	is(count_requests(), $requests, '... and Stripe was not asked');
	is(answered('his own', confirm('ada', $session->{session_id}))->{status}, 'pending', '... is not paid yet');

	$double->control('/_double/webhook', { url => "$api->{url}/rpc/stripe_webhook", secret => SECRET });
	$double->pay($session->{url});
	is_deeply([ grep { $_ != 200 } map { $_->{status} } @{ $double->control('/_double/deliveries') } ], [], 'all that Stripe tells is taken');
	is(sql(q{SELECT balance FROM stripe_credit.balance('ada')}), $before + 100, '... and credited');
	is(answered('the buyer comes back', confirm('ada', $session->{session_id}))->{status}, 'duplicate', '... and nothing is new');

	$double->control('/_double/webhook', { url => "$api->{url}/rpc/stripe_webhook", secret => SECRET, drop => ['*'] });
	$session = checkout('bob')->{value};
	$double->pay($session->{url});
	is_deeply([ @{ answered('he comes back before the webhook', confirm('bob', $session->{session_id})) }{qw(status account credits)} ],
		[ 'applied', 'bob', 100 ], '... and is credited');
	refused("what is paid is still another's", confirm('eve', $session->{session_id}), 404, 'PT404');
	$double->control('/_double/reset', { only => ['webhook'] });
	return;
}

sub test_confirm_fails
{
	my $session = checkout('ada')->{value}{session_id};

	for ([ 'status-404' => 404, 'PT404' ], [ 'garbage' => 502, 'PT502' ], [ 'close-before-answer' => 503, '08006' ])
	{
		my ($fault, $status, $code) = @$_;

		refused_when($fault, { path => "/v1/checkout/sessions/$session", method => 'GET' },
			sub { return confirm('ada', $session) }, $status, $code);
	}
	return;
}

sub test_portal
{
	my $session;

	refused('a portal for whom Stripe does not know', $api->as_user('sue', 'customer_portal'), 404, 'PT404');
	$session = checkout('sue', pack_id => 'monthly')->{value};
	$double->pay($session->{url});
	answered('a subscription', confirm('sue', $session->{session_id}));
	like(answered('her portal', $api->as_user('sue', 'customer_portal')), qr{^https?://}, '... is an address');
	for ([ 'status-400' => 502, 'PT502' ], [ 'reset-before-answer' => 503, '08006' ])
	{
		my ($fault, $status, $code) = @$_;

		refused_when($fault, { path => '/v1/billing_portal/sessions' }, sub { return $api->as_user('sue', 'customer_portal') }, $status, $code);
	}
	return;
}

sub test_key_is_lost
{
	my $session = checkout('ada')->{value}{session_id};

	sql('DELETE FROM stripe_credit.api_key');
	refused('no key to confirm with', confirm('ada', $session), 500, '55000');
	refused('no key for a portal', $api->as_user('sue', 'customer_portal'), 500, '55000');
	sql_of_owner(q{SELECT stripe_credit.set_api_key('sk_test_canary')});
	answered('a key again', confirm('ada', $session));
	return;
}

# How long a request may take is the function's to say.
sub test_time
{
	my $slow = sub {
		$double->control('/_double/fault', { name => 'slow-2', path => '/v1/checkout/sessions', method => 'POST' });
		return $api->call({ role => 'hurried', sub => 'ada' }, 'create_checkout', { pack_id => 'starter' });
	};
	my $reload = q{NOTIFY pgrst, 'reload schema'};
	my $answer;

	sql_of_owner(q{SELECT stripe_credit.expose('api', user_role => 'hurried')});
	answered('a checkout that takes longer than the role has time', $slow->());
	sql_of_owner('ALTER FUNCTION api.create_checkout(text, integer, text) RESET statement_timeout', $reload);
	# only a function of the new cache is found, and the one that was read with it is then without its time
	sql_of_owner('CREATE FUNCTION api.read_again() RETURNS integer LANGUAGE sql AS $$SELECT 1$$', $reload);
	StripeCredit::Api::wait_until(sub { $api->as_anon('read_again')->{status} == 200 });
	refused('without a time of its own', $slow->(), 500, '57014');
	sql_of_owner('DROP FUNCTION api.read_again()', $expose);
	StripeCredit::Api::wait_until(sub { $api->as_anon('read_again')->{status} == 404 });
	answered('expose() has mended that', $slow->());
	return;
}

sub test_reading
{
	my @ada = StripeCredit::Api::bearer(role => 'authenticated', sub => 'ada');
	my $credits = answered('his credits', $api->as_user('ada', 'credits'));
	my $history = answered('his history', $api->as_user('ada', 'credit_history'));

	is_deeply([ sort keys %$credits ], [qw(available balance held next_expiry)], 'balance and all');
	is_deeply([ sort keys %{ $history->[0] } ], [qw(balance created_at credits idempotency_key kind metadata payment_id seq)], 'entries');
	is($history->[0]{balance}, $credits->{balance}, 'which end at the balance');
	answered('the page before the last',
		$api->as_user('ada', 'credit_history', { before_seq => $history->[0]{seq}, max_rows => 1 }), [ $history->[1] ]);
	answered('the same by a GET', $api->get("credit_history?before_seq=$history->[0]{seq}&max_rows=1", @ada), [ $history->[1] ]);
	answered('credits by a GET', $api->get('credits', @ada), $credits);
	answered('who has nothing has zeros', $api->as_user('nobody', 'credits'), { balance => 0, held => 0, available => 0, next_expiry => undef });
	answered('and no history', $api->as_user('nobody', 'credit_history'), []);
	refused('no rows', $api->as_user('ada', 'credit_history', { max_rows => 0 }), 400, '22023');
	refused('an account that is none', $api->as_user(OUTSIDE, 'credits'), 400, '22023');
	refused('nor has it a history', $api->as_user(OUTSIDE, 'credit_history'), 400, '22023');
	answered('what is for sale', $api->as_user('ada', 'packs'), [
		{ pack_id => 'monthly', name => 'Monthly', credits => 500, unit_amount => 900, currency => 'usd',
			recurring_interval => 'month', expires_after => undef },
		{ pack_id => 'starter', name => undef, credits => 100, unit_amount => 1000, currency => 'usd',
			recurring_interval => undef, expires_after => '1 year' } ]);
	answered('the same by a GET', $api->get('packs', @ada), $api->as_user('ada', 'packs')->{value});
	return;
}

#
# A service
#

sub row { my ($seq, $balance, $held, $duplicate) = @_; return { seq => $seq, balance => $balance, held => $held, available => $balance - $held,
	duplicate => $duplicate ? JSON::PP::true : JSON::PP::false } }

sub test_service
{
	my $call = sub { my ($name, @arguments) = @_; return $api->as_service($name, { account_id => 'dave', @arguments }) };
	my %gift = (credits => 50, idempotency_key => 'gift', expires_at => '2100-01-01T00:00:00Z', priority => 1, metadata => { why => "\x{1f381}" });

	answered('a grant', $call->('grant_credits', %gift), row(1, 50, 0));
	answered('a spend', $call->('spend_credits', credits => 5, idempotency_key => 'job', metadata => { model => 'large' }), row(2, 45, 0));
	answered('the same again', $call->('spend_credits', credits => 5, idempotency_key => 'job'), row(2, 45, 0, 1));
	answered('one without a key', $call->('spend_credits', credits => 5), row(3, 40, 0));
	answered('one is taken back', $call->('reverse_spend', idempotency_key => 'job'), row(4, 45, 0));
	answered('a hold', $call->('hold_credits', credits => 10, idempotency_key => 'stream', ttl => '10 minutes'), row(undef, 45, 10));
	answered('captured in part', $call->('capture_credits', idempotency_key => 'stream', credits => 4), row(5, 41, 0));
	answered('another hold', $call->('hold_credits', credits => 10, idempotency_key => 'other'), row(undef, 41, 10));
	answered('released', $call->('release_credits', idempotency_key => 'other'), row(undef, 41, 0));
	is(sql(q{SELECT metadata->>'why' FROM stripe_credit.ledger WHERE account_id = 'dave' AND seq = 1}), "\xf0\x9f\x8e\x81", 'metadata is kept');

	refused('too much', $call->('spend_credits', credits => 42), 402, 'PT402');
	refused('too much to hold', $call->('hold_credits', credits => 42, idempotency_key => 'x'), 402, 'PT402');
	refused('who has nothing', $api->as_service('spend_credits', { account_id => 'nobody', credits => 1 }), 402, 'PT402');
	refused('an unknown spend', $call->('reverse_spend', idempotency_key => 'x'), 404, 'PT404');
	refused('an unknown hold to capture', $call->('capture_credits', idempotency_key => 'x', credits => 1), 404, 'PT404');
	refused('an unknown hold to release', $call->('release_credits', idempotency_key => 'x'), 404, 'PT404');
	refused('a hold that is released', $call->('capture_credits', idempotency_key => 'other', credits => 1), 409, 'PT409');
	refused('one that is captured', $call->('release_credits', idempotency_key => 'stream'), 409, 'PT409');
	refused("a spend's key for a hold", $call->('hold_credits', credits => 5, idempotency_key => 'job'), 409, 'PT409');
	refused("a grant's key for a spend", $call->('spend_credits', credits => 50, idempotency_key => 'gift'), 409, 'PT409');
	refused('a grant of other credits', $call->('grant_credits', credits => 51, idempotency_key => 'gift'), 409, 'PT409');
	answered('a hold for a moment', $call->('hold_credits', credits => 1, idempotency_key => 'brief', ttl => '1 microsecond'));
	refused('... has expired', $call->('capture_credits', idempotency_key => 'brief', credits => 1), 409, 'PT409');
	answered('a hold again', $call->('hold_credits', credits => 10, idempotency_key => 'another'), row(undef, 41, 10));
	refused('more than is held', $call->('capture_credits', idempotency_key => 'another', credits => 11), 400, '22023');
	refused('a hold is no spend', $call->('reverse_spend', idempotency_key => 'other'), 404, 'PT404');
	return;
}

sub test_arguments_of_service
{
	for my $name (functions_for('service'))
	{
		my $arguments = $functions{$name}[1];

		refused("$name: an account that is none", $api->as_service($name, { %$arguments, account_id => OUTSIDE }), 400, '22023');
		refused("$name: no account", $api->as_service($name, { %$arguments, account_id => undef }), 400, '22023');
		refused("$name: a key that is none", $api->as_service($name, { %$arguments, idempotency_key => OUTSIDE }), 400, '22023');
		next unless exists $arguments->{credits};
		refused("$name: less than no credits", $api->as_service($name, { %$arguments, credits => -1 }), 400, '22023');
		refused("$name: half a credit", $api->as_service($name, { %$arguments, credits => 0.5 }), 400, '22P02');
		refused("$name: more than there can be", $api->as_service($name, { %$arguments, credits => '9223372036854775808' }), 400, '22003');
	}
	sql('UPDATE stripe_credit.settings SET create_accounts = false');
	refused('an account that nobody has made',
		$api->as_service('grant_credits', { account_id => 'new', credits => 1, idempotency_key => 'a' }), 404, 'PT404');
	sql('UPDATE stripe_credit.settings SET create_accounts = true');
	answered('all credits that there can be',
		$api->as_service('grant_credits', { account_id => 'rich', credits => '9223372036854775807', idempotency_key => 'a' }));
	refused('and one more', $api->as_service('grant_credits', { account_id => 'rich', credits => 1, idempotency_key => 'b' }), 400, '22003');
	refused('a spend by a GET',
		$api->get('spend_credits?account_id=dave&credits=1', StripeCredit::Api::bearer(role => 'service_role')), 405, '25006');
	return;
}

#
# In the end
#

# Whatever came from outside stands in details at most.
sub test_messages
{
	my @raised = grep { $_->{value}{code} =~ /^PT/ } @errors;
	my %count;

	$count{shape} = grep { join(' ', sort keys %{ $_->{value} }) ne 'code details hint message' } @errors;
	$count{secret} = grep { $_->{content} =~ /whsec_|sk_test/ } @errors;
	$count{header} = grep { exists $_->{headers}{'x-outside'} } @errors;
	is_deeply(\%count, { shape => 0, secret => 0, header => 0 }, 'errors have four fields, tell no secret, and bring no header in');
	is_deeply([ map { "$_->{reason} / $_->{value}{message}" } grep { $_->{reason} ne $_->{value}{message} } @raised ],
		[], 'the message of a PTxyz error becomes the reason of its status');
	is_deeply([ map { "$_->{name}: $_->{value}{message}" } grep { $_->{value}{message} !~ $messages{ $_->{value}{code} } } @raised ],
		[], '... and is a fixed one');
	return;
}

# To be read in the log: which errors each function gave, and as which status.
sub note_statuses
{
	my %seen;

	$seen{ $_->{name} }{"$_->{value}{code} $_->{status}"} = 1 for @errors;
	note("$_: ", join ', ', sort keys %{ $seen{$_} }) for sort keys %seen;
	return;
}

sub contract
{
	my ($make_api) = @_;

	set_up($make_api);
	test_expose();
	test_who_may();
	test_tokens();
	test_parameters();
	test_webhook();
	test_bytes();
	test_refused_bodies();
	test_settings();
	test_commit();
	sql_of_owner(q{INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency, recurring_interval, active) VALUES
			('monthly', 'Monthly', 500, 900, 'usd', 'month', true), ('old', 'Old', 10, 100, 'usd', NULL, false)},
		q{UPDATE stripe_credit.pack SET expires_after = '1 year' WHERE pack_id = 'starter'});
	test_not_configured();
	test_checkout();
	test_stripe_fails();
	test_purchase();
	test_confirm_fails();
	test_portal();
	test_key_is_lost();
	test_time();
	test_reading();
	test_service();
	test_arguments_of_service();
	test_messages();
	test_unexpose();
	ok(books_are_right($node), 'the books are right');
	note_statuses();
	tear_down();
	return;
}

subtest 'the stand-in' => sub { contract(sub { return StripeCredit::Api->new(@_) }) };
SKIP:
{
	skip 'postgrest is not on the PATH', 1 unless StripeCredit::Api::postgrest_is_there();
	subtest 'PostgREST' => sub { contract(sub { return StripeCredit::Api->postgrest(@_) }) };
}
done_testing();
