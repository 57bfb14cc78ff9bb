# The test double of Stripe's API (test/double), for tests: started, asked and
# stopped.

package StripeCredit::Double;

use strict;
use warnings;

use File::Spec;
use FindBin;
use HTTP::Tiny;
use IPC::Open2;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Utils;

# A double of its own; dies if it doesn't come up.
sub new
{
	my ($class) = @_;
	my $program = File::Spec->rel2abs("$FindBin::RealBin/../double/double.js");
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my ($out, $in);
	my $pid = open2($out, $in, 'node', $program, $dir);
	my $line = <$out>;
	my $self;

	die "the double did not start\n" unless defined $line;
	$self = bless { %{ decode_json($line) }, pid => $pid, in => $in, out => $out }, $class;
	return $self;
}

# Its control, which is plain HTTP: what it answers, decoded
sub control
{
	my ($self, $path, $body) = @_;
	my $http = HTTP::Tiny->new(timeout => 20);
	my $answer = defined $body
	  ? $http->post("$self->{plain}$path",
		{ headers => { 'content-type' => 'application/json' }, content => encode_json($body) })
	  : $http->get("$self->{plain}$path");

	die "the double says $answer->{status} to $path: $answer->{content}\n" unless $answer->{success};
	return length $answer->{content} ? decode_json($answer->{content}) : undef;
}

# The requests to the API since the last reset
sub requests { return @{ $_[0]->control('/_double/requests') } }

# The buyer pays on the hosted page.
sub pay
{
	my ($self, $url, %fields) = @_;
	my ($path) = $url =~ m{^https?://[^/]+(/.*)$};
	my $answer = HTTP::Tiny->new(timeout => 20, max_redirect => 0)->post_form("$self->{plain}$path", \%fields);

	die "the hosted page says $answer->{status}\n" unless $answer->{status} == 303;
	return $answer->{headers}{location};
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

sub DESTROY { $_[0]->stop; return }

1;
