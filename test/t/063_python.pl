# examples/python, as an application would use it: what its role may do, credits.py
# against the double of Stripe, and app.py with a stand-in for Streamlit.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;

plan skip_all => 'node is not installed' unless runs('node', '--version');
plan skip_all => 'psycopg2 is not installed' unless runs('python3', '-c', 'import psycopg2');
plan skip_all => 'Python is older than 3.10' unless runs('python3', '-c', 'import sys; assert sys.version_info >= (3, 10)');

my $example = "$FindBin::RealBin/../../examples/python";
my $double = StripeCredit::Double->new;
my $node = new_node('python', conf => "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n");

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

sql(q{CREATE ROLE shopkeeper LOGIN CREATEROLE},
	q{SELECT stripe_credit.administer('shopkeeper')},
	q{SELECT stripe_credit.set_api_key('sk_test_python')},
	q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/?session_id={CHECKOUT_SESSION_ID}'},
	q{UPDATE stripe_credit.pack SET name = '100 credits'},
	q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, active)
		VALUES ('large', 500, 4000, 'usd', true), ('old', 1, 1, 'usd', false)});

#
# The role
#

$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'shopkeeper', '-f', "$example/roles.sql", 'postgres' ],
	'roles.sql, as an administrator who is no superuser');
is(sql(q{
	SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
	WHERE pronamespace = 'stripe_credit'::regnamespace AND has_function_privilege('credits_app', oid, 'EXECUTE')}),
	'balance capture confirm_checkout create_checkout hold release spend statement', 'the functions that it may call, of all');
is(sql(q{
	SELECT string_agg(relname || ' ' || privilege, ', ') FROM pg_class,
		unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
	WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind IN ('r', 'v') AND has_table_privilege('credits_app', oid, privilege)}),
	'', 'no table');
is(sql(q{
	SELECT string_agg(format('%s.%s %s', relname, attname, privilege), ', ' ORDER BY attnum)
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS privilege
	WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0
		AND has_column_privilege('credits_app', c.oid, attnum, privilege)}),
	join(', ', map { "pack.$_ SELECT" } qw(pack_id name credits unit_amount currency recurring_interval active)),
	'but what a shop shows of its packs');
is(sql(q{
	SELECT count(*) FROM pg_class, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS privilege
	WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind = 'S' AND has_sequence_privilege('credits_app', oid, privilege)}), 0, 'no sequence');
is(sql(q{
	SELECT has_schema_privilege('credits_app', 'stripe_credit', 'CREATE'), has_schema_privilege('credits_app', 'stripe_credit', 'USAGE')}),
	'f|t', 'and nothing of its own in the schema');
is(sql(q{
	SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
		OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)
	FROM pg_roles r WHERE rolname = 'credits_app'}), 'f', 'nor is it anything else');

#
# credits.py
#

my $program = do {
	local $ENV{DATABASE_URL} = sprintf 'host=%s port=%s user=credits_app dbname=postgres', $node->host, $node->port;
	local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
	StripeCredit::Program->new('python3', "$FindBin::RealBin/../drivers/python_app.py", $example);
};

sub ask_python
{
	my (%question) = @_;
	my $answer = $program->ask(%question);

	return $answer->{error} ? "$answer->{error}{type}: $answer->{error}{message}" : $answer->{answer};
}

sub call_python { my ($name, @arguments) = @_; return ask_python(call => $name, arguments => \@arguments) }

sub held { my ($arguments, %body) = @_; return ask_python(held => $arguments, %body) }

sub available { return call_python('balance', $_[0])->{available} }

sub checkouts { return scalar grep { $_->{method} eq 'POST' && $_->{path} eq '/v1/checkout/sessions' } $double->requests }

# The buyer pays; returns the session that he comes back with.
sub pay { my ($url) = @_; return $double->pay($url) =~ /session_id=(\w+)/ && $1 }

sub session_of { my ($url) = @_; return sql("SELECT session_id FROM stripe_credit.checkout WHERE url = " . literal($url)) }

is_deeply(call_python('packs'),
	[
		{ pack_id => 'starter', name => '100 credits', credits => 100, unit_amount => 1000, currency => 'usd', recurring_interval => undef },
		{ pack_id => 'large', name => 'large', credits => 500, unit_amount => 4000, currency => 'usd', recurring_interval => undef }
	],
	'packs: what is on sale');
{
	my $url = call_python('buy', 'ada', 'starter', 'order 1');
	my $session = session_of($url);

	like($url, qr{^\Q$double->{plain}/c/pay/\E}, 'buy: where to pay');
	is(call_python('buy', 'ada', 'starter', 'order 1'), $url, 'with the same key the same purchase');
	isnt(call_python('buy', 'ada', 'starter', 'order 2'), $url, 'with another one another');
	is(call_python('buy', 'ada', 'old', 'order 3'), 'NotFound: unknown pack', 'not what is no longer sold');
	is(call_python('came_back', $session)->{status}, 'pending', 'came_back: not paid yet');
	ok(!exists call_python('came_back', $session)->{credits}, 'nothing credited, however often it is asked');
	is(pay($url), $session, 'paid');
	is(join(' ', @{ call_python('came_back', $session) }{qw(status account credits)}), 'applied ada 100', 'came_back: credited');
	is(join(' ', @{ call_python('came_back', $session) }{qw(status account credits)}), 'duplicate ada 100', 'once');
	is_deeply(call_python('balance', 'ada'), { balance => 100, held => 0, available => 100, next_expiry => undef }, 'balance');
	is(call_python('came_back', 'cs_test_unknown'), 'NotFound: unknown session', 'an unknown session');
	is(call_python('came_back', $_), 'NotFound: session_id is not valid', 'what is no session') for '../x', '', "cs_test_'; --";
}

is_deeply(call_python('spend', 'ada', 30, 'spend 1'), { seq => 2, balance => 70, held => 0, available => 70, duplicate => JSON::PP::false }, 'spend');
is(call_python('spend', 'ada', 30, 'spend 1')->{duplicate}, JSON::PP::true, 'again: done before');
is(call_python('spend', 'ada', 71, 'spend 2'), 'NotEnoughCredits: The account has 70 available, 71 were asked for.', 'more than there is');
is($program->ask(call => 'spend', arguments => [ 'ada', 5, 'spend 1' ])->{error}{code}, 'PT409', 'a key that was used for something else');
is($program->ask(call => 'spend', arguments => [ 'ada', 0, 'spend 3' ])->{error}{code}, '22023', 'nothing');

is(held([ 'ada', 50, 'job 1' ], used => 12)->{available}, 20, 'held: while it runs');
is(available('ada'), 58, 'and what it has used is spent');
held([ 'ada', 8, 'job 2' ]);
is(available('ada'), 50, 'all of it, unless it says so');
held([ 'ada', 50, 'job 3' ], used => 0);
is(available('ada'), 50, 'nothing, if it says that');
is(held([ 'ada', 50, 'job 4' ], raise => 'LookupError'), 'LookupError: of the body', 'a failure is passed on');
is(available('ada'), 50, 'and costs nothing');
is(held([ 'ada', 50, 'job 5' ], raise => 'KeyboardInterrupt'), 'KeyboardInterrupt: of the body', 'what is no Exception too');
is(available('ada'), 50, 'nor does that');
is(held([ 'ada', 51, 'job 6' ]), 'NotEnoughCredits: The account has 50 available, 51 were asked for.', 'more than there is: the body is not run');
like(held([ 'ada', 5, 'job 7' ], used => 6), qr/^InvalidParameterValue: /, 'more than is held');
is(sql(q{SELECT string_agg(state || ' ' || captured, ', ' ORDER BY idempotency_key) FROM stripe_credit.hold}),
	'captured 12, captured 8, released 0, released 0, released 0, open 0', 'what has become of the holds');
is_deeply([ map { "$_->{seq} $_->{kind} $_->{credits} $_->{balance}" } @{ call_python('history', 'ada') } ],
	[ '4 capture -8 50', '3 capture -12 58', '2 spend -30 70', '1 purchase 100 100' ], 'history, newest first');
is_deeply([ map { $_->{seq} } @{ call_python('history', 'ada', 3) } ], [ 2, 1 ], 'or before an entry');
is_deeply(call_python('history', 'nobody'), [], 'of somebody unknown');

# A backend is still there for a moment after its client has gone.
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'credits_app'}), 'no connection is left open');

#
# app.py
#

# A run of the page, in a tab of its own unless it is named
my $tabs = 0;

sub page
{
	my ($user, %page) = @_;
	my $answer = $program->ask(page => { session => 'tab ' . ++$tabs, $user ? (user => { sub => $user }) : (), %page });

	die "$answer->{error}{type}: $answer->{error}{message}\n" if $answer->{error};
	return $answer;
}

# What the page shows of a kind: of the first the values, or nothing
sub shown
{
	my ($page, $kind) = @_;
	my ($first) = grep { $_->[0] eq $kind } @{ $page->{shown} };

	return $first ? join ' ', @$first[ 1 .. $#$first ] : undef;
}

# A button, as a browser would press it
sub found_button
{
	my ($page, $label) = @_;
	my ($found) = grep { $_->[0] eq 'button' && $_->[1] eq $label } @{ $page->{shown} };

	die "no button $label\n" unless $found;
	return [ @$found[ 1, 2 ] ];
}

{
	my $page = page(undef, query => { session_id => 'cs_test_x', user => 'ada', sub => 'ada', user_id => 'ada' });

	is_deeply($page->{shown}, [ [ 'title', 'Credits' ], [ 'button', 'Log in', undef ] ],
		'who is not logged in sees that he can, and nothing else');
	is(shown(page(undef, click => [ 'Log in', undef ]), 'login'), '', 'and is led there');
	is(shown(page('eve', query => { user => 'ada', sub => 'ada', user_id => 'ada' }), 'metric'), 'Available 0', 'an address can name nobody');
}

# Bought, in two clicks that come quickly
{
	my $page = page('bob', session => 'shop');
	my $button = found_button($page, 'Buy 100 credits');
	my $before = checkouts();
	my ($url, $session);

	is(shown($page, 'metric'), 'Available 0', 'nothing yet');
	is(shown($page, 'link_button'), undef, 'nothing to pay');
	ok(found_button($page, 'Buy large'), 'the other pack');
	$page = page('bob', session => 'shop', click => $button);
	($url) = shown($page, 'link_button') =~ /^Pay at Stripe (https?:.*)$/ or die 'no link';
	is($page->{runs}, 2, 'shown afresh');
	is(shown(page('bob', session => 'shop', click => $button), 'link_button'), "Pay at Stripe $url", 'the second click changes nothing');
	is(checkouts(), $before + 1, 'one purchase');
	isnt(found_button($page, 'Buy 100 credits')->[1], $button->[1], 'the next one has another key');

	$session = session_of($url);
	$page = page('bob', query => { session_id => $session });
	like(shown($page, 'info'), qr/as soon as the payment/, 'back, but not paid');
	is_deeply($page->{query}, {}, 'the address is cleared, so that no reload asks again');
	is(pay($url), $session, 'paid');
	is(shown(page('eve', query => { session_id => $session }), 'error'), 'You have no such purchase.', "somebody else with the same address");
	is(available('eve'), 0, 'has nothing of it');
	is(available('bob'), 100, 'but the buyer has');
	$page = page('bob', query => { session_id => $session });
	is(shown($page, 'success'), '100 credits have arrived.', 'back, and paid');
	is(shown($page, 'metric'), 'Available 100', 'they are there');
	is(shown(page('bob', query => { session_id => $_ }), 'error'), 'You have no such purchase.', 'what is no session of his')
	  for 'cs_test_unknown', '../x';
}

# Spent
{
	my $page = page('bob', session => 'work');
	my $button = found_button($page, 'Generate');
	my @prompt = (texts => { Prompt => 'three words here' });

	$page = page('bob', session => 'work', click => $button, @prompt);
	is(shown($page, 'write'), 'here words three', 'an answer');
	is(shown($page, 'metric'), 'Available 97', 'for what it costs');
	is(shown(page('bob', session => 'work', click => $button, @prompt), 'metric'), 'Available 97', 'a second click costs nothing');
	isnt(found_button($page, 'Generate')->[1], $button->[1], 'the next one has another key');
	$page = page('bob', session => 'work', click => found_button($page, 'Generate'), texts => { Prompt => 'two more' });
	is(shown($page, 'write'), 'more two', 'another answer');
	is(shown($page, 'metric'), 'Available 95', 'for what that costs');
	is_deeply([ map { "$_->{kind} $_->{credits}" } @{ (grep { $_->[0] eq 'dataframe' } @{ $page->{shown} })[0][1] } ],
		[ 'capture -2', 'capture -3', 'purchase 100' ], 'history');

	# A prompt that generate() fails with
	$page = page('bob', session => 'work', click => found_button($page, 'Generate'), texts => { Prompt => undef });
	is(shown($page, 'write'), 'That failed. Please try again.', 'a failure');
	is(shown($page, 'metric'), 'Available 95', 'costs nothing');
	$page = page('bob', session => 'work', click => found_button($page, 'Generate'), @prompt);
	is(shown($page, 'metric'), 'Available 92', 'and the next click works');
}

# Too poor
{
	my $page = page('eve', session => 'poor');
	my $button = found_button($page, 'Generate');

	$page = page('eve', session => 'poor', click => $button, texts => { Prompt => 'x' });
	is(shown($page, 'write'), 'This takes up to 20 credits: please buy some.', 'not enough credits');
	is_deeply(found_button($page, 'Generate'), $button, 'the key is free, and stays');
	sql(q{SELECT stripe_credit.grant_credits('eve', 20, 'gift')});
	is(shown(page('eve', session => 'poor', click => $button, texts => { Prompt => 'x' }), 'metric'), 'Available 19', 'with enough it works');
}

# While it is not known whether the hold came through, the key stays, and the next click is the same request.
{
	my $page = page('eve', session => 'broken');
	my $button = found_button($page, 'Generate');
	my @click = (click => $button, texts => { Prompt => 'x' });

	sql(q{SELECT stripe_credit.grant_credits('eve', 20, 'gift 2')}, q{ALTER FUNCTION stripe_credit.hold RENAME TO hold_moved});
	$page = page('eve', session => 'broken', @click);
	sql(q{ALTER FUNCTION stripe_credit.hold_moved RENAME TO hold});
	is(shown($page, 'write'), 'That failed. Please try again.', 'an error of the database');
	is_deeply(found_button($page, 'Generate'), $button, 'leaves the key');
	sql("SELECT stripe_credit.hold('eve', 20, '$button->[1]')");
	is(shown($page = page('eve', session => 'broken', @click), 'metric'), 'Available 38', 'a hold that is there already is gone on with');
	isnt(found_button($page, 'Generate')->[1], $button->[1], 'and then the key is used up');
}

ok(books_are_right($node), 'the books are right');
$program->stop;
$double->stop;
$node->stop;
done_testing();
