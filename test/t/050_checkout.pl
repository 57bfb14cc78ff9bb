# Buying through create_checkout(), and what comes back: by the landing page, by the
# webhook, by both at once, by backfill().  Stripe is the double of test/double.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;

plan skip_all => 'node is not installed' unless runs('node', '--version');

my $double = StripeCredit::Double->new;
my $node = new_node('checkout', conf => "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n");

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

# What a statement answers, or its SQLSTATE
sub try_sql
{
	my ($statement) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$statement");

	return $err =~ /ERROR:\s+(\w{5})/ ? $1 : $out;
}

sub checkout
{
	my (@arguments) = @_;
	my %session;

	@session{qw(id url credits amount currency livemode)} = split /\|/,
	  sql("SELECT session_id, url, credits, amount, currency, livemode FROM stripe_credit.create_checkout(@{[ join ', ', @arguments ]})");
	return \%session;
}

sub balance { return sql("SELECT balance FROM stripe_credit.balance('$_[0]')") }

# The last request of that path
sub last_request
{
	my ($path) = @_;
	my @found = grep { $_->{path} =~ m{^\Q$path\E(\?|$)} } $double->requests;

	return $found[-1];
}

sub count_requests { return scalar $double->requests }

is(try_sql(q{SELECT stripe_credit.create_checkout('ada', 'starter')}), '55000', 'no key: not configured');
is(try_sql(q{SELECT stripe_credit.set_api_key('whsec_wrong')}), '22023', 'not a key');
is(try_sql(q{SELECT stripe_credit.set_api_key('file:/nonexistent')}), '22023', 'a reference that leads nowhere');
sql(q{SELECT stripe_credit.set_api_key('sk_live_other_mode')});
is(try_sql(q{SELECT stripe_credit.create_checkout('ada', 'starter', 1, 'https://example.com/')}),
	'55000', 'a key of the other mode is none');
sql(q{SELECT stripe_credit.set_api_key('sk_test_canary')});
is(try_sql(q{SELECT stripe_credit.create_checkout('ada', 'starter')}), '55000', 'no success_url');
is(count_requests(), 0, 'and nothing of that was asked of Stripe');
sql(q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/thanks?s={CHECKOUT_SESSION_ID}',
	cancel_url = 'https://example.com/shop'});

# What is asked
my $first = checkout(q{'ada'}, q{'starter'}, 3, q{idempotency_key => 'order 1'});
like($first->{id}, qr/^cs_test_/, 'a session');
is("$first->{credits} $first->{amount} $first->{currency} $first->{livemode}", '300 3000 usd f', 'for three packs');
my $request = last_request('/v1/checkout/sessions');
my $install = sql(q{SELECT install_id FROM stripe_credit.settings});
my %order = (
	stripe_credit_install => $install,
	stripe_credit_account => 'ada',
	stripe_credit_pack => 'starter',
	stripe_credit_credits => '100',
	stripe_credit_quantity => '3');
my $asked = $request->{parameters} || $request->{params};
is_deeply(
	$asked,
	{
		mode => 'payment',
		client_reference_id => 'ada',
		success_url => 'https://example.com/thanks?s={CHECKOUT_SESSION_ID}',
		cancel_url => 'https://example.com/shop',
		metadata => \%order,
		payment_intent_data => { metadata => \%order },
		line_items => [ {
			quantity => '3',
			price_data => { currency => 'usd', unit_amount => '1000', product_data => { name => 'starter' } } } ]
	},
	'the order travels with the money') or diag(encode_json($request));
like($request->{headers}{'idempotency-key'}, qr/^stripe_credit_[0-9a-f]{64}$/, "the caller's key, as one of Stripe's");
{
	checkout(q{'ada'}, q{'starter'}, q{idempotency_key => 'order-7'});
	like(last_request('/v1/checkout/sessions')->{headers}{'idempotency-key'}, qr/^[0-9a-f]{16}-order-7$/, 'in full, where it can be');
}
is($request->{headers}{'stripe-version'}, '2026-10-28.endive', 'the version is pinned');

# Keys
my $requests = count_requests();
is(checkout(q{'ada'}, q{'starter'}, 3, q{idempotency_key => 'order 1'})->{id}, $first->{id}, 'a known key: the same session');
is(count_requests(), $requests, 'without a request');
is(try_sql(q{SELECT stripe_credit.create_checkout('ada', 'starter', 2, idempotency_key => 'order 1')}),
	'PT409', 'but not for something else');
isnt(checkout(q{'bob'}, q{'starter'}, 3, q{idempotency_key => 'order 1'})->{id}, $first->{id}, 'keys are of one account');
isnt(checkout(q{'ada'}, q{'starter'})->{id}, checkout(q{'ada'}, q{'starter'})->{id}, 'without a key each is a new purchase');
{
	my $lost = sql(q{BEGIN; SELECT session_id FROM stripe_credit.create_checkout('ada', 'starter', idempotency_key => 'order 2'); ROLLBACK});

	is(checkout(q{'ada'}, q{'starter'}, q{idempotency_key => 'order 2'})->{id}, $lost, 'a rollback loses nothing: Stripe knows the key');
}

# What is refused
is(try_sql("SELECT stripe_credit.create_checkout($_->[0])"), $_->[1], $_->[2]) for
  [ q{'ada', 'nothing'}, 'PT404', 'an unknown pack' ],
  [ q{'ada', 'starter', 0}, '22023', 'quantity zero' ],
  [ q{'ada', 'starter', -1}, '22023', 'quantity below zero' ],
  [ q{'ada', 'starter', params => '{"x": 1}'}, 'PT502', 'a parameter that Stripe does not know' ],
  [ q{NULL, 'starter'}, '22023', 'nobody' ],
  [ q{' ada', 'starter'}, '22023', 'a space before the name' ],
  [ q{'ada', 'starter', params => '{"mode": "setup"}'}, '22023', 'another mode' ],
  [ q{'ada', 'starter', params => '{"line_items[0][quantity]": 5}'}, '22023', 'line items by another spelling' ],
  [ q{'ada', 'starter', params => '{"metadata": {"stripe_credit_account": "eve"}}'}, '22023', "another's account" ],
  [ q{'ada', 'starter', params => '{"payment_intent_data": {"metadata": {"stripe_credit_credits": "9"}}}'}, '22023', 'more credits' ],
  [ q{'ada', 'starter', params => '[]'}, '22023', 'no object' ],
  [ q{'ada', 'starter', params => NULL}, '22023', 'NULL params' ];
sql(q{UPDATE stripe_credit.pack SET active = false});
is(try_sql(q{SELECT stripe_credit.create_checkout('ada', 'starter')}), 'PT404', 'an inactive pack');
sql(q{UPDATE stripe_credit.pack SET active = true});
checkout(q{'ada'}, q{'starter'}, q{params => '{"locale": "de", "metadata": {"campaign": "x"}, "payment_intent_data": {"description": "d"}}'});
$request = last_request('/v1/checkout/sessions');
$asked = $request->{parameters} || $request->{params};
is($asked->{locale}, 'de', 'params add');
is_deeply($asked->{metadata}, { %order, stripe_credit_quantity => '1', campaign => 'x' }, 'to the metadata too');
is_deeply($asked->{payment_intent_data}, { description => 'd', metadata => { %order, stripe_credit_quantity => '1' } },
	'and beside ours');

# Paid: by the landing page alone
is(sql("SELECT stripe_credit.confirm_checkout('$first->{id}')->>'status'"), 'pending', 'not paid yet');
like($double->pay($first->{url}), qr/\Q$first->{id}\E/, 'the buyer comes back with the id of his session');
my $answer = decode_json(sql("SELECT stripe_credit.confirm_checkout('$first->{id}')"));
is("$answer->{status} $answer->{account} $answer->{credits}", 'applied ada 300', 'confirmed');
is(balance('ada'), 300, 'and credited');
$requests = count_requests();
is(sql("SELECT stripe_credit.confirm_checkout('$first->{id}')->>'status'"), 'duplicate', 'again: nothing new');
is(count_requests(), $requests, 'and no request');
is(sql("SELECT status FROM stripe_credit.checkout WHERE session_id = '$first->{id}'"), 'complete', 'its row says so');
is(try_sql(q{SELECT stripe_credit.confirm_checkout('cs_test_unknown')}), 'PT404', 'an unknown session');
is(try_sql(q{SELECT stripe_credit.confirm_checkout('../x')}), '22023', 'no session at all');

# By the landing page and the webhook, before, after or during each other
{
	my $event = sub {
		my ($session) = @_;
		my $events = decode_json(sql(q{SELECT stripe_credit.stripe_request('GET', '/v1/events',
			'{"type": "checkout.session.completed", "limit": 100}')->'data'}));
		my ($found) = grep { $_->{data}{object}{id} eq $session->{id} } @$events;

		return encode_json($found);
	};
	my $buy = sub {
		my $session = checkout(q{'carl'}, q{'starter'});

		$double->pay($session->{url});
		return $session;
	};
	my $confirm = sub { return "SELECT stripe_credit.confirm_checkout('$_[0]{id}');" };
	my $session = $buy->();

	is(delivered($node, $event->($session)), 'applied', 'the webhook first');
	is(sql($confirm->($session) =~ s/;$/->>'status'/r), 'duplicate', 'then the landing page');
	is(balance('carl'), 100, 'credited once');
	$session = $buy->();
	is(sql($confirm->($session) =~ s/;$/->>'status'/r), 'applied', 'the landing page first');
	like(delivered($node, $event->($session)), qr/^(applied|duplicate)$/, 'then the webhook');
	is(balance('carl'), 200, 'credited once');
	for my $n (3 .. 6)
	{
		my $body;

		$session = $buy->();
		$body = $event->($session);
		unlike(
			join(' ', all_at_once($node, map { $_ % 2 ? call($body) . ';' : $confirm->($session) } 1 .. 6)),
			qr/ERROR/, 'all at once');
		is(balance('carl'), 100 * $n, 'credited once');
	}
}

# What the webhook missed comes by backfill(), and changes nothing that is known
{
	my $second = checkout(q{'ada'}, q{'starter'});

	$double->pay($second->{url});
	is(sql(q{SELECT complete FROM stripe_credit.backfill()}), 't', 'backfill is complete');
	is(balance('ada'), 300, 'but leaves the last minute to the next call');
}
$double->control('/_double/clock', { ahead => 0 });
{
	my @events = map { $double->control('/_double/event', $_) } (
		{
			type => 'checkout.session.completed', created => time - 7200,
			object => {
				id => 'cs_test_missed', object => 'checkout.session', mode => 'payment', payment_status => 'paid', status => 'complete',
				payment_intent => 'pi_missed', amount_subtotal => 1000, amount_total => 1000, currency => 'usd', livemode => JSON::PP::false,
				metadata => { stripe_credit_account => 'mia', stripe_credit_pack => 'starter' } }
		},
		map {
			{
				type => 'refund.created', created => time - 7000 + $_,
				object => { id => "re_missed$_", object => 'refund', amount => 1, currency => 'usd', status => 'succeeded',
					payment_intent => 'pi_missed', charge => undef, created => time - 7000 + $_, metadata => {} }
			}
		} 1 .. 250);
	my (@rows, $calls);

	sql(q{DELETE FROM stripe_credit.backfill_position});
	do { push @rows, sql(q{SELECT fetched, applied, complete FROM stripe_credit.backfill('1 day', 100)}) } while ($rows[-1] =~ /f$/ && @rows < 20);
	like($rows[-1], qr/t$/, 'backfill comes to its end: ' . join ' ', @rows);
	is(balance('mia'), 75, 'with all that was missed, many pages of it');
	is(sql(q{SELECT complete FROM stripe_credit.backfill('1 day')}), 't', 'again');
	is(balance('mia'), 75, 'nothing changes');
}
is(try_sql(q{SELECT stripe_credit.backfill('31 days')}), '22023', 'no longer than Stripe keeps events');

# replay() of an event that was never seen
{
	my $event = $double->control('/_double/event', {
		type => 'checkout.session.completed', created => time - 100_000,
		object => {
			id => 'cs_test_old', object => 'checkout.session', mode => 'payment', payment_status => 'paid', payment_intent => 'pi_old',
			amount_subtotal => 1000, amount_total => 1000, currency => 'usd', metadata => { stripe_credit_account => 'old', stripe_credit_pack => 'starter' } } });

	is(sql("SELECT stripe_credit.replay('$event->{id}')->>'status'"), 'applied', 'an event that is fetched');
	is(balance('old'), 100, 'is credited');
	is(try_sql(q{SELECT stripe_credit.replay('evt_unknown')}), 'PT404', 'one that Stripe does not know');
}

# Refunds
my ($payment) = sql("SELECT payment_id FROM stripe_credit.payment WHERE session_id = '$first->{id}'");
$answer = decode_json(sql("SELECT stripe_credit.refund_payment('$payment', 1000, 'requested_by_customer', 'refund 1')"));
is("$answer->{status} $answer->{credits}", 'applied -100', 'a third is refunded, and taken back at once');
is(balance('ada'), 200, 'once');
sql("SELECT stripe_credit.refund_payment('$payment', 1000, 'requested_by_customer', 'refund 1')");
is(balance('ada'), 200, 'also if it is asked for again by its key');
is(try_sql("SELECT stripe_credit.refund_payment('$payment', 999999)"), 'PT502', 'more than was paid');
is(try_sql(q{SELECT stripe_credit.refund_payment('pi_nobody')}), 'PT404', 'an unknown payment');
is(try_sql("SELECT stripe_credit.refund_payment('$payment', 0)"), '22023', 'nothing');

# Sessions that end
{
	my $open = checkout(q{'ada'}, q{'starter'});

	is(sql("SELECT stripe_credit.expire_checkout('$open->{id}')->>'status'"), 'applied', 'an open session is closed');
	is(sql("SELECT status FROM stripe_credit.checkout WHERE session_id = '$open->{id}'"), 'expired', 'and known to be');
	is(try_sql("SELECT stripe_credit.expire_checkout('$open->{id}')"), 'PT502', 'once');
	is(try_sql(q{SELECT stripe_credit.expire_checkout('cs_test_unknown')}), 'PT404', 'an unknown one');
}

# A subscription: its customer is the account's
is(try_sql(q{SELECT stripe_credit.customer_portal('sue')}), 'PT404', 'no customer yet');
sql(q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, recurring_interval) VALUES ('monthly', 500, 900, 'usd', 'month')});
{
	my $session = checkout(q{'sue'}, q{'monthly'});

	is($session->{credits}, 500, 'what each invoice brings');
	$double->pay($session->{url});
	$double->control('/_double/webhook', { url => 'http://127.0.0.1:9/', secret => 'whsec_x', types => [] });
	is(sql("SELECT stripe_credit.confirm_checkout('$session->{id}')->>'status'"), 'applied', 'whose the subscription is');
	for my $event (@{ $node->safe_psql('postgres', q{SELECT stripe_credit.stripe_request('GET', '/v1/events', '{"limit": 100, "type": "invoice.paid"}')->'data'}) ? decode_json(sql(q{SELECT stripe_credit.stripe_request('GET', '/v1/events', '{"limit": 100, "type": "invoice.paid"}')->'data'})) : [] })
	{
		is(sql("SELECT stripe_credit.replay('$event->{id}')->>'status'"), 'applied', 'its invoice');
	}
	is(balance('sue'), 500, 'is credited');
	like(sql(q{SELECT stripe_credit.customer_portal('sue', 'https://example.com/')}), qr/^https:/, 'and the portal is open');
	checkout(q{'sue'}, q{'starter'}, q{customer_email => 'sue@example.com'});
	$request = last_request('/v1/checkout/sessions');
	$asked = $request->{parameters} || $request->{params};
	like($asked->{customer}, qr/^cus_/, 'the next session is for the same customer');
	ok(!exists $asked->{customer_email}, 'whose address Stripe has');
}

books_are_right($node);
is(sql(q{SELECT count(*) FROM stripe_credit.attention}), 0, 'nothing needs attention');

# As Stripe's own servers, which offer HTTP/2; and twice over one connection
is(sql("SET stripe_credit.api_base = '$double->{h2}'", map { q{SELECT stripe_credit.stripe_request('GET', '/v1/events')->>'object'} } 1 .. 2),
	"list\nlist", 'where HTTP/2 is offered');
{
	my @two = (sql(map { q{SELECT stripe_credit.stripe_request('GET', '/v1/events')->>'object'} } 1 .. 2), $double->requests)[-2, -1];

	is($two[0]{connection}, $two[1]{connection}, 'a connection is kept');
}

# Who never calls Stripe doesn't map libcurl.
{
	my $maps = sub {
		my ($statement) = @_;

		return sql("$statement; SELECT position('libcurl' IN pg_read_file('/proc/self/maps')) > 0");
	};

	like($maps->(q{SELECT balance FROM stripe_credit.spend('ada', 1)}), qr/f$/, 'a backend that spends maps no libcurl');
	like($maps->(q{SELECT stripe_credit.stripe_request('GET', '/v1/events') IS NULL}), qr/t$/, 'one that calls Stripe does');
}
$double->stop;
$node->stop;
done_testing();
