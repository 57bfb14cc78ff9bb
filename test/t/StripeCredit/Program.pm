# A program in another language, for tests: it reads a JSON object a line and
# answers each with one.

package StripeCredit::Program;

use strict;
use warnings;

use Exporter 'import';
use IPC::Open2;
use IPC::Run ();
use JSON::PP ();

our @EXPORT_OK = qw(runs);

my $json = JSON::PP->new->utf8->canonical;

# Whether a command is there, and ends well
sub runs { return eval { IPC::Run::run([@_], '<', \'', '>', \my $out, '2>', \my $err) } }

# Started with a command
sub new
{
	my ($class, @command) = @_;
	my ($from, $to);
	my $pid = open2($from, $to, @command);

	return bless { command => $command[1], pid => $pid, from => $from, to => $to }, $class;
}

# What it answers; dies if it has ended instead.
sub ask
{
	my ($self, %question) = @_;
	my $line;

	local $SIG{PIPE} = 'IGNORE';
	print { $self->{to} } $json->encode(\%question), "\n";
	$self->{to}->flush;
	$line = readline $self->{from};
	die "$self->{command} did not answer\n" unless defined $line;
	return $json->decode($line);
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	close $self->{to};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY { local $?; $_[0]->stop; return }

1;
