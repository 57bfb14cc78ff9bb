# One of several who deliver events at the same time, as Stripe does, over
# connections that break; in between they spend and grant.
#
# A postman has a list of rounds.  A round has items, and how it ends:
#
#   alone        one item, which commits by itself
#   commit       a block of items, committed
#   rollback     a block of items, rolled back
#   hang up      the same, by closing the connection
#   die          the same, by terminating the own backend
#   unheard      one item, whose answer is not waited for
#
# An item is an event, or what is to be spent or granted: op, account, credits
# and key.  The history has a line for each item that was answered for good: id,
# delivery, and outcome ok or refused; and for each error that should not be.

package StripeCredit::Postman;

use strict;
use warnings;

use parent 'StripeCredit::Worker';

use POSIX ();
use StripeCredit::Node qw(signature);
use StripeCredit::Worker qw(wait_for_workers);
use Time::HiRes qw(sleep time);

use constant TRIES => 30;

my @levels = (('read committed') x 2, 'repeatable read', ('read committed') x 2, 'serializable');

sub connection
{
	my ($self) = @_;

	return $self->{dbh} if $self->{dbh};
	$self->SUPER::connection;
	$self->{dbh}->do('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL '
		  . $levels[ $self->{number} % @levels ]);
	return $self->{dbh};
}

# An item's SQL and its arguments
sub statement_of
{
	my ($item) = @_;

	return (q{SELECT stripe_credit.webhook(?, ?)->>'status'}, $item->{body}, signature($item->{body}))
	  if $item->{body};
	return ("SELECT duplicate FROM stripe_credit.$item->{op}(?, ?, ?)", @$item{qw(account credits key)});
}

# True if it was answered; else the SQLSTATE is in $self->{failed}, and empty if
# the connection is lost.
sub perform
{
	my ($self, $item) = @_;
	my ($sql, @arguments) = statement_of($item);
	my $answer = eval { $self->{dbh}->selectrow_arrayref($self->{dbh}->prepare_cached($sql), undef, @arguments) };

	return 1 if $answer;
	$self->note_failure($item);
	return 0;
}

sub note_failure
{
	my ($self, $item) = @_;
	my %error;

	$self->{failed} = '';
	return if $self->is_lost;
	%error = $self->failure;
	$self->{failed} = $error{sqlstate};
	# Who waited for who waited for him, or saw an old state, is to try again.
	return if $error{sqlstate} eq '40001' || ($error{sqlstate} eq '40P01' && $self->{deadlocks});
	return if $error{sqlstate} eq 'PT402' && ($item->{op} || '') eq 'spend';
	$self->record($item, 'error', message => "$error{sqlstate} $error{message}");
	return;
}

sub record
{
	my ($self, $item, $outcome, %more) = @_;

	print { $self->{history} }
	  $self->{json}->encode({ %more, id => $item->{id} || $item->{key}, delivery => $item->{delivery},
		outcome => $outcome, t0 => time }), "\n";
	return;
}

sub do_alone
{
	my ($self, $item) = @_;

	for my $try (1 .. TRIES)
	{
		$self->connection;
		return $self->record($item, 'ok') if $self->perform($item);
		return $self->record($item, 'refused') if $self->{failed} eq 'PT402';
		return if $self->{failed} !~ /^40/;
		sleep rand 0.002 * $try;
	}
	return;
}

sub do_block
{
	my ($self, $round) = @_;
	my $end = $round->{end};

	$self->connection;
	$self->say_to_server('BEGIN') or return $self->is_lost;
	for my $item (@{ $round->{items} })
	{
		next if $self->perform($item);
		return $self->{failed} ? $self->say_to_server('ROLLBACK') : 0;
	}
	if ($end eq 'commit')
	{
		return $self->is_lost unless $self->say_to_server('COMMIT');
		$self->record($_, 'ok') for @{ $round->{items} };
	}
	elsif ($end eq 'rollback')
	{
		$self->say_to_server('ROLLBACK') or $self->is_lost;
	}
	else
	{
		$self->say_to_server('SELECT pg_terminate_backend(pg_backend_pid())') if $end eq 'die';
		eval { (delete $self->{dbh})->disconnect };
	}
	return 1;
}

# What each of them is there for
sub work
{
	my ($self) = @_;

	for my $round (@{ $self->{rounds} })
	{
		my ($item) = @{ $round->{items} };

		if ($round->{end} eq 'alone')
		{
			$self->do_alone($item);
		}
		elsif ($round->{end} eq 'unheard')
		{
			$self->connection;
			$self->abandon(statement_of($item));
		}
		else
		{
			$self->do_block($round);
		}
	}
	return;
}

# A postman for each list of rounds.  Options: node, dir, and whether there may
# be deadlocks.  Returns the history files; dies if one of them fails.
sub deliver_rounds
{
	my ($lists, %options) = @_;
	my %postmen;

	for my $number (0 .. $#$lists)
	{
		my $file = "$options{dir}/postman.$number";
		my $pid = fork;

		die "can't fork: $!" unless defined $pid;
		$postmen{$pid} = $file;
		next if $pid;
		srand $number;
		# What the test does at its end is not for a postman to do.
		eval {
			__PACKAGE__->new(%options, rounds => $lists->[$number], number => $number, file => $file)->work;
			1;
		} or do
		{
			print STDERR "postman $number: $@";
			POSIX::_exit(1);
		};
		POSIX::_exit(0);
	}
	die "not all postmen came back\n" if wait_for_workers(\%postmen);
	return values %postmen;
}

1;
