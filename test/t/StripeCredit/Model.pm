# What the books must be, by what happened at Stripe: the lives of payments, and
# what was granted and spent.  It knows lives, and no event.

package StripeCredit::Model;

use strict;
use warnings;

use Exporter 'import';
use Math::BigInt;
use StripeCredit::Life;
use Test::More;

our @EXPORT_OK = qw(
  read_payments
  complaints_about
  balances_of
  wrong_balances
  events_that_wait
  is_unpaid
  errors_in_books
  is_flawless
);

# That many complaints are enough to see what it is.
use constant SHOWN => 5;

# The rows of payments by their names.  The column row is all of it as text but
# what differs between two payments that are the same: when the row was made,
# under which of its names it was posted, and whose it was if nothing is left.
sub read_payments
{
	my ($dbh, @names) = @_;

	return $dbh->selectall_hashref(q{
		SELECT payment_id, same_as, paid::integer AS paid, account_id, credits, amount, currency, posted,
			CASE WHEN posted <> 0 THEN posted_to END AS posted_to,
			extract(epoch FROM paid_at)::bigint AS paid_at,
			extract(epoch FROM failed_at)::bigint AS failed_at,
			extract(epoch FROM expired_at)::bigint AS expired_at,
			(to_jsonb(p) - 'created_at' - 'posted_as' - CASE posted WHEN 0 THEN 'posted_to' ELSE '' END)::text AS row
		FROM stripe_credit.payment p WHERE payment_id = ANY (?)}, 'payment_id', undef, \@names);
}

# What the row of a payment must say
sub columns_of
{
	my ($life, $payment) = @_;
	my $posted = StripeCredit::Life::posted($payment);
	my %columns = (
		paid => $payment->{paid},
		posted => $posted,
		posted_to => $posted ? $life->{account} : undef,
		failed_at => $payment->{failed_at},
		expired_at => $payment->{expired_at});

	return %columns unless $payment->{paid};
	$columns{paid_at} = $life->paid_at if $payment->{session};
	return (
		%columns,
		account_id => $life->{account},
		credits => $payment->{credits},
		amount => $payment->{amount},
		currency => $payment->{currency});
}

# Whether a name is an alias of the root, through others perhaps
sub leads_to
{
	my ($rows, $name, $root) = @_;

	for (1 .. 4)
	{
		return 1 if $name eq $root;
		$name = ($rows->{$name} || {})->{same_as};
		return 0 unless defined $name;
	}
	return 0;
}

sub complaints_about_names
{
	my ($payment, $rows, $name_of) = @_;
	my $root = $name_of->(StripeCredit::Life::root_of($payment));
	my @complaints;

	push @complaints, "$root is said to be $rows->{$root}{same_as}"
	  if $rows->{$root} && defined $rows->{$root}{same_as};
	for my $name (map { $name_of->($_) } StripeCredit::Life::other_names($payment))
	{
		push @complaints, "$name is another payment than $root" if $rows->{$name} && !leads_to($rows, $name, $root);
	}
	return @complaints;
}

# What speaks against the rows of a life, or of its copy under another tag
sub complaints_about
{
	my ($life, $rows, $tag) = @_;
	my $in_copy = sub { return defined $_[0] && defined $tag ? $life->copied($tag, $_[0]) : $_[0] };
	my @complaints;

	for my $payment (@{ $life->{payments} })
	{
		my $root = $in_copy->(StripeCredit::Life::root_of($payment));
		my $row = $rows->{$root};
		my %expected = columns_of($life, $payment);

		push @complaints, complaints_about_names($payment, $rows, $in_copy);
		push @complaints, "$root is not there" if !$row && $payment->{paid};
		next unless $row;
		for my $column (sort keys %expected)
		{
			my $is = $row->{$column} // ($column eq 'credits' ? 0 : 'NULL');
			my $expected = $in_copy->($expected{$column}) // 'NULL';

			push @complaints, "$root: $column is $is, not $expected" if $is ne $expected;
		}
	}
	return @complaints;
}

# The balances by lives and by further changes, each [account, credits]
sub balances_of
{
	my ($lives, @changes) = @_;
	my %balances;

	for my $change ((map { [ $_->{account}, $_->balance ] } @$lives), @changes)
	{
		my ($account, $credits) = @$change;

		$balances{$account} = ($balances{$account} || Math::BigInt->bzero)->badd($credits);
	}
	return \%balances;
}

# The accounts whose balance is another: [account, what it has, what it should]
sub wrong_balances
{
	my ($dbh, $expected) = @_;
	my $rows = $dbh->selectall_arrayref(
		q{SELECT a, b.balance, b.held FROM unnest(?::text[]) AS a, LATERAL stripe_credit.balance(a) AS b},
		undef, [ sort keys %$expected ]);

	return map { [ @$_[ 0, 1 ], $expected->{ $_->[0] } ] }
	  grep { $_->[1] ne $expected->{ $_->[0] } || $_->[2] ne '0' } @$rows;
}

# Events that wait although nothing is to be waited for: [tag, text].  By the tags
# of lives, whether they wait to be paid; other lives are passed over.
sub events_that_wait
{
	my ($dbh, %waits) = @_;
	my $rows = $dbh->selectall_arrayref(q{
		SELECT split_part(event_id, '_', 2), concat_ws(' ', event_id, type, status, reason, payment_id), status
		FROM stripe_credit.event WHERE status IN ('pending', 'unmatched') ORDER BY event_id});

	return grep { exists $waits{ $_->[0] } && ($_->[2] eq 'unmatched' || !$waits{ $_->[0] }) } @$rows;
}

# Whether a life waits to be paid
sub is_unpaid
{
	my ($life) = @_;

	return scalar grep { !$_->{paid} } @{ $life->{payments} };
}

sub errors_in_books
{
	my ($dbh) = @_;
	my $rows = $dbh->selectall_arrayref('SELECT invariant, detail FROM stripe_credit.check_books()');

	return map { "$_->[0]: $_->[1]" } @$rows;
}

# One test, with the first few of what is wrong
sub is_flawless
{
	my ($what, @wrong) = @_;

	ok(!@wrong, $what)
	  || diag(join "\n", scalar(@wrong) . ' times, such as', @wrong[ 0 .. (@wrong < SHOWN ? $#wrong : SHOWN - 1) ]);
	return;
}

1;
