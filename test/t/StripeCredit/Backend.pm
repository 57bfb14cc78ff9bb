# A session whose backend is watched: what it answers, how long that takes, and what
# it holds.  The server must run as the same user, on Linux.

package StripeCredit::Backend;

use strict;
use warnings;

use DBD::Pg ':async';
use DBI;
use IO::Select;
use StripeCredit::Slow;
use Time::HiRes qw(sleep time);

use constant PATIENCE => 60 * SLOW;

# A session with these settings of stripe_credit
sub new
{
	my ($class, $node, %settings) = @_;
	my $dbh = DBI->connect(
		sprintf('dbi:Pg:host=%s;port=%s;dbname=postgres', $node->host, $node->port),
		undef, undef,
		{ RaiseError => 0, PrintError => 0, PrintWarn => 0, AutoCommit => 1, AutoInactiveDestroy => 1 });
	my $self = bless { dbh => $dbh, pid => $dbh->{pg_pid} }, $class;

	# By name, or the settings would not be known yet.
	$dbh->do(q{LOAD 'stripe_credit'});
	return $self->set(%settings);
}

sub pid { return $_[0]{pid} }

sub set
{
	my ($self, %settings) = @_;

	for my $name (sort keys %settings)
	{
		$self->{dbh}->do("SELECT set_config(?, ?, false)", undef, "stripe_credit.$name", $settings{$name})
		  or die "$name: " . $self->{dbh}->errstr;
	}
	return $self;
}

# Sends a statement.  Its answer is had by settle().
sub start
{
	my ($self, $sql, @arguments) = @_;

	$self->{started} = time;
	$self->{sth} = $self->{dbh}->prepare($sql, { pg_async => PG_ASYNC, pg_server_prepare => 0 });
	$self->{sth}->execute(@arguments);
	return $self;
}

# { value, sqlstate, message, detail, hint, seconds, ended }; sqlstate is empty if
# nothing failed, and value is the first column of the first row.
sub settle
{
	my ($self) = @_;
	my ($dbh, $sth) = @$self{qw(dbh sth)};
	my $socket = IO::Select->new($dbh->{pg_socket});
	my %answer;

	until ($dbh->pg_ready)
	{
		die "no answer after @{[ PATIENCE ]} s\n" if time - $self->{started} > PATIENCE;
		$socket->can_read(1);
	}
	$answer{ended} = time;
	$answer{seconds} = $answer{ended} - $self->{started};

	# of a cancellation some versions of DBD::Pg say no more than the SQLSTATE
	my $done = $dbh->pg_result && $dbh->state ne '57014';

	$answer{sqlstate} = $done ? '' : $dbh->state;
	$answer{text} = $done ? '' : $dbh->errstr // '';
	for my $field (qw(message detail hint context))
	{
		$answer{$field} = $done ? '' : $dbh->pg_error_field($field eq 'context' ? $field : "message_$field") // '';
	}
	$answer{message} = $done ? '' : $dbh->pg_error_field('message_primary') // '';
	($answer{value}) = $sth->fetchrow_array if $done && $sth->{NUM_OF_FIELDS};
	$sth->finish;
	return \%answer;
}

sub ask
{
	my ($self, @statement) = @_;

	return $self->start(@statement)->settle;
}

# All that an error says
sub said
{
	my ($answer) = @_;

	return join "\n", map { $answer->{$_} // '' } qw(text message detail hint context);
}

#
# What the backend holds
#

sub descriptors
{
	my ($self) = @_;

	return map { readlink($_) // () } glob "/proc/$self->{pid}/fd/*";
}

# How many of each kind, as text: sockets, epoll sets, pipes, files
sub kinds_of_descriptors
{
	my ($self) = @_;
	my %count;

	# relations are opened and closed as the server sees fit
	$count{$_}++ for grep { defined } map { /^(socket|anon_inode|pipe)/ ? $1 : undef } $self->descriptors;
	return join ' ', map { "$_ $count{$_}" } sort keys %count;
}

# kB
sub resident { return $_[0]->kilobytes('VmRSS') }
sub mapped { return $_[0]->kilobytes('VmSize') }

sub kilobytes
{
	my ($self, $name) = @_;

	return $self->status('self')->{$name} =~ s/\D//gr;
}

# The signals that each thread but the backend's own blocks
sub masks_of_threads
{
	my ($self) = @_;
	my @masks;

	for my $thread (map { m{(\d+)$} } glob "/proc/$self->{pid}/task/*")
	{
		my $status = $thread == $self->{pid} ? undef : $self->status($thread);
		push @masks, $status->{SigBlk} if $status && $status->{SigBlk};
	}
	return @masks;
}

# A thread may have ended by the time that it is looked at.
sub status
{
	my ($self, $thread) = @_;
	my $path = "/proc/$self->{pid}/" . ($thread eq 'self' ? 'status' : "task/$thread/status");

	open my $file, '<', $path or return {};
	return { map { /^(\w+):\s*(.*)$/ ? ($1, $2) : () } <$file> };
}

# Whom nobody has reaped yet is gone all the same.
sub is_there { return ($_[0]->status('self')->{State} || 'Z') !~ /^[ZX]/ }

sub quit
{
	my ($self) = @_;

	$self->{dbh}->disconnect if $self->{dbh};
	$self->{dbh} = undef;
	return;
}

1;
