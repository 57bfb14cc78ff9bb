# What a crowd of workers is going to do to a few accounts: drawn from a seed,
# so that a run can be had again as far as its operations go.  How they meet is
# up to the machine.
#
# A plan is a list of transactions for each worker.  A transaction touches one
# account:
#
#   level     its isolation
#   block     in BEGIN ... COMMIT, else each operation commits by itself
#   rollback  ends with ROLLBACK
#   weak      with synchronous_commit off
#   abandon   its last word is sent, but the answer isn't waited for
#   again     at once, when its outcome is unknown; otherwise later
#   attack    then disturbs another worker: [ cancel or terminate, which ]
#   ops       its operations
#
# An operation has a name, its arguments, and in a block perhaps a savepoint: to
# go on behind an error (guarded), or to be undone in any case (undone).

package StripeCredit::Plan;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(make_plan);

# What was drawn lately of each operation in an account; of that the last may not
# have happened yet.
use constant {
	RECENT => 60,
	TOO_RECENT => 12
};

my @levels = ('read committed', 'repeatable read', 'serializable');

# How often each operation is drawn
my %weights = (
	spend => 30,
	spend_many => 8,
	reverse_spend => 9,
	hold => 14,
	capture => 11,
	release => 6,
	grant_credits => 10,
	adjust_credits => 4,
	purchase => 3,
	maintain => 2,
	look => 9);

# Those that are no account's alone are a transaction of their own.
my %alone = (purchase => 1, maintain => 1);

sub chance { return rand() < shift }

sub one_of { return $_[ int rand @_ ] }

sub between
{
	my ($least, $most) = @_;

	return $least + int rand($most - $least + 1);
}

sub seconds
{
	my ($least, $most) = @_;

	return sprintf('%.3f', $least + rand($most - $least));
}

my @operations = map { ($_) x $weights{$_} } sort keys %weights;

# The books of the plan: which keys it has used lately, in which account and
# for what
package StripeCredit::Plan::Keys
{
	sub new
	{
		my ($class, $prefix) = @_;

		return bless { prefix => $prefix, number => 0, recent => {} }, $class;
	}

	sub fresh
	{
		my ($self) = @_;

		return "$self->{prefix}key " . ++$self->{number};
	}

	sub remember
	{
		my ($self, $op) = @_;
		my $recent = $self->{recent}{ $op->{account} }{ $op->{op} } ||= [];

		push @$recent, $op;
		shift @$recent if @$recent > StripeCredit::Plan::RECENT;
		return;
	}

	sub all_but_last
	{
		my ($ops) = @_;
		my $count = @{ $ops || [] } - StripeCredit::Plan::TOO_RECENT;

		return $count > 0 ? @$ops[ 0 .. $count - 1 ] : ();
	}

	# An operation of lately, or nothing
	sub recall
	{
		my ($self, $account, @names) = @_;
		my @known = map { all_but_last($self->{recent}{$account}{$_}) } @names;

		return $known[ rand @known ];
	}
}

package StripeCredit::Plan;

sub amount { return chance(0.06) ? between(40, 120) : between(1, 14) }

sub new_spend
{
	my ($keys) = @_;

	return (credits => amount(), key => chance(0.1) ? undef : $keys->fresh);
}

sub new_spend_many
{
	my ($keys) = @_;
	my $count = between(1, 5);

	return (
		credits => [ map { between(1, 8) } 1 .. $count ],
		key => chance(0.08) ? undef : [ map { chance(0.04) ? undef : $keys->fresh } 1 .. $count ]);
}

# A key that another operation has
sub key_of
{
	my ($keys, $account, @names) = @_;
	my $other = $keys->recall($account, @names);

	return ($keys->fresh, 5) if !$other || chance(0.03);
	return ($other->{key}, $other->{credits}) unless ref $other->{key};
	my $i = int rand @{ $other->{key} };
	return ($other->{key}[$i], $other->{credits}[$i]);
}

sub new_reversal
{
	my ($keys, $account) = @_;
	my ($key) = key_of($keys, $account, qw(spend spend_many spend capture grant_credits));

	return (key => $key // $keys->fresh);
}

sub new_capture
{
	my ($keys, $account) = @_;
	my ($key, $held) = key_of($keys, $account, 'hold');
	my $credits =
	  chance(0.5) ? $held
	  : chance(0.1) ? $held + 1
	  : between(1, $held);

	return (key => $key, credits => $credits);
}

sub new_grant
{
	my ($keys) = @_;

	return (
		key => $keys->fresh,
		credits => between(5, 70),
		expires => chance(0.5) ? seconds(0.3, 2) : undef,
		priority => chance(0.5) ? between(1, 3) : undef);
}

sub new_adjustment
{
	my ($keys) = @_;
	my $credits = between(5, 40);

	return (key => $keys->fresh, credits => chance(0.5) ? $credits : -$credits);
}

my %new = (
	spend => \&new_spend,
	spend_many => \&new_spend_many,
	reverse_spend => \&new_reversal,
	hold => sub {
		my ($keys) = @_;
		return (
			key => $keys->fresh,
			credits => amount(),
			ttl => chance(0.6) ? seconds(0.3, 2) : 900);
	},
	capture => \&new_capture,
	release => sub { my ($key) = key_of(@_, 'hold'); return (key => $key) },
	grant_credits => \&new_grant,
	adjust_credits => \&new_adjustment,
	purchase => sub {
		my ($keys) = @_;
		my $key = $keys->fresh =~ tr/ /_/r;
		return (key => $key, pack => chance(0.3) ? 'later' : 'small');
	},
	maintain => sub { return (most => between(1, 20)) },
	look => sub { return () });

# What was done before is done again: the same, or with its key something else.
sub repeated
{
	my ($keys, $name, $account) = @_;
	my $old = $keys->recall($account, $name);

	return unless $old;
	my %op = %$old;
	delete @op{qw(call guarded undone)};
	$op{credits}++ if chance(0.2) && defined $op{credits} && !ref $op{credits} && $op{credits} > 0;
	return \%op;
}

sub new_operation
{
	my ($keys, $name, $account) = @_;
	my $op;

	# The same at the same moment is what impatient users do.
	$op = repeated($keys, $name, $account) if chance(0.12);
	# One key space for all of them
	$op = { op => 'spend', account => $account, key => ($keys->recall($account, 'hold') || {})->{key}, credits => 3 }
	  if !$op && $name eq 'spend' && chance(0.02);
	$op ||= { op => $name, account => $account, $new{$name}->($keys, $account) };
	$keys->remember($op);
	return $op;
}

sub add_savepoint
{
	my ($op) = @_;

	return if chance(0.5);
	$op->{ chance(0.25) ? 'undone' : 'guarded' } = 1;
	return;
}

sub operations
{
	my ($keys, $account, $block, $names) = @_;
	my @names = $names ? grep { /^(?:$names)$/ } @operations : @operations;
	my @ops = map { new_operation($keys, one_of(@names), $account) } 1 .. ($block ? between(1, 4) : 1);
	my ($alone) = grep { $alone{ $_->{op} } } @ops;

	return $alone if $alone;
	if ($block)
	{
		add_savepoint($_) for @ops;
	}
	return @ops;
}

# Faults are per transaction; a worker disturbs another, which may be itself.
sub add_faults
{
	my ($transaction, $workers, $faults) = @_;

	$transaction->{abandon} = 1 if chance($faults->{abandon} || 0);
	for my $kind (qw(cancel terminate))
	{
		$transaction->{attack} = [ $kind, between(0, $workers - 1) ] if chance($faults->{$kind} || 0);
	}
	return;
}

sub transaction
{
	my ($keys, %options) = @_;
	my $block = chance(0.45);
	my $account = "$options{prefix}account " . between(1, $options{accounts});
	my %transaction = (
		level => one_of(@levels[ 0, 0, 0, 1, 2 ]),
		again => chance(0.5) ? 1 : 0,
		ops => [ operations($keys, $account, $block, $options{names}) ]);

	$transaction{weak} = 1 if chance($options{weak} || 0);
	$block = 1 if $transaction{weak};
	$transaction{block} = 1 if $block;
	$transaction{rollback} = 1 if $block && chance(0.15);
	add_faults(\%transaction, $options{workers}, $options{faults} || {});
	return \%transaction;
}

# Options: seed, workers, accounts and operations; how often there are faults, by
# kind, and how often a transaction is weak; a prefix for accounts and keys; the
# names of operations, as a pattern, if not all.
sub make_plan
{
	my (%options) = (prefix => '', @_);
	my $keys = StripeCredit::Plan::Keys->new($options{prefix});
	my @plan = map { [] } 1 .. $options{workers};
	my $calls = 0;

	srand $options{seed};
	while ($calls < $options{operations})
	{
		for my $transactions (@plan)
		{
			my $transaction = transaction($keys, %options);

			$_->{call} = ++$calls for @{ $transaction->{ops} };
			push @$transactions, $transaction;
		}
	}
	return \@plan;
}

1;
