# A program in another language, for tests: it reads a JSON object a line and
# answers each with one.

package StripeCredit::Program;

use strict;
use warnings;

use Exporter 'import';
use IPC::Open2;
use IPC::Run ();
use JSON::PP ();

our @EXPORT_OK = qw(runs newest_node);

my $json = JSON::PP->new->utf8->canonical;

# Whether a command is there, and ends well
sub runs { return eval { IPC::Run::run([@_], '<', \'', '>', \my $out, '2>', \my $err) } }

# The Node.js that came from npm, which is new enough for all, or the system's
sub newest_node
{
	my ($brought) = glob(($ENV{STRIPE_CREDIT_NPM} || '/nowhere') . '/node_modules/node-linux-*/bin/node');

	return $brought || 'node';
}

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
