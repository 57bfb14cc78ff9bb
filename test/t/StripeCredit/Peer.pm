# The other end of a connection that says exactly what it is told to, over plain HTTP
# on 127.0.0.1, for answers that the double doesn't give; or a relay that stops to be one.

package StripeCredit::Peer;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(encode_json);
use POSIX ();
use PostgreSQL::Test::Utils;
use StripeCredit::Slow;
use Time::HiRes qw(sleep);

use constant LIFE => 300 * SLOW;

# answers: by the last part of a path, the bytes that are sent, or a sub that is
# called with the socket.  What isn't named gets nothing.
sub new
{
	my ($class, %answers) = @_;

	return start($class, sub { return answer_to(@_, \%answers) });
}

# What stands between a client and that port: all that is said through it arrives,
# until stall() is called.
sub relay
{
	my ($class, $port) = @_;

	return start($class, sub { return relay_to(@_, $port) });
}

# Whatever happens on each connection happens in a process of its own.
sub start
{
	my ($class, $serve) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20, Proto => 'tcp', ReuseAddr => 1)
	  or die "listen: $!";
	my $log = PostgreSQL::Test::Utils::tempdir() . '/peer';
	my $pid = fork // die "fork: $!";
	my $port = $listener->sockport;

	return bless { pid => $pid, log => $log, port => $port, url => "http://127.0.0.1:$port" }, $class if $pid;

	# they have a group of their own to end with, and nobody waits for what they say
	POSIX::setpgid(0, 0);
	open $_, '>', '/dev/null' or POSIX::_exit(1) for *STDOUT, *STDERR;
	$SIG{PIPE} = 'IGNORE';
	$SIG{CHLD} = 'IGNORE';
	alarm LIFE;
	while (my $socket = $listener->accept)
	{
		next if fork;
		alarm LIFE;
		append_to_file($log, "connection\n");
		eval { $serve->($socket, $log) };
		POSIX::_exit(0);
	}
	POSIX::_exit(1);
}

sub answer_to
{
	my ($socket, $log, $answers) = @_;
	my ($head, $length) = ('', 0);

	while (defined(my $line = <$socket>))
	{
		$head .= $line;
		$length = $1 if $line =~ /^content-length: (\d+)/i;
		last if $line =~ /^\r?\n/;
	}
	read($socket, my $body, $length);
	append_to_file($log, $head);
	my ($name) = $head =~ m{^\w+ \S*?/([^/? ]+)(?:\?\S*)? HTTP};
	my $answer = defined $name ? $answers->{$name} : undef;
	return unless defined $answer;
	ref $answer ? $answer->($socket) : $socket->syswrite($answer);
	$socket->shutdown(1);

	# or what was sent would be thrown away by a reset
	1 while sysread $socket, $head, 65536;
	return;
}

sub relay_to
{
	my ($near, $log, $port) = @_;
	my $far = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp') or return;
	my $both = IO::Select->new($near, $far);

	while (1)
	{
		for my $from ($both->can_read(0.01))
		{
			# for good, and without a word, as when the network has forgotten a connection
			sleep LIFE if -e "$log.stalled";
			sysread $from, my $bytes, 65536 or return;
			($from == $near ? $far : $near)->syswrite($bytes);
		}
	}
}

# A relay's connections say nothing any more if they are used while this is so.
sub stall
{
	my ($self, $so) = @_;

	$so ? append_to_file("$self->{log}.stalled", '') : unlink "$self->{log}.stalled";
	return;
}

# The bytes of an answer
sub answer
{
	my ($status, $body, %headers) = @_;
	my %all = ('content-type' => 'application/json', 'content-length' => length $body, %headers);

	return "HTTP/1.1 $status Said\r\n" . join('', map { "$_: $all{$_}\r\n" } sort keys %all) . "\r\n$body";
}

sub error_answer
{
	my ($status, $error, %headers) = @_;

	return answer($status, encode_json({ error => $error }), %headers);
}

# All that it was asked
sub heard
{
	my ($self) = @_;

	return -e $self->{log} ? slurp_file($self->{log}) : '';
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'KILL', -$self->{pid}, $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY { local $?; $_[0]->stop; return }

1;
