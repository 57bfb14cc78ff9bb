# PostgREST before a server of a test's own, set up as at Supabase: its roles, an
# administrator who is no superuser and owns the exposed schema, and who calls with which
# token.  In PostgREST's place stands either itself or StripeCredit::Front.

package StripeCredit::Api;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Front;
use StripeCredit::Program qw(runs);
use StripeCredit::Slow;
use Time::HiRes qw(sleep time);

use constant {
	JWT_SECRET => 'of thirty-two bytes or more, says PostgREST',
	PATIENCE => 30 * SLOW
};

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Who connects may become each of the others, and is none of them until he does.  The
# times that they have are Supabase's; hurried has less than a call of Stripe can take.
my $roles = q{
	CREATE ROLE anon;
	CREATE ROLE authenticated;
	CREATE ROLE service_role BYPASSRLS;
	CREATE ROLE hurried;
	CREATE ROLE authenticator NOINHERIT LOGIN IN ROLE anon, authenticated, service_role, hurried;
	ALTER ROLE authenticator SET statement_timeout = '8s';
	ALTER ROLE anon SET statement_timeout = '3s';
	ALTER ROLE authenticated SET statement_timeout = '8s';
	ALTER ROLE hurried SET statement_timeout = '1s';
	CREATE ROLE app_owner LOGIN;
	SELECT stripe_credit.administer('app_owner');
	CREATE SCHEMA api AUTHORIZATION app_owner};

sub make_roles
{
	my ($node) = @_;

	$node->safe_psql('postgres', $roles);
	return;
}

# In database postgres, unless dbname says another; other options go to the stand-in.
sub new
{
	my ($class, $node, %options) = @_;
	my $front = StripeCredit::Front->new(
		connstr => sprintf('host=%s;port=%s;dbname=%s', $node->host, $node->port, delete $options{dbname} // 'postgres'),
		user => 'authenticator', schemas => ['api'], anon => 'anon', jwt_secret => JWT_SECRET, %options);

	return bless { front => $front, url => $front->{url} }, $class;
}

sub postgrest_conf
{
	my ($node, $port, $admin_port) = @_;

	return sprintf <<'END', $node->host, $node->port, JWT_SECRET, $port, $admin_port;
db-uri = "host=%s port=%s user=authenticator dbname=postgres"
db-schemas = "api"
db-anon-role = "anon"
jwt-secret = "%s"
server-host = "127.0.0.1"
server-port = %d
admin-server-port = %d
END
}

# The real one, where it is on the PATH
sub postgrest_is_there { return runs('postgrest', '--version') }

sub postgrest
{
	my ($class, $node) = @_;
	my ($port, $admin_port) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { url => "http://127.0.0.1:$port" }, $class;

	append_to_file("$dir/postgrest.conf", postgrest_conf($node, $port, $admin_port));
	$self->{program} = IPC::Run::start([ 'postgrest', "$dir/postgrest.conf" ], '<', \undef, '>', "$dir/postgrest.log", '2>&1');
	wait_until(sub { HTTP::Tiny->new->get("http://127.0.0.1:$admin_port/ready")->{success} })
	  or die 'postgrest does not become ready: ' . slurp_file("$dir/postgrest.log");
	return $self;
}

sub stop
{
	my ($self) = @_;

	$self->{program}->kill_kill if $self->{program};
	$self->{front}->stop if $self->{front};
	return;
}

# What came to the stand-in that records
sub requests { return $_[0]{front}->requests }

# What the stand-in could not answer
sub trouble { return $_[0]{front} ? $_[0]{front}->trouble : '' }

# Whether it comes true in time
sub wait_until
{
	my ($condition) = @_;
	my $end = time + PATIENCE;

	until ($condition->())
	{
		return 0 if time > $end;
		sleep 0.05;
	}
	return 1;
}

#
# Calls
#

sub token
{
	my (%claims) = @_;
	my $signed = join '.', map { encode_base64url($json->encode($_)) } { alg => 'HS256', typ => 'JWT' }, \%claims;

	return "$signed." . encode_base64url(hmac_sha256($signed, JWT_SECRET));
}

# What is answered to a body as it is: { status, reason, headers, content, and what the
# content says, as value; and the name of what was called }.
sub post
{
	my ($self, $name, $body, %headers) = @_;

	return $self->request('POST', "/rpc/$name", { content => $body, headers => { 'content-type' => 'application/json', %headers } });
}

sub get
{
	my ($self, $name_and_query, %headers) = @_;

	return $self->request('GET', "/rpc/$name_and_query", { headers => \%headers });
}

sub request
{
	my ($self, $method, $path, $options) = @_;
	my $answer = HTTP::Tiny->new(timeout => PATIENCE, max_redirect => 0)->request($method, "$self->{url}$path", $options);

	die "no answer to $method $path: $answer->{content}\n" if $answer->{status} == 599;
	($answer->{name}) = $path =~ m{^/rpc/(\w+)};
	$answer->{value} = length $answer->{content} ? $json->decode($answer->{content}) : undef;
	return $answer;
}

# Calls a function by the names of its arguments, with a token of these claims.
sub call
{
	my ($self, $claims, $name, $arguments) = @_;

	return $self->post($name, $json->encode($arguments || {}), $claims ? bearer(%$claims) : ());
}

sub bearer { my (%claims) = @_; return (authorization => 'Bearer ' . token(%claims)) }

# As Supabase's tokens are: of somebody who has signed in, of a backend, of nobody
sub as_user { my ($self, $sub, @call) = @_; return $self->call({ role => 'authenticated', sub => $sub }, @call) }
sub as_service { my ($self, @call) = @_; return $self->call({ role => 'service_role' }, @call) }
sub as_anon { my ($self, @call) = @_; return $self->call(undef, @call) }

1;
