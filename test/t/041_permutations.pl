# Lives of payments of up to six events each, in all orders that there are: each
# comes to the same payment and the same balance, which are what happened at
# Stripe.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;
use Time::HiRes qw(time);

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
}

use StripeCredit::Life;
use StripeCredit::Lives qw(prepare_catalogue);
use StripeCredit::Model qw(errors_in_books events_that_wait is_flawless is_unpaid);
use StripeCredit::Orders qw(deliver_copies differing_copies make_copies permutations);
use StripeCredit::Worker qw(connect_to);

use constant MOST_EVENTS => 6;

my %metadata = map { ("stripe_credit_$_->[0]" => $_->[1]) } [ credits => 100 ], [ quantity => 1 ];
my @lives;

# Options are those of a life; the sub makes it happen.
sub life
{
	my ($name, $due, $options, $happen) = @_;
	my $life = StripeCredit::Life->new(
		tag => sprintf('q%06d', scalar @lives),
		name => $name,
		%$options);

	$happen->($life);
	$life->{due} = $due;
	push @lives, $life;
	return;
}

# Something of 100 credits for 1000, paid, with its session's event
sub buy
{
	my ($life, %order) = @_;
	my $payment = $life->sell(
		currency => 'usd',
		subtotal => 1000,
		credits => 100,
		metadata => { %metadata, stripe_credit_account => $life->{account} },
		%order);

	StripeCredit::Life::pay($payment);
	$life->tell_completed($payment);
	return $payment;
}

# A chargeback: the money has gone, and the dispute's first event says so or
# not yet.
sub charge_back
{
	my ($life, $payment, %options) = @_;
	my $dispute = $life->open_dispute($payment, %options);

	$life->set_status($dispute, 'needs_response');
	$life->withdraw($dispute);
	$life->tell_dispute($dispute, 'created', undef, 0);
	return $dispute;
}

sub win
{
	my ($life, $dispute) = @_;

	$life->tell_dispute($dispute, 'closed', 'won');
	$life->reinstate($dispute);
	$life->tell_dispute($dispute, 'funds_reinstated');
	return;
}

# A subscription of 100 credits for 900, by its session's metadata or its own
sub subscription
{
	my ($life, $whose) = @_;

	$life->subscribe(
		$whose => {
			%metadata,
			stripe_credit_account => $life->{account},
			stripe_credit_unit_amount => 900,
			stripe_credit_currency => 'usd'
		});
	return;
}

sub line_of
{
	my ($life, %line) = @_;
	my $price = "price_of_$life->{tag}";

	return { kind => 'subscription', quantity => 1, amount => 900, credits => 100, price => $price, %line };
}

sub invoice
{
	my ($life, %bill) = @_;
	my $invoice =
	  $life->bill(currency => 'usd', lines => [ line_of($life) ], reason => 'subscription_create', %bill);

	$life->tell_invoice($invoice);
	return $invoice;
}


#
# Refunds
#

life('a refund that succeeds and fails', 100, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $refund;

	$life->tell_charge($payment, 'succeeded');
	$refund = $life->wait_for(5)->refund($payment, 300, 'pending');
	$life->tell_charge($payment, 'refunded');
	$life->end_refund($refund, 'succeeded');
	$life->end_refund($refund, 'failed', 'refund.failed');
});

# The cumulative figure, lowered or not
for my $lowers (0, 1)
{
	my $how = $lowers ? 'lowered' : 'not lowered';

	life("two refunds, of which one fails; the figure is $how", 80, { lowers => $lowers }, sub {
		my ($life) = @_;
		my $payment = buy($life);
		my $first = $life->wait_for(5)->refund($payment, 333);

		$life->tell_charge($payment, 'refunded');
		$life->end_refund($first, 'failed', 'refund.failed');
		$life->wait_for(5)->refund($payment, 200);
		$life->tell_charge($payment, 'refunded');
	});
}

life('three refunds within a second, one is canceled', 49, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $canceled;

	$life->refund($payment, 300);
	$canceled = $life->refund($payment, 100, 'pending');
	$life->refund($payment, 201);
	$life->tell_charge($payment, 'refunded');
	$life->end_refund($canceled, 'canceled');
	# 100 credits less ceil(50.1)
});

life('the figure alone, then the refunds themselves', 50, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $first = $life->open_refund($payment, 300, 'succeeded');
	my $second;

	$life->tell_charge($payment, 'refunded');
	$second = $life->wait_for(5)->open_refund($payment, 200, 'pending');
	$life->tell_charge($payment, 'refunded');
	$life->wait_for(5)->tell_refund($first, 'refund.created');
	$life->tell_refund($second, 'refund.created');
	$life->end_refund($second, 'succeeded');
});

life('a refund that only the figure knows, and a later one that it doesn\'t', 40, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $later;

	$life->open_refund($payment, 400, 'succeeded');
	$life->tell_charge($payment, 'refunded');
	$later = $life->wait_for(5)->refund($payment, 200, 'pending');
	$life->end_refund($later, 'succeeded');
	$life->tell_charge($payment, 'succeeded');
});

life('the figure alone', 10, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);

	for my $amount (500, 300, 100)
	{
		$life->open_refund($payment, $amount, 'succeeded');
		$life->tell_charge($payment, 'refunded');
	}
	$life->tell_charge($payment, 'succeeded');
	$life->tell_charge($payment, 'updated');
});

my %by_charge = (refund_names => ['charge'], update_type => 'charge.refund.updated');
life('a refund that names only the charge, which only its own event tells of', 70, \%by_charge, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $refund;
	my $failed;

	$life->tell_charge($payment, 'succeeded');
	$refund = $life->wait_for(5)->refund($payment, 300, 'pending');
	$life->end_refund($refund, 'succeeded');
	$failed = $life->refund($payment, 500);
	$life->end_refund($failed, 'failed');
});

my %by_either = (refund_names => ['payment_intent'], dispute_names => ['charge']);
life('a refund that names only the payment intent, a dispute that names only the charge', 60, \%by_either, sub {
	my ($life) = @_;
	my $payment = buy($life);

	# It says something else, and isn't believed.
	$life->tell_intent($payment, { stripe_credit_account => $life->{account}, stripe_credit_credits => 77 });
	$life->wait_for(5)->refund($payment, 100);
	$life->tell_charge($payment, 'refunded');
	$life->tell_dispute(charge_back($life, $payment, amount => 300), 'closed', 'lost');
});


#
# Disputes
#

for my $transactions (qw(shown absent))
{
	life("a dispute is won, transactions $transactions", 100, { transactions => $transactions }, sub {
		my ($life) = @_;
		my $dispute = charge_back($life, buy($life));

		$life->tell_dispute($dispute, 'funds_withdrawn');
		$life->tell_dispute($dispute, 'updated', 'under_review');
		win($life, $dispute);
	});
	life("a dispute is lost, but won on appeal, transactions $transactions", 100, { transactions => $transactions }, sub {
		my ($life) = @_;
		my $dispute = charge_back($life, buy($life), amount => 400);

		$life->tell_dispute($dispute, 'closed', 'lost');
		$life->tell_dispute($dispute, 'updated', 'appeal_under_review');
		win($life, $dispute);
	});
	life("a dispute is won, and then lost after all, transactions $transactions", 60, { transactions => $transactions }, sub {
		my ($life) = @_;
		my $dispute = charge_back($life, buy($life), amount => 400);

		win($life, $dispute);
		$life->withdraw($dispute);
		$life->tell_dispute($dispute, 'closed', 'lost');
		$life->tell_dispute($dispute, 'funds_withdrawn');
	});
}

for my $transactions (qw(shown absent))
{
	life("the money is back before the dispute ends, transactions $transactions", 100, { transactions => $transactions }, sub {
		my ($life) = @_;
		my $dispute = charge_back($life, buy($life));

		$life->tell_dispute($dispute, 'funds_withdrawn');
		$life->tell_dispute($dispute, 'updated', 'under_review');
		$life->reinstate($dispute);
		$life->tell_dispute($dispute, 'funds_reinstated');
	});
}

life('a dispute is lost and appealed, and there the matter rests', 50, { transactions => 'empty' }, sub {
	my ($life) = @_;
	my $dispute = charge_back($life, buy($life), amount => 500);

	$life->tell_dispute($dispute, 'updated', 'under_review');
	$life->tell_dispute($dispute, 'closed', 'lost');
	$life->tell_dispute($dispute, 'updated', 'appeal_needs_response');
	$life->tell_dispute($dispute, 'updated', 'appeal_under_review');
});

life('a dispute is won, but the entries say that the money has gone again', 60, {}, sub {
	my ($life) = @_;
	my $dispute = charge_back($life, buy($life), amount => 400);

	win($life, $dispute);
	$life->withdraw($dispute);
	$life->tell_dispute($dispute, 'funds_withdrawn');
	$life->tell_dispute($dispute, 'updated');
});

life('an inquiry that becomes a dispute and is lost', 0, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $dispute = $life->open_dispute($payment, amount => 50, currency => 'nok');

	$life->tell_dispute($dispute, 'created', 'warning_needs_response');
	$life->tell_dispute($dispute, 'updated', 'warning_under_review');
	$life->set_status($dispute, 'needs_response');
	$life->withdraw($dispute);
	$life->tell_dispute($dispute, 'updated');
	$life->tell_dispute($dispute, 'funds_withdrawn');
	$life->tell_dispute($dispute, 'closed', 'lost');
	# in another currency it counts as the whole
});

life('two refunds and two disputes within a second', 10, {}, sub {
	my ($life) = @_;
	my $payment = buy($life);
	my $inquiry;

	$life->refund($payment, 200);
	$life->refund($payment, 300);
	$life->tell_charge($payment, 'refunded');
	charge_back($life, $payment, amount => 400);
	$inquiry = $life->open_dispute($payment);
	$life->tell_dispute($inquiry, 'created', 'warning_needs_response');
});

life('more than was paid comes back, in numbers beyond 64 bits', 0, {}, sub {
	my ($life) = @_;
	my $payment = buy(
		$life,
		subtotal => 4611686018427387904,
		credits => 4611686018427387903,
		metadata => { stripe_credit_account => $life->{account}, stripe_credit_credits => 4611686018427387903 });
	my $refund = $life->wait_for(5)->refund($payment, 4611686018427387900);

	$life->end_refund($refund, 'failed', 'refund.failed');
	$life->refund($payment, 4611686018427387902);
	$life->tell_charge($payment, 'refunded');
	charge_back($life, $payment, amount => 3);
});

life('most of what was paid comes back, in numbers beyond 64 bits', 1, {}, sub {
	my ($life) = @_;
	my $payment = buy(
		$life,
		subtotal => 4611686018427387904,
		credits => 4611686018427387903,
		metadata => { stripe_credit_account => $life->{account}, stripe_credit_credits => 4611686018427387903 });

	$life->refund($payment, 4611686018427387901);
	charge_back($life, $payment, amount => 1);
	$life->tell_charge($payment, 'succeeded');
	$life->tell_charge($payment, 'refunded');
	# credits less ceil(credits * (2^62 - 2) / 2^62)
});


#
# Sessions that are paid later, or not
#

life('paid later, and a part refunded', 75, {}, sub {
	my ($life) = @_;
	my $payment = $life->sell(
		currency => 'usd', subtotal => 1000, credits => 100,
		metadata => { stripe_credit_account => $life->{account}, stripe_credit_pack => 'starter' });

	$life->tell_completed($payment);
	StripeCredit::Life::pay($payment);
	$life->wait_for(86_400)->tell_session($payment, 'async_payment_succeeded');
	$life->tell_charge($payment, 'succeeded');
	$life->tell_intent($payment);
	$life->wait_for(5)->refund($payment, 250);
	$life->tell_charge($payment, 'refunded');
});

life('never paid', 0, {}, sub {
	my ($life) = @_;
	my $payment = $life->sell(
		currency => 'usd', subtotal => 1000, credits => 100,
		metadata => { stripe_credit_account => $life->{account}, stripe_credit_pack => 'starter' });

	$life->tell_completed($payment);
	$life->tell_failed_charge($payment);
	$life->wait_for(86_400)->fail($payment);
});

life('expired', 0, {}, sub {
	my ($life) = @_;
	my $payment = $life->sell(
		currency => 'usd', subtotal => 1000, credits => 100,
		metadata => { stripe_credit_account => $life->{account}, stripe_credit_pack => 'starter' });

	$life->expire($payment);
	$life->tell_noise('customer.subscription.deleted');
	$life->tell_again($life->{events}[0]);
});

life('a failed attempt before the payment, by rate', 42, {}, sub {
	my ($life) = @_;
	my $payment = buy(
		$life,
		currency => 'eur', subtotal => 200, tax => 20, credits => 85,
		metadata => {}, client_reference_id => $life->{account});

	$life->tell_failed_charge($payment);
	$life->tell_charge($payment, 'succeeded');
	$life->tell_intent($payment);
	$life->refund($payment, 110);
	$life->tell_charge($payment, 'refunded');
	# floor(200 * 3 / 7), of which half goes back
});


#
# Invoices
#

life('an invoice as it was, with a refund by charge', 66, { shape => 'old', refund_names => ['charge'] }, sub {
	my ($life) = @_;
	my ($invoice, $failed);

	subscription($life, 'session_metadata');
	$invoice = invoice($life);
	$life->tell_subscription($invoice);
	$life->wait_for(5)->refund($invoice, 300);
	$failed = $life->open_refund($invoice, 100, 'succeeded');
	$life->tell_charge($invoice, 'refunded');
	$life->end_refund($failed, 'failed', 'refund.failed');
	$life->tell_charge($invoice, 'succeeded');
});

life('an invoice from when there were no payment intents, with a dispute', 50, { shape => 'old' }, sub {
	my ($life) = @_;
	my ($invoice, $dispute);

	subscription($life, 'metadata');
	$invoice = invoice($life, by => 'charge');
	$life->tell_charge($invoice, 'succeeded');
	$dispute = charge_back($life, $invoice, amount => 450);
	$life->tell_dispute($dispute, 'funds_withdrawn');
	$life->tell_dispute($dispute, 'closed', 'lost');
	$life->tell_invoice($invoice, 'invoice.payment_succeeded');
});

life('an invoice as it is, with a refund by charge', 66, { refund_names => ['charge'] }, sub {
	my ($life) = @_;
	my ($invoice, $refund);

	subscription($life, 'session_metadata');
	$invoice = invoice($life);
	$life->tell_subscription($invoice);
	$life->tell_invoice_payment($invoice);
	$life->tell_charge($invoice, 'succeeded');
	$refund = $life->wait_for(5)->refund($invoice, 300, 'pending');
	$life->end_refund($refund, 'succeeded');
});

life('an invoice of two lines as it is, with a refund and a dispute', 20, { refund_names => ['payment_intent'] }, sub {
	my ($life) = @_;
	my $invoice;

	subscription($life, 'metadata');
	$invoice = invoice(
		$life,
		lines => [
			line_of($life, with_metadata => 1),
			line_of($life, quantity => 2, amount => 800, credits => 50, price => 'price_of_fifty')
		]);
	$life->tell_invoice_payment($invoice);
	$life->wait_for(5)->refund($invoice, 680);
	$life->tell_charge($invoice, 'refunded');
	$life->tell_dispute(charge_back($life, $invoice, amount => 850), 'closed', 'lost');
});

life('two invoices of one subscription, one refunded', 150, {}, sub {
	my ($life) = @_;
	my ($first, $second);

	subscription($life, 'session_metadata');
	$first = invoice($life);
	$life->tell_subscription($first);
	$second = invoice($life->wait_for(2_600_000), reason => 'subscription_cycle');
	$life->tell_invoice_payment($_) for $first, $second;
	$life->refund($second, 450);
});

life('a trial, and an invoice that a price of the catalogue says the worth of', 500, {}, sub {
	my ($life) = @_;
	my ($trial, $invoice);

	$life->subscribe(session_metadata => { stripe_credit_account => $life->{account} });
	$trial = invoice($life, lines => [ line_of($life, amount => 0, price => 'price_monthly') ]);
	$life->tell_subscription($trial);
	$invoice = invoice(
		$life->wait_for(600_000),
		reason => 'subscription_cycle',
		lines => [
			line_of($life, credits => 500, price => 'price_monthly'),
			line_of($life, kind => 'proration', amount => -100, price => 'price_monthly')
		]);
	$life->tell_invoice_payment($invoice);
	$life->tell_charge($invoice, 'succeeded');
	$life->tell_intent($invoice);
});


#
# All of them
#

my $node = new_node('permutations', conf => "max_connections = 30\n");
my $dbh = connect_to($node, 'the test');
my (@copies, %waits);
my $began = time;

prepare_catalogue($dbh);
$dbh->do(q{INSERT INTO stripe_credit.pack (pack_id, credits, price_id) VALUES ('fifty', 50, 'price_of_fifty')});

for my $life (@lives)
{
	my @events = @{ $life->{events} };

	die "$life->{name} has " . scalar(@events) . " events\n" if @events > MOST_EVENTS;
	# What is due by hand
	is($life->balance, $life->{due}, "$life->{name}: $life->{due} are due");
	$life->{copies} = [ make_copies($life, permutations(0 .. $#events)) ];
	$waits{ $_->{tag} } = is_unpaid($life) for @{ $life->{copies} };
	push @copies, @{ $life->{copies} };
}
is_flawless('no errors', deliver_copies($node, @copies));
note(sprintf '%d lives in %d orders, delivered in %.1f s', scalar @lives, scalar @copies, time - $began);

for my $life (@lives)
{
	my @copies = @{ $life->{copies} };
	my @complaints = differing_copies($dbh, @copies);

	is_flawless(sprintf('%s: all %d orders come to the same', $life->{name}, scalar @copies), @complaints);
	diag(join "\n", $life->describe) if @complaints;
}
is_flawless('nothing waits that has come', map { $_->[1] } events_that_wait($dbh, %waits));
is_flawless('the books are right', errors_in_books($dbh));
note(sprintf 'all of it took %.1f s', time - $began);
$dbh->disconnect;
$node->stop;
done_testing();
