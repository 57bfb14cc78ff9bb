# Every collected body, byte for byte, through webhook_bytes() and webhook(),
# under several configurations: each by itself, and all of them in sequence.
# What should come of it is said by a model below, which goes by the fields of
# an event and by no body's name.
#
# STRIPE_CREDIT_CORPUS names the directory of the bodies.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use List::Util qw(shuffle uniq);
use Math::BigInt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Corpus;
use Test::More;

plan skip_all => 'STRIPE_CREDIT_CORPUS names no collected events'
  unless defined CORPUS;

use constant {
	BODIES => 139,
	ORDERS => 3,
	SECRET => 'whsec_corpus'
};

my $json = JSON::PP->new->utf8->canonical;

my %refund = map { $_ => 1 } qw(
  refund.created refund.updated refund.failed charge.refund.updated);
my %session = map { ("checkout.session.$_" => 1) } qw(
  completed async_payment_succeeded async_payment_failed expired);

# credits per minor unit of a currency
my %rates = (usd => [ 3, 7 ], eur => [ 5, 2 ], jpy => [ 1, 3 ], kwd => [ 2, 5 ]);


#
# The bodies
#

# The same body under another event's id.
sub renamed
{
	my ($body, $id) = @_;
	my $old = $body->{event}{id} // '';
	my $bytes = $body->{bytes} =~ s/"\Q$old\E"/"$id"/gr;

	return { name => $body->{name}, bytes => $bytes, event => $json->decode($bytes) };
}

# Another event that says the same.
sub clone
{
	my ($body) = @_;

	return renamed($body, ($body->{event}{id} // '') . '_clone');
}

# What a change of its event makes of a body.
sub made_of
{
	my ($body, $what, $change) = @_;
	my $event = $json->decode($body->{bytes});

	$change->($event->{data}{object}, $event);
	$event->{id} .= "_$what";
	return { name => "$body->{name}, $what", bytes => $json->encode($event), event => $event };
}

# The same session, without the conversion that all composed ones carry.
sub unconverted
{
	my ($body) = @_;

	return unless $session{ $body->{event}{type} // '' }
	  && ref $body->{event}{data}{object}{currency_conversion};
	return made_of($body, 'unconverted', sub { delete $_[0]{currency_conversion} });
}

sub subscription_of
{
	my ($invoice) = @_;
	my $id = $invoice->{parent}{subscription_details}{subscription} // $invoice->{subscription};

	return defined $id && $id =~ /^sub_\w/ ? $id : undef;
}

# The same invoice under another id, with lines that are worth credits: there
# is none among those collected.
sub granting
{
	my ($body) = @_;

	return unless ($body->{event}{type} // '') eq 'invoice.paid'
	  && defined subscription_of($body->{event}{data}{object});
	return made_of(
		$body, 'granting',
		sub {
			my ($invoice) = @_;

			$invoice->{id} .= 'Granting';
			$invoice->{amount_paid} = 2100;
			for my $line (@{ $invoice->{lines}{data} })
			{
				@{$line}{qw(amount quantity)} = (2100, 3);
				next unless ref $line->{parent};
				$line->{parent}{type} = 'subscription_item_details';
				$line->{parent}{invoice_item_details} = undef;
				$line->{parent}{subscription_item_details}{proration} = JSON::PP::false;
				$line->{parent}{subscription_item_details}{subscription} = subscription_of($invoice);
				$line->{pricing}{price_details} = { price => "price_$line->{id}" };
			}
		});
}

# The session by which an invoice's subscription was bought.
sub subscribing
{
	my ($body, $session) = @_;
	my $id = ($body->{event}{type} // '') eq 'invoice.paid'
	  && subscription_of($body->{event}{data}{object});

	return unless $id && $id ne $session->{event}{data}{object}{subscription};
	return made_of(
		$session, "of_$id",
		sub {
			my ($object) = @_;

			$object->{id} .= $id;
			$object->{subscription} = $id;
		});
}

# The same of live money: there are but sessions of it among those collected.
sub live
{
	my ($body) = @_;
	my $type = $body->{event}{type} // '';

	return
	  unless $type =~ /^(?:charge|refund|invoice|invoice_payment)\./ && !$body->{event}{livemode};
	return made_of($body, 'live', sub { $_[1]{livemode} = JSON::PP::true });
}

my @bodies = corpus_bodies();
$_->{event} = $json->decode($_->{bytes}) for @bodies;
cmp_ok(scalar @bodies, '>=', BODIES, 'all collected bodies are there')
  or die CORPUS . ' holds too few bodies';
my ($subscription) = grep { ($_->{event}{data}{object}{mode} // '') eq 'subscription' }
  grep { $session{ $_->{event}{type} // '' } } @bodies;
my @granting = map { granting($_) } @bodies;
my @made = (
	(map { unconverted($_) } @bodies),
	@granting, (map { live($_) } @bodies, @granting),
	(map { subscribing($_, $subscription) } @bodies));
my @alone = (@bodies, @made);

# Among the bodies are many that are of different objects and yet of one event,
# as no two at Stripe are: these under ids of their own.
my %of_id;
push @{ $of_id{ $_->{event}{id} // '' } }, $_ for @bodies;
my @distinct = map {
	my ($id, @others) = ($_, @{ $of_id{$_} });

	map { renamed($others[$_], "${id}_$_") } 1 .. $#others;
} grep { /^evt_/ } sort keys %of_id;

my @all = (@alone, @distinct);
note(sprintf '%d bodies and %d made of them', scalar @bodies, @all - @bodies);

# What the configurations below must name: the accounts and the payment links
# of the sessions, and the prices of the invoices.
my @sessions = grep { $session{ $_->{event}{type} // '' } } @alone;
my @connected =
  uniq grep { defined } map { $_->{event}{account} } @sessions;
my @links =
  uniq grep { defined } map { $_->{event}{data}{object}{payment_link} } @sessions;
my @prices =
  uniq map { price_of($_) } map { @{ $_->{event}{data}{object}{lines}{data} } } @granting;


#
# The model: what one event means
#

sub is_whole { return defined $_[0] && !ref $_[0] && $_[0] =~ /^\d+$/ }

sub floor_of
{
	my ($amount, $times, $by) = @_;

	return Math::BigInt->new($amount)->bmul($times)->bdiv($by)->bstr;
}

sub account_of
{
	my ($object, $config) = @_;
	my %sources = (
		metadata => sub { $object->{metadata}{stripe_credit_account} },
		client_reference_id => sub { $object->{client_reference_id} },
		customer_email => sub { lc($object->{customer_email} // '') },
		customer_details_email =>
		  sub { lc($object->{customer_details}{email} // '') },
		customer => sub { $object->{customer} });

	for my $source (@{ $config->{account_from} })
	{
		my $account = $sources{$source}->();
		return $account if defined $account && $account ne '';
	}
	return undef;
}

# Returns credits and the rank of who says so, or undef and the reason.
sub credits_of
{
	my ($object, $config) = @_;
	my $details = $object->{total_details} // {};
	my ($currency, $subtotal) = @{$object}{qw(currency amount_subtotal)};
	my $total = $object->{amount_total};
	my $net = is_whole($total)
	  && $total - ($details->{amount_tax} // 0) - ($details->{amount_shipping} // 0);
	my $link = $config->{links}{ $object->{payment_link} // '' };

	return (undef, 'amount') unless is_whole($net);
	if (my $conversion = $object->{currency_conversion})
	{
		$currency = $conversion->{source_currency};
		$subtotal = $conversion->{amount_subtotal};
		$net = $total ? floor_of($conversion->{amount_total}, $net, $total) : 0;
	}
	if ($link)
	{
		return (undef, 'currency') if $link->{currency} ne $currency;
		return (undef, 'amount') if $subtotal <= 0 || $subtotal % $link->{unit_amount};
		return (floor_of($subtotal, $link->{credits}, $link->{unit_amount}), 4);
	}
	my $rate = $config->{rates}{$currency} or return (undef, 'rate');
	return (floor_of($net, @$rate), 5);
}

sub is_foreign
{
	my ($event, $config) = @_;

	return 1 if !$event->{livemode} && $config->{mode} eq 'live';
	return defined $event->{account}
	  && !grep { $_ eq $event->{account} } @{ $config->{connected} };
}

# What a charge says: who its payment is, what was charged, and in a
# charge.refunded how much of it has gone back by then.
sub charge_meaning
{
	my ($event, $charge) = @_;
	my $refunded = $event->{type} eq 'charge.refunded';
	my %known;

	@known{qw(amount currency)} = @{$charge}{qw(amount currency)} if $charge->{paid};
	@known{qw(at refunded)} = ($event->{created}, $charge->{amount_refunded}) if $refunded;
	return {
		nature => $refunded ? 'reversal' : 'link',
		names => [ grep { defined } @{$charge}{qw(id payment_intent invoice)} ],
		charges => { $charge->{id} => \%known }
	};
}

sub refund_meaning
{
	my ($event, $refund) = @_;
	my %finality = (succeeded => 1, failed => 2, canceled => 2);

	return {
		nature => 'reversal',
		names => [ grep { defined } @{$refund}{qw(charge payment_intent)} ],
		refunds => {
			$refund->{id} => {
				%{$refund}{qw(amount currency created charge)},
				finality => $finality{ $refund->{status} } // 0,
				at => $event->{created}
			}
		}
	};
}

# The oldest disputes have no id of their own.
sub dispute_meaning
{
	my ($event, $dispute) = @_;
	my %known = (%{$dispute}{qw(amount currency status)}, at => $event->{created});

	@known{qw(funds funds_at)} = ($1, $event->{created})
	  if $event->{type} =~ /funds_(\w+)$/;
	return {
		nature => 'reversal',
		names => [ grep { defined } @{$dispute}{qw(charge payment_intent)} ],
		disputes => { $dispute->{id} // $dispute->{charge} => \%known },
		transactions => {
			map { $_->{id} => { dispute => $dispute->{id}, amount => $_->{amount} } }
			  @{ $dispute->{balance_transactions} // [] }
		}
	};
}

sub is_proration
{
	my ($line) = @_;
	my $parent = $line->{parent} // {};

	return $line->{proration}
	  || $parent->{invoice_item_details}{proration}
	  || $parent->{subscription_item_details}{proration};
}

sub is_subscription_line
{
	my ($line) = @_;

	return $line->{parent}
	  ? $line->{parent}{type} eq 'subscription_item_details'
	  : $line->{type} eq 'subscription';
}

sub price_of
{
	my ($line) = @_;

	return $line->{pricing}{price_details}{price} // $line->{price}{id};
}

# A paid invoice: each line that is a subscription's, no proration, and comes
# to something is worth credits.
sub invoice_meaning
{
	my ($event, $invoice) = @_;
	my @lines = @{ $invoice->{lines}{data} };
	my @granting =
	  grep { is_subscription_line($_) && !is_proration($_) && $_->{amount} > 0 } @lines;

	return { nature => 'ignored' } if ($invoice->{billing_reason} // '') eq 'manual';
	return { nature => 'unusable', reason => 'id' } unless defined subscription_of($invoice);
	die 'the model knows nothing of metadata of our own on an invoice'
	  if grep { /^stripe_credit_/ } map { keys %{ $_ // {} } }
	  $invoice->{parent}{subscription_details}{metadata}, map { $_->{metadata} } @lines;

	my %meaning = (
		nature => 'invoice',
		names => [ grep { defined } @{$invoice}{qw(id payment_intent charge)} ],
		subscription => subscription_of($invoice),
		price => [ @{$invoice}{qw(amount_paid currency)} ],
		paid => 1,
		lines => {
			map { $_->{id} => { price => price_of($_), quantity => $_->{quantity} // 1 } } @granting
		});
	return \%meaning if @granting;
	return { %meaning, reason => 'proration' }
	  if $invoice->{amount_paid} > 0 && grep { is_proration($_) } @lines;
	return { %meaning, credits => 0, rank => 7 };
}

sub invoice_payment_meaning
{
	my ($event, $link) = @_;

	return {
		nature => 'link',
		names => [ grep { defined } $link->{invoice}, @{ $link->{payment} }{qw(payment_intent charge)} ]
	};
}

sub session_meaning
{
	my ($event, $session, $config) = @_;
	my @ours = grep { /^stripe_credit_/ } keys %{ $session->{metadata} // {} };
	my $mode = $session->{mode} // 'payment';
	my %meaning = (heard => 1, account => account_of($session, $config));

	die "the model knows nothing of $ours[0]" if grep { !/_account$/ } @ours;
	return { nature => 'ignored' } if $mode eq 'setup';
	return { %meaning, nature => 'subscription', names => [ $session->{subscription} ] }
	  if $mode eq 'subscription';

	$meaning{names} = [ grep { defined } @{$session}{qw(id payment_intent)} ];
	return { nature => 'closed', names => $meaning{names}, heard => 1, closed => 1 }
	  if $event->{type} =~ /_failed$|expired$/;

	$meaning{price} = [ @{$session}{qw(amount_total currency)} ];
	@meaning{qw(credits rank)} = credits_of($session, $config);
	$meaning{reason} = delete $meaning{rank} unless defined $meaning{credits};
	return { %meaning, nature => 'unpaid' } if $session->{payment_status} eq 'unpaid';
	die "the model knows nothing of $session->{payment_status}"
	  unless $session->{payment_status} =~ /^(?:paid|no_payment_required)$/;
	return { %meaning, nature => 'paid', paid => 1 };
}

sub meaning_of_type
{
	my ($event, $config) = @_;
	my $type = $event->{type} // '';
	my $object = ref $event->{data} eq 'HASH' ? $event->{data}{object} : {};

	return session_meaning($event, $object, $config) if $session{$type};
	return charge_meaning($event, $object) if $type =~ /^charge\.(?:succeeded|updated|refunded)$/;
	return refund_meaning($event, $object) if $refund{$type};
	return dispute_meaning($event, $object) if $type =~ /^charge\.dispute\./;
	return invoice_meaning($event, $object) if $type eq 'invoice.paid';
	return invoice_payment_meaning($event, $object) if $type eq 'invoice_payment.paid';
	die 'the model knows nothing of payment intents of our own'
	  if $type eq 'payment_intent.succeeded'
	  && grep { /^stripe_credit_/ } keys %{ $object->{metadata} // {} };
	return { nature => 'ignored' };
}

# What an event is and says, by itself.
sub meaning
{
	my ($event, $config) = @_;

	return { nature => 'error' }
	  unless $event->{object} eq 'event' && $event->{id} =~ /^evt_[A-Za-z0-9_]{1,250}$/;
	return { nature => 'ignored' } if is_foreign($event, $config);

	my $meaning = meaning_of_type($event, $config);
	$meaning->{live} = $event->{livemode} ? 1 : 0;
	$meaning->{wrong_mode} = $meaning->{live} && $config->{mode} ne 'live';
	die 'the model knows nothing of live sessions that are not paid'
	  if $meaning->{wrong_mode} && $meaning->{nature} =~ /^(?:subscription|unpaid|closed)$/;
	return $meaning;
}

# Why an event's money cannot be credited: any of these may be named.
sub reasons
{
	my ($meaning) = @_;

	return ('mode') if $meaning->{wrong_mode};
	return ((defined $meaning->{account} ? () : 'account'),
		($meaning->{reason} // ()));
}


#
# The model: what a sequence of events comes to
#

# A payment is known by its invoice, or its payment intent, or its session, or
# its charge.
sub best_name
{
	my @names = @_;

	for my $kind (qw(in_ pi_ cs_))
	{
		my ($best) = sort grep { /^\Q$kind\E/ } @names;

		return $best if defined $best;
	}
	return (sort @names)[0];
}

sub smallest
{
	my ($known, $news) = @_;

	return $news unless defined $known;
	return defined $news && $news lt $known ? $news : $known;
}

# Whether one list of numbers and texts is before another.
sub is_before
{
	my ($one, $other) = @_;

	for my $i (0 .. $#$one)
	{
		my ($x, $y) = ($one->[$i], $other->[$i]);
		my $order = "$x$y" =~ /^-?\d+$/ ? $x <=> $y : $x cmp $y;

		return $order < 0 if $order;
	}
	return 0;
}

# A status that ends a dispute is believed if another is of the same second.
sub status_order
{
	my ($dispute) = @_;

	return [ $dispute->{at}, $dispute->{status} =~ /^(?:won|lost|prevented|warning_closed)$/ ? 1 : 0 ];
}

my %merge = (
	charges => sub {
		my ($known, $news) = @_;

		@{$known}{qw(amount currency)} = @{$news}{qw(amount currency)}
		  if ($news->{amount} // -1) > ($known->{amount} // -1);
		@{$known}{qw(at refunded)} = @{$news}{qw(at refunded)}
		  if defined $news->{at}
		  && (!defined $known->{at}
			|| is_before([ @{$known}{qw(at refunded)} ], [ @{$news}{qw(at refunded)} ]));
	},
	refunds => sub {
		my ($known, $news) = @_;

		%$known = %$news
		  if is_before([ @{$known}{qw(finality at)} ], [ @{$news}{qw(finality at)} ]);
	},
	disputes => sub {
		my ($known, $news) = @_;

		@{$known}{qw(at status amount currency)} = @{$news}{qw(at status amount currency)}
		  if is_before(status_order($known), status_order($news));
		@{$known}{qw(funds funds_at)} = @{$news}{qw(funds funds_at)}
		  if ($news->{funds_at} // -1) > ($known->{funds_at} // -1);
	},
	transactions => sub { },
	lines => sub { });

# Merges into a payment what an event says of it, or what was known of it under
# another of its names.
sub merge
{
	my ($payment, $news) = @_;

	$payment->{account} = smallest($payment->{account}, $news->{account});
	@{$payment}{qw(rank credits)} = @{$news}{qw(rank credits)}
	  if defined $news->{credits}
	  && (!defined $payment->{credits}
		|| is_before([ @{$news}{qw(rank credits)} ], [ @{$payment}{qw(rank credits)} ]));
	$payment->{price} = [ @{ $news->{price} } ]
	  if $news->{price} && (!$payment->{price} || is_before($news->{price}, $payment->{price}));
	$payment->{$_} //= $news->{$_} for qw(live subscription);
	$payment->{$_} ||= $news->{$_} for qw(paid closed heard);
	$payment->{heard} ||= $payment->{paid};
	for my $part (keys %merge)
	{
		for my $id (keys %{ $news->{$part} // {} })
		{
			my $known = $payment->{$part}{$id};

			$known ? $merge{$part}->($known, $news->{$part}{$id})
			  : ($payment->{$part}{$id} = { %{ $news->{$part}{$id} } });
		}
	}
}

# The payment of all these names, which are one's from now on.
sub payment_of
{
	my ($books, @names) = @_;
	my ($payment, @others) = uniq grep { defined } map { $books->{payments}{$_} } @names;

	$payment //= {};
	for my $other (@others)
	{
		die 'the model knows nothing of money that was credited twice'
		  if defined $payment->{to} && defined $other->{to};
		merge($payment, $other);
		$payment->{$_} //= $other->{$_} for qw(to posted);
		push @names, @{ $other->{names} };
	}
	$payment->{names} = [ uniq @{ $payment->{names} // [] }, @names ];
	$payment->{id} = best_name(@{ $payment->{names} });
	$books->{payments}{$_} = $payment for @{ $payment->{names} };
	return $payment;
}

sub is_withdrawn
{
	my ($payment, $id) = @_;
	my $dispute = $payment->{disputes}{$id};
	my @moved = map { $_->{amount} }
	  grep { $_->{dispute} eq $id } values %{ $payment->{transactions} // {} };
	my $net = 0;

	$net += $_ for @moved;
	return @moved > 1 && $net < 0
	  if $dispute->{status} =~ /^(?:won|prevented|warning_closed)$/;
	return $net < 0 if @moved;
	return $dispute->{funds} eq 'withdrawn' if defined $dispute->{funds};
	return $dispute->{status} =~ /^(?:needs_response|under_review|lost|appeal_)/;
}

# The refunds of a charge: those that are known, and what its cumulative figure
# knows besides.
sub refunded
{
	my ($payment) = @_;
	my @refunds = values %{ $payment->{refunds} // {} };
	my $sum = 0;

	$sum += $_->{amount} for grep { $_->{finality} < 2 } @refunds;
	for my $id (grep { defined $payment->{charges}{$_}{at} } keys %{ $payment->{charges} // {} })
	{
		my $charge = $payment->{charges}{$id};
		my $unknown = $charge->{refunded};

		$unknown -= $_->{amount}
		  for grep { $_->{created} <= $charge->{at} && ($_->{charge} // $id) eq $id } @refunds;
		$sum += $unknown if $unknown > 0;
	}
	return $sum;
}

# The credits that go back.
sub back
{
	my ($payment, $credits) = @_;
	my @charges = grep { defined $_->{amount} } values %{ $payment->{charges} // {} };
	my ($charged, $currency) = @{ $payment->{price} };
	my @disputes = map { $payment->{disputes}{$_} }
	  grep { is_withdrawn($payment, $_) } keys %{ $payment->{disputes} // {} };
	my @refunds = grep { $_->{finality} < 2 } values %{ $payment->{refunds} // {} };
	my $reversed = refunded($payment);

	die 'the model knows nothing of a payment with several charges' if @charges > 1;
	($charged, $currency) = @{ $charges[0] }{qw(amount currency)} if @charges;
	$reversed += $_->{amount} for @disputes;
	$reversed = $charged
	  if $reversed > $charged || grep { $_->{currency} ne $currency } @disputes, @refunds;
	return 0 unless $charged;
	return Math::BigInt->new($credits)->bmul($reversed)->badd($charged - 1)->bdiv($charged)->bstr;
}

# What a payment is worth, or undef if that is not known.
sub worth
{
	my ($payment, $config) = @_;
	my $sum = 0;

	return $payment->{credits} unless %{ $payment->{lines} // {} };
	for my $line (values %{ $payment->{lines} })
	{
		my $credits = $config->{prices}{ $line->{price} };

		return undef unless defined $credits;
		$sum += $credits * $line->{quantity};
	}
	return $sum;
}

# Returns what the ledger gets.
sub post
{
	my ($payment, $config) = @_;
	my $posted = $payment->{posted} // 0;
	my $credits = worth($payment, $config);

	return 0
	  unless $payment->{paid}
	  && defined $payment->{account}
	  && defined $credits
	  && !($payment->{live} && $config->{mode} ne 'live');
	$payment->{to} //= $payment->{account};
	$payment->{posted} = $credits - back($payment, $credits);
	return $payment->{posted} - $posted;
}

# The events of a payment that wait, of these natures.
sub waiting_of
{
	my ($books, $payment, @natures) = @_;

	return grep {
		my $row = $_;

		defined $row->{name}
		  && $books->{payments}{ $row->{name} } == $payment
		  && $row->{status} =~ /^(?:pending|unmatched)$/
		  && grep { $row->{nature} eq $_ } @natures
	} values %{ $books->{events} };
}

# What waited for what is known of a payment now waits no more.
sub settle
{
	my ($books, $payment) = @_;
	my @natures = (
		($payment->{heard} ? 'reversal' : ()),
		# money that nobody could be credited with waits on, whatever failed
		($payment->{closed} ? 'unpaid' : ()),
		(defined $payment->{to} ? qw(paid unpaid invoice) : ()));

	$_->{status} = 'applied' for waiting_of($books, $payment, @natures);
}

# What an invoice's subscription says of it.
sub inherit
{
	my ($books, $invoice) = @_;
	my $subscription = $books->{payments}{ $invoice->{subscription} } // {};

	$invoice->{account} //= $subscription->{account};
	return $subscription->{heard};
}

# The invoices of a subscription, which may have come before it.  Returns what
# the ledger gets.
sub tell_invoices
{
	my ($books, $id, $config) = @_;
	my $credits = 0;

	for my $invoice (uniq grep { ($_->{subscription} // '') eq $id } values %{ $books->{payments} })
	{
		inherit($books, $invoice);
		$credits += post($invoice, $config);
		settle($books, $invoice);
		$_->{status} = 'unmatched' for waiting_of($books, $invoice, 'invoice');
	}
	return $credits;
}

# Of an event whose payment is as it is now.
sub judge
{
	my ($payment, $meaning, $is_known) = @_;
	my $nature = $meaning->{nature};
	my @why = reasons($meaning);

	return ('unmatched', 'mode') if $meaning->{wrong_mode};
	return ('news') if $nature =~ /^(?:link|closed)$/;
	return $payment->{heard} ? ('news') : ('pending', 'payment') if $nature eq 'reversal';
	return @why ? ('unmatched', @why) : ('news') if $nature eq 'subscription';
	return ('news') if defined $payment->{to};
	if ($nature eq 'unpaid')
	{
		return $payment->{paid} || $payment->{closed} ? ('news') : ('pending', 'unpaid');
	}
	if ($nature eq 'invoice')
	{
		return ('unmatched', $meaning->{reason}) if $meaning->{reason};
		return ('news') unless %{ $meaning->{lines} };
		return ('pending', 'subscription') unless $is_known;
		return ('unmatched', defined $payment->{account} ? 'pack' : ('account', 'pack'));
	}
	return ('unmatched', @why);
}

# One delivery.  The result is its status, or "news" where it depends on facts
# that the model leaves out whether an event told something new (applied) or
# nothing (duplicate); what the ledger gets; and the reasons that may be named.
sub deliver
{
	my ($books, $event, $config) = @_;
	my $meaning = meaning($event, $config);
	my $row = $books->{events}{ $event->{id} // '' };
	my %result = (status => $meaning->{nature}, credits => 0, reasons => []);

	return \%result if $meaning->{nature} =~ /^(?:error|ignored)$/;
	return { %result, status => 'duplicate' }
	  if $row && $row->{status} !~ /^(?:pending|unmatched)$/;
	$row = $books->{events}{ $event->{id} } = { nature => $meaning->{nature}, status => 'new' };
	if ($meaning->{nature} eq 'unusable')
	{
		$row->{status} = 'unmatched';
		return { %result, status => 'unmatched', reasons => [ $meaning->{reason}, 'mode' ] };
	}

	my $payment = payment_of($books, @{ $meaning->{names} });
	my $is_known;

	$row->{name} = $payment->{id};
	merge($payment, $meaning);
	$is_known = inherit($books, $payment) if $meaning->{nature} eq 'invoice';
	$result{credits} = post($payment, $config) unless $meaning->{nature} eq 'subscription';
	$result{credits} = tell_invoices($books, $payment->{id}, $config)
	  if $meaning->{nature} eq 'subscription';
	settle($books, $payment);
	($result{status}, @{ $result{reasons} }) = judge($payment, $meaning, $is_known);
	$result{payment} = $payment->{id};
	$row->{status} = $result{status};
	return \%result;
}

sub balances
{
	my ($books) = @_;
	my %balances;

	for my $payment (uniq values %{ $books->{payments} })
	{
		$balances{ $payment->{to} } += $payment->{posted} if defined $payment->{to};
	}
	return { map { $_ => "$balances{$_}" } grep { $balances{$_} } keys %balances };
}

sub posted
{
	my ($books) = @_;

	return {
		map { $_->{id} => "$_->{posted}" }
		  grep { $_->{posted} } uniq values %{ $books->{payments} } };
}

# Which events wait, and for which payment.
sub waiting
{
	my ($books) = @_;
	my %events = %{ $books->{events} };
	my %waiting;

	for my $id (grep { $events{$_}{status} =~ /^(?:pending|unmatched)$/ } keys %events)
	{
		my $name = $events{$id}{name};

		$waiting{$id} = "$events{$id}{status} "
		  . (defined $name ? $books->{payments}{$name}{id} : 'of no payment');
	}
	return \%waiting;
}


#
# Configurations
#

my %reference = (account_from => ['client_reference_id'], rates => \%rates);
my $link = { pack_id => 'link', credits => 2, unit_amount => 5, currency => 'usd' };

my @configs = (
	{ name => 'bare' },
	{ name => 'client_reference_id', %reference },
	{
		name => 'customer_email',
		account_from => ['customer_email'],
		rates => \%rates,
		keep => 'none'
	},
	{
		name => 'customer_details_email',
		account_from => ['customer_details_email'],
		rates => \%rates,
		keep => 'none'
	},
	{
		name => 'connected accounts',
		%reference,
		connected => [ 'acct_other', @connected ],
		keep => 'all'
	},
	{
		name => 'live',
		account_from => [ 'client_reference_id', 'customer_details_email' ],
		rates => \%rates,
		mode => 'live',
		connected => \@connected
	},
	{
		name => 'payment links',
		account_from => [ 'customer', 'client_reference_id', 'customer_details_email' ],
		rates => \%rates,
		links => { map { $_ => $link } @links }
	},
	{
		name => 'payment links of another price',
		account_from => [ 'client_reference_id', 'customer_details_email' ],
		rates => { usd => [ 1, 100 ] },
		links => { map { $_ => { %$link, unit_amount => 7 } } @links }
	},
	{
		name => 'prices',
		%reference,
		prices => { map { $_ => 5 } @prices }
	},
	{
		name => 'a price that is not known',
		account_from => ['customer_details_email'],
		rates => \%rates,
		prices => { map { $_ => 5 } @prices[ 1 .. $#prices ] }
	},
	{
		name => 'a rate that gives nothing',
		account_from => ['client_reference_id'],
		rates => { map { $_ => [ 1, '1000000000000000' ] } keys %rates }
	});

for my $config (@configs)
{
	$config->{account_from} //= [ 'metadata', 'client_reference_id' ];
	$config->{mode} //= 'test';
	$config->{keep} //= 'unapplied';
	$config->{connected} //= [];
	$config->{rates} //= {};
	$config->{links} //= {};
	$config->{prices} //= {};
}

sub array_literal { return sprintf q('{%s}'), join(',', map { qq("$_") } @_) }

sub catalogue_sql
{
	my ($config) = @_;
	my $sql = '';

	while (my ($currency, $rate) = each %{ $config->{rates} })
	{
		$sql .= "INSERT INTO stripe_credit.rate VALUES ('$currency', $rate->[0], $rate->[1]);\n";
	}
	while (my ($link, $pack) = each %{ $config->{links} })
	{
		$sql .= 'INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) '
		  . "VALUES ('$pack->{pack_id}', $pack->{credits}, $pack->{unit_amount}, "
		  . "'$pack->{currency}') ON CONFLICT DO NOTHING;\n"
		  . "INSERT INTO stripe_credit.payment_link VALUES ('$link', '$pack->{pack_id}');\n";
	}
	while (my ($price, $credits) = each %{ $config->{prices} })
	{
		$sql .= 'INSERT INTO stripe_credit.pack (pack_id, credits, price_id) '
		  . "VALUES ('of $price', $credits, '$price');\n";
	}
	return $sql;
}

sub settings_sql
{
	my ($config) = @_;

	return 'UPDATE stripe_credit.settings SET '
	  . "mode = '$config->{mode}', keep_payload = '$config->{keep}', "
	  . 'account_from = ' . array_literal(@{ $config->{account_from} }) . ', '
	  . 'connected_accounts = ' . array_literal(@{ $config->{connected} })
	  . ";\n"
	  . catalogue_sql($config);
}


#
# The database
#

my $node = PostgreSQL::Test::Cluster->new('corpus');
$node->init;
$node->append_conf('postgresql.conf', "jit = off\n");
$node->start;
$node->safe_psql('postgres', q{CREATE DATABASE model ENCODING 'UTF8' TEMPLATE template0});
$node->safe_psql('model', <<"SQL" . q{
CREATE EXTENSION stripe_credit;
SELECT stripe_credit.add_webhook_secret('${\SECRET}');
SQL
-- What to deliver, and another event that says the same.
CREATE TABLE body (n integer PRIMARY KEY, content bytea NOT NULL, clone bytea NOT NULL);

CREATE FUNCTION answer(content bytea, signature text) RETURNS jsonb
	LANGUAGE plpgsql AS $$
BEGIN
	RETURN enter(content, signature);
EXCEPTION WHEN OTHERS THEN
	RETURN jsonb_build_object('error', SQLSTATE, 'message', SQLERRM);
END
$$;

CREATE FUNCTION books() RETURNS jsonb
	LANGUAGE sql AS $$
	SELECT jsonb_build_object(
		'balances', (SELECT coalesce(jsonb_object_agg(account_id, balance::text), '{}')
					 FROM stripe_credit.account WHERE balance <> 0),
		'entries', (SELECT count(*) FROM stripe_credit.ledger),
		'posted', (SELECT coalesce(jsonb_object_agg(payment_id, posted::text), '{}')
				   FROM stripe_credit.payment WHERE posted <> 0),
		'waiting', (SELECT coalesce(jsonb_object_agg(event_id, concat(status, ' ', coalesce(payment_id, 'of no payment'))), '{}')
					FROM stripe_credit.event WHERE status IN ('pending', 'unmatched')))
$$;

-- What is known of each payment, and the names that lead to it; a session's has
-- a row of its own only if it came alone once.  Whose it was when it was posted
-- depends on the order, if events disagree.
CREATE FUNCTION payments() RETURNS jsonb
	LANGUAGE sql AS $$
	WITH RECURSIVE name (name, payment_id, same_as) AS (
		SELECT payment_id, payment_id, same_as FROM stripe_credit.payment
		WHERE payment_id NOT LIKE 'cs\_%' OR same_as IS NULL
		UNION ALL
		SELECT n.name, p.payment_id, p.same_as
		FROM name n JOIN stripe_credit.payment p ON p.payment_id = n.same_as
	)
	SELECT coalesce(jsonb_object_agg(name,
		CASE WHEN name = p.payment_id THEN to_jsonb(p) - '{posted_to,posted_as,created_at}'::text[]
			 ELSE to_jsonb(p.payment_id) END), '{}')
	FROM name JOIN stripe_credit.payment p USING (payment_id)
	WHERE p.same_as IS NULL
$$;

CREATE FUNCTION checked_books() RETURNS jsonb
	LANGUAGE sql AS $$
	SELECT books() || jsonb_build_object(
		'payments', payments(),
		'wrong', (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM stripe_credit.check_books() c))
$$;

CREATE FUNCTION event_row(content bytea) RETURNS jsonb
	LANGUAGE sql AS $$
	SELECT jsonb_build_object('status', status, 'reason', reason, 'payment', payment_id,
		'facts', facts IS NOT NULL,
		'payload', CASE WHEN payload IS NOT NULL THEN convert_to(payload, 'UTF8') = $1 END)
	FROM stripe_credit.event
	WHERE event_id = convert_from($1, 'UTF8')::json->>'id'
$$;

-- A body, the same again, and the other event that says the same.
CREATE FUNCTION try(n integer, signature text, clone_signature text) RETURNS jsonb
	LANGUAGE plpgsql AS $$
DECLARE
	body body;
	result jsonb;
BEGIN
	SELECT * INTO STRICT body FROM body b WHERE b.n = try.n;
	result := jsonb_build_object('first', answer(body.content, signature));
	result := result || jsonb_build_object('row', event_row(body.content), 'books', books(),
		'events', (SELECT count(*) FROM stripe_credit.event));
	result := result || jsonb_build_object('again', answer(body.content, signature));
	result := result || jsonb_build_object('clone', answer(body.clone, clone_signature));
	RETURN result || jsonb_build_object('end',
		CASE WHEN result->'events' = '0' THEN books() ELSE checked_books() END);
END
$$;
} . join('', map {
	sprintf "INSERT INTO body VALUES (%d, %s, %s);\n", $_,
	  bytea($all[$_]{bytes}), bytea(clone($all[$_])->{bytes})
} 0 .. $#all));

my %entries = (
	webhook_bytes => 'SELECT stripe_credit.webhook_bytes($1, $2)',
	webhook => q{SELECT stripe_credit.webhook(convert_from($1, 'UTF8'), $2)});

for my $entry (sort keys %entries)
{
	$node->safe_psql('postgres', "CREATE DATABASE $entry TEMPLATE model");
	$node->safe_psql($entry, 'CREATE FUNCTION enter(bytea, text) RETURNS jsonb '
		. "LANGUAGE sql VOLATILE AS \$\$ $entries{$entry} \$\$");
}

sub signed
{
	my ($n) = @_;

	return signature($all[$n]{bytes}, SECRET);
}

sub delivery_sql
{
	my ($n) = @_;

	return sprintf "SELECT enter(content, '%s') FROM body WHERE n = %d;\n", signed($n), $n;
}

# Runs a script, and returns what it printed: one object in each line.
sub run
{
	my ($database, $sql) = @_;

	return map { $json->decode($_) } split /\n/,
	  $node->safe_psql($database, $sql);
}


#
# What came against what should
#

# An answer as it should be, given what the model says; returns what is wrong.
sub fault
{
	my ($answer, $expected) = @_;
	my ($status, $credits) = @{$expected}{qw(status credits)};
	my @reasons = @{ $expected->{reasons} };
	my $got = $answer->{status} // '';

	return "refused: $answer->{error}, $answer->{message}"
	  if $answer->{error} && $status ne 'error';
	return $answer->{error} && $answer->{error} eq 'PT400' ? undef : 'not PT400'
	  if $status eq 'error';
	return 'not ok' unless $answer->{ok};
	return "$got, not $status"
	  if $status eq 'news' ? $got !~ /^(?:applied|duplicate)$/ : $got ne $status;
	return 'credits ' . ($answer->{credits} // 'unsaid') . ", not $credits"
	  if ($answer->{credits} // 0) != $credits;
	return "payment $answer->{payment}, not " . ($expected->{payment} // 'none')
	  if defined $answer->{payment} && $answer->{payment} ne ($expected->{payment} // '');
	return undef unless @reasons;
	return 'no reason' unless defined $answer->{reason};
	return "reason $answer->{reason}, not " . join(' or ', @reasons)
	  unless grep { $_ eq $answer->{reason} } @reasons;
	return undef;
}

# One body by itself, as try() found it.
sub faults
{
	my ($body, $result, $config) = @_;
	my $books = { events => {}, payments => {} };
	my $meaning = meaning($body->{event}, $config);
	my $expected = deliver($books, $body->{event}, $config);
	my $status = $expected->{status} eq 'news' ? 'applied' : $expected->{status};
	my $waits = $status =~ /^(?:pending|unmatched)$/;
	my ($first, $row) = @{$result}{qw(first row)};
	my %after = (
		%$expected,
		status => $status eq 'applied' ? 'duplicate' : $status,
		credits => 0);
	my @faults;

	# what is told first is news
	push @faults, fault($first, { %$expected, status => $status });
	push @faults, 'another event id'
	  if $status ne 'error' && ($first->{event} // '') ne $body->{event}{id};
	push @faults, map { "again: $_" } grep { defined } fault($result->{again}, \%after);
	push @faults, map { "clone: $_" } grep { defined } fault($result->{clone}, \%after);

	if ($status =~ /^(?:error|ignored)$/)
	{
		push @faults, 'a row was written' if $result->{events} != 0;
	}
	else
	{
		my $payload = $config->{keep} eq 'all' || ($waits && $config->{keep} eq 'unapplied');

		push @faults, "row is $row->{status}" if $row->{status} ne $status;
		push @faults, 'another payload' if defined $row->{payload} && !$row->{payload};
		push @faults, $payload ? 'no payload' : 'a payload'
		  if defined $row->{payload} != $payload;
		push @faults, 'neither payload nor facts' if $waits && !$payload && !$row->{facts};
		push @faults, 'facts' if $row->{facts} && !($waits && !$payload);
	}

	push @faults, "account $first->{account}"
	  if defined $first->{account} && $first->{account} ne ($meaning->{account} // '');
	push @faults, 'no account' if $expected->{credits} && !defined $first->{account};
	push @faults, 'no payment' if $status eq 'applied' && !defined $first->{payment};

	for my $when (qw(books end))
	{
		my $found = $result->{$when};

		push @faults, "$when: " . $json->encode($found)
		  if @{ $found->{wrong} // [] }
		  || $json->encode($found->{balances}) ne $json->encode(balances($books))
		  || $found->{entries} != ($expected->{credits} ? 1 : 0);
	}
	return grep { defined } @faults;
}

sub none
{
	my ($name, @faults) = @_;

	ok(!@faults, $name) or diag(join("\n", @faults));
}

my $delivered = 0;

sub one_by_one
{
	my ($database, $config, $name) = @_;
	my %seen;
	my @faults;
	my $script = '';

	for my $n (0 .. $#alone)
	{
		$script .= sprintf "BEGIN; SELECT try(%d, '%s', '%s'); ROLLBACK;\n",
		  $n, signed($n), signature(clone($all[$n])->{bytes}, SECRET);
	}
	my @results = run($database, $script);
	is(scalar @results, scalar @alone, "$name: every body is answered");
	for my $n (0 .. $#alone)
	{
		push @faults,
		  map { "$all[$n]{name}: $_" } faults($all[$n], $results[$n], $config);
		$seen{ $results[$n]{first}{status} // 'error' }++ if $n < @bodies;
	}
	$delivered += grep { $_->{first} } @results[ 0 .. $#bodies ];
	none("$name: one by one", @faults);
	note("$name: " . join(', ', map { "$seen{$_} $_" } sort keys %seen));
}

# Of these bodies those that are events.  Left out is live money of a payment
# that others call a test: such a thing does not happen.
sub events
{
	my ($config, @numbers) = @_;
	my %meaning = map { $_ => meaning($all[$_]{event}, $config) } @numbers;
	my %test = map { $_ => 1 }
	  map { @{ $_->{names} // [] } } grep { !$_->{live} } values %meaning;

	return grep {
		my $meaning = $meaning{$_};

		$meaning->{nature} ne 'error'
		  && !($meaning->{live} && grep { $test{$_} } @{ $meaning->{names} // [] })
	} @numbers;
}

# The first of every id, in the order of the files.
sub sequence
{
	my ($config) = @_;
	my %seen;

	return grep { !$seen{ $all[$_]{event}{id} }++ } events($config, 0 .. $#bodies);
}

# All bodies, each an event of its own, and those made of them.
sub all_distinct
{
	my ($config) = @_;
	my %seen;

	return grep { !$seen{ $all[$_]{event}{id} }++ } events($config, 0 .. $#all);
}

# Delivers in this order, and compares every answer and the books in the end
# with the model.  Returns what is known of the payments then.
sub compare
{
	my ($database, $config, $name, @order) = @_;
	my $books = { events => {}, payments => {} };
	my @faults;
	my @results = run($database, join('', "BEGIN;\n", (map { delivery_sql($_) } @order),
			"SELECT checked_books();\nROLLBACK;\n"));
	my $found = pop @results;

	for my $i (0 .. $#order)
	{
		my $fault = fault($results[$i], deliver($books, $all[ $order[$i] ]{event}, $config));
		push @faults, "$i: $all[$order[$i]]{name}: $fault" if $fault;
	}
	none($name, @faults, map { $json->encode($_) } @{ $found->{wrong} });
	is_deeply($found->{posted}, posted($books), "$name: what was posted");
	is_deeply($found->{balances}, balances($books), "$name: balances");
	is_deeply($found->{waiting}, waiting($books), "$name: what waits");
	return $found->{payments};
}

# Whatever the order, the books are the same in the end, and so is what is known
# of each payment.  Of bodies that are of one event, the order says which counts.
sub in_any_order
{
	my ($database, $config, $name) = @_;
	my %numbers = (
		'first of each id' => [ sequence($config) ],
		'each an event of its own' => [ all_distinct($config) ]);
	my @collected = events($config, 0 .. $#bodies);
	my %payments;

	for my $seed (1 .. ORDERS)
	{
		srand($seed);
		for my $which (sort keys %numbers)
		{
			my $what = "$name, $which";
			my $payments =
			  compare($database, $config, "$what, shuffled by $seed", shuffle(@{ $numbers{$which} }));

			is_deeply($payments, $payments{$which} //= $payments,
				"$what: the payments, shuffled by $seed");
		}
		compare($database, $config, "$name, as collected, shuffled by $seed", shuffle(@collected));
	}
}

# One after the other, each committed, and then all of them again.
sub committed
{
	my ($database, $config, $name) = @_;
	my @order = sequence($config);
	my $books = { events => {}, payments => {} };
	my @faults;
	my @results = run($database, join('', (map { delivery_sql($_) } @order, @order),
			"SELECT checked_books();\n"));
	my $found = pop @results;

	for my $i (0 .. $#results)
	{
		my $event = $all[ $order[ $i % @order ] ]{event};
		my $fault = fault($results[$i], deliver($books, $event, $config));

		push @faults, "$i: $all[$order[$i % @order]]{name}: $fault" if $fault;
	}
	none("$name: committed and delivered again", @faults);
	is_deeply($found->{waiting}, waiting($books), "$name: what waits");
	is_deeply($found->{balances}, balances($books), "$name: balances");
	is_deeply($found->{wrong}, [], "$name: the books are right");
	return $books;
}

# Of what waits the events of this status, from what is kept of them: each comes
# to what it would if it was delivered again.
sub replayed
{
	my ($database, $config, $name, $books, $status) = @_;
	my @waiting = sort grep { $books->{events}{$_}{status} eq $status } keys %{ $books->{events} };
	my %event = map { $all[$_]{event}{id} => $all[$_]{event} } reverse sequence($config);
	my @faults;
	my @results = run($database, join('', (map { "SELECT stripe_credit.replay('$_');\n" } @waiting),
			"SELECT checked_books();\n"));
	my $found = pop @results;

	for my $i (0 .. $#waiting)
	{
		my $fault = fault($results[$i], deliver($books, $event{ $waiting[$i] }, $config));

		push @faults, "$waiting[$i]: $fault" if $fault;
	}
	none("$name: replayed", @faults);
	is_deeply($found->{waiting}, waiting($books), "$name: what waits after it");
	is_deeply($found->{balances}, balances($books), "$name: balances after it");
	is_deeply($found->{wrong}, [], "$name: the books are right after it");
	return scalar @waiting;
}

for my $i (0 .. $#configs)
{
	my $config = $configs[$i];

	for my $entry (sort keys %entries)
	{
		my $database = "${entry}_$i";
		my $name = "$config->{name}, $entry()";

		$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE $entry");
		$node->safe_psql($database, settings_sql($config));
		one_by_one($database, $config, $name);
		in_any_order($database, $config, $name);
		my $books = committed($database, $config, $name);
		if (!%{ $config->{rates} })
		{
			# what a catalogue did not know is applied by replay() once it does
			my %later = (%$config, rates => \%rates);

			$node->safe_psql($database, catalogue_sql(\%later));
			my $count = replayed($database, \%later, $name, $books, 'unmatched');
			cmp_ok($count, '>', 0, "$name: something waited for the catalogue");
		}
		elsif ($config->{keep} eq 'none')
		{
			my $count = replayed($database, $config, $name, $books, 'pending');
			cmp_ok($count, '>', 0, "$name: something waited, of which only facts are kept");
		}
	}
}

is($delivered, @bodies * @configs * keys %entries, 'all bodies were delivered everywhere');
diag(sprintf '%d bodies were delivered, under %d configurations through %d functions',
	scalar @bodies, scalar @configs, scalar keys %entries);
$node->stop;
done_testing();
