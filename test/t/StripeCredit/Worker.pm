# One of a crowd of workers: a connection that carries out its part of a plan,
# and a history of what it was answered, a line of JSON for each call.
#
# The outcome of a call:
#
#   ok        done, and its transaction committed; rows are the answer
#   refused   an error that says no; sqlstate and detail
#   undone    its transaction or savepoint was rolled back, or failed; end is the
#             SQLSTATE that ended it
#   unknown   nobody heard whether its transaction was committed
#
# Its times: t0 and t1 around the statement, seen when its snapshot may have
# been taken at the earliest, ack when it was known to be committed.

package StripeCredit::Worker;

use strict;
use warnings;

use DBD::Pg ':async';
use DBI;
use Exporter 'import';
use IO::Handle;
use JSON::PP ();
use POSIX ();
use StripeCredit::Node qw(session_event signature);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(connect_to start_workers wait_for_workers call_once is_keyed read_history);

use constant {
	SERIALIZATION_TRIES => 25,
	OTHER_TRIES => 4
};

my $mutation = 'seq, balance, held, available, duplicate::integer AS duplicate';

# The connection of a worker has its name, so that others can find it.
sub connect_to
{
	my ($node, $name) = @_;

	return DBI->connect(
		sprintf("dbi:Pg:host=%s;port=%s;dbname=postgres;application_name='%s'",
			$node->host, $node->port, $name),
		undef, undef,
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, AutoInactiveDestroy => 1 });
}

# The SQL of an operation, and its arguments
sub metadata_of
{
	my ($op) = @_;

	return sprintf '{"call": "%s"}', $op->{call};
}

my %statement = (
	spend => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.spend(?, ?, ?, ?)",
			@$op{qw(account credits key)}, metadata_of($op));
	},
	spend_many => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.spend_many(?, ?, ?)", @$op{qw(account credits key)});
	},
	reverse_spend => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.reverse_spend(?, ?)", @$op{qw(account key)});
	},
	hold => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.hold(?, ?, ?, ? * '1 s'::interval)",
			@$op{qw(account credits key ttl)});
	},
	capture => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.capture(?, ?, ?)", @$op{qw(account key credits)});
	},
	release => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.release(?, ?)", @$op{qw(account key)});
	},
	# A statement may wait for longer than until its credits expire.
	grant_credits => sub {
		my ($op) = @_;
		return (
			"SELECT $mutation FROM stripe_credit.grant_credits(?, ?, ?, ?::timestamptz, ?)",
			@$op{qw(account credits key)},
			defined $op->{expires} ? timestamp(time + $op->{expires}) : undef,
			$op->{priority});
	},
	adjust_credits => sub {
		my ($op) = @_;
		return ("SELECT $mutation FROM stripe_credit.adjust_credits(?, ?, ?, 'test')",
			@$op{qw(account credits key)});
	},
	purchase => sub {
		my ($op) = @_;
		my $body = session_event("evt_$op->{key}", account => $op->{account}, pack => $op->{pack});
		return (q{SELECT stripe_credit.webhook(?, ?)->>'status' AS status}, $body, signature($body));
	},
	maintain => sub {
		my ($op) = @_;
		return ('SELECT stripe_credit.maintain(?) AS did', $op->{most});
	},
	look => sub {
		my ($op) = @_;
		return (
			q{SELECT b.balance AS now, b.held, b.available, s.seq, s.kind, s.credits, s.balance
			  FROM stripe_credit.balance(?) b LEFT JOIN stripe_credit.statement(?, 6) s ON true
			  ORDER BY s.seq DESC},
			@$op{qw(account account)});
	});

sub timestamp
{
	my ($time) = @_;
	my $seconds = int $time;

	return POSIX::strftime('%Y-%m-%d %H:%M:%S', gmtime $seconds)
	  . sprintf('.%06d+00', int(1e6 * ($time - $seconds)));
}

sub new
{
	my ($class, %options) = @_;

	open my $file, '>', $options{file} or die "$options{file}: $!";
	$file->autoflush;
	return bless {
		%options,
		history => $file,
		json => JSON::PP->new->canonical,
		abandoned => []
	}, $class;
}

sub connection
{
	my ($self) = @_;

	return $self->{dbh} ||= do
	{
		$self->{level} = '';
		connect_to($self->{node}, "worker $self->{number}");
	};
}

# After an error: whether there still is a connection
sub is_lost
{
	my ($self) = @_;

	return 0 if $self->{dbh} && $self->{dbh}->state !~ /^(?:08|57P)/ && $self->{dbh}->ping;
	$self->{dbh} = undef;
	return 1;
}

# The error of the last statement.  To the driver, a connection that breaks is an
# error without a SQLSTATE, for which it says 22000.
sub failure
{
	my ($self) = @_;
	my $dbh = $self->{dbh};
	my %error = (sqlstate => $dbh->state, message => $dbh->errstr, detail => $dbh->pg_error_field('detail'));

	$error{sqlstate} = '08006' if $error{sqlstate} eq '22000' && !$dbh->ping;
	return %error;
}

# A statement that answers nothing; returns whether it went well.
sub say_to_server
{
	my ($self, $sql) = @_;

	return eval { $self->connection->do($sql); 1 };
}

# Its record, with rows or what went wrong
sub call_operation
{
	my ($self, $op) = @_;
	my ($sql, @arguments) = $statement{ $op->{op} }->($op);
	my %call = (%$op, t0 => time);

	$call{rows} = eval {
		my $statement = $self->{dbh}->prepare_cached($sql);
		$statement->execute(@arguments);
		$statement->fetchall_arrayref({});
	};
	$call{t1} = time;
	%call = (%call, $self->failure) unless $call{rows};
	return \%call;
}

# The last word is sent, and then the line is dead: whether it was heard is
# known to the server alone.  What libpq has of the connection stays until this
# process ends: to close it properly would cancel the statement.
sub abandon
{
	my ($self, $sql, @arguments) = @_;
	my $dbh = delete $self->{dbh};
	my $statement;

	eval {
		$statement = $dbh->prepare($sql, { pg_async => PG_ASYNC });
		$statement->execute(@arguments);
	};
	open my $socket, '+<&=', $dbh->{pg_socket} or die "no socket: $!";
	sleep rand 0.002;
	shutdown $socket, 2;
	push @{ $self->{abandoned} }, $dbh, $statement, $socket;
	return;
}

sub write_history
{
	my ($self, $end, @calls) = @_;

	for my $call (@calls)
	{
		my $ack = $end->{ack};

		$call->{outcome} ||= $end->{outcome};
		$call->{ack} = $ack if $call->{outcome} eq 'ok';
		$call->{worker} = $self->{number};
		$call->{tx} = $end->{tx};
		$call->{end} = $end->{sqlstate} if $end->{sqlstate};
		$call->{$_} = $end->{transaction}{$_} for qw(level block weak);
		$call->{seen} =
		  $call->{level} eq 'read committed' ? $call->{t0} : $calls[0]{t0};
		print { $self->{history} } $self->{json}->encode($call), "\n";
	}
	return;
}

# Errors that say no, as against those that say not now
sub is_refusal { return $_[0] =~ /^(?:PT|22)/ }

sub attempt_alone
{
	my ($self, $transaction) = @_;
	my ($op) = @{ $transaction->{ops} };
	my $call;

	if ($self->{level} ne $transaction->{level})
	{
		$self->say_to_server("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL $transaction->{level}")
		  or return $self->give_up_block;
		$self->{level} = $transaction->{level};
	}
	if ($transaction->{abandon})
	{
		my ($sql, @arguments) = $statement{ $op->{op} }->($op);

		$call = { %$op, t0 => time };
		$self->abandon($sql, @arguments);
		$call->{t1} = time;
		return { outcome => 'unknown' }, $call;
	}
	$call = $self->call_operation($op);
	return { outcome => 'ok', ack => $call->{t1} }, $call if $call->{rows};
	return { outcome => 'unknown' }, $call if $self->is_lost;
	return { outcome => is_refusal($call->{sqlstate}) ? 'refused' : 'undone', sqlstate => $call->{sqlstate} }, $call;
}

# One operation of a block; false if the block can't go on.
sub step
{
	my ($self, $op, $calls) = @_;
	my $savepoint = $op->{guarded} || $op->{undone};
	my $call;

	$self->say_to_server('SAVEPOINT s') or return 0 if $savepoint;
	$call = $self->call_operation($op);
	push @$calls, $call;
	$call->{outcome} = is_refusal($call->{sqlstate}) ? 'refused' : 'undone' unless $call->{rows};
	return $call->{rows} ? 1 : 0 unless $savepoint;
	return $self->say_to_server('RELEASE s') if $call->{rows} && !$op->{undone};
	$call->{outcome} ||= 'undone';
	# To be tried again as a whole: a snapshot doesn't get newer.
	return 0 if ($call->{sqlstate} || '') eq '40001';
	return $self->say_to_server('ROLLBACK TO s; RELEASE s');
}

# Even a ROLLBACK can be cancelled.
sub give_up_block
{
	my ($self, @calls) = @_;
	my %error = $self->failure;

	1 until $self->is_lost || $self->say_to_server('ROLLBACK');
	return { outcome => 'undone', sqlstate => $error{sqlstate} }, @calls;
}

sub commit_block
{
	my ($self, $transaction, @calls) = @_;
	my $end;

	if ($transaction->{abandon})
	{
		$self->abandon('COMMIT');
		return { outcome => 'unknown' }, @calls;
	}
	return { outcome => 'ok', ack => time }, @calls if $self->say_to_server('COMMIT');
	($end) = $self->give_up_block;
	$end->{outcome} = 'unknown' unless $self->{dbh};
	return $end, @calls;
}

sub attempt_block
{
	my ($self, $transaction) = @_;
	my @calls;

	$self->say_to_server("BEGIN ISOLATION LEVEL $transaction->{level}")
	  or return $self->give_up_block;
	$self->say_to_server('SET LOCAL synchronous_commit = off') or return $self->give_up_block
	  if $transaction->{weak};
	for my $op (@{ $transaction->{ops} })
	{
		$self->step($op, \@calls) or return $self->give_up_block(@calls);
	}
	return $self->give_up_block(@calls) if $transaction->{rollback};
	return $self->commit_block($transaction, @calls);
}

# Of many at once, all.
sub is_keyed
{
	my ($op) = @_;

	return defined $op->{key} && !(ref $op->{key} && grep { !defined } @{ $op->{key} });
}

# Only what has a key can be done again when nobody knows whether it was done.
sub has_keys
{
	my ($transaction) = @_;

	return !grep { $_->{op} =~ /^spend/ && !is_keyed($_) } @{ $transaction->{ops} };
}

sub try_again
{
	my ($transaction, $end, $tries) = @_;

	return $transaction->{again} && has_keys($transaction) && $tries < OTHER_TRIES
	  if $end->{outcome} eq 'unknown';
	return 0 if $end->{outcome} ne 'undone' || $transaction->{rollback};
	return 0 if is_refusal($end->{sqlstate} || '');
	return $tries < SERIALIZATION_TRIES if ($end->{sqlstate} || '') eq '40001';
	return $tries < OTHER_TRIES;
}

# A statement that is cancelled before it began is tried again too.
sub carry_out
{
	my ($self, $transaction) = @_;

	for my $tries (1 .. SERIALIZATION_TRIES)
	{
		my ($end, @calls);

		$self->connection;
		($end, @calls) =
		  $transaction->{block} ? $self->attempt_block($transaction) : $self->attempt_alone($transaction);
		$end->{tx} = ++$self->{transactions} . " of worker $self->{number}";
		$end->{transaction} = $transaction;
		$self->write_history($end, @calls);
		return $end unless try_again($transaction, $end, $tries);
		sleep rand 0.002 * $tries;
		$transaction = { %$transaction, abandon => 0 };
	}
	return;
}

sub attack
{
	my ($self, $kind, $number) = @_;

	return if $number == $self->{number};
	eval {
		$self->connection->do(
			"SELECT pg_${kind}_backend(pid) FROM pg_stat_activity WHERE application_name = ?",
			undef, "worker $number");
		1;
	} or $self->is_lost;
	return;
}

# Returns when the plan is done, the time is over, or the server is gone.
sub work
{
	my ($self) = @_;

	for my $transaction (@{ $self->{plan} })
	{
		last if $self->{until} && time > $self->{until};
		last if $self->{mortal} && !eval { $self->connection };
		eval { $self->carry_out($transaction); 1 } or do
		{
			last if $self->{mortal} && !$self->{dbh};
			die $@;
		};
		$self->attack(@{ $transaction->{attack} }) if $transaction->{attack};
	}
	return;
}

# Forks a worker for each part of a plan.  Returns a hash of process to history
# file.
sub start_workers
{
	my ($dir, $plan, %options) = @_;
	my %workers;

	for my $number (0 .. $#$plan)
	{
		my $file = "$dir/history.$number";
		my $pid = fork;

		die "can't fork: $!" unless defined $pid;
		$workers{$pid} = $file;
		next if $pid;
		srand $number;
		# What the test does at its end is not for a worker to do.
		eval {
			StripeCredit::Worker->new(
				%options,
				plan => $plan->[$number],
				number => $number,
				file => $file)->work;
			1;
		} or do
		{
			print STDERR "worker $number: $@";
			POSIX::_exit(1);
		};
		POSIX::_exit(0);
	}
	return \%workers;
}

# Waits for all of them and calls what is to be done meanwhile; returns how many
# failed.
sub wait_for_workers
{
	my ($workers, $meanwhile) = @_;
	my %running = map { $_ => 1 } keys %$workers;
	my $failed = 0;

	while (%running)
	{
		for my $pid (keys %running)
		{
			next unless waitpid($pid, POSIX::WNOHANG()) == $pid;
			$failed++ if $? != 0;
			delete $running{$pid};
		}
		last unless %running;
		$meanwhile->() if $meanwhile;
		sleep 0.05;
	}
	return $failed;
}

sub read_history
{
	my (@files) = @_;
	my $json = JSON::PP->new;
	my @history;

	for my $file (@files)
	{
		open my $lines, '<', $file or die "$file: $!";
		push @history, map { $json->decode($_) } <$lines>;
	}
	return sort { $a->{t0} <=> $b->{t0} } @history;
}

# A call outside of all plans, over a connection of its own; returns its record.
sub call_once
{
	my ($dbh, $op) = @_;
	my $self = bless { dbh => $dbh }, 'StripeCredit::Worker';
	my $call = $self->call_operation($op);

	$call->{outcome} =
	  $call->{rows} ? 'ok' : is_refusal($call->{sqlstate}) ? 'refused' : 'undone';
	return { %$call, worker => 'the test', tx => "heal $call->{t0}", level => 'read committed',
		seen => $call->{t0}, ack => $call->{rows} ? $call->{t1} : undef };
}

1;
