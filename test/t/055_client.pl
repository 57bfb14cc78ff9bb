# The same purchase by create_checkout() and by Stripe's own npm package, both at
# the double: what they send is the same, parameter by parameter.  So it is for
# what else the extension asks of Stripe.
#
# The package must be there: STRIPE_CREDIT_NPM names a directory whose
# node_modules has it, as .ci/run makes one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;

my $npm = $ENV{STRIPE_CREDIT_NPM};

plan skip_all => "there is no Stripe package for node: STRIPE_CREDIT_NPM names no directory that has it"
  unless $npm && -e "$npm/node_modules/stripe/package.json";
plan skip_all => 'node is not installed' unless runs('node', '--version');

my $double = StripeCredit::Double->new;
my $node = new_node('client', conf => "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n");
my $client = StripeCredit::Program->new('node', "$FindBin::RealBin/../double/client.js", $npm, @$double{qw(api ca)});
my $json = JSON::PP->new->utf8->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

# What the client's method answers
sub call_client
{
	my ($name, @arguments) = @_;
	my $answer = $client->ask(call => $name, arguments => \@arguments);

	die "$name: $answer->{error}\n" if $answer->{error};
	return $answer;
}

# The one request that it makes
sub request_by
{
	my ($make) = @_;
	my $before = ($double->requests)[-1];
	my @made;

	$make->();
	@made = grep { !$before || $_->{number} > $before->{number} } $double->requests;
	die scalar(@made), " requests instead of one\n" unless @made == 1;
	die "status $made[0]{status}\n" unless $made[0]{status} == 200;
	return $made[0];
}

sub decode
{
	my ($text) = @_;

	$text =~ tr/+/ /;
	$text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	utf8::decode($text);
	return $text;
}

# Names as they were sent, such as line_items[0][price_data][currency]; their order says nothing.
sub parameters
{
	my ($request) = @_;
	my %found;

	for (split /&/, length $request->{body} ? $request->{body} : $request->{query})
	{
		my ($name, $value) = map { decode($_) } split /=/, $_, 2;

		die "$name is sent twice\n" if exists $found{$name};
		$found{$name} = $value;
	}
	return \%found;
}

# They differ on purpose in these: who asks and by which library, what is told of
# earlier requests, what is said of the connection, and how many bytes a body is that
# may be spelt in more than one way.  A GET, which has no body, need not say its type.
my @differing = qw(user-agent x-stripe-client-user-agent x-stripe-client-telemetry accept connection content-length);

sub headers
{
	my ($request) = @_;
	my %headers = %{ $request->{headers} };

	delete @headers{ @differing, $request->{method} eq 'GET' ? 'content-type' : () };
	# Each call has its own key; what counts is that a POST has one.
	$headers{'idempotency-key'} = 'there' if length($headers{'idempotency-key'} // '');
	return \%headers;
}

# Each is a request, or makes one.
sub same_request
{
	my ($what, $ours, $theirs) = map { ref eq 'CODE' ? request_by($_) : $_ } @_;

	subtest $what => sub {
		my ($mine, $other) = map { parameters($_) } $ours, $theirs;
		my ($my_headers, $other_headers) = map { headers($_) } $ours, $theirs;

		is("$ours->{method} $ours->{path}", "$theirs->{method} $theirs->{path}", 'method and path');
		is($mine->{$_}, $other->{$_}, $_) for sort keys %{ { %$mine, %$other } };
		is($my_headers->{$_}, $other_headers->{$_}, "header $_") for sort keys %{ { %$my_headers, %$other_headers } };
	};
	return;
}

# The order, as somebody writes it who has read the README.
sub order
{
	my ($account, $pack, $credits, $quantity, %more) = @_;

	return {
		stripe_credit_install => sql(q{SELECT install_id FROM stripe_credit.settings}),
		stripe_credit_account => $account,
		stripe_credit_pack => $pack,
		stripe_credit_credits => "$credits",
		stripe_credit_quantity => "$quantity",
		%more };
}

sub same_checkout
{
	my ($what, $arguments, $params) = @_;

	same_request($what,
		sub { sql("SELECT stripe_credit.create_checkout($arguments)") },
		sub { call_client('checkout.sessions.create', { success_url => 'https://example.com/thanks?s={CHECKOUT_SESSION_ID}', %$params }) });
	return;
}

sql(q{SELECT stripe_credit.set_api_key('sk_test_of_the_database')},
	q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/thanks?s={CHECKOUT_SESSION_ID}'},
	q{INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency, price_id, recurring_interval) VALUES
		('plain', 'Größe & Preis: 50 % [neu]', 100, 1999, 'eur', NULL, NULL),
		('priced', '', 250, NULL, NULL, 'price_once', NULL),
		('monthly', '500 credits a month', 500, 900, 'usd', NULL, 'month'),
		('yearly', '', 6000, NULL, NULL, 'price_yearly', 'year')});
$double->control('/_double/price', { id => 'price_once', unit_amount => 2500, currency => 'usd' });
$double->control('/_double/price',
	{ id => 'price_yearly', unit_amount => 9000, currency => 'usd', recurring => { interval => 'year' } });

# Sold once
my $plain = { currency => 'eur', unit_amount => 1999, product_data => { name => "Gr\x{f6}\x{df}e & Preis: 50 % [neu]" } };
my $order = order('user_42', 'plain', 100, 1);

same_checkout('one of a pack with a price of its own', q{'user_42', 'plain'}, {
	mode => 'payment',
	line_items => [ { quantity => 1, price_data => $plain } ],
	client_reference_id => 'user_42',
	metadata => $order,
	payment_intent_data => { metadata => $order } });

$order = order("J\x{f6}rg+1 & co=%2F[0]", 'plain', 100, 3);
same_checkout('three, for an account whose name is hard to encode', q{'Jörg+1 & co=%2F[0]', 'plain', 3}, {
	mode => 'payment',
	line_items => [ { quantity => 3, price_data => $plain } ],
	client_reference_id => "J\x{f6}rg+1 & co=%2F[0]",
	metadata => $order,
	payment_intent_data => { metadata => $order } });

$order = order('user_42', 'priced', 250, 2);
same_checkout("two at a price of Stripe's, with all arguments",
	q{'user_42', 'priced', 2, 'https://example.com/paid', 'https://example.com/shop?a=1&b=2', 'ada+test@example.com'}, {
	mode => 'payment',
	line_items => [ { quantity => 2, price => 'price_once' } ],
	client_reference_id => 'user_42',
	customer_email => 'ada+test@example.com',
	success_url => 'https://example.com/paid',
	cancel_url => 'https://example.com/shop?a=1&b=2',
	metadata => $order,
	payment_intent_data => { metadata => $order } });

# Subscriptions
$order = order('user_42', 'monthly', 500, 1, stripe_credit_unit_amount => '900', stripe_credit_currency => 'usd');
same_checkout('a subscription with a price of its own', q{'user_42', 'monthly'}, {
	mode => 'subscription',
	line_items => [ { quantity => 1, price_data => { currency => 'usd', unit_amount => 900,
		product_data => { name => '500 credits a month' }, recurring => { interval => 'month' } } } ],
	client_reference_id => 'user_42',
	metadata => $order,
	subscription_data => { metadata => $order } });

$order = order('user_42', 'yearly', 6000, 2);
same_checkout("two of a subscription at a price of Stripe's", q{'user_42', 'yearly', 2}, {
	mode => 'subscription',
	line_items => [ { quantity => 2, price => 'price_yearly' } ],
	client_reference_id => 'user_42',
	metadata => $order,
	subscription_data => { metadata => $order } });

# A customer whom Stripe knows: his address is not sent, as only one of both may be.
my $customer = call_client('customers.create', { email => 'eve@example.com' })->{id};
sql("INSERT INTO stripe_credit.customer (account_id, livemode, customer_id) VALUES ('eve', false, '$customer')");
$order = order('eve', 'priced', 250, 1);
same_checkout('for a customer', q{'eve', 'priced', customer_email => 'other@example.com'}, {
	mode => 'payment',
	line_items => [ { quantity => 1, price => 'price_once' } ],
	client_reference_id => 'eve',
	customer => $customer,
	metadata => $order,
	payment_intent_data => { metadata => $order } });

# Whatever else Stripe takes: each kind of value, nested as deep as it goes.
{
	my $more = {
		locale => 'de',
		allow_promotion_codes => $true,
		automatic_tax => { enabled => $false },
		expires_at => time + 3600,
		allowed_payment_method_types => [ 'card', 'link' ],
		custom_fields => [
			{ key => 'size', type => 'dropdown', label => { type => 'custom', custom => 'T-shirt & more' },
				dropdown => { options => [ { label => 'S', value => 's' }, { label => 'M', value => 'm' } ] } },
			{ key => 'note', type => 'text', optional => $true, label => { type => 'custom', custom => "\x{1f642} 5 < 6" } } ],
		custom_text => { submit => { message => "two\nlines, 100%" } },
		shipping_options => [ { shipping_rate_data => { type => 'fixed_amount', display_name => 'post',
			fixed_amount => { amount => 500, currency => 'eur' } } } ] };
	my $params = $json->encode({ %$more, metadata => { campaign => 'x y', 'odd key.1' => '~*()!\'' },
		payment_intent_data => { description => 'd', metadata => { campaign => 'z' } } });

	$order = order('user_42', 'plain', 100, 1);
	same_checkout('with params', "'user_42', 'plain', params => \$params\$$params\$params\$", {
		%$more,
		mode => 'payment',
		line_items => [ { quantity => 1, price_data => $plain } ],
		client_reference_id => 'user_42',
		metadata => { %$order, campaign => 'x y', 'odd key.1' => '~*()!\'' },
		payment_intent_data => { description => 'd', metadata => { %$order, campaign => 'z' } } });
}

# A key of the caller's: both send one, and the same key again sends the same one.
{
	my @ours = map { my $checkout = $_; request_by(sub { sql($checkout) }) } (
		q{BEGIN; SELECT stripe_credit.create_checkout('user_42', 'plain', idempotency_key => 'order 1'); ROLLBACK}) x 2;
	my @theirs = map { request_by(sub { call_client('checkout.sessions.create', { mode => 'payment',
		success_url => 'https://example.com/', line_items => [ { quantity => 1, price => 'price_once' } ] },
		{ idempotencyKey => 'order 1' }) }) } 1 .. 2;

	is($_->[0]{headers}{'idempotency-key'}, $_->[1]{headers}{'idempotency-key'}, 'the same key') for \@ours, \@theirs;
	is_deeply([ map { $_->{replayed} ? 1 : 0 } @ours, @theirs ], [ 0, 1, 0, 1 ], 'by which Stripe answers the same');
}

# What else is asked of Stripe
{
	my ($id, $url) = split /\|/, sql(q{SELECT session_id, url FROM stripe_credit.create_checkout('user_42', 'plain')});
	my $payment;

	same_request('asking for a session', sub { sql("SELECT stripe_credit.confirm_checkout('$id')") },
		sub { call_client('checkout.sessions.retrieve', $id) });
	$double->pay($url);
	sql("SELECT stripe_credit.confirm_checkout('$id')");
	$payment = sql("SELECT payment_id FROM stripe_credit.payment WHERE session_id = '$id'");
	same_request('a refund of a part', sub { sql("SELECT stripe_credit.refund_payment('$payment', 500, 'duplicate')") },
		sub { call_client('refunds.create', { payment_intent => $payment, amount => 500, reason => 'duplicate' }) });
}
{
	my @ids = map { sql(q{SELECT session_id FROM stripe_credit.create_checkout('user_42', 'plain')}) } 1 .. 2;
	my @requests = (request_by(sub { sql("SELECT stripe_credit.expire_checkout('$ids[0]')") }),
		request_by(sub { call_client('checkout.sessions.expire', $ids[1]) }));

	$_->{path} =~ s/cs_test_\w+/ID/ for @requests;
	same_request('closing a session', @requests);
}
same_request('the portal', sub { sql(q{SELECT stripe_credit.customer_portal('eve', 'https://example.com/?a=b&c')}) },
	sub { call_client('billingPortal.sessions.create', { customer => $customer, return_url => 'https://example.com/?a=b&c' }) });
{
	my $ours = request_by(sub { sql(q{SELECT stripe_credit.backfill()}) });
	my $sent = parameters($ours);

	same_request('the events of a while', $ours, sub {
		call_client('events.list', { limit => 100, created => { gte => $sent->{'created[gte]'} + 0, lt => $sent->{'created[lt]'} + 0 },
			types => [ map { $sent->{$_} } sort { ($a =~ /(\d+)/)[0] <=> ($b =~ /(\d+)/)[0] } grep { /^types/ } keys %$sent ] }) });
}

$client->stop;
$double->stop;
$node->stop;
done_testing();
