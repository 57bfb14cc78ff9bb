# A stand-in for PostgREST, for tests where that is not installed.  To the server it says
# what PostgREST says for a call of a function, /rpc/NAME: the same transaction, settings
# and statement; and to the client it answers the same status and body.  What PostgREST
# refuses it refuses; of what PostgREST can do besides it knows nothing and refuses that
# too, so that nothing works here which doesn't work there.
#
# Requests are served one after the other over one connection to the server, as by a pool
# of one: what a request leaves behind in its session meets the next.

package StripeCredit::Front;

use strict;
use warnings;

use DBD::Pg;
use DBI;
use Digest::SHA qw(hmac_sha256);
use Encode ();
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 decode_base64url encode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use StripeCredit::Routine qw(read_routines choose_routine statement_of_call quote_name);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# connstr: where the server is; user: whom to connect as; schemas: those that are
# exposed, the first one by default; anon: the role of who brings no token; jwt_secret.
# With record it keeps what it is asked, for requests().  With api_keys it also is the gateway that stands before PostgREST at Supabase, which
# wants one of them for what is under /rest/v1/.
sub new
{
	my ($class, %options) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20, Proto => 'tcp', ReuseAddr => 1)
	  or die "listen: $!";
	my $log = PostgreSQL::Test::Utils::tempdir() . '/front';
	my $record = $options{record} ? "$log.requests" : undef;
	my $parent = $$;
	my $pid = fork // die "fork: $!";

	return bless { pid => $pid, log => $log, record => $record, url => 'http://127.0.0.1:' . $listener->sockport }, $class if $pid;

	# nobody waits for what it says
	open $_, '>>', $log or POSIX::_exit(1) for *STDOUT, *STDERR;
	$SIG{PIPE} = 'IGNORE';
	eval { bless({ %options, record => $record, listener => $listener, parent => $parent }, $class)->serve; 1 } or print STDERR $@;
	POSIX::_exit(0);
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY { local $?; $_[0]->stop; return }

# What it could not answer; empty if all went well.
sub trouble { return slurp_file($_[0]{log}) }

# What it was asked, in order, as it came: { path, headers, body }
sub requests
{
	my ($self) = @_;
	my @asked = map { $json->decode($_) } -e $self->{record} ? split /\n/, slurp_file($self->{record}) : ();

	$_->{body} = decode_base64($_->{body}) for @asked;
	return @asked;
}

sub record
{
	my ($self, $request) = @_;

	append_to_file($self->{record},
		$json->encode({ path => $request->{path}, headers => { map { @$_ } @{ $request->{headers} } },
				body => encode_base64($request->{body}, '') }) . "\n");
	return;
}

#
# The connection
#

sub connect_to_server
{
	my ($self) = @_;

	# What goes through are bytes.
	$self->{dbh} = DBI->connect("dbi:Pg:$self->{connstr}", $self->{user}, undef,
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, pg_enable_utf8 => 0 });
	$self->{dbh}->do(q{SET client_encoding = 'UTF8'});
	$self->{dbh}->do('LISTEN pgrst');
	$self->read_role_settings;
	$self->{routines} = read_routines($self->{dbh}, @{ $self->{schemas} });
	return;
}

# What ALTER ROLE has set, which a mere SET ROLE doesn't bring, of the roles that the
# connection may become, and may set for them.
sub read_role_settings
{
	my ($self) = @_;

	$self->{role_settings} = {};
	for my $setting (@{ $self->{dbh}->selectall_arrayref(q{
		SELECT r.rolname, split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
		FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid, unnest(r.rolconfig) s, pg_settings p
		WHERE m.member = quote_ident(current_user)::regrole AND p.name = split_part(s, '=', 1)
		  AND (p.context = 'user' OR has_parameter_privilege(p.name, 'SET'))}) })
	{
		my ($role, @name_and_value) = @$setting;

		push @{ $self->{role_settings}{$role} }, \@name_and_value;
	}
	return;
}

# Only a notice makes it look again.
sub hear_notices
{
	my ($self) = @_;

	while (my $notice = $self->{dbh}->pg_notifies)
	{
		my $about = $notice->[2] // '';

		$self->{routines} = read_routines($self->{dbh}, @{ $self->{schemas} }) if $about eq '' || $about eq 'reload schema';
		$self->read_role_settings if $about eq 'reload config';
	}
	return;
}

#
# HTTP
#

sub serve
{
	my ($self) = @_;
	my $waiting = IO::Select->new($self->{listener});

	$self->connect_to_server;
	# As long as there is somebody to serve.
	while (getppid == $self->{parent})
	{
		next unless $waiting->can_read(1);
		my $socket = $self->{listener}->accept or next;

		eval { $self->converse($socket); 1 } or print STDERR "no answer: $@";
	}
	return;
}

sub converse
{
	my ($self, $socket) = @_;
	my $request = read_request($socket) or return;

	$self->record($request) if $self->{record};
	print $socket wire($self->answer($request));
	$socket->flush;
	$socket->shutdown(1);
	# or what was sent would be thrown away by a reset
	1 while sysread $socket, my $rest, 65536;
	return;
}

sub read_request
{
	my ($socket) = @_;
	my ($method, $path, $query) = (<$socket> // '') =~ m{^([A-Z]+) ([^ ?]*)(?:\?(\S*))? HTTP/1\.[01]\r\n$} or return;
	my %request = (method => $method, path => $path, query => $query // '', headers => [], body => '');
	my $length;

	while (defined(my $line = <$socket>))
	{
		last if $line eq "\r\n";
		my ($name, $value) = $line =~ /^([^:\s]+):[ \t]*(.*?)[ \t]*\r\n$/ or die "no header: $line";
		push @{ $request{headers} }, [ lc $name, $value ];
	}
	die "a body of unknown length\n" if defined header(\%request, 'transfer-encoding');
	$length = header(\%request, 'content-length') || 0;
	(read($socket, $request{body}, $length) // 0) == $length or die "less than was said\n";
	return \%request;
}

sub header
{
	my ($request, $name) = @_;
	my ($found) = grep { $_->[0] eq $name } @{ $request->{headers} };

	return $found ? $found->[1] : undef;
}

my %reasons = (
	200 => 'OK', 204 => 'No Content', 300 => 'Multiple Choices', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden',
	404 => 'Not Found', 405 => 'Method Not Allowed', 406 => 'Not Acceptable', 409 => 'Conflict', 413 => 'Request Entity Too Large',
	500 => 'Internal Server Error', 503 => 'Service Unavailable');

# The reason is sent as it is, whatever stands in it.
sub wire
{
	my ($answer) = @_;
	my %headers = (
		'Content-Type' => 'application/json; charset=utf-8', 'Content-Length' => length $answer->{body},
		%{ $answer->{headers} || {} });
	my $reason = $answer->{reason} // $reasons{ $answer->{status} } // '';

	delete @headers{qw(Content-Type Content-Length)} if $answer->{status} == 204;
	return "HTTP/1.1 $answer->{status} $reason\r\n"
	  . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
	  . "Connection: close\r\n\r\n$answer->{body}";
}

#
# Refusals
#

# Ends the request.
sub refuse
{
	my ($status, $code, $message, %more) = @_;

	die { status => $status, code => $code, message => $message, %more };
}

sub answer_to_refusal
{
	my ($refusal) = @_;
	my %headers = ('Proxy-Status' => "PostgREST; error=$refusal->{code}");

	$headers{'WWW-Authenticate'} = 'Bearer' if $refusal->{status} == 401;
	$headers{'Retry-After'} = 0 if $refusal->{status} == 503;
	return {
		status => $refusal->{status},
		reason => $refusal->{reason},
		headers => \%headers,
		body => $json->encode({ map { $_ => text_of($refusal->{$_}) } qw(code message details hint) }) };
}

# The server's bytes as characters
sub text_of { return defined $_[0] ? Encode::decode('UTF-8', $_[0]) : undef }

# The status of an SQLSTATE: the first that fits, else 400.  PTxyz apart, which says it.
my @statuses = (
	[ qr/^08/ => 503 ], [ qr/^09/ => 500 ], [ qr/^0[LP]/ => 403 ], [ qr/^2350[35]$/ => 409 ], [ qr/^25006$/ => 405 ], [ qr/^21000$/ => 500 ],
	[ qr/^25/ => 500 ], [ qr/^28/ => 403 ], [ qr/^2D/ => 500 ], [ qr/^3[89B]/ => 500 ], [ qr/^40/ => 500 ], [ qr/^53400$/ => 500 ],
	[ qr/^53/ => 503 ], [ qr/^5[45]/ => 500 ], [ qr/^57P01$/ => 503 ], [ qr/^5[78]/ => 500 ], [ qr/^F0/ => 500 ], [ qr/^HV/ => 500 ],
	[ qr/^P0001$/ => 400 ], [ qr/^P0/ => 500 ], [ qr/^XX/ => 500 ], [ qr/^42883$/ => 404 ], [ qr/^42P01$/ => 404 ], [ qr/^42P17$/ => 500 ],
	[ qr/^PT/ => 500 ]);

# To who is known a forbidden thing is forbidden; anybody else may yet say who he is.
sub status_of_error
{
	my ($error, $is_known) = @_;

	return $1 if $error->{code} =~ /^PT(\d{3})$/;
	return $is_known ? 403 : 401 if $error->{code} eq '42501';
	return 401 if $error->{code} eq '22023' && $error->{message} =~ /^role.*does not exist$/s;
	for my $each (@statuses)
	{
		my ($sqlstate, $status) = @$each;

		return $status if $error->{code} =~ $sqlstate;
	}
	return 400;
}

# The error of the last statement
sub refusal_by_server
{
	my ($self, $is_known) = @_;
	my $dbh = $self->{dbh};
	my %error = (code => $dbh->state);

	@error{qw(message details hint)} = map { $dbh->pg_error_field("message_$_") } qw(primary detail hint);
	$error{status} = status_of_error(\%error, $is_known);
	$error{reason} = $error{message} if $error{code} =~ /^PT\d{3}$/;
	return \%error;
}

#
# Who asks
#

sub decode_part { return eval { $json->decode(decode_base64url($_[0])) } }

# The claims of a token, none of who brings none.  Other schemes than Bearer are not ours.
sub claims_of
{
	my ($self, $request) = @_;
	my ($token) = (header($request, 'authorization') // '') =~ /^bearer\s+(.*)$/i or return {};
	my @parts = split /\./, $token, -1;
	my ($head, $claims);

	refuse(401, 'PGRST301', 'Expected 3 parts in JWT; got ' . @parts) if @parts != 3;
	$head = decode_part($parts[0]);
	refuse(401, 'PGRST301', 'Wrong or unsupported encoding algorithm') unless ref $head eq 'HASH' && ($head->{alg} // '') eq 'HS256';
	refuse(401, 'PGRST301', 'No suitable key or wrong key type')
	  if decode_base64url($parts[2]) ne hmac_sha256("$parts[0].$parts[1]", $self->{jwt_secret});
	$claims = decode_part($parts[1]);
	refuse(401, 'PGRST303', 'Parsing claims failed') unless ref $claims eq 'HASH';
	refuse(401, 'PGRST303', 'JWT expired') if defined $claims->{exp} && $claims->{exp} < time - 30;
	return $claims;
}

sub pass_gateway
{
	my ($self, $request) = @_;
	my $key = header($request, 'apikey') // '';

	return unless $self->{api_keys} && $request->{path} =~ s{^/rest/v1/}{/};
	refuse(401, '', 'No API key found in request') unless grep { $_ eq $key } @{ $self->{api_keys} };
	return;
}

#
# What is asked for
#

sub media_type { return lc(($_[0] // '') =~ s/\s*;.*//sr) }

# The body as it came, and the names that stand in it: it is read, but only for them.  A
# lone value that is no object or array is taken for an empty array.
sub read_json
{
	my ($body) = @_;
	my ($value, @objects);

	return { body => $body, keys => [] } if $body eq '';
	eval {
		my $copy = $body;
		$value = JSON::PP->new->allow_nonref->max_depth(20_000)->decode(Encode::decode('UTF-8', $copy, Encode::FB_CROAK));
		1;
	} or refuse(400, 'PGRST102', 'Empty or invalid json');
	return { body => $body, keys => [ keys %$value ] } if ref $value eq 'HASH';
	return { body => '[]', keys => [] } unless ref $value eq 'ARRAY' && @$value;
	@objects = map { ref eq 'HASH' ? join("\0", sort keys %$_) : undef } @$value;
	refuse(400, 'PGRST102', 'All object keys must match') if grep { !defined || $_ ne $objects[0] } @objects;
	return { body => $body, keys => [ keys %{ $value->[0] } ] };
}

sub read_post
{
	my ($request) = @_;
	my $type = media_type(header($request, 'content-type') // 'application/json');

	# Of a POST the query is a filter of what comes back, which a key or a token is not.
	refuse(400, 'PGRST100', 'failed to parse filter') if $request->{query} =~ /=/;
	return { content_type => $type, is_post => 1, %{ read_json($request->{body}) } } if $type eq 'application/json';
	return { content_type => $type, is_post => 1, body => $request->{body}, keys => [] }
	  if $type =~ m{^(?:text/plain|text/xml|application/octet-stream)$};
	return refuse(400, 'PGRST102', "Content-Type not acceptable: $type");
}

sub read_get
{
	my ($request) = @_;
	my %arguments;

	for (grep { /=/ } split /&/, $request->{query})
	{
		my ($name, $value) = map { tr/+/ /r =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2;

		# Filters, an order and the like are not known here.
		refuse(400, 'PGRST100', 'not in the stand-in')
		  if $value =~ /^(?:not\.)?[a-z]+\./ || $name =~ /^(?:select|order|limit|offset|and|or|columns)$/;
		$arguments{$name} = $value;
	}
	return { content_type => '', arguments => \%arguments, keys => [ keys %arguments ] };
}

sub name_of_function
{
	my ($request) = @_;
	my ($name) = $request->{path} =~ m{^/rpc/([^/]+)$};

	refuse(404, 'PGRST125', 'Invalid path specified in request URL') unless defined $name;
	refuse(405, 'PGRST101', "Cannot use the $request->{method} method on RPC") unless $request->{method} =~ /^(?:GET|POST)$/;
	return $name =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
}

sub schema_of
{
	my ($self, $request) = @_;
	my $schema = header($request, $request->{method} eq 'GET' ? 'accept-profile' : 'content-profile');

	return $self->{schemas}[0] unless defined $schema;
	refuse(406, 'PGRST106', "Invalid schema: $schema") unless grep { $_ eq $schema } @{ $self->{schemas} };
	return $schema;
}

sub check_accept
{
	my ($request) = @_;
	my $accept = header($request, 'accept') // '*/*';

	return if grep { media_type($_) =~ m{^(?:\*/\*|application/json)$} } split /\s*,\s*/, $accept;
	return refuse(406, 'PGRST107', "None of these media types are available: $accept");
}

# Which function with what: { routine, call }
sub plan
{
	my ($self, $request) = @_;
	my $name = name_of_function($request);
	my $schema = $self->schema_of($request);
	my $call = $request->{method} eq 'GET' ? read_get($request) : read_post($request);
	my @found = choose_routine($self->{routines}{$schema}{$name} || [], $call);

	refuse(404, 'PGRST202', "Could not find the function $schema.$name in the schema cache") unless @found;
	refuse(300, 'PGRST203', 'Could not choose the best candidate function') if @found > 1;
	check_accept($request);
	return { routine => $found[0], call => $call, schema => $schema };
}

#
# The transaction
#

# A name that comes more than once has its last value; cookies stand apart.
sub headers_as_json
{
	my ($request) = @_;
	my %headers = map { @$_ } grep { $_->[0] ne 'cookie' } @{ $request->{headers} };

	$_ = eval { Encode::decode('UTF-8', $_, Encode::FB_CROAK) } // refuse(500, 'PGRSTX00', 'Something went wrong') for values %headers;
	return $json->encode(\%headers);
}

sub cookies_as_json
{
	my ($request) = @_;

	return $json->encode({ map { split /=/, $_, 2 } grep { /=/ } split /;\s*/, header($request, 'cookie') // '' });
}

# All that is set for the transaction, in this order: what the role may take is set
# before it is taken; what the function brings overrides what the role has.
sub settings_of
{
	my ($self, $request, $plan, $claims, $role) = @_;

	return (
		[ search_path => join ', ', map { quote_name($_) } $plan->{schema}, 'public' ],
		@{ $self->{role_settings}{$role} || [] },
		[ role => $role ],
		[ 'request.jwt.claims' => $json->encode({ %$claims, role => $role }) ],
		[ 'request.method' => $request->{method} ],
		[ 'request.path' => $request->{path} ],
		[ 'request.headers' => headers_as_json($request) ],
		[ 'request.cookies' => cookies_as_json($request) ],
		@{ $plan->{routine}{settings} });
}

# Statements are prepared once in a connection.
sub query
{
	my ($self, $sql, @values) = @_;

	return $self->{dbh}->selectrow_hashref(
		$self->{dbh}->prepare_cached($sql, { pg_placeholder_dollaronly => 1, pg_server_prepare => 1, pg_switch_prepared => 1 }),
		undef, @values);
}

# The row of the statement, when all of it is committed
sub transact
{
	my ($self, $plan, @settings) = @_;
	my $mode = $plan->{call}{is_post} && $plan->{routine}{volatility} eq 'v' ? 'READ WRITE' : 'READ ONLY';
	my $set = join ', ', map { 'set_config($' . (2 * $_ + 1) . ', $' . (2 * $_ + 2) . ', true)' } 0 .. $#settings;
	my $row;

	$self->{dbh}->do("BEGIN ISOLATION LEVEL READ COMMITTED $mode");
	$self->query("SELECT $set", map { @$_ } @settings);
	$row = $self->query(statement_of_call($plan->{routine}, $plan->{call}));
	$self->{dbh}->do('COMMIT');
	return $row;
}

# Ends the request too.
sub roll_back
{
	my ($self, $is_known) = @_;
	my $refusal = $self->refusal_by_server($is_known);

	$self->{dbh}->do('ROLLBACK');
	die $refusal;
}

# It is committed, whatever comes of these.
sub answer_to_row
{
	my ($plan, $row) = @_;
	my $headers = eval { $json->decode($row->{response_headers} // '[]') };
	my ($status) = ($row->{response_status} // ($plan->{routine}{is_void} ? 204 : 200)) =~ /^(\d+)/;

	refuse(500, 'PGRST111', 'response.headers guc must be a JSON array composed of objects with a single key and a string value')
	  unless ref $headers eq 'ARRAY' && !grep { ref ne 'HASH' || keys %$_ != 1 } @$headers;
	refuse(500, 'PGRST112', 'response.status guc must be a valid status code') unless defined $status;
	return { status => $status, headers => { map { %$_ } @$headers }, body => $plan->{routine}{is_void} ? '' : $row->{body} };
}

sub answer_or_refuse
{
	my ($self, $request) = @_;
	my ($claims, $role, $plan, $row, @settings);

	$self->hear_notices;
	$self->pass_gateway($request);
	$claims = $self->claims_of($request);
	$role = $claims->{role} // $self->{anon};
	$plan = $self->plan($request);
	@settings = $self->settings_of($request, $plan, $claims, $role);
	eval { $row = $self->transact($plan, @settings) } or $self->roll_back($role ne $self->{anon});
	return answer_to_row($plan, $row);
}

sub answer
{
	my ($self, $request) = @_;
	my $answer = eval { $self->answer_or_refuse($request) };

	return $answer if $answer;
	die $@ unless ref $@;
	return answer_to_refusal($@);
}

1;
