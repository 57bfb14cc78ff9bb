# The test double of Stripe's API (test/double), for tests: started, asked and
# stopped.

package StripeCredit::Double;

use strict;
use warnings;

use parent 'StripeCredit::Server';

use File::Spec;
use FindBin;
use HTTP::Tiny;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Utils;

# A double of its own; dies if it doesn't come up.
sub new
{
	my ($class) = @_;
	my $program = File::Spec->rel2abs("$FindBin::RealBin/../double/double.js");

	return $class->start('node', $program, PostgreSQL::Test::Utils::tempdir());
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

1;
