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

my %kept = map { $_ => 1 } qw(
  charge.succeeded charge.updated charge.refunded charge.refund.updated
  refund.created refund.updated refund.failed invoice.paid invoice_payment.paid);
my %session = map { ("checkout.session.$_" => 1) } qw(
  completed async_payment_succeeded async_payment_failed expired);

# credits per minor unit of a currency
my %rates = (usd => [ 3, 7 ], eur => [ 5, 2 ], jpy => [ 1, 3 ], kwd => [ 2, 5 ]);


#
# The bodies
#

# Another event that says the same.
sub clone
{
	my ($body) = @_;
	my $id = $body->{event}{id} // '';

	return { bytes => $body->{bytes} =~ s/"\Q$id\E"/"${id}_clone"/gr };
}

# The same session, without the conversion that all composed ones carry.
sub unconverted
{
	my ($body) = @_;
	my $event = $json->decode($body->{bytes});

	return unless $session{ $event->{type} // '' }
	  && ref $event->{data}{object}{currency_conversion};
	delete $event->{data}{object}{currency_conversion};
	$event->{id} .= '_unconverted';
	return {
		name => "$body->{name}, unconverted",
		bytes => $json->encode($event),
		event => $event
	};
}

my @bodies = corpus_bodies();
$_->{event} = $json->decode($_->{bytes}) for @bodies;
cmp_ok(scalar @bodies, '>=', BODIES, 'all collected bodies are there')
  or die CORPUS . ' holds too few bodies';
my @all = (@bodies, map { unconverted($_) } @bodies);
note(sprintf '%d bodies and %d made of them', scalar @bodies, @all - @bodies);

# What the configurations below must name: the accounts and the payment links
# of the sessions.
my @sessions = grep { $session{ $_->{event}{type} // '' } } @all;
my @connected =
  uniq grep { defined } map { $_->{event}{account} } @sessions;
my @links =
  uniq grep { defined } map { $_->{event}{data}{object}{payment_link} } @sessions;


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

# What an event is and says, by itself.
sub meaning
{
	my ($event, $config) = @_;
	my $type = $event->{type} // '';
	my $object = ref $event->{data} eq 'HASH' ? $event->{data}{object} : {};

	return { nature => 'error' }
	  unless $event->{object} eq 'event' && $event->{id} =~ /^evt_[A-Za-z0-9_]{1,250}$/;
	return { nature => 'ignored' } if is_foreign($event, $config);
	return { nature => 'kept' } if $kept{$type} || $type =~ /^charge\.dispute\./;
	return { nature => 'ignored' }
	  unless $session{$type} || $type eq 'payment_intent.succeeded';

	my @ours = grep { /^stripe_credit_/ } keys %{ $object->{metadata} // {} };
	die "the model knows nothing of $ours[0]" if grep { !/_account$/ } @ours;
	if ($type eq 'payment_intent.succeeded')
	{
		die 'the model knows nothing of payment intents of our own' if @ours;
		return { nature => 'ignored' };
	}
	my $mode = $object->{mode} // 'payment';
	return { nature => 'ignored' } if $mode eq 'setup';

	my %meaning = (
		live => $event->{livemode} ? 1 : 0,
		account => account_of($object, $config));
	$meaning{wrong_mode} = $meaning{live} && $config->{mode} ne 'live';
	return { %meaning, nature => 'subscription', payment => $object->{subscription} }
	  if $mode eq 'subscription';
	$meaning{payment} = $object->{payment_intent} // $object->{id};
	$meaning{session} = $object->{id};
	return { %meaning, nature => 'closed' } if $type =~ /_failed$|expired$/;

	@meaning{qw(credits rank)} = credits_of($object, $config);
	$meaning{no_credits} = delete $meaning{rank} unless defined $meaning{credits};
	return { %meaning, nature => 'unpaid' } if $object->{payment_status} eq 'unpaid';
	die "the model knows nothing of $object->{payment_status}"
	  unless $object->{payment_status} =~ /^(?:paid|no_payment_required)$/;
	return { %meaning, nature => 'paid' };
}

# Why an event's money cannot be credited: any of these may be named.
sub reasons
{
	my ($meaning) = @_;

	return ('mode') if $meaning->{wrong_mode};
	return ((defined $meaning->{account} ? () : 'account'),
		($meaning->{no_credits} // ()));
}


#
# The model: what a sequence of events comes to
#

sub smallest
{
	my ($known, $news) = @_;

	return $news unless defined $known;
	return defined $news && $news lt $known ? $news : $known;
}

sub merge
{
	my ($payment, $meaning) = @_;

	$payment->{account} = smallest($payment->{account}, $meaning->{account})
	  unless $meaning->{nature} eq 'closed';
	if (defined $meaning->{credits})
	{
		my ($rank, $credits) = @{$payment}{qw(rank credits)};

		@{$payment}{qw(rank credits)} = @{$meaning}{qw(rank credits)}
		  if !defined $rank
		  || $meaning->{rank} < $rank
		  || ($meaning->{rank} == $rank && $meaning->{credits} < $credits);
	}
	$payment->{live} //= $meaning->{live};
	$payment->{paid} ||= $meaning->{nature} eq 'paid';
	$payment->{closed} ||= $meaning->{nature} eq 'closed';
}

# Returns whether the ledger, or whose the payment is, changed.
sub post
{
	my ($payment, $config) = @_;
	my $posted = $payment->{posted};

	return 0
	  unless $payment->{paid}
	  && defined $payment->{account}
	  && defined $payment->{credits}
	  && !($payment->{live} && $config->{mode} ne 'live');
	$payment->{to} //= $payment->{account};
	$payment->{posted} = $payment->{credits};
	return !defined $posted || $posted != $payment->{posted};
}

# Of the waiting events of a payment, those of the natures wait no more.
sub settle
{
	my ($books, $id, @natures) = @_;

	for my $row (grep { ($_->{payment} // '') eq $id } values %{ $books->{events} })
	{
		@{$row}{qw(status reasons)} = ('applied', [])
		  if $row->{status} =~ /^(?:pending|unmatched)$/
		  && grep { $row->{nature} eq $_ } @natures;
	}
}

sub judge
{
	my ($books, $row, $meaning, $config) = @_;
	my ($nature, $id) = @{$meaning}{qw(nature payment)};
	my @why = reasons($meaning);

	return ('pending') if $nature eq 'kept';
	return @why ? ('unmatched', @why) : ('news') if $nature eq 'subscription';
	# a payment goes by its own name, or else by that of its session
	$id = $books->{of_session}{ $meaning->{session} } // $id unless $books->{payments}{$id};
	$books->{of_session}{ $meaning->{session} } //= $id;
	$row->{payment} = $id;
	my $payment = $books->{payments}{$id} //= {};
	merge($payment, $meaning);
	my $changed = post($payment, $config);
	# money that nobody could be credited with waits on, whatever failed
	settle($books, $id, 'unpaid') if $nature eq 'closed';
	settle($books, $id, 'paid', 'unpaid') if $changed;
	return ('applied') if $changed;
	return ('news') if $nature eq 'closed' || defined $payment->{to};
	if ($nature eq 'unpaid')
	{
		return ('news') if $payment->{paid} || $payment->{closed};
		return $meaning->{wrong_mode} ? ('unmatched', @why) : ('pending');
	}
	return ('unmatched', @why);
}

# One delivery.  The result is its status, or "news" where it depends on facts
# that the model leaves out whether an event told something new (applied) or
# nothing (duplicate); and the reasons that may be named.
sub deliver
{
	my ($books, $event, $config) = @_;
	my $meaning = meaning($event, $config);
	my $row = $books->{events}{ $event->{id} // '' };

	return ($meaning->{nature}) if $meaning->{nature} =~ /^(?:error|ignored)$/;
	return ('duplicate') if $row && $row->{status} !~ /^(?:pending|unmatched)$/;

	$row = $books->{events}{ $event->{id} } = {
		status => 'new',
		nature => $meaning->{nature},
		payment => $meaning->{payment}
	};
	my ($status, @why) = judge($books, $row, $meaning, $config);
	@{$row}{qw(status reasons)} = ($status, \@why);
	return ($status, @why);
}

sub balances
{
	my ($books) = @_;
	my %balances;

	for my $payment (values %{ $books->{payments} })
	{
		$balances{ $payment->{to} } += $payment->{posted} if defined $payment->{to};
	}
	return { map { $_ => "$balances{$_}" } grep { $balances{$_} } keys %balances };
}

sub posted
{
	my ($books) = @_;
	my %payments = %{ $books->{payments} };

	return {
		map { $_ => "$payments{$_}{posted}" }
		  grep { $payments{$_}{posted} } keys %payments };
}

sub waiting
{
	my ($books) = @_;
	my %events = %{ $books->{events} };

	return { map { $_ => $events{$_}{status} }
		  grep { $events{$_}{status} =~ /^(?:pending|unmatched)$/ } keys %events };
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
		'waiting', (SELECT coalesce(jsonb_object_agg(event_id, status), '{}')
					FROM stripe_credit.event WHERE status IN ('pending', 'unmatched')))
$$;

CREATE FUNCTION checked_books() RETURNS jsonb
	LANGUAGE sql AS $$
	SELECT books() || jsonb_build_object(
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
	my ($answer, $status, @reasons) = @_;
	my $got = $answer->{status} // '';

	return "refused: $answer->{error}, $answer->{message}"
	  if $answer->{error} && $status ne 'error';
	return $answer->{error} && $answer->{error} eq 'PT400' ? undef : 'not PT400'
	  if $status eq 'error';
	return 'not ok' unless $answer->{ok};
	return "$got, not $status"
	  if $status eq 'news' ? $got !~ /^(?:applied|duplicate)$/ : $got ne $status;
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
	my ($status, @reasons) = deliver($books, $body->{event}, $config);
	my $nature = $meaning->{nature};
	my $waits = $status =~ /^(?:pending|unmatched)$/;
	my ($first, $row) = @{$result}{qw(first row)};
	my @faults;

	# what is told first is news
	$status = 'applied' if $status eq 'news';
	@reasons = ('not acted on') if $nature eq 'kept';
	push @faults, fault($first, $status, @reasons);
	push @faults, 'another event id'
	  if $status ne 'error' && ($first->{event} // '') ne $body->{event}{id};
	push @faults, map { "again: $_" }
	  grep { defined } fault($result->{again}, $status eq 'applied' ? 'duplicate' : $status, @reasons);
	push @faults, map { "clone: $_" }
	  grep { defined } fault($result->{clone}, $status eq 'applied' ? 'duplicate' : $status, @reasons);

	if ($status =~ /^(?:error|ignored)$/)
	{
		push @faults, 'a row was written' if $result->{events} != 0;
	}
	else
	{
		my $payload = $config->{keep} eq 'all'
		  || ($waits && ($config->{keep} eq 'unapplied' || $nature eq 'kept'));

		push @faults, "row is $row->{status}" if $row->{status} ne $status;
		push @faults, 'another payload' if defined $row->{payload} && !$row->{payload};
		push @faults, $payload ? 'no payload' : 'a payload'
		  if defined $row->{payload} != $payload;
		push @faults, 'neither payload nor facts' if $waits && !$payload && !$row->{facts};
		push @faults, 'facts' if $row->{facts} && !($waits && !$payload);
	}

	my $credits = defined $meaning->{credits} && $status eq 'applied' ? $meaning->{credits} : 0;
	push @faults, 'credits ' . ($first->{credits} // 0) . ", not $credits"
	  if ($first->{credits} // 0) != $credits;
	push @faults, "account $first->{account}"
	  if defined $first->{account} && $first->{account} ne ($meaning->{account} // '');
	push @faults, 'no account' if $credits && !defined $first->{account};
	push @faults, "payment $first->{payment}"
	  if defined $first->{payment} && $first->{payment} ne ($meaning->{payment} // '');
	push @faults, 'no payment' if $status eq 'applied' && !defined $first->{payment};

	for my $when (qw(books end))
	{
		my $found = $result->{$when};

		push @faults, "$when: " . $json->encode($found)
		  if @{ $found->{wrong} // [] }
		  || $json->encode($found->{balances}) ne $json->encode(balances($books))
		  || $found->{entries} != ($credits ? 1 : 0);
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

	for my $n (0 .. $#all)
	{
		$script .= sprintf "BEGIN; SELECT try(%d, '%s', '%s'); ROLLBACK;\n",
		  $n, signed($n), signature(clone($all[$n])->{bytes}, SECRET);
	}
	my @results = run($database, $script);
	is(scalar @results, scalar @all, "$name: every body is answered");
	for my $n (0 .. $#all)
	{
		push @faults,
		  map { "$all[$n]{name}: $_" } faults($all[$n], $results[$n], $config);
		$seen{ $results[$n]{first}{status} // 'error' }++ if $n < @bodies;
	}
	$delivered += grep { $_->{first} } @results[ 0 .. $#bodies ];
	none("$name: one by one", @faults);
	note("$name: " . join(', ', map { "$seen{$_} $_" } sort keys %seen));
}

# The first of every id, in the order of the files.  Left out is live money of
# a payment that others call a test: such a thing does not happen.
sub sequence
{
	my ($config) = @_;
	my %seen;
	my %test;

	for my $body (@bodies)
	{
		my $meaning = meaning($body->{event}, $config);
		$test{ $meaning->{payment} } = 1
		  if defined $meaning->{payment} && !$meaning->{live};
	}
	return grep {
		my $meaning = meaning($all[$_]{event}, $config);
		$meaning->{nature} ne 'error'
		  && !($meaning->{live} && $test{ $meaning->{payment} // '' })
		  && !$seen{ $all[$_]{event}{id} }++
	} 0 .. $#bodies;
}

# Whatever the order, the books are the same in the end.
sub in_any_order
{
	my ($database, $config, $name) = @_;

	for my $seed (1 .. ORDERS)
	{
		srand($seed);
		my @order = shuffle(sequence($config));
		my $books = { events => {}, payments => {} };
		my (@faults, @expected);
		my @results = run($database, join('', "BEGIN;\n", (map { delivery_sql($_) } @order),
				"SELECT checked_books();\nROLLBACK;\n"));
		my $found = pop @results;

		for my $i (0 .. $#order)
		{
			my $fault = fault($results[$i], deliver($books, $all[ $order[$i] ]{event}, $config));
			push @faults, "$i: $all[$order[$i]]{name}: $fault" if $fault;
		}
		none("$name: shuffled by $seed", @faults, map { $json->encode($_) } @{ $found->{wrong} });
		is_deeply($found->{posted}, posted($books), "$name: what was posted, shuffled by $seed");
		is_deeply($found->{waiting}, waiting($books), "$name: what waits, shuffled by $seed");
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

# What a catalogue did not know is applied by replay() once it does.
sub replayed
{
	my ($database, $config, $name, $books) = @_;
	my %later = (%$config, rates => \%rates);
	my @unmatched = sort grep { $books->{events}{$_}{status} eq 'unmatched' } keys %{ $books->{events} };
	my %event = map { $all[$_]{event}{id} => $all[$_]{event} } reverse sequence($config);
	my @faults;
	my @results = run($database, join('', catalogue_sql(\%later),
			(map { "SELECT stripe_credit.replay('$_');\n" } @unmatched), "SELECT checked_books();\n"));
	my $found = pop @results;

	cmp_ok(scalar @unmatched, '>', 0, "$name: something waits for the catalogue");
	for my $i (0 .. $#unmatched)
	{
		my $fault = fault($results[$i], deliver($books, $event{ $unmatched[$i] }, \%later));

		push @faults, "$unmatched[$i]: $fault" if $fault;
	}
	none("$name: replayed", @faults);
	is_deeply($found->{waiting}, waiting($books), "$name: what waits after it");
	is_deeply($found->{balances}, balances($books), "$name: balances after it");
	is_deeply($found->{wrong}, [], "$name: the books are right after it");
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
		replayed($database, $config, $name, $books) unless %{ $config->{rates} };
	}
}

is($delivered, @bodies * @configs * keys %entries, 'all bodies were delivered everywhere');
diag(sprintf '%d bodies were delivered, under %d configurations through %d functions',
	scalar @bodies, scalar @configs, scalar keys %entries);
$node->stop;
done_testing();
