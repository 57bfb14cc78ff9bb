# A model of lots and holds: what the ledger and the holds of one account say is
# done again, in the order in which it was, and compared.
#
# An account does one thing after another, so the times at which entries and
# holds were written are an order.  What has expired is entered by the next who
# gets the account's lock, at a time that is not written anywhere: later than
# what was done before, earlier than what he wrote.  If something expires between
# the two, either is possible, and the model goes on with both until one of them
# contradicts what it meets.

package StripeCredit::Lots;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max min sum0);

our @EXPORT_OK = qw(replay);

use constant {
	NEVER => 9**9**9,
	MOST_STATES => 64
};

# What there is of each lot, which holds are open, the balance, and whether it is
# a debt
sub copy_of
{
	my ($state) = @_;

	return {
		balance => $state->{balance},
		owes => $state->{owes},
		left => { %{ $state->{left} } },
		open => { %{ $state->{open} } }
	};
}

sub fingerprint
{
	my ($state) = @_;
	my ($left, $open) = @$state{qw(left open)};

	return join ',', (map { "$_:$left->{$_}" } sort { $a <=> $b } keys %$left),
	  sort keys %$open;
}

sub held { return sum0(map { $_->{credits} } values %{ $_[0]{open} }) }

sub available { return $_[0]{balance} - held($_[0]) }

# priority with NULL last, expiry, promotional before paid, age
sub by_order
{
	my ($x, $y) = @_;

	return
	     (defined $y->{priority}) <=> (defined $x->{priority})
	  || ($x->{priority} || 0) <=> ($y->{priority} || 0)
	  || $x->{expires} <=> $y->{expires}
	  || (defined $x->{payment_id}) <=> (defined $y->{payment_id})
	  || $x->{lot_id} <=> $y->{lot_id};
}

# Those that are empty are forgotten.
sub add_to_lot
{
	my ($state, $lot_id, $credits) = @_;

	delete $state->{left}{$lot_id} unless $state->{left}{$lot_id} += $credits;
	return;
}

# Takes so many out of the lots that have not expired; returns a list of
# [lot, credits].
sub take
{
	my ($account, $state, $credits, $now) = @_;
	my $left = $state->{left};
	my @lots = sort { by_order($a, $b) } grep { $_->{expires} > $now }
	  map { $account->{lots}{$_} } keys %$left;
	my @taken;

	for my $lot (@lots)
	{
		my $part = min($credits, $left->{ $lot->{lot_id} });

		last if $credits == 0;
		add_to_lot($state, $lot->{lot_id}, -$part);
		$credits -= $part;
		push @taken, [ $lot->{lot_id}, $part ];
	}
	return @taken;
}

# Gives back what is counted as available already; a debt is paid first.
sub give_back
{
	my ($state, @taken) = @_;
	my $debt = $state->{owes} ? sum0(map { $_->[1] } @taken) - available($state) : 0;

	for my $part (@taken)
	{
		my ($lot, $credits) = @$part;
		my $owed = max(min($credits, $debt), 0);

		$debt -= $owed;
		add_to_lot($state, $lot, $credits - $owed);
	}
	return;
}

# The first so many credits of what was taken, or the rest
sub split_taken
{
	my ($credits, @taken) = @_;
	my (@first, @rest);

	for my $part (@taken)
	{
		my $first = min($credits, $part->[1]);

		push @first, [ $part->[0], $first ] if $first > 0;
		push @rest, [ $part->[0], $part->[1] - $first ] if $first < $part->[1];
		$credits -= $first;
	}
	return (\@first, \@rest);
}

# As rows have it: two arrays, or a single lot
sub taken_of
{
	my ($row) = @_;

	return map { [ $row->{lots}[$_], $row->{taken}[$_] ] } 0 .. $#{ $row->{lots} } if $row->{lots};
	return defined $row->{lot_id} ? ([ $row->{lot_id}, abs $row->{credits} ]) : ();
}

sub as_text
{
	return join ' ', map { "$_->[1] of lot $_->[0]" } @_;
}

sub compare_taken
{
	my ($what, $expected, $found) = @_;
	my ($x, $y) = (as_text(@$expected), as_text(@$found));

	return $x eq $y ? undef : "$what took $y, and not $x";
}

# What each event does to a state, at a time.  Returns what is wrong with it.
my %effect = (
	hold => sub {
		my ($account, $state, $hold, $now) = @_;
		my @taken = take($account, $state, $hold->{credits}, $now);

		$state->{open}{ $hold->{idempotency_key} } = $hold;
		return compare_taken("hold $hold->{idempotency_key}", \@taken, [ taken_of($hold) ]);
	},
	release => sub {
		my ($account, $state, $hold) = @_;

		return "hold $hold->{idempotency_key} was released, but not open"
		  unless delete $state->{open}{ $hold->{idempotency_key} };
		give_back($state, taken_of($hold));
		return;
	},
	capture => sub {
		my ($account, $state, $entry) = @_;
		my $hold = delete $state->{open}{ $entry->{idempotency_key} }
		  or return "entry $entry->{seq} captured a hold that is not open";
		my ($first, $rest) = split_taken(-$entry->{credits}, taken_of($hold));

		$state->{balance} += $entry->{credits};
		give_back($state, @$rest);
		return compare_taken("capture $entry->{seq}", $first, [ taken_of($entry) ]);
	},
	spend => sub {
		my ($account, $state, $entry, $now) = @_;
		my @taken = take($account, $state, -$entry->{credits}, $now);

		$state->{balance} += $entry->{credits};
		return compare_taken("spend $entry->{seq}", \@taken, [ taken_of($entry) ]);
	},
	spend_reversal => sub {
		my ($account, $state, $entry) = @_;

		$state->{balance} += $entry->{credits};
		give_back($state, taken_of($account->{ledger}[ $entry->{reverses} - 1 ]));
		return;
	},
	adjustment => sub {
		my ($account, $state, $entry, $now) = @_;

		return bring($account, $state, $entry) if $entry->{credits} > 0;
		take($account, $state, -$entry->{credits}, $now);
		$state->{balance} += $entry->{credits};
		return;
	},
	grant => \&bring,
	purchase => \&bring,
	expiry => sub {
		my ($account, $state, $entry) = @_;
		my $lot = $account->{lots}{ $entry->{lot_id} };

		$state->{balance} += $entry->{credits};
		add_to_lot($state, $entry->{lot_id}, $entry->{credits});
		return "entry $entry->{seq} expires a lot before its time" if $lot->{expires} > $entry->{time};
		return;
	});

sub bring
{
	my ($account, $state, $entry) = @_;

	$state->{balance} += $entry->{credits};
	add_to_lot($state, $entry->{seq}, max(min($entry->{credits}, available($state)), 0));
	return;
}

# Everything that happened, in order
sub events_of
{
	my ($account) = @_;
	my @holds = values %{ $account->{holds} };

	return sort { $a->{time} <=> $b->{time} || ($a->{row}{seq} || 0) <=> ($b->{row}{seq} || 0) } (
		(map { { kind => $_->{kind}, time => $_->{time}, row => $_ } } @{ $account->{ledger} }),
		(map { { kind => 'hold', time => $_->{time}, row => $_ } } @holds),
		(map { { kind => 'release', time => $_->{closed}, row => $_ } } grep { $_->{state} eq 'released' } @holds));
}

# The earliest time at which the author of an event may have got the account's
# lock: his call had begun, and who came before him was done.  What expired may
# have been entered by himself just before, and of many spends at once he is the
# author of all, perhaps of all before an entry of which nobody heard.  When he
# closed a hold, the hold says when it was.
sub earliest_lock
{
	my ($account, $n, $events) = @_;
	my ($kind, $row) = @{ $events->[$n] }{qw(kind row)};
	my $before = $n - 1;

	return $row->{closed} if $kind eq 'release';
	return $account->{holds}{ $row->{idempotency_key} }{closed} if $kind eq 'capture';
	$before--
	  while $before >= 0
	  && ( $events->[$before]{kind} eq 'expiry'
		|| !defined $row->{started} && $events->[$before]{kind} eq 'spend'
		|| defined $row->{batch} && ($events->[$before]{row}{batch} // '') eq $row->{batch});
	return max($row->{started} || 0, $before < 0 ? 0 : $events->[$before]{time});
}

# The times at which he may have got it, as far as they make a difference: the
# earliest, and whenever something expires
sub lock_times
{
	my ($account, $event, $earliest) = @_;
	my $expiries = $account->{expiries};
	my ($low, $high) = (0, scalar @$expiries);
	my @times = $earliest;

	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);

		$expiries->[$middle] <= $earliest ? ($low = $middle + 1) : ($high = $middle);
	}
	push @times, $expiries->[ $low++ ] while $low < @$expiries && $expiries->[$low] <= $event->{time};
	return @times;
}

# Holds that expired are given back by him who gets the lock.
sub return_expired_holds
{
	my ($state, $now) = @_;
	my @expired = sort { $a->{expires} <=> $b->{expires} || $a->{idempotency_key} cmp $b->{idempotency_key} }
	  grep { $_->{expires} <= $now } values %{ $state->{open} };

	for my $hold (@expired)
	{
		delete $state->{open}{ $hold->{idempotency_key} };
		give_back($state, taken_of($hold));
	}
	return;
}

# Only an adjustment makes a debt.
sub check_available
{
	my ($event, $state, $was) = @_;
	my $is = available($state);

	$state->{owes} = $is < 0;
	return "$event->{kind} left a lot with less than nothing" if grep { $_ < 0 } values %{ $state->{left} };
	return if $is >= min(0, $was) || $event->{kind} eq 'adjustment';
	return "$event->{kind} left $is available, where there were $was";
}

# What an event makes of a state, and what speaks against it
sub step
{
	my ($account, $event, $state, $now) = @_;
	my $next = copy_of($state);
	my ($was, $wrong);

	return_expired_holds($next, $now);
	$was = available($next);
	$wrong = $effect{ $event->{kind} }->($account, $next, $event->{row}, $now);
	return ($next, $wrong || check_available($event, $next, $was));
}

# Credits may expire a moment before the hold that they return from does, as long
# as nothing is owed: then it makes no difference.
sub expire
{
	my ($account, $event, $state) = @_;
	my $next = copy_of($state);

	return ($next, $effect{expiry}->($account, $next, $event->{row}));
}

# The states that an event may lead to, and what speaks against each of them
# that it can't
sub follow
{
	my ($account, $event, $states, $earliest) = @_;
	my (%next, @wrong);

	for my $state (@$states)
	{
		my @steps =
		  $event->{kind} eq 'expiry' && !$state->{owes}
		  ? [ expire($account, $event, $state) ]
		  : map { [ step($account, $event, $state, $_) ] } lock_times($account, $event, $earliest);

		for my $step (@steps)
		{
			my ($next, $wrong) = @$step;

			$wrong ? push(@wrong, $wrong) : ($next{ fingerprint($next) } ||= $next);
		}
	}
	return ([ values %next ], @wrong);
}

# What is left at the end: rows say what there should be
sub check_end
{
	my ($account, $state) = @_;

	for my $lot (values %{ $account->{lots} })
	{
		my $left = $state->{left}{ $lot->{lot_id} } || 0;

		return "lot $lot->{lot_id} has $lot->{left} left, and not $left" if $lot->{left} != $left;
	}
	return held($state) == $account->{held} ? undef : "held is $account->{held}, and not " . held($state);
}

# What is wrong with an account, or nothing.  It has a ledger, lots and holds as
# StripeCredit::Oracle reads them.
sub replay
{
	my ($account) = @_;
	my @events = events_of($account);
	my $states = [ { balance => 0, owes => 0, left => {}, open => {} } ];
	my @wrong;

	$account->{expiries} =
	  [ sort { $a <=> $b } map { $_->{expires} } values %{ $account->{lots} }, values %{ $account->{holds} } ];
	for my $n (0 .. $#events)
	{
		($states, @wrong) = follow($account, $events[$n], $states, earliest_lock($account, $n, \@events));
		return $wrong[0] unless @$states;
		splice @$states, MOST_STATES if @$states > MOST_STATES;
	}
	return_expired_holds($_, $account->{time}) for @$states;
	@wrong = grep { defined } map { check_end($account, $_) } @$states;
	return @wrong == @$states ? $wrong[0] : ();
}

1;
