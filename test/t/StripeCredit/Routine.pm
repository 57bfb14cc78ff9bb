# The functions of an exposed schema as PostgREST sees them: what it reads of them into
# its schema cache, which one a request means, and the statement that calls it.

package StripeCredit::Routine;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(read_routines choose_routine statement_of_call quote_name);

# Types of a lone parameter without a name, by the content type that is posted
my %unnamed = (
	'application/json' => qr/^jsonb?$/,
	'text/plain' => qr/^text$/,
	'text/xml' => qr/^xml$/,
	'application/octet-stream' => qr/^bytea$/);

# A parameter without a name hides its function, unless it is alone and of one of the
# types above.  Of the settings, these are hoisted (db-hoisted-tx-settings).
my $cache_query = q{
	SELECT p.proname AS name, n.nspname AS schema, p.provolatile AS volatility,
		p.proretset AS is_set, p.prorettype = 'void'::regtype AS is_void,
		t.typtype = 'c' OR coalesce(p.proargmodes::text[] && '{t,b,o}', false) AS is_composite,
		(SELECT coalesce(json_agg(json_build_object('name', coalesce(p.proargnames[a.n], ''),
				'type', a.type::regtype::text, 'required', a.n <= p.pronargs - p.pronargdefaults) ORDER BY a.n), '[]')
		 FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n)) AS parameters,
		(SELECT coalesce(json_agg(json_build_array(split_part(s, '=', 1), substr(s, strpos(s, '=') + 1))), '[]')
		 FROM unnest(p.proconfig) s
		 WHERE split_part(s, '=', 1) IN ('statement_timeout', 'plan_filter.statement_cost_limit')) AS settings
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype
	WHERE n.nspname = ANY (?) AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
	ORDER BY p.pronargs};

sub is_callable
{
	my ($routine) = @_;
	my @nameless = grep { $_->{name} eq '' } @{ $routine->{parameters} };

	return 1 unless @nameless;
	return @nameless == 1 && scalar grep { $nameless[0]{type} =~ $_ } values %unnamed;
}

# { schema => { name => [routine, ...] } }
sub read_routines
{
	my ($dbh, @schemas) = @_;
	my %routines;

	for my $routine (@{ $dbh->selectall_arrayref($cache_query, { Slice => {} }, \@schemas) })
	{
		$routine->{$_} = JSON::PP::decode_json($routine->{$_}) for qw(parameters settings);
		push @{ $routines{ $routine->{schema} }{ $routine->{name} } }, $routine if is_callable($routine);
	}
	return \%routines;
}

# What is given must be all that is required and nothing that isn't there.
sub takes
{
	my ($routine, %given) = @_;

	for my $parameter (@{ $routine->{parameters} })
	{
		return 0 if $parameter->{required} && !exists $given{ $parameter->{name} };
		delete $given{ $parameter->{name} };
	}
	return !%given;
}

sub takes_body
{
	my ($routine, $content_type) = @_;
	my ($parameter, @more) = @{ $routine->{parameters} };

	return $parameter && !@more && $parameter->{name} eq '' && $unnamed{$content_type}
	  && $parameter->{type} =~ $unnamed{$content_type};
}

# The overloads that a call may mean: by names, or else by the one parameter without a
# name, which takes the body whole.  What is no JSON has no names.
sub choose_routine
{
	my ($overloads, $call) = @_;
	my $type = $call->{content_type};
	my @named = grep { takes($_, map { $_ => 1 } @{ $call->{keys} }) } @$overloads;

	@named = grep { @{ $_->{parameters} } } @named if $call->{is_post} && $type ne 'application/json';
	return @named if @named;
	return grep { $call->{is_post} && takes_body($_, $type) } @$overloads;
}

sub quote_name
{
	my ($name) = @_;

	$name =~ s/"/""/g;
	return qq{"$name"};
}

sub is_scalar { return !$_[0]{is_composite} }

sub called
{
	my ($routine, $arguments) = @_;
	my $name = quote_name($routine->{schema}) . '.' . quote_name($routine->{name});

	return is_scalar($routine) ? "(SELECT $name($arguments) pgrst_scalar) pgrst_call" : "$name($arguments) pgrst_call";
}

# A GET's arguments are literals; a POST's are what the server reads out of the body, the
# first object of it; and the body itself goes to a parameter that has no name.
sub source_of_call
{
	my ($routine, $call) = @_;
	my @given = grep { my $name = $_->{name}; grep { $_ eq $name } @{ $call->{keys} } } @{ $routine->{parameters} };
	my ($lone) = @{ $routine->{parameters} };

	return called($routine, "\$1::$lone->{type}"), $call->{body} if $lone && $lone->{name} eq '';
	return called($routine, '') unless @given;
	return called($routine, join ', ', map { quote_name($given[$_]{name}) . ' := $' . ($_ + 1) . "::$given[$_]{type}" } 0 .. $#given),
	  map { $call->{arguments}{ $_->{name} } } @given
	  unless $call->{is_post};

	my @names = map { quote_name($_->{name}) } @given;
	my $columns = join ', ', map { quote_name($_->{name}) . " $_->{type}" } @given;
	my $function = $call->{body} =~ /^[ \t\r\n]*\{/ ? 'json_to_record' : 'json_to_recordset';
	return '(SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT '
	  . join(', ', @names)
	  . " FROM $function(pgrst_payload.json_data) AS _($columns) LIMIT 1) pgrst_body, LATERAL "
	  . called($routine, join ', ', map { "$_ := pgrst_body.$_" } @names),
	  $call->{body};
}

# The one statement of a request, and its parameters
sub statement_of_call
{
	my ($routine, $call) = @_;
	my ($source, @values) = source_of_call($routine, $call);
	my $wanted = is_scalar($routine) ? 'pgrst_call.pgrst_scalar' : 'pgrst_call.*';
	my $rows = 'json_agg(_postgrest_t' . (is_scalar($routine) ? '.pgrst_scalar)' : ')');
	my $body = $routine->{is_set} ? "coalesce($rows, '[]')" : "coalesce($rows->0, 'null')";

	my $count = $routine->{is_set} ? 'pg_catalog.count(_postgrest_t)' : '1';

	return "WITH pgrst_source AS (SELECT $wanted FROM $source) "
	  . "SELECT null::bigint AS total_result_set, $count AS page_total, $body AS body, "
	  . "nullif(current_setting('response.headers', true), '') AS response_headers, "
	  . "nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted "
	  . 'FROM (SELECT * FROM pgrst_source) _postgrest_t', @values;
}

1;
