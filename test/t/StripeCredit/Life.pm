# The life of a purchase as it happens at Stripe: what becomes of the money, and
# the events that tell of it, each with the object as it was at that moment.
#
# The truth of a life is kept apart from its events: refunds, disputes and
# payments are things with a state, which methods change; other methods tell of
# them.  Nothing here knows how the extension reads an event.
#
# All ids, and the account if it is the life's own, hold the life's tag, which is
# as wide as any other: to have the same life once more under other names, the
# tag is replaced (copy()).
#
# Of a life:
#
#   shape         old: bodies from before 2025-03-31, new: those of later versions
#   deaf          a hash of types of events that the endpoint isn't sent
#   refund_names  what a refund names: a list of charge, payment_intent
#   dispute_names the same of a dispute
#   update_type   what tells that a refund changed: refund.updated or
#                 charge.refund.updated
#   lowers        whether the cumulative figure is lowered when a refund fails
#   transactions  shown, empty or absent: a dispute's balance transactions

package StripeCredit::Life;

use strict;
use warnings;

use JSON::PP ();
use Math::BigInt;

use constant INSTALL => 'c0ffee00-0000-4000-8000-000000000000';

# Statuses of a dispute in the order in which they can follow each other within
# a second, and be told apart.
my @statuses = qw(
  warning_needs_response warning_under_review needs_response under_review
  appeal_needs_response appeal_under_review warning_closed prevented lost won);
my %rank = map { $statuses[$_] => $_ } 0 .. $#statuses;
my %is_final = map { $_ => 1 } qw(warning_closed prevented lost won);

sub new
{
	my ($class, %options) = @_;

	return bless {
		name => "life $options{tag}",
		account => "own $options{tag}",
		clock => 1_750_000_000,
		shape => 'new',
		deaf => {},
		refund_names => [qw(charge payment_intent)],
		dispute_names => [qw(charge payment_intent)],
		update_type => 'refund.updated',
		lowers => 0,
		transactions => 'shown',
		%options,
		events => [],
		payments => [],
	}, $class;
}

# Time goes by.
sub wait_for
{
	my ($self, $seconds) = @_;

	$self->{clock} += $seconds;
	return $self;
}

sub member
{
	my ($hash, $key, $is_text) = @_;

	return qq{"$key":} . json($hash->{$key}, $is_text || $key eq 'metadata');
}

# JSON of data that needs no escaping.  What looks like a whole number is one,
# but in metadata all is text; \0 and \1 are false and true.
sub json
{
	my ($value, $is_text) = @_;
	my $kind = ref $value;

	return 'null' unless defined $value;
	return '{' . join(',', map { member($value, $_, $is_text) } sort keys %$value) . '}' if $kind eq 'HASH';
	return '[' . join(',', map { json($_, $is_text) } @$value) . ']' if $kind eq 'ARRAY';
	return $$value ? 'true' : 'false' if $kind eq 'SCALAR';
	return $value if !$is_text && $value =~ /\A-?(?:0|[1-9][0-9]*)\z/;
	die "to be escaped: $value" if $value =~ /["\\\x00-\x1f]/;
	return qq{"$value"};
}

# An event is sent, if the endpoint hears of such.  About is the id of what it
# may be the last word of.
sub tell
{
	my ($self, $type, $object, %options) = @_;
	my $id = sprintf 'evt_%s_%02d', $self->{tag}, ++$self->{told};

	return 0 if $self->{deaf}{$type};
	push @{ $self->{events} }, {
		%options,
		id => $id,
		type => $type,
		created => $self->{clock},
		life => $self,
		body => json({
			id => $id,
			object => 'event',
			type => $type,
			api_version => $self->{shape} eq 'new' ? '2026-10-28.endive' : '2022-11-15',
			created => $self->{clock},
			livemode => \0,
			pending_webhooks => 1,
			request => { id => undef, idempotency_key => undef },
			data => { object => $object }
		})
	};
	return 1;
}

# What we don't listen to
sub tell_noise
{
	my ($self, $type) = @_;

	$self->tell($type,
		{ id => "sub_$self->{tag}", object => 'noise', amount => 7, metadata => { stripe_credit_account => 'nobody' } });
	return;
}

# One that was told before, under another id
sub tell_again
{
	my ($self, $event) = @_;
	my $id = sprintf 'evt_%s_%02d', $self->{tag}, ++$self->{told};

	push @{ $self->{events} }, { %$event, id => $id, body => $event->{body} =~ s/"\Q$event->{id}\E"/"$id"/r };
	return;
}


#
# A Checkout Session and its payment
#

# Of an order: subtotal, discount, tax, shipping, currency; credits that it is
# worth; how the session says so: metadata, client_reference_id, payment_link;
# conversion: what it came to in the seller's currency.
sub sell
{
	my ($self, %order) = @_;
	my $total = $order{subtotal} - ($order{discount} || 0) + ($order{tax} || 0) + ($order{shipping} || 0);
	my $payment = {
		order => \%order,
		session => "cs_test_$self->{tag}",
		credits => $order{credits},
		amount => $total,
		currency => $order{currency},
		paid => 0,
		refunds => [],
		disputes => []
	};

	@$payment{qw(intent charge)} = ("pi_$self->{tag}_1", "ch_$self->{tag}_1") if $total > 0;
	push @{ $self->{payments} }, $payment;
	return $payment;
}

# It is paid: from now on, at Stripe's.
sub pay
{
	my ($payment) = @_;

	$payment->{paid} = 1;
	return;
}

sub session_object
{
	my ($self, $payment, %state) = @_;
	my $order = $payment->{order};
	my $conversion = $order->{conversion};

	return {
		id => $payment->{session},
		object => 'checkout.session',
		mode => 'payment',
		status => 'complete',
		payment_status => !$payment->{paid} ? 'unpaid' : $payment->{amount} ? 'paid' : 'no_payment_required',
		payment_intent => $payment->{intent},
		subscription => undef,
		client_reference_id => $order->{client_reference_id},
		payment_link => $order->{payment_link},
		customer => "cus_$self->{tag}",
		customer_email => undef,
		customer_details => { email => 'buyer@example.com', name => undef },
		currency => $payment->{currency},
		amount_subtotal => $order->{subtotal},
		amount_total => $payment->{amount},
		total_details => {
			amount_discount => $order->{discount} || 0,
			amount_tax => $order->{tax} || 0,
			amount_shipping => $order->{shipping} || 0
		},
		($conversion ? (currency_conversion => { %$conversion, fx_rate => '1.07' }) : ()),
		metadata => $order->{metadata} || {},
		livemode => \0,
		%state
	};
}

sub tell_session
{
	my ($self, $payment, $what, %state) = @_;

	$self->tell("checkout.session.$what", $self->session_object($payment, %state), says_paid => $payment->{paid});
	return;
}

sub tell_completed { return tell_session(@_[ 0, 1 ], 'completed') }

sub fail
{
	my ($self, $payment) = @_;

	$payment->{failed_at} = $self->{clock};
	$self->tell_session($payment, 'async_payment_failed');
	return;
}

# Nobody tried to pay, so there is no payment intent.
sub expire
{
	my ($self, $payment) = @_;

	delete @$payment{qw(intent charge)};
	$payment->{expired_at} = $self->{clock};
	$self->tell_session($payment, 'expired', status => 'expired');
	return;
}

# Without metadata of ours it says nothing to us.
sub tell_intent
{
	my ($self, $payment, $metadata) = @_;

	$self->tell(
		'payment_intent.succeeded',
		{
			id => $payment->{intent},
			object => 'payment_intent',
			status => 'succeeded',
			amount => $payment->{amount},
			amount_received => $payment->{amount},
			currency => $payment->{currency},
			customer => "cus_$self->{tag}",
			latest_charge => $payment->{charge},
			($self->{shape} eq 'old' ? (invoice => $payment->{invoice}) : ()),
			metadata => $metadata || {},
			livemode => \0
		},
		says_paid => defined $metadata);
	return;
}


#
# The charge
#

sub charge_object
{
	my ($self, $payment, %state) = @_;
	my $refunded = figure($self, $payment);

	return {
		id => $payment->{charge},
		object => 'charge',
		status => 'succeeded',
		paid => \1,
		amount => $payment->{amount},
		amount_captured => $payment->{amount},
		amount_refunded => $refunded,
		refunded => $refunded == $payment->{amount} ? \1 : \0,
		currency => $payment->{currency},
		customer => "cus_$self->{tag}",
		payment_intent => $payment->{intent},
		($self->{shape} eq 'old' ? (invoice => $payment->{invoice}, refunds => undef) : ()),
		metadata => {},
		livemode => \0,
		%state
	};
}

# What is succeeded, updated or refunded
sub tell_charge
{
	my ($self, $payment, $what) = @_;

	$payment->{linked} = 1 if $self->tell("charge.$what", $self->charge_object($payment));
	$payment->{figure_at} = $self->{clock} if $what eq 'refunded';
	return;
}

# An attempt that failed before the one that succeeded
sub tell_failed_charge
{
	my ($self, $payment) = @_;

	$self->tell(
		'charge.updated',
		$self->charge_object(
			$payment,
			id => "ch_$self->{tag}_0",
			status => 'failed',
			paid => \0,
			amount_captured => 0));
	return;
}

# Who is told of a refund or dispute by the charge alone must hear whose charge
# it is.
sub make_linked
{
	my ($self, $payment) = @_;

	return if $payment->{linked} || !$payment->{needs_link};
	delete local $self->{deaf}{'charge.updated'};
	$self->tell_charge($payment, 'updated');
	return;
}

# The names that a refund or a dispute gives
sub names_of
{
	my ($payment, @names) = @_;
	my %all = (charge => $payment->{charge}, payment_intent => $payment->{intent});
	my %given = map { $_ => $all{$_} } @names;

	$given{charge} = $payment->{charge} unless $given{charge} || $given{payment_intent};
	$payment->{needs_link} = 1 unless $given{payment_intent};
	return (charge => $given{charge}, payment_intent => $given{payment_intent});
}


#
# Refunds
#

sub counts { return $_[0]{status} !~ /^(?:failed|canceled)$/ }

sub refunded
{
	my ($payment) = @_;
	my $sum = 0;

	$sum += $_->{amount} for grep { counts($_) } @{ $payment->{refunds} };
	return $sum;
}

# The charge's amount_refunded: where it isn't lowered when a refund fails, it
# is still never more than the charge.
sub figure
{
	my ($self, $payment) = @_;
	my $sum = Math::BigInt->bzero;

	return refunded($payment) if $self->{lowers};
	$sum->badd($_->{amount}) for @{ $payment->{refunds} };
	return $sum->bcmp($payment->{amount}) > 0 ? $payment->{amount} : $sum->bstr;
}

sub open_refund
{
	my ($self, $payment, $amount, $status) = @_;
	my $refund = {
		id => sprintf('re_%s_%d', $self->{tag}, ++$self->{refunds}),
		payment => $payment,
		amount => $amount,
		status => $status,
		created => $self->{clock}
	};

	push @{ $payment->{refunds} }, $refund;
	return $refund;
}

# With a type as in refund.created, or whatever tells of a change
sub tell_refund
{
	my ($self, $refund, $type) = @_;
	my $payment = $refund->{payment};

	$self->tell(
		$type || $self->{update_type},
		{
			id => $refund->{id},
			object => 'refund',
			status => $refund->{status},
			amount => $refund->{amount},
			currency => $payment->{currency},
			created => $refund->{created},
			names_of($payment, @{ $self->{refund_names} }),
			metadata => {}
		},
		about => $refund->{id});
	return;
}

# Creates one and tells of it
sub refund
{
	my ($self, $payment, $amount, $status) = @_;
	my $refund = $self->open_refund($payment, $amount, $status || 'succeeded');

	$self->tell_refund($refund, 'refund.created');
	return $refund;
}

sub end_refund
{
	my ($self, $refund, $status, $type) = @_;

	$refund->{status} = $status;
	$self->tell_refund($refund, $type);
	return;
}


#
# Disputes
#

sub open_dispute
{
	my ($self, $payment, %options) = @_;
	my $dispute = {
		amount => $payment->{amount},
		currency => $payment->{currency},
		%options,
		id => sprintf('dp_%s_%d', $self->{tag}, ++$self->{disputes}),
		payment => $payment,
		transactions => [],
		withdrawn => 0,
		told_at => $self->{clock},
		moved_at => $self->{clock}
	};

	push @{ $payment->{disputes} }, $dispute;
	return $dispute;
}

# Whoever hears of two things that contradict each other could not tell which came
# last: so they are not of the same second.
sub set_apart
{
	my ($self, $last) = @_;

	$self->{clock}++ if $self->{clock} == $last;
	return;
}

# The funds move, and Stripe enters it.
sub move_funds
{
	my ($self, $dispute, $withdrawn) = @_;

	$self->set_apart($dispute->{moved_at}) if @{ $dispute->{transactions} };
	$dispute->{withdrawn} = $withdrawn;
	$dispute->{moved_at} = $self->{clock};
	push @{ $dispute->{transactions} }, {
		id => sprintf('txn_%s_%d', $self->{tag}, ++$self->{moves}),
		object => 'balance_transaction',
		amount => $withdrawn ? -$dispute->{amount} : $dispute->{amount},
		currency => $dispute->{currency},
		fee => $withdrawn ? 1500 : 0
	};
	return;
}

sub withdraw { return move_funds(@_, 1) }

sub reinstate { return move_funds(@_, 0) }

sub set_status
{
	my ($self, $dispute, $status) = @_;
	my $was = $dispute->{status};

	$self->set_apart($dispute->{told_at})
	  if defined $was && $was ne $status && ($is_final{$was} || $rank{$was} > $rank{$status});
	$dispute->{status} = $status;
	return;
}

# What is created, updated, closed, funds_withdrawn or funds_reinstated.  Shown
# is how many of the transactions are seen yet.
sub tell_dispute
{
	my ($self, $dispute, $what, $status, $shown) = @_;
	my $transactions = $dispute->{transactions};
	my $last = defined $shown ? $shown - 1 : $#$transactions;

	$self->set_status($dispute, $status) if $status;
	$dispute->{told_at} = $self->{clock};
	$dispute->{moved_at} = $self->{clock} if $what =~ /^funds_/;
	$self->tell(
		"charge.dispute.$what",
		{
			id => $dispute->{id},
			object => 'dispute',
			status => $dispute->{status},
			amount => $dispute->{amount},
			currency => $dispute->{currency},
			names_of($dispute->{payment}, @{ $self->{dispute_names} }),
			$self->{transactions} eq 'absent'
			? ()
			: (balance_transactions => $self->{transactions} eq 'shown' ? [ @$transactions[ 0 .. $last ] ] : []),
			metadata => {}
		},
		about => $dispute->{id});
	return;
}


#
# Subscriptions and their invoices
#

# Of a subscription: metadata, its own; session_metadata and client_reference_id,
# those of its session
sub subscribe
{
	my ($self, %subscription) = @_;

	$self->{subscription} = { %subscription, id => "sub_$self->{tag}" };
	return;
}

sub tell_subscription
{
	my ($self, $invoice) = @_;
	my $subscription = $self->{subscription};

	$self->tell(
		'checkout.session.completed',
		{
			id => "cs_test_$self->{tag}",
			object => 'checkout.session',
			mode => 'subscription',
			status => 'complete',
			payment_status => 'paid',
			payment_intent => undef,
			subscription => $subscription->{id},
			invoice => $invoice ? $invoice->{invoice} : undef,
			client_reference_id => $subscription->{client_reference_id},
			payment_link => undef,
			customer => "cus_$self->{tag}",
			customer_email => undef,
			customer_details => { email => 'buyer@example.com' },
			currency => 'usd',
			amount_subtotal => 900,
			amount_total => 900,
			total_details => { amount_discount => 0, amount_tax => 0, amount_shipping => 0 },
			metadata => $subscription->{session_metadata} || {},
			livemode => \0
		});
	return;
}

# Of an invoice: lines, discount, tax, currency, reason, and what pays it: card;
# charge, as there were no payment intents once; outside, that is, not through
# Stripe.  Of a line: kind (subscription, proration, item), amount, quantity,
# price, credits of a unit.
sub bill
{
	my ($self, %bill) = @_;
	my $number = 1 + @{ $self->{payments} };
	my $payment = {
		bill => \%bill,
		invoice => "in_$self->{tag}_$number",
		number => $number,
		credits => 0,
		amount => ($bill{tax} || 0) - ($bill{discount} || 0),
		currency => $bill{currency},
		paid => 1,
		refunds => [],
		disputes => []
	};
	my $by = $bill{by} || 'card';

	for my $line (@{ $bill{lines} })
	{
		$payment->{amount} += $line->{amount};
		$payment->{credits} += $line->{quantity} * ($line->{credits} || 0)
		  if $line->{kind} eq 'subscription' && $line->{amount} > 0;
	}
	if ($payment->{amount} > 0 && $by ne 'outside')
	{
		$payment->{charge} = "ch_$self->{tag}_$number";
		$payment->{intent} = "pi_$self->{tag}_$number" if $by eq 'card';
	}
	push @{ $self->{payments} }, $payment;
	return $payment;
}

sub line_object
{
	my ($self, $payment, $number) = @_;
	my $line = $payment->{bill}{lines}[$number];
	my $is_item = $line->{kind} eq 'item';
	my $prorates = $line->{kind} eq 'proration' ? \1 : \0;
	my %object = (
		id => "il_$self->{tag}_$payment->{number}$number",
		object => 'line_item',
		amount => $line->{amount},
		currency => $payment->{currency},
		quantity => $line->{quantity},
		metadata => !$is_item && $line->{with_metadata} ? $self->{subscription}{metadata} || {} : {});

	return {
		%object,
		type => $is_item ? 'invoiceitem' : 'subscription',
		proration => $prorates,
		subscription => $self->{subscription}{id},
		price => { id => $line->{price}, object => 'price', currency => $payment->{currency} }
	  }
	  if $self->{shape} eq 'old';
	return {
		%object,
		parent => $is_item
		? {
			type => 'invoice_item_details',
			invoice_item_details => { proration => \0 },
			subscription_item_details => undef
		}
		: {
			type => 'subscription_item_details',
			invoice_item_details => undef,
			subscription_item_details => { subscription => $self->{subscription}{id}, proration => $prorates }
		},
		pricing => { type => 'price_details', price_details => { price => $line->{price}, product => 'prod_1' } }
	};
}

# What says whose an invoice is, and what paid it, where that version has it
sub invoice_links
{
	my ($self, $payment) = @_;
	my $subscription = $self->{subscription};
	my %details = (metadata => $subscription->{metadata} || {});

	return (
		subscription => $subscription->{id},
		subscription_details => \%details,
		payment_intent => $payment->{intent},
		charge => $payment->{charge},
		paid => \1) if $self->{shape} eq 'old';
	return (
		parent => {
			type => 'subscription_details',
			quote_details => undef,
			subscription_details => { %details, subscription => $subscription->{id} }
		});
}

sub tell_invoice
{
	my ($self, $payment, $type) = @_;
	my $bill = $payment->{bill};
	my $sent = $self->tell(
		$type || 'invoice.paid',
		{
			id => $payment->{invoice},
			object => 'invoice',
			status => 'paid',
			billing_reason => $bill->{reason},
			currency => $payment->{currency},
			amount_due => $payment->{amount},
			amount_paid => $payment->{amount},
			customer => "cus_$self->{tag}",
			$self->invoice_links($payment),
			lines => {
				object => 'list',
				has_more => \0,
				data => [ map { $self->line_object($payment, $_) } 0 .. $#{ $bill->{lines} } ]
			},
			metadata => {},
			livemode => \0
		});

	$payment->{linked} = 1 if $sent && !$type && $self->{shape} eq 'old';
	return;
}

# Which payment intent paid an invoice; older versions have no such event.
sub tell_invoice_payment
{
	my ($self, $payment) = @_;

	return if $self->{shape} eq 'old' || !$payment->{intent};
	$self->tell(
		'invoice_payment.paid',
		{
			id => "inpay_$self->{tag}_$payment->{number}",
			object => 'invoice_payment',
			invoice => $payment->{invoice},
			status => 'paid',
			amount_paid => $payment->{amount},
			amount_requested => $payment->{amount},
			currency => $payment->{currency},
			is_default => \1,
			payment => { type => 'payment_intent', payment_intent => $payment->{intent} },
			livemode => \0
		});
	return;
}


#
# The truth
#

# The name by which a payment is known in the end
sub root_of
{
	my ($payment) = @_;

	return $payment->{invoice} || $payment->{intent} || $payment->{session};
}

# Its other names, as far as anybody can know that they are its
sub other_names
{
	my ($payment) = @_;

	return if $payment->{unlinked};
	return grep { defined && $_ ne root_of($payment) } @$payment{qw(session intent charge)};
}

# How much of it has gone back
sub gone
{
	my ($payment) = @_;
	my $charged = Math::BigInt->new($payment->{amount});
	my $gone = Math::BigInt->new(refunded($payment));

	for my $dispute (grep { $_->{withdrawn} } @{ $payment->{disputes} })
	{
		$gone->badd($dispute->{currency} eq $payment->{currency} ? $dispute->{amount} : $charged);
	}
	return $gone->bcmp($charged) > 0 ? $charged : $gone;
}

# The credits that are in the books for it
sub posted
{
	my ($payment) = @_;
	my $credits = Math::BigInt->new($payment->{credits});
	my $gone = gone($payment);
	my ($back, $rest);

	return 0 unless $payment->{paid};
	return $credits->bstr if $gone->is_zero;
	($back, $rest) = $gone->bmul($credits)->bdiv($payment->{amount});
	$back->binc unless $rest->is_zero;
	return $credits->bsub($back)->bstr;
}

# The time of the earliest event that was sent and says that it is paid
sub paid_at
{
	my ($self) = @_;
	my ($earliest) = sort { $a <=> $b } map { $_->{created} } grep { $_->{says_paid} } @{ $self->{events} };

	return $earliest;
}

# What the account has by it
sub balance
{
	my ($self) = @_;
	my $sum = Math::BigInt->bzero;

	$sum->badd(posted($_)) for @{ $self->{payments} };
	return $sum->bstr;
}

# A text of this life as its copy has it
sub copied
{
	my ($self, $tag, $text) = @_;

	return $text =~ s/\Q$self->{tag}\E/$tag/gr;
}


#
# For those who read what went wrong
#

my @telling = qw(
  payment_status status amount amount_total amount_paid amount_refunded currency
  payment_intent charge invoice subscription created);

sub describe_event
{
	my ($self, $event) = @_;
	my $object = JSON::PP->new->decode($event->{body})->{data}{object};
	my @moves = map { $_->{amount} } @{ $object->{balance_transactions} || [] };

	return join ' ', $event->{id} =~ /(\d+)$/, '+' . ($event->{created} - $self->{events}[0]{created}) . 's',
	  $event->{type}, $object->{id},
	  (map { "$_=$object->{$_}" } grep { defined $object->{$_} } @telling),
	  (@moves ? "moves=@moves" : ());
}

# All that there is to know of it, one thing a line
sub describe
{
	my ($self) = @_;

	return (
		"$self->{name} (shape $self->{shape}, account $self->{account})",
		(
			map {
				sprintf '  %s: %s, %s credits for %s %s, of which %s went back: %s are due',
				  root_of($_), $_->{paid} ? 'paid' : 'not paid', @$_{qw(credits amount currency)}, gone($_), posted($_)
			} @{ $self->{payments} }),
		map { '  ' . $self->describe_event($_) } @{ $self->{events} });
}

1;
