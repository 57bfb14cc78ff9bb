# A stand-in for PostgREST (test/postgrest), for tests: started, and asked what it was
# asked.  It needs the pg package, so STRIPE_CREDIT_NPM must name a directory that has it.

package StripeCredit::PostgREST;

use strict;
use warnings;

use parent 'StripeCredit::Program';

use Digest::SHA qw(hmac_sha256);
use File::Spec;
use FindBin;
use HTTP::Tiny;
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64 encode_base64url);

use constant JWT_SECRET => 'what the tests sign their tokens with';

# Why there can be none here, or nothing
sub missing
{
	my $npm = $ENV{STRIPE_CREDIT_NPM};

	return 'STRIPE_CREDIT_NPM names no directory that has the pg package'
	  unless $npm && -e "$npm/node_modules/pg/package.json";
	return 'node is not installed' unless eval { IPC::Run::run([ 'node', '--version' ], \'', \my $out) };
	return;
}

# A Node.js that is new enough for all: the one that was brought along, or the system's
sub node
{
	my ($brought) = glob "$ENV{STRIPE_CREDIT_NPM}/node_modules/node-linux-*/bin/node";

	return $brought || 'node';
}

# For a database of a PostgreSQL::Test::Cluster, as authenticator
sub new
{
	my ($class, $node, $dbname, $schemas) = @_;
	my $program = File::Spec->rel2abs("$FindBin::RealBin/../postgrest/server.js");
	my $database = sprintf 'postgres://authenticator@/%s?host=%s&port=%d', $dbname, $node->host, $node->port;

	return $class->start(node(), $program, $ENV{STRIPE_CREDIT_NPM}, $database, $schemas, JWT_SECRET);
}

# A token, as a login would sign it
sub token
{
	my (undef, %claims) = @_;
	my $signed = join '.', map { encode_base64url(encode_json($_)) } { alg => 'HS256', typ => 'JWT' }, \%claims;

	return "$signed." . encode_base64url(hmac_sha256($signed, JWT_SECRET));
}

# What it was asked, in order, as it came
sub requests
{
	my ($self) = @_;
	my $asked = decode_json(HTTP::Tiny->new(timeout => 20)->get("$self->{url}/_requests")->{content});

	$_->{body} = decode_base64($_->{body}) for @$asked;
	return @$asked;
}

1;
