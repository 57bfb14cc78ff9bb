# One life in many orders: copies of it, under other names, each delivered in an
# order of its own.  What comes of them must be the same.

package StripeCredit::Orders;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use PostgreSQL::Test::Utils ();
use StripeCredit::Model qw(complaints_about read_payments);
use StripeCredit::Node qw(signature);
use StripeCredit::Worker qw(connect_to wait_for_workers);

our @EXPORT_OK = qw(permutations make_copies deliver_copies differing_copies);

use constant {
	PROCESSES => 2,
	AT_ONCE => 60
};

# All orders of a list
sub permutations
{
	my (@list) = @_;

	return [] unless @list;
	return map {
		my @rest = @list;
		my ($first) = splice @rest, $_, 1;

		map { [ $first, @$_ ] } permutations(@rest)
	} 0 .. $#list;
}

# A copy of a life for each order, which is a list of numbers of its events
{
	my $number = 0;

	sub make_copies
	{
		my ($life, @orders) = @_;

		return map { { life => $life, tag => sprintf('p%06d', ++$number), order => $_ } } @orders;
	}
}

sub bodies_of
{
	my ($copy) = @_;
	my $life = $copy->{life};

	return map { $life->copied($copy->{tag}, $life->{events}[$_]{body}) } @{ $copy->{order} };
}

# Bodies, one after another, in one transaction
sub deliver_bodies
{
	my ($dbh, @bodies) = @_;

	$dbh->selectall_arrayref(
		'SELECT stripe_credit.webhook(e.body, e.signature) FROM unnest(?::text[], ?::text[]) AS e (body, signature)',
		undef, \@bodies, [ map { signature($_) } @bodies ]);
	return;
}

# Many copies, or if that fails each alone, to tell which it is
sub deliver_some
{
	my ($dbh, @copies) = @_;
	my @failed;

	return if eval { deliver_bodies($dbh, map { bodies_of($_) } @copies); 1 };
	for my $copy (@copies)
	{
		next if eval { deliver_bodies($dbh, bodies_of($copy)); 1 };
		push @failed, sprintf '%s in the order %s: %s %s',
		  $copy->{life}{name}, order_of($copy), $dbh->state, $dbh->errstr;
	}
	return @failed;
}

# A process that delivers every so many-th copy and writes what failed
sub start_process
{
	my ($node, $file, @copies) = @_;
	my $pid = fork;

	die "can't fork: $!" unless defined $pid;
	return $pid if $pid;
	eval {
		my $dbh = connect_to($node, 'worker of orders');

		open my $failed, '>', $file or die "$file: $!";
		while (my @some = splice @copies, 0, AT_ONCE)
		{
			print {$failed} "$_\n" for map { s/\n/ /gr } deliver_some($dbh, @some);
		}
		close $failed or die "$file: $!";
		$dbh->disconnect;
		1;
	} or do
	{
		print STDERR "orders: $@";
		POSIX::_exit(1);
	};
	# What the test does at its end is not for this process to do.
	POSIX::_exit(0);
}

# Returns what went wrong.
sub deliver_copies
{
	my ($node, @copies) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %files;
	my $broken;

	for my $number (0 .. PROCESSES - 1)
	{
		my $file = "$dir/failed.$number";
		my @part = @copies[ grep { $_ % PROCESSES == $number } 0 .. $#copies ];

		$files{ start_process($node, $file, @part) } = $file;
	}
	$broken = wait_for_workers(\%files);
	return ($broken ? "$broken processes broke" : (),
		map { split /\n/, PostgreSQL::Test::Utils::slurp_file($_) } grep { -e } values %files);
}

sub order_of
{
	my ($copy) = @_;

	return join ' ', map { ($copy->{life}{events}[$_]{id} =~ /(\d+)$/)[0] } @{ $copy->{order} };
}

sub names_in
{
	my ($copy) = @_;
	my $life = $copy->{life};

	return map { $life->copied($copy->{tag}, $_) }
	  map { (StripeCredit::Life::root_of($_), StripeCredit::Life::other_names($_)) } @{ $life->{payments} };
}

# What a copy came to, as text, with the life's own tag in it
sub outcome_of
{
	my ($copy, $rows, $balances) = @_;
	my $life = $copy->{life};
	my @rows = map {
		my $row = $rows->{ $life->copied($copy->{tag}, StripeCredit::Life::root_of($_)) };

		$row ? $row->{row} =~ s/\Q$copy->{tag}\E/$life->{tag}/gr : 'no payment'
	} @{ $life->{payments} };

	return join "\n    ", 'balance ' . ($balances->{ $life->copied($copy->{tag}, $life->{account}) } // 0), @rows;
}

# What speaks against copies of one life, whose account is its own: those that
# came to something else than the first, or to something that isn't true.
sub differing_copies
{
	my ($dbh, @copies) = @_;
	my $life = $copies[0]{life};
	my $rows = read_payments($dbh, map { names_in($_) } @copies);
	my %balances = map { @$_ } @{
		$dbh->selectall_arrayref('SELECT account_id, balance FROM stripe_credit.account WHERE account_id = ANY (?)',
			undef, [ map { $life->copied($_->{tag}, $life->{account}) } @copies ]) };
	my $expected = 'balance ' . $life->balance;
	my (%seen, @complaints);

	for my $copy (@copies)
	{
		my $outcome = outcome_of($copy, $rows, \%balances);
		my $order = order_of($copy);
		my @wrong = complaints_about($life, $rows, $copy->{tag});

		push @wrong, "not $expected" unless $outcome =~ /^\Q$expected\E$/m;
		$seen{$outcome} ||= $order;
		push @complaints, "in the order $order: " . join('; ', @wrong) if @wrong;
	}
	push @complaints, map { "in the order $seen{$_}:\n    $_" } sort keys %seen if keys %seen > 1;
	return @complaints;
}

1;
