# A program that serves a test: started, heard out, and stopped.  It says in one line
# of JSON where it is, and ends when its stdin closes.

package StripeCredit::Server;

use strict;
use warnings;

use IPC::Open2;
use JSON::PP qw(decode_json);

# An object that has what the program says of itself; dies if it says nothing.
sub start
{
	my ($class, @command) = @_;
	my ($out, $in);
	my $pid = open2($out, $in, @command);
	my $line = <$out>;

	die "$command[1] did not start\n" unless defined $line;
	return bless { %{ decode_json($line) }, pid => $pid, in => $in, out => $out }, $class;
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	close $self->{in};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY { local $?; $_[0]->stop; return }

1;
