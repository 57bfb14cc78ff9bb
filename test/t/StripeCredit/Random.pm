# Random numbers that are the same for the same seed wherever and whenever this
# runs: L'Ecuyer's combined generator of 1988, all of whose products fit into 47
# bits.  A stream of numbers has a name, so that one life can be had again
# without those before it.

package StripeCredit::Random;

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);

use constant {
	FIRST => 2147483563,
	SECOND => 2147483399,
	BITS => 30
};

sub new
{
	my ($class, @name) = @_;
	my $hash = sha256_hex(join '/', @name);

	return bless {
		first => 1 + hex(substr $hash, 0, 8) % (FIRST - 1),
		second => 1 + hex(substr $hash, 8, 8) % (SECOND - 1)
	}, $class;
}

# A number of so many bits
sub bits
{
	my ($self) = @_;
	my $difference;

	$self->{first} = $self->{first} * 40014 % FIRST;
	$self->{second} = $self->{second} * 40692 % SECOND;
	$difference = $self->{first} - $self->{second};
	$difference += FIRST - 1 if $difference < 1;
	return $difference & ((1 << BITS) - 1);
}

# 0 .. count - 1; count is up to 2^62 or so
sub below
{
	my ($self, $count) = @_;

	return $self->bits % $count if $count <= 1 << (BITS - 5);
	return (($self->bits << BITS | $self->bits) << 2 | $self->bits & 3) % $count;
}

sub between
{
	my ($self, $least, $most) = @_;

	return $least + $self->below($most - $least + 1);
}

# True so often, of a hundred times
sub chance
{
	my ($self, $percent) = @_;

	return $self->below(100) < $percent;
}

sub one_of
{
	my ($self, @choices) = @_;

	return $choices[ $self->below(scalar @choices) ];
}

# One of the keys of a hash, as often as its value says
sub weighted
{
	my ($self, %weights) = @_;
	my $sum = 0;
	my $point;

	$sum += $_ for values %weights;
	$point = $self->below($sum);
	for my $choice (sort keys %weights)
	{
		return $choice if ($point -= $weights{$choice}) < 0;
	}
	return;
}

sub shuffle
{
	my ($self, @list) = @_;

	for my $i (reverse 1 .. $#list)
	{
		my $j = $self->below($i + 1);

		@list[ $i, $j ] = @list[ $j, $i ];
	}
	return @list;
}

1;
