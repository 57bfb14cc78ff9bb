# Lives of purchases, drawn at random: the life of a seed and a number is always
# the same.

package StripeCredit::Lives;

use strict;
use warnings;

use Exporter 'import';
use Math::BigInt;
use StripeCredit::Life;
use StripeCredit::Random;

our @EXPORT_OK = qw(random_life prepare_catalogue);

# So many accounts are shared by many lives; those of payment links, where the
# buyer writes the account's name, are accounts of their own.
use constant {
	SHARED => 16,
	LINKED => 4,
	VAST => 1 << 62
};

my @packs = (
	{ id => 'starter', credits => 100, unit => 1000, currency => 'usd' },
	{ id => 'big', credits => 2501, unit => 19999, currency => 'usd' },
	{ id => 'yen', credits => 30, unit => 500, currency => 'jpy' });
my @prices = (
	{ id => 'monthly', credits => 500, unit => 900, currency => 'usd', price => 'price_monthly' },
	{ id => 'team', credits => 70, unit => 300, currency => 'usd', price => 'price_team' });

# Credits per minor units of a currency
my %rates = (eur => [ 3, 7 ], gbp => [ 5, 2 ], kwd => [ 1, 1000 ]);

# What is sold.  The pack starter is there already.
sub prepare_catalogue
{
	my ($dbh) = @_;

	for my $pack (grep { $_->{id} ne 'starter' } @packs, @prices)
	{
		$dbh->do(q{
			INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, price_id) VALUES (?, ?, ?, ?, ?)},
			undef, @$pack{qw(id credits unit currency price)});
	}
	$dbh->do(q{UPDATE stripe_credit.pack SET priority = 2 WHERE pack_id = 'big'});
	$dbh->do(q{UPDATE stripe_credit.pack SET expires_after = '100 years' WHERE pack_id = 'yen'});
	for my $currency (sort keys %rates)
	{
		$dbh->do('INSERT INTO stripe_credit.rate (currency, credits, per_amount) VALUES (?, ?, ?)',
			undef, $currency, @{ $rates{$currency} });
	}
	$dbh->do(q{INSERT INTO stripe_credit.payment_link (payment_link, pack_id) VALUES ('plink_starter', 'starter')});
	$dbh->do(q{UPDATE stripe_credit.settings SET install_id = ?, signature_tolerance = '1 day' WHERE only_row},
		undef, StripeCredit::Life::INSTALL);
	return;
}

sub rate_of
{
	my ($currency, $net) = @_;
	my ($credits, $per) = @{ $rates{$currency} };

	return scalar(Math::BigInt->new($net)->bmul($credits)->bdiv($per))->bstr;
}

# Our metadata on what is sold
sub metadata
{
	my (%values) = @_;

	return { map { ("stripe_credit_$_" => $values{$_}) } grep { defined $values{$_} } keys %values };
}

# Often nothing, sometimes seconds, sometimes days
sub some_time
{
	my ($r) = @_;

	return $r->weighted(0 => 50, 1 => 20, 2 => 10, 30 => 10, 86_400 => 5, 1_000_000 => 5);
}


#
# What is bought
#

# Each returns an order for StripeCredit::Life's sell().
my %orders = (
	# as create_checkout() writes it
	ours => sub {
		my ($r, $account) = @_;
		my $pack = $r->one_of(@packs);
		my $quantity = $r->between(1, 3);

		return (
			currency => $pack->{currency},
			subtotal => $quantity * $pack->{unit},
			credits => $quantity * $pack->{credits},
			metadata => metadata(
				install => StripeCredit::Life::INSTALL,
				account => $account,
				pack => $pack->{id},
				credits => $pack->{credits},
				quantity => $quantity));
	},
	# an application's own metadata: the catalogue says how many credits
	pack => sub {
		my ($r, $account) = @_;
		my $pack = $r->one_of(@packs);
		my $quantity = $r->between(1, 3);

		return (
			currency => $pack->{currency},
			subtotal => $quantity * $pack->{unit},
			credits => $quantity * $pack->{credits},
			$r->chance(70)
			? (
				metadata => metadata(
					account => $account,
					pack => $pack->{id},
					quantity => $r->chance(50) ? $quantity : undef))
			: (metadata => metadata(pack => $pack->{id}), client_reference_id => $account));
	},
	credits => sub {
		my ($r, $account) = @_;
		my $credits = $r->between(1, 999);
		my $quantity = $r->between(1, 3);

		return (
			currency => 'usd',
			subtotal => $r->between(1, 5000),
			credits => $quantity * $credits,
			metadata => metadata(
				account => $account,
				credits => $credits,
				quantity => $quantity > 1 || $r->chance(50) ? $quantity : undef));
	},
	# both numbers so large that their product needs more than 64 bits
	vast => sub {
		my ($r, $account) = @_;
		my $credits = $r->chance(70) ? VAST - $r->below(1 << 20) : $r->between(1, 1000);

		return (
			currency => 'usd',
			subtotal => $r->chance(70) ? VAST - $r->below(1 << 20) : $r->between(1, 1000),
			credits => $credits,
			metadata => metadata(account => $account, credits => $credits));
	},
	rate => sub {
		my ($r, $account) = @_;

		return (
			currency => $r->one_of(sort keys %rates),
			subtotal => $r->between(1, 5000),
			client_reference_id => $account);
	},
	link => sub {
		my ($r, $account) = @_;
		my $quantity = $r->between(1, 3);

		return (
			currency => 'usd',
			subtotal => $quantity * 1000,
			credits => $quantity * 100,
			payment_link => 'plink_starter',
			client_reference_id => $account);
	});

# Discount, tax and shipping
sub add_extras
{
	my ($r, $order, $free) = @_;
	my $subtotal = $order->{subtotal};

	if ($free)
	{
		$order->{discount} = $subtotal;
		return;
	}
	return if $subtotal > 1 << 40;
	$order->{discount} = $r->below($subtotal) if $r->chance(20);
	$order->{tax} = $r->below($subtotal) if $r->chance(30);
	$order->{shipping} = $r->below(700) if $r->chance(10);
	return;
}

sub total_of
{
	my ($order) = @_;

	return $order->{subtotal} - ($order->{discount} || 0) + ($order->{tax} || 0) + ($order->{shipping} || 0);
}

# The customer pays in his own currency; what it is in the seller's is said
# apart, as it once was.
sub convert
{
	my ($r, $order) = @_;
	my $factor = $r->between(2, 9);

	$order->{conversion} = {
		source_currency => $order->{currency},
		amount_subtotal => $order->{subtotal},
		amount_total => total_of($order)
	};
	$order->{currency} = 'chf';
	$order->{$_} *= $factor for grep { $order->{$_} } qw(subtotal discount tax shipping);
	return;
}

# What an order by rate is worth
sub apply_rate
{
	my ($order) = @_;
	my $conversion = $order->{conversion};
	my $total = total_of($order);
	my $net = $total - ($order->{tax} || 0) - ($order->{shipping} || 0);

	$net = scalar(Math::BigInt->new($conversion->{amount_total})->bmul($net)->bdiv($total))->bstr
	  if $conversion && $total;
	$order->{credits} = rate_of($conversion ? $conversion->{source_currency} : $order->{currency}, $net);
	return;
}

sub draw_order
{
	my ($r, $life, $kind, $free) = @_;
	my %order = $orders{$kind}->($r, $life->{account});

	add_extras($r, \%order, $free);
	convert($r, \%order) if $kind ne 'vast' && !$free && $r->chance(5);
	apply_rate(\%order) if $kind eq 'rate';
	return \%order;
}

# Our metadata on the payment intent: none, the session's, or something that the
# session, which is believed, contradicts.  Whoever has a rate only believes it.
sub draw_intent_metadata
{
	my ($r, $kind, $order, $account) = @_;

	return if $kind eq 'link' || !$r->chance($kind eq 'ours' ? 90 : 25);
	if ($kind eq 'rate')
	{
		$order->{credits} = $r->between(1, 999);
		return metadata(account => $account, credits => $order->{credits});
	}
	return metadata(account => $account, credits => $r->between(1, 999)) if $kind ne 'vast' && $r->chance(10);
	return { %{ $order->{metadata} }, stripe_credit_account => $account };
}


#
# What becomes of it
#

# One refund, as a list of steps.  Where the cumulative figure is all that tells of
# some refunds, none of them fails; then each is in the figure, or has events of
# its own, or both.
sub refund_steps
{
	my ($r, $life, $payment) = @_;
	my $status = $r->weighted(succeeded => 60, pending => 35, requires_action => 5);
	my $ends =
	  $life->{cumulative} || $r->chance(60) ? 'succeeded' : $r->weighted(failed => 60, canceled => 20, '' => 20);
	my $in_figure = !$life->{cumulative} || $r->chance(70);
	my $is_told = sub { return !$life->{cumulative} || !$in_figure || $r->chance(40) };
	my $refund;
	my @steps = (
		sub {
			my $rest = $payment->{amount} - StripeCredit::Life::refunded($payment);

			return unless $rest > 0;
			# What a figure of the same second doesn't know could not be told from
			# what it knows.
			$life->wait_for(1) if !$in_figure && ($payment->{figure_at} || 0) == $life->{clock};
			$refund = $life->open_refund($payment, $r->chance(15) ? $rest : $r->between(1, $rest), $status);
			for my $told ($r->shuffle(qw(refund charge)))
			{
				$life->wait_for(1) if $r->chance(10);
				$life->tell_charge($payment, 'refunded') if $told eq 'charge' && $in_figure;
				$life->tell_refund($refund, 'refund.created') if $told eq 'refund' && $is_told->();
			}
		});

	push @steps, sub {
		return unless $refund;
		$refund->{status} = 'succeeded';
		$life->tell_refund($refund) if $is_told->();
	  }
	  if $status ne 'succeeded' && $ends && $ends ne 'canceled' && $r->chance(80);
	push @steps, sub {
		return unless $refund;
		$life->end_refund($refund, $ends,
			$ends eq 'failed' && $life->{update_type} eq 'refund.updated' ? 'refund.failed' : undef);
		$life->tell_refund($refund) if $r->chance(20);
	  }
	  if $ends =~ /^(?:failed|canceled)$/;
	return @steps;
}

# Each kind of dispute as a list of steps
my %disputes = (
	inquiry => [
		[ 'created', 'warning_needs_response' ], [ 'updated', 'warning_under_review' ], [ 'closed', 'warning_closed' ]
	],
	prevented => [ [ 'created', 'prevented' ] ],
	open => [ [ 'withdraw', 'needs_response' ], [ 'created' ], ['funds_withdrawn'], [ 'updated', 'under_review' ] ],
	won => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'updated', 'under_review' ],
		[ 'closed', 'won' ], ['reinstate'], ['funds_reinstated']
	],
	lost => [ [ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'closed', 'lost' ] ],
	escalated => [
		[ 'created', 'warning_needs_response' ],
		[ 'withdraw', 'needs_response' ], ['updated'], ['funds_withdrawn'], [ 'closed', 'lost' ]
	],
	appealed => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'closed', 'lost' ],
		[ 'updated', 'appeal_needs_response' ], [ 'updated', 'appeal_under_review' ],
		[ 'closed', 'won' ], ['reinstate'], ['funds_reinstated']
	],
	appealed_in_vain => [
		[ 'withdraw', 'needs_response' ], ['created'], [ 'closed', 'lost' ],
		[ 'updated', 'appeal_under_review' ], [ 'closed', 'lost' ]
	],
	reopened => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'closed', 'won' ],
		['reinstate'], ['funds_reinstated'], ['withdraw'], [ 'closed', 'lost' ], ['funds_withdrawn']
	],
	# never closed
	appealing => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'closed', 'lost' ],
		[ 'updated', 'appeal_needs_response' ], [ 'updated', 'appeal_under_review' ]
	],
	# The money is back, whatever the status says: an event tells of it, or the
	# entries do.
	relented => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'updated', 'under_review' ],
		['reinstate'], ['funds_reinstated']
	],
	relented_silently => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], ['reinstate'], [ 'updated', 'under_review' ]
	],
	# It stays won; that the money has gone again only its entries say.
	won_in_vain => [
		[ 'withdraw', 'needs_response' ], ['created'], ['funds_withdrawn'], [ 'closed', 'won' ],
		['reinstate'], ['funds_reinstated'], ['withdraw'], ['funds_withdrawn'], ['updated']
	]);

# The funds move in the step in which the next event tells of it.
sub dispute_steps
{
	my ($r, $life, $payment) = @_;
	my $script = $disputes{
		$r->weighted(
			inquiry => 15, prevented => 5, open => 15, won => 25, lost => 15,
			escalated => 10, appealed => 10, appealed_in_vain => 5, appealing => 5, reopened => 8,
			relented => $life->{deaf}{'charge.dispute.funds_reinstated'} ? 0 : 5,
			relented_silently => $life->{transactions} eq 'shown' ? 5 : 0,
			won_in_vain => $life->{transactions} eq 'shown' ? 5 : 0)
	};
	my $size = $r->weighted(whole => 60, part => 30, more => 4, foreign => 6);
	my $amount = $payment->{amount};
	my $dispute;
	my (@steps, @silent);

	$amount = $r->between(1, $amount) if $size eq 'part';
	$amount += $r->between(1, 500) if $size eq 'more';
	$amount = $r->between(1, 5000) if $size eq 'foreign';
	for my $move (@$script)
	{
		my ($what, $status) = @$move;

		if ($what eq 'withdraw' || $what eq 'reinstate')
		{
			push @silent, $move;
			next;
		}
		my @before = splice @silent;
		push @steps, sub {
			$dispute ||=
			  $life->open_dispute($payment, amount => $amount, $size eq 'foreign' ? (currency => 'nok') : ());
			for my $silent (@before)
			{
				$life->set_status($dispute, $silent->[1]) if $silent->[1];
				$life->move_funds($dispute, $silent->[0] eq 'withdraw' ? 1 : 0);
			}
			# The entry may be seen a moment later.
			$life->tell_dispute($dispute, $what, $status, $what eq 'created' && $r->chance(50) ? 0 : undef);
		};
	}
	return @steps;
}

# The steps of several stories, each in its order
sub interleave
{
	my ($r, $life, @stories) = @_;

	while (@stories = grep { @$_ } @stories)
	{
		$life->wait_for(some_time($r));
		(shift @{ $r->one_of(@stories) })->();
	}
	return;
}

sub draw_aftermath
{
	my ($r, $life, @payments) = @_;
	my @stories;

	for my $payment (grep { $_->{charge} && !$_->{unlinked} } @payments)
	{
		my $refunds = $r->weighted(0 => 45, 1 => 20, 2 => 20, 3 => 10, 4 => 5);
		my $disputes = $r->weighted(0 => 70, 1 => 22, 2 => 8);

		push @stories, map { [ refund_steps($r, $life, $payment) ] } 1 .. $refunds;
		push @stories, map { [ dispute_steps($r, $life, $payment) ] } 1 .. $disputes;
	}
	interleave($r, $life, @stories);
	$life->make_linked($_) for @payments;
	return;
}


#
# Lives
#

# Events of a payment by card, in any order within moments; one that failed may
# have been tried before.
sub tell_payment
{
	my ($r, $life, $payment, $intent_metadata, $tell_session) = @_;

	for my $told ($r->shuffle(qw(intent charge session failed update)))
	{
		$life->wait_for(1) if $r->chance(20);
		$tell_session->() if $told eq 'session';
		next unless $payment->{intent};
		$life->tell_intent($payment, $intent_metadata) if $told eq 'intent';
		$life->tell_charge($payment, 'succeeded') if $told eq 'charge';
		$life->tell_failed_charge($payment) if $told eq 'failed' && $r->chance(5);
		$life->tell_charge($payment, 'updated') if $told eq 'update' && $r->chance(20);
	}
	return;
}

my %lives = (
	card => sub {
		my ($r, $life, $kind) = @_;
		my $free = $kind ne 'vast' && $r->chance(8);
		my $order = draw_order($r, $life, $kind, $free);
		my $metadata = draw_intent_metadata($r, $kind, $order, $life->{account});
		my $payment;

		# Without a payment intent nobody reads what it would have said.
		apply_rate($order)
		  if $kind eq 'rate' && (total_of($order) == 0 || $life->{deaf}{'payment_intent.succeeded'});
		$payment = $life->sell(%$order);
		StripeCredit::Life::pay($payment);
		tell_payment($r, $life, $payment, $metadata, sub { $life->tell_completed($payment) });
		draw_aftermath($r, $life, $payment);
	},
	# completed, and paid later or not
	delayed => sub {
		my ($r, $life, $kind) = @_;
		my $order = draw_order($r, $life, $kind, 0);
		my $payment;
		my $ends;

		$order->{tax} = 1 unless total_of($order);
		apply_rate($order) if $kind eq 'rate';
		$payment = $life->sell(%$order);
		$ends = $r->weighted(paid => 60, failed => 20, unknown => 10, expired => 10);
		return $life->expire($payment) if $ends eq 'expired';
		$life->tell_completed($payment);
		$life->wait_for(some_time($r));
		return $life->fail($payment) if $ends eq 'failed';
		return if $ends eq 'unknown';
		StripeCredit::Life::pay($payment);
		tell_payment($r, $life, $payment, undef, sub { $life->tell_session($payment, 'async_payment_succeeded') });
		draw_aftermath($r, $life, $payment);
	},
	subscription => \&draw_subscription);

# What a subscription's price is, and who says what it is worth: the metadata of
# its session, its own, or the price of the invoice's line
sub draw_offer
{
	my ($r, $life) = @_;
	my $by = $r->weighted(session => 30, itself => 25, both => 15, price => 20, pack => 10);
	my $quantity = $r->between(1, 3);
	my %offer = (
		by => $by,
		quantity => $quantity,
		currency => 'usd',
		credits => $r->between(1, 999),
		unit => $r->between(1, 3000));
	my $metadata;

	if ($by eq 'price')
	{
		my $pack = $r->one_of(@prices);

		@offer{qw(credits price)} = @$pack{qw(credits price)};
		$metadata = metadata(account => $life->{account});
		# A price stays the pack's, whatever it is today.
		$offer{unit} = $pack->{unit} if $r->chance(50);
	}
	elsif ($by eq 'pack')
	{
		my $pack = $r->one_of(grep { $_->{currency} eq 'usd' } @packs);

		@offer{qw(credits unit)} = @$pack{qw(credits unit)};
		$metadata = metadata(account => $life->{account}, pack => $pack->{id});
	}
	else
	{
		$metadata = metadata(
			install => $r->chance(50) ? StripeCredit::Life::INSTALL : undef,
			account => $life->{account},
			pack => $r->chance(50) ? 'starter' : undef,
			credits => $offer{credits},
			quantity => $quantity,
			unit_amount => $offer{unit},
			currency => $offer{currency});
	}
	$offer{price} ||= "price_of_$life->{tag}";
	$offer{metadata} = $metadata;
	return \%offer;
}

# Who says so: one of the two, or both
sub subscribe
{
	my ($r, $life, $offer) = @_;
	my $by = $offer->{by} =~ /^(?:price|pack)$/ ? $r->one_of(qw(session itself both)) : $offer->{by};
	my $account_only = $offer->{by} eq 'price' && $by ne 'itself' && $r->chance(30);

	$life->subscribe(
		metadata => $by eq 'session' ? undef : $offer->{metadata},
		$account_only ? (client_reference_id => $life->{account})
		: $by eq 'itself' ? ()
		: (session_metadata => $offer->{metadata}));
	return $by ne 'itself';
}

sub draw_lines
{
	my ($r, $life, $offer) = @_;
	my @lines = {
		kind => 'subscription',
		quantity => $offer->{quantity},
		amount => $offer->{quantity} * $offer->{unit},
		credits => $offer->{credits},
		price => $offer->{price},
		with_metadata => $r->chance(50)
	};
	my $extra = $r->weighted(none => 65, line => 15, item => 10, proration => 10);

	push @lines, { kind => 'subscription', quantity => 2, amount => 600, credits => 70, price => 'price_team' }
	  if $extra eq 'line';
	push @lines, { kind => 'item', quantity => 1, amount => 250, price => 'price_of_setting_up' } if $extra eq 'item';
	push @lines, map { { kind => 'proration', quantity => 1, amount => $_, price => $offer->{price} } } 300, -120
	  if $extra eq 'proration';
	return $r->shuffle(@lines);
}

sub draw_invoice
{
	my ($r, $life, $offer, $number) = @_;
	my @lines = draw_lines($r, $life, $offer);
	my %bill = (
		currency => $offer->{currency},
		lines => \@lines,
		reason => $number == 1 ? 'subscription_create' : 'subscription_cycle',
		by => $r->weighted(card => 85, charge => $life->{shape} eq 'old' ? 10 : 0, outside => 5));
	my $sum = 0;

	$sum += $_->{amount} for @lines;
	if ($number == 1 && $r->chance(15))
	{
		# a trial
		@lines = ({ kind => 'subscription', quantity => $offer->{quantity}, amount => 0, price => $offer->{price} });
		return $life->bill(%bill);
	}
	$bill{discount} = $r->chance(25) ? $sum : $r->below($sum) if $r->chance(20);
	$bill{tax} = $r->below(500) if $r->chance(20);
	return $life->bill(%bill);
}

sub tell_of_invoice
{
	my ($r, $life, $invoice) = @_;
	# An endpoint that isn't sent invoice_payment.paid knows of no charge.
	my $is_heard = $life->{shape} eq 'old' || !$invoice->{intent} || $r->chance(85);

	$invoice->{unlinked} = 1 unless $is_heard;
	for my $told ($r->shuffle(qw(invoice link charge intent noise)))
	{
		$life->wait_for(1) if $r->chance(20);
		$life->tell_invoice($invoice) if $told eq 'invoice';
		$life->tell_invoice_payment($invoice) if $told eq 'link' && $is_heard;
		$life->tell_charge($invoice, 'succeeded') if $told eq 'charge' && $is_heard && $invoice->{charge};
		$life->tell_intent($invoice) if $told eq 'intent' && $invoice->{intent};
		$life->tell_invoice($invoice, 'invoice.payment_succeeded') if $told eq 'noise' && $r->chance(15);
	}
	return;
}

sub draw_subscription
{
	my ($r, $life) = @_;
	my $offer = draw_offer($r, $life);
	my $has_session = subscribe($r, $life, $offer);
	my $count = $r->between(1, 3);
	my @invoices;

	for my $number (1 .. $count)
	{
		my $invoice = draw_invoice($r, $life, $offer, $number);

		push @invoices, $invoice;
		tell_of_invoice($r, $life, $invoice);
		$life->tell_subscription($invoice) if $number == 1 && $has_session;
		$life->wait_for(some_time($r));
		draw_aftermath($r, $life, $invoice);
	}
	$life->tell_noise('customer.subscription.deleted') if $r->chance(20);
	return;
}

# How the endpoint is set up, and in which version of Stripe's it lives
sub draw_surroundings
{
	my ($r) = @_;
	my %deaf;

	$deaf{'payment_intent.succeeded'} = 1 if $r->chance(40);
	$deaf{'charge.succeeded'} = 1 if $r->chance(40);
	$deaf{'charge.updated'} = 1 if $r->chance(70);
	$deaf{'charge.dispute.funds_withdrawn'} = $deaf{'charge.dispute.funds_reinstated'} = 1 if $r->chance(15);

	# Where only the cumulative figure tells of some refunds, it must be told.
	my $cumulative = $r->chance(15);
	$deaf{'charge.refunded'} = 1 if !$cumulative && $r->chance(25);
	return (
		deaf => \%deaf,
		cumulative => $cumulative,
		clock => 1_750_000_000 + $r->below(100_000),
		shape => $r->one_of(qw(old new)),
		refund_names => $r->one_of([qw(charge payment_intent)], ['charge'], ['payment_intent']),
		dispute_names => $r->one_of([qw(charge payment_intent)], ['charge']),
		update_type => $r->weighted('refund.updated' => 70, 'charge.refund.updated' => 30),
		lowers => $r->chance(50),
		transactions => $r->weighted(shown => 60, empty => 20, absent => 20));
}

# What tells of a refund or a dispute may get lost, but not the last word.
sub lose_some
{
	my ($r, $life) = @_;
	my %last = map { $_->{about} => $_->{id} } grep { $_->{about} } @{ $life->{events} };

	@{ $life->{events} } =
	  grep { !$_->{about} || $last{ $_->{about} } eq $_->{id} || !$r->chance(25) } @{ $life->{events} };
	return;
}

# Options: alone, for an account of its own
sub random_life
{
	my ($seed, $number, %options) = @_;
	my $r = StripeCredit::Random->new($seed, $number);
	my $kind = $r->weighted(ours => 30, pack => 20, credits => 15, rate => 15, vast => 6, link => 6, subscription => 30);
	my $course = $kind eq 'subscription' ? $kind : $r->weighted(card => 75, delayed => 25);
	my $tag = sprintf 'q%06d', $number;
	# Drawn in any case, so that it is the same life whoever has the account.
	my ($is_alone, $which) = ($r->chance(10), $r->below(SHARED));
	my $account =
	    $is_alone || $kind eq 'vast' || $options{alone} ? "own $tag"
	  : $kind eq 'link' ? 'linked ' . $which % LINKED
	  : "shared $which";
	my $life = StripeCredit::Life->new(
		tag => $tag,
		name => "life $number, $kind",
		number => $number,
		account => $account,
		draw_surroundings($r));

	$lives{$course}->($r, $life, $kind);
	lose_some($r, $life) if $r->chance(30);
	$life->tell_again($r->one_of(@{ $life->{events} })) if $r->chance(15);
	return $life;
}

1;
